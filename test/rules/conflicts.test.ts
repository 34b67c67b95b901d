import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { loadLists } from "../../src/lists/load.ts";
import { type ListConflict, listConflicts } from "../../src/rules/conflicts.ts";
import type { RuleOptions } from "../../src/rules/options.ts";
import { matchWeight, readGeosite } from "../clients/longest-match.ts";
import { downloaded } from "../lists/web.ts";
import { REAL_DATA } from "../support/real-data.ts";
import { listOf, rule, site } from "./site.ts";

type Texts = Readonly<Record<string, readonly string[]>>;

const split = rule("split", { longest: { cn: "domestic", world: "overseas" } });

function conflicts(rules: readonly RuleOptions[], lists: Texts): readonly ListConflict[] {
  const sets = new Map(Object.entries(lists).map(([name, patterns]) => [name, listOf(name, patterns)]));
  return listConflicts(rules, { domains: (list) => sets.get(list) ?? null });
}

/** Each as a sentence: what meets what, and where it goes. */
function told(rules: readonly RuleOptions[], lists: Texts): string[] {
  return conflicts(rules, lists).flatMap(({ kind, group, entries }) =>
    entries.map(
      ({ inner, outer }) =>
        `${inner.list}:${inner.line} ${inner.pattern} ${kind} ${outer.list}:${outer.line} ${outer.pattern} -> ${group}`,
    ),
  );
}

describe("the lists of one `longest`", () => {
  test("equal entries go to the list named first, longer or exact ones to their own list", () => {
    const lists = {
      cn: ["cn", "tie.example", "both.example", "www.google.com"],
      world: ["google.com", "tie.example", "google.cn", "full:both.example"],
    };
    expect(told([split], lists)).toEqual([
      "cn:2 tie.example tie world:2 tie.example -> domestic",
      "cn:4 www.google.com inside world:1 google.com -> domestic",
      "world:4 full:both.example split cn:3 both.example -> overseas",
      "world:3 google.cn inside cn:1 cn -> overseas",
    ]);
  });

  test("of a rule with hours are a deliberate exception", () => {
    const night = rule("night", "elsewhere", {
      domains: ["list:world"],
      when: { days: [], hours: { fromMinute: 1260, toMinute: 420 }, zone: "UTC" },
    });
    expect(
      conflicts([night, rule("rest", "domestic", { domains: ["list:cn"] })], { cn: ["a.example"], world: ["a.example"] }),
    ).toEqual([]);
  });

  test("that go to one group have no conflict", () => {
    const same = rule("split", { longest: { cn: "domestic", world: "domestic" } });
    expect(conflicts([same], { cn: ["cn"], world: ["google.cn"] })).toEqual([]);
  });

  test("every name goes to the group that its conflict names", () => {
    const lists = {
      cn: ["cn", "a.tie.example", "tie.example", "b.example"],
      world: ["google.cn", "tie.example", "full:b.example"],
    };
    const { decide } = site({ rules: [split, rule("rest", "elsewhere")], lists });
    for (const { group, entries } of conflicts([split], lists)) {
      for (const { inner } of entries) {
        expect(decide(inner.pattern.replace("full:", ""))).toMatchObject({ kind: "forward", group });
      }
    }
  });
});

describe("lists in different rules", () => {
  const first = rule("one", "domestic", { domains: ["list:cn"] });
  const second = rule("two", "overseas", { domains: ["own.example", "list:world"] });
  const lists = { cn: ["cn", "tie.example", "www.google.com"], world: ["google.com", "tie.example", "google.cn"] };

  test("the first rule takes every name of its list, however exact the other list is", () => {
    expect(told([first, second], lists)).toEqual([
      "cn:2 tie.example tie world:2 tie.example -> domestic",
      "cn:3 www.google.com inside world:1 google.com -> domestic",
      "world:3 google.cn inside cn:1 cn -> domestic",
    ]);
  });

  test("the first rule does not take the names that it excepts", () => {
    const excepting = rule("one", "domestic", { domains: ["list:cn", "!google.cn"] });
    expect(told([excepting, second], lists).filter((line) => line.includes("google.cn"))).toEqual([]);
  });

  test("a list in two rules belongs to the first", () => {
    expect(told([first, rule("again", "elsewhere", { domains: ["list:cn"] })], lists)).toEqual([]);
    expect(told([first, rule("again", "overseas", { domains: ["list:cn"] }), second], lists)).toHaveLength(3);
  });

  test.each([
    ["some clients", rule("one", "domestic", { domains: ["list:cn"], clients: ["10.0.7.0/24"] })],
    ["some types", rule("one", "domestic", { domains: ["list:cn"], types: [28] })],
    ["names that are blocked", rule("one", { answer: "nodata" }, { domains: ["list:cn"] })],
    ["all but a list", rule("one", "domestic", { domains: ["!list:cn"] })],
  ])("a rule for %s causes no conflict", (_, exception) => {
    expect(conflicts([exception, second], lists)).toEqual([]);
  });
});

test("all entries are counted, and the first ones are reported", () => {
  const names = Array.from({ length: 10_003 }, (_, index) => `n${index}.cn`);
  const [conflict] = conflicts([split], { cn: ["cn"], world: names });
  expect([conflict?.count, conflict?.entries.length, conflict?.entries.at(-1)?.inner.line]).toEqual([10_003, 10_000, 10_000]);
});

// Rule data of others, which is not part of the project: without it this claim goes untested.
const chinaFile = join(REAL_DATA, "accelerated-domains.china.conf");
const geositeFile = join(REAL_DATA, "dlc.dat");

describe.runIf(existsSync(geositeFile))("public lists of mainland names and foreign names", () => {
  test("have as many conflicts as an independent count finds", async () => {
    const world = {
      ...downloaded("world", []),
      sources: [{ kind: "file", path: geositeFile, category: "geolocation-!cn" } as const],
    };
    const cn = { ...downloaded("cn", []), sources: [{ kind: "file", path: chinaFile, category: null } as const] };
    const found = listConflicts([split], await loadLists([cn, world]));
    const counts = Object.fromEntries(found.map(({ kind, inner, count }) => [`${kind} ${inner.list}`, count]));

    const china = new Set(
      [...readFileSync(chinaFile, "utf8").matchAll(/^server=\/([^/]+)\//gm)].map(([, name = ""]) => name.toLowerCase()),
    );
    const { suffixes, full } = readGeosite(readFileSync(geositeFile), "geolocation-!cn");
    const parent = (name: string) => (name.includes(".") ? name.slice(name.indexOf(".") + 1) : "");
    const isBelow = (name: string, set: ReadonlySet<string>) =>
      matchWeight(parent(name), { suffixes: set, full: new Set(), others: [] }) > 0;
    const insideChina = [...suffixes, ...full].filter((name) => !china.has(name) && isBelow(name, china));
    expect(counts).toEqual({
      "tie cn": suffixes.intersection(china).size,
      "split world": full.intersection(china).size,
      "inside cn": [...china].filter((name) => !suffixes.has(name) && isBelow(name, suffixes)).length,
      "inside world": insideChina.length,
    });
    // Hundreds, as whoever splits by them should know.
    expect(Math.min(...Object.values(counts))).toBeGreaterThan(0);
    expect(insideChina.length).toBeGreaterThan(100);
    expect(found.every(({ count, entries }) => count === entries.length)).toBe(true);
  });
});
