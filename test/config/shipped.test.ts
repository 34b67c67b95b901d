import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parseConfig } from "../../src/config/load.ts";
import { printProblems } from "../../src/config/reading.ts";
import type { Config } from "../../src/config/types.ts";
import { NO_LIST_CACHE } from "../../src/lists/cache.ts";
import { loadLists } from "../../src/lists/load.ts";
import { urlsOf } from "../../src/lists/update.ts";
import { operationsLog } from "../../src/log/operations.ts";
import { listConflicts } from "../../src/rules/conflicts.ts";
import { openPolicy } from "../../src/server/policy.ts";
import { checkPolicy } from "../../src/server/preflight.ts";
import { downloaded } from "../lists/web.ts";

const path = join(import.meta.dirname, "../../fenliu.yaml");
const shipped = readFileSync(path, "utf8");

/** As its comment says: the lines with the full lists in the place of the first three. */
const full = shipped.replace(/^ {2}(cn|world|cn-ip): .*\n/gm, "").replace(/^#(?= {2,}(cn|world|cn-ip|mirrors|refresh): )/gm, "");

/** @throws Error with the problems and warnings of the text. */
function configOf(text: string): Config {
  const result = parseConfig(text, path);
  const told = result.kind === "ok" ? result.warnings : result.problems;
  if (result.kind === "invalid" || told.length > 0) throw new Error(printProblems(told, text));
  return result.config;
}

async function decisionsOf(config: Config) {
  const warnings: string[] = [];
  const log = operationsLog("warn", (line) => warnings.push(line), false);
  const decisions = await openPolicy(config, log, { cache: NO_LIST_CACHE });
  return { decisions, warnings, faults: checkPolicy(decisions, config, log) };
}

describe("the shipped configuration", () => {
  test("has no problem, downloads nothing, and its lists do not contradict each other", async () => {
    const config = configOf(shipped);
    const { decisions, warnings, faults } = await decisionsOf(config);
    expect({ warnings, faults }).toEqual({ warnings: [], faults: [] });
    expect(config.lists.flatMap(urlsOf)).toEqual([]);
    expect(listConflicts(config.rules, decisions.lists)).toEqual([]);
  });

  test("names the full lists, whose seeds are the shipped ones", async () => {
    const config = configOf(full);
    expect(config.lists.filter((list) => urlsOf(list).length > 0).map(({ name }) => name)).toEqual(["cn", "world", "cn-ip"]);
    for (const { sources, mirrors, refreshMs, seed, via } of config.lists.filter((list) => urlsOf(list).length > 0)) {
      for (const { url } of sources.flatMap((source) => (source.kind === "url" ? [source] : []))) {
        expect([url, ...mirrors].every((each) => each.startsWith("https://"))).toBe(true);
      }
      expect([mirrors.length > 0, refreshMs !== null, seed !== null, via]).toEqual([true, true, true, "overseas"]);
    }
    const { decisions, warnings, faults } = await decisionsOf(config);
    expect({ warnings, faults }).toEqual({ warnings: [], faults: [] });
    const before = (await decisionsOf(configOf(shipped))).decisions.lists.status();
    const sizes = (status: typeof before) => new Map(status.map(({ name, size }) => [name, size]));
    expect(sizes(decisions.lists.status())).toEqual(sizes(before));
  });
});

describe("the shipped lists", () => {
  const folder = join(import.meta.dirname, "../../rules");
  const files = readdirSync(folder).filter((name) => name !== "hosts.txt");

  test.each(files)("%s says where it is from, by what licence and as of when, and every line of it is used", async (name) => {
    const [head = ""] = /^(#.*\n)+/.exec(readFileSync(join(folder, name), "utf8")) ?? [];
    expect(head).toMatch(/Written for this project|Collected for this project|https:\/\//);
    expect(head).toMatch(/\bCC0\b|\bCC BY 4\.0\b/);
    expect(head).toMatch(/As of \d{4}-\d{2}-\d{2}\./);
    const kind = name.endsWith("-domains.txt") ? "domains" : "addresses";
    const source = { kind: "file", path: join(folder, name), category: null } as const;
    const [status] = (await loadLists([downloaded("list", [], { kind, sources: [source] })])).status();
    expect(status?.sources).toMatchObject([{ warningCount: 0, problem: null }]);
    expect(status?.sources[0]?.entries).toBeGreaterThan(8);
  });

  test("bogus addresses are neither private nor in use", async () => {
    const load = async (name: string) => {
      const source = { kind: "file", path: join(folder, name), category: null } as const;
      return (await loadLists([downloaded("list", [], { kind: "addresses", sources: [source] })])).addresses("list");
    };
    const [bogus, home] = [await load("bogus.txt"), await load("private.txt")];
    const seen = (address: string) => [bogus?.hasText(address), home?.hasText(address)];
    expect(["192.0.2.1", "243.185.187.39", "2001:db8::1"].map(seen)).toEqual(Array(3).fill([true, false]));
    expect(["192.168.88.1", "100.64.0.1", "fd00::1", "127.0.0.1"].map(seen)).toEqual(Array(4).fill([false, true]));
    expect(["0.0.0.0", "198.18.0.7", "223.5.5.5", "172.32.0.1", "2400:3200::1"].map(seen)).toEqual(Array(5).fill([false, false]));
  });
});
