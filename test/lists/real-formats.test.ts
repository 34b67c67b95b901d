import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { type AddressSet, addressText } from "../../src/dns/address.ts";
import { nameFromText } from "../../src/dns/name.ts";
import type { DomainSet } from "../../src/lists/domain-set.ts";
import { loadLists, type SourceStatus } from "../../src/lists/load.ts";
import type { ListOptions } from "../../src/lists/options.ts";
import { readGeosite } from "../clients/longest-match.ts";
import { directory } from "../support/files.ts";
import { REAL_DATA } from "../support/real-data.ts";
import { downloaded } from "./web.ts";

// Rule data of others, which is not part of the project: without it these claims go untested.
const describeWithData = describe.runIf(existsSync(join(REAL_DATA, "dlc.dat")));

interface Loaded<Set> {
  readonly set: Set;
  readonly size: number;
  readonly source: SourceStatus;
}

async function load(kind: ListOptions["kind"], path: string, category: string | null) {
  const lists = await loadLists([downloaded("list", [], { kind, sources: [{ kind: "file", path, category }] })]);
  const [status] = lists.status();
  const [source] = status?.sources ?? [];
  if (status === undefined || source === undefined) throw new Error("the list is not there");
  return { lists, size: status.size, source };
}

async function domains(path: string, category: string | null = null): Promise<Loaded<DomainSet>> {
  const { lists, ...rest } = await load("domains", path, category);
  const set = lists.domains("list");
  if (set === null) throw new Error("a list of addresses");
  return { set, ...rest };
}

async function addresses(path: string): Promise<Loaded<AddressSet>> {
  const { lists, ...rest } = await load("addresses", path, null);
  const set = lists.addresses("list");
  if (set === null) throw new Error("a list of domains");
  return { set, ...rest };
}

function written(content: string | Buffer): string {
  const path = join(directory(), "list");
  writeFileSync(path, content);
  return path;
}

/** The pattern that fits a name, with its line. */
function matched(set: DomainSet, text: string): { readonly pattern: string; readonly line: number } | null {
  const name = nameFromText(text);
  const match = name === null ? null : set.match(name);
  if (match === null) return null;
  const { pattern, line } = set.describe(match);
  return { pattern, line };
}

/** A file with one entry a line, after so many others. */
function lines(names: readonly string[], entry: (name: string) => string, head: readonly string[] = []) {
  return { text: `${[...head, ...names.map(entry)].join("\n")}\n`, firstLine: head.length + 1 };
}

const base64 = (text: string) =>
  (
    Buffer.from(text)
      .toString("base64")
      .match(/.{1,64}/g) ?? []
  ).join("\n");

describeWithData("the 110,000 mainland names, written in every format", () => {
  let names: readonly string[];

  beforeAll(() => {
    const text = readFileSync(join(REAL_DATA, "accelerated-domains.china.conf"), "utf8");
    names = [...text.matchAll(/^server=\/([^/]+)\//gm)].map(([, name = ""]) => name);
  });

  const suffixes: Readonly<Record<string, () => { readonly text: string; readonly firstLine: number }>> = {
    plain: () => lines(names, (name) => name),
    "prefixed plain": () => lines(names, (name) => `domain:${name} @cn`),
    "dnsmasq server=": () => lines(names, (name) => `server=/${name}/192.0.2.53`),
    "dnsmasq address=": () => lines(names, (name) => `address=/${name}/0.0.0.0`),
    AdGuard: () => lines(names, (name) => `||${name}^`, ["! Title: list", "! comment"]),
    Clash: () => lines(names, (name) => `  - '+.${name}'`, ["payload:"]),
    "Clash classical": () => lines(names, (name) => `  - DOMAIN-SUFFIX,${name}`, ["payload:"]),
    Surge: () => lines(names, (name) => `.${name}`),
    AutoProxy: () => {
      const { text, firstLine } = lines(names, (name) => `||${name}`, ["[AutoProxy 0.2.9]", "! comment"]);
      return { text: base64(text), firstLine };
    },
  };

  test.each(Object.keys(suffixes))("%s", async (format) => {
    const { text, firstLine } = suffixes[format]?.() ?? { text: "", firstLine: 0 };
    const { set, size, source } = await domains(written(text));
    expect([source.entries, source.warningCount, source.problem, size]).toEqual([names.length, 0, null, new Set(names).size]);
    const wrong = names.filter((name, index) => {
      const found = matched(set, `www.${name}`);
      return found?.pattern !== name || found.line !== index + firstLine;
    });
    expect(wrong).toEqual([]);
  });

  test.each([
    ["prefixed plain", (name: string) => `full:${name}`],
    ["hosts", (name: string) => `0.0.0.0 ${name}`],
    ["Surge", (name: string) => `DOMAIN,${name}`],
  ])("as names alone: %s", async (_, entry) => {
    const { set, source } = await domains(written(lines(names, entry).text));
    expect([source.entries, source.warningCount, source.problem]).toEqual([names.length, 0, null]);
    expect(names.filter((name) => matched(set, name)?.pattern !== `full:${name}`)).toEqual([]);
    expect(matched(set, `www.fenliu-nobody.${names[0]}`)).toBeNull();
  });

  test("AdGuard's exceptions take names out again", async () => {
    const excepted = names.filter((_, index) => index % 1000 === 0);
    const { set } = await domains(
      written(`${names.map((name) => `||${name}^\n`).join("")}${excepted.map((name) => `@@||${name}^\n`).join("")}`),
    );
    expect(excepted.filter((name) => matched(set, name) !== null)).toEqual([]);
    const others = names.filter((name) => !excepted.some((each) => name === each || name.endsWith(`.${each}`)));
    expect(others.filter((name) => matched(set, name)?.pattern !== name)).toEqual([]);
  });
});

describeWithData("China's address ranges, written in every format", () => {
  const blocksOf = (set: AddressSet) => [...set.ranges()].map(({ first, last }) => `${addressText(first)}-${addressText(last)}`);
  let cidrs: readonly string[];
  let blocks: readonly string[];

  beforeAll(async () => {
    const path = join(REAL_DATA, "geoip-cn.txt");
    cidrs = readFileSync(path, "utf8")
      .split("\n")
      .filter((line) => /^[0-9a-f]/.test(line));
    blocks = blocksOf((await addresses(path)).set);
  });

  test.each<readonly [format: string, content: () => string, entries: () => number]>([
    ["ranges", () => blocks.map((block) => `${block.replace("-", " - ")}\n`).join(""), () => blocks.length],
    [
      "Surge",
      () => cidrs.map((cidr) => `${cidr.includes(":") ? "IP-CIDR6" : "IP-CIDR"},${cidr},no-resolve\n`).join(""),
      () => cidrs.length,
    ],
    ["Clash", () => `payload:\n${cidrs.map((cidr) => `  - '${cidr}'\n`).join("")}`, () => cidrs.length],
  ])("%s", async (_, content, entries) => {
    const { set, source } = await addresses(written(content()));
    expect([source.entries, source.warningCount, source.problem]).toEqual([entries(), 0, null]);
    expect(blocksOf(set)).toEqual(blocks);
  });
});

describeWithData("dlc.dat", () => {
  test.each(["cn", "geolocation-!cn", "apple", "category-ads-all"])(
    "10,000 names are judged by category %s as by trying every rule of it",
    async (category) => {
      const { set } = await domains(join(REAL_DATA, "dlc.dat"), category);
      const rules = readGeosite(readFileSync(join(REAL_DATA, "dlc.dat")), category);
      const [suffixes, full] = [[...rules.suffixes], [...rules.full]];
      const naive = (name: string): string | null => {
        for (const each of full) if (each === name) return `full:${name}`;
        let longest = "";
        for (const each of suffixes)
          if (
            each.length > longest.length &&
            name.endsWith(each) &&
            (name.length === each.length || name.at(-each.length - 1) === ".")
          )
            longest = each;
        if (longest !== "") return longest;
        return rules.others.some((matches) => matches(name)) ? "by its text" : null;
      };
      const listed = fc.constantFrom(...suffixes, ...full, "fenliu-nobody.example");
      const name = fc.oneof(
        listed,
        fc.tuple(fc.constantFrom("www", "a", "img.cdn"), listed).map((parts) => parts.join(".")),
        fc.tuple(fc.constantFrom("x", "ads-"), listed).map((parts) => parts.join("")),
        fc.tuple(listed, fc.constantFrom("example", "cn", "com")).map((parts) => parts.join(".")),
        listed.map((text) => text.slice(text.indexOf(".") + 1)),
      );
      fc.assert(
        fc.property(name, (asked) => {
          const found = matched(set, asked)?.pattern ?? null;
          expect(found?.replace(/^(keyword|regexp):.*/, "by its text") ?? null).toBe(naive(asked));
        }),
        { numRuns: 10_000 },
      );
    },
    60_000,
  );
});
