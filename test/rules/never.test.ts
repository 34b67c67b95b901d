import { existsSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { parseConfig } from "../../src/config/load.ts";
import { printProblems } from "../../src/config/reading.ts";
import type { Config } from "../../src/config/types.ts";
import type { Name } from "../../src/dns/name.ts";
import { CLASS, TYPE } from "../../src/dns/types.ts";
import { NO_LIST_CACHE } from "../../src/lists/cache.ts";
import { neverProblems } from "../../src/rules/checks.ts";
import { EgressPolicy } from "../../src/rules/egress.ts";
import { NO_DIAGNOSTICS, openPolicy, type Policy } from "../../src/server/policy.ts";
import type { NeverOptions } from "../../src/upstreams/options.ts";
import { UpstreamError } from "../../src/upstreams/upstream.ts";
import { REAL_DATA } from "../support/real-data.ts";
import { groupOptions, question, Site as Upstreams } from "../upstreams/groups/scripted.ts";
import { ask, laptop, listOf, rule } from "./site.ts";

const nothing: NeverOptions = { domains: [], types: [], clients: [] };

/** Why a question (`www.example A`) must not go to the group `overseas`. */
function overseas(never: Partial<NeverOptions>, lists: Readonly<Record<string, readonly string[]>> = {}, requester = laptop) {
  const sets = new Map(Object.entries(lists).map(([name, patterns]) => [name, listOf(name, patterns)]));
  const rules = [rule("split", { longest: { cn: "domestic", world: "overseas" } }, {})].filter(() => sets.has("world"));
  const groups = [
    { name: "overseas", never: { ...nothing, ...never } },
    { name: "domestic", never: null },
  ];
  const all = new EgressPolicy({ groups, rules, lists: { domains: (list) => sets.get(list) ?? null } });
  return (text: string) => all.forbids("overseas", ask(text), requester);
}

describe("a list in `never` forbids the names that it would win by `longest`", () => {
  const lists = { cn: ["cn", "baidu.com", "full:tie.example"], world: ["google.cn", "full:a.baidu.com", "tie.example"] };

  test.each([
    ["www.example.cn", "cn of list cn"],
    ["www.baidu.com", "baidu.com of list cn"],
    ["www.google.cn", null],
    ["a.baidu.com", null],
    ["b.a.baidu.com", "baidu.com of list cn"],
    ["tie.example", "full:tie.example of list cn"],
    ["www.tie.example", null],
    ["nobody.example", null],
  ])("%s: %s", (name, reason) => {
    expect(overseas({ domains: ["list:cn"] }, lists)(name)).toBe(reason);
  });

  test("a tie goes to the list that the rules name first", () => {
    const forbids = overseas({ domains: ["list:world"] }, { cn: ["tie.example"], world: ["tie.example", "own.example"] });
    expect([forbids("tie.example"), forbids("own.example")]).toEqual([null, "own.example of list world"]);
  });

  test("a list that no rule uses forbids its names, unless another list matches them better", () => {
    const forbids = overseas({ domains: ["list:secret"] }, { ...lists, secret: ["corp.example", "com"] });
    expect(["x.corp.example", "other.com", "baidu.com"].map(forbids)).toEqual([
      "corp.example of list secret",
      "com of list secret",
      null,
    ]);
  });
});

test("patterns forbid without a comparison of lists, and exceptions allow", () => {
  const forbids = overseas({ domains: ["corp.example", "!full:www.corp.example"] });
  expect(["a.corp.example", "www.corp.example", "example"].map(forbids)).toEqual(["corp.example", null, null]);
  const allBut = overseas({ domains: ["!ok.example"] });
  expect([allBut("www.ok.example"), allBut("other.example")]).toEqual([null, "every name that is not excepted"]);
});

test("types forbid, and clients forbid", () => {
  const forbids = overseas({ types: [TYPE.PTR], clients: ["10.0.9.0/24", "kids"] });
  expect([forbids("1.0.0.10.example PTR"), forbids("page.example A")]).toEqual(["type PTR", null]);
  const asked = (address: string, clientId: string | null) =>
    overseas({ types: [TYPE.PTR], clients: ["10.0.9.0/24", "kids"] }, {}, { address, clientId })("page.example");
  expect([asked("10.0.9.7", null), asked("10.0.8.7", "kids"), asked("10.0.8.7", null)]).toEqual([
    "client 10.0.9.7",
    "client kids",
    null,
  ]);
});

test("a group without `never` gets everything", () => {
  const all = new EgressPolicy({ groups: [{ name: "domestic", never: null }], rules: [], lists: { domains: () => null } });
  expect(all.forbids("domestic", ask("www.example"), laptop)).toBeNull();
});

test("an invalid pattern is reported with its group", () => {
  expect(neverProblems([{ name: "overseas", never: { ...nothing, domains: ["*.example.com"] } }])).toEqual([
    "upstreams.overseas.never: *.example.com is no domain name; example.com stands for it and everything below it",
  ]);
});

// Rule data of others, which is not part of the project: without it these claims go untested.
describe.runIf(existsSync(join(REAL_DATA, "dlc.dat")))("over every name of two real lists", () => {
  const files = {
    cn: `${join(REAL_DATA, "accelerated-domains.china.conf")}`,
    world: `${join(REAL_DATA, "dlc.dat")}#geolocation-!cn`,
  };
  let names: readonly Name[];

  const open = async (rules: string) => {
    const config = configOf(`upstreams:
  domestic: { servers: [192.0.2.1] }
  overseas: { servers: [192.0.2.2], never: { domains: "list:cn", types: [PTR] } }
lists:
  cn: { domains: ${JSON.stringify(files.cn)} }
  world: { domains: ${JSON.stringify(files.world)} }
rules:
${rules}
  - { name: split, longest: { "list:cn": domestic, "list:world": overseas } }
  - { name: others, upstream: overseas }
`);
    return openPolicy(config, NO_DIAGNOSTICS, { cache: NO_LIST_CACHE });
  };

  beforeAll(async () => {
    const { lists } = await open("");
    const listed = ["cn", "world"].flatMap((list) => [...(lists.domains(list)?.names() ?? [])]);
    names = listed.filter((name) => !name.startsWith("\x01*"));
  });

  /** Sends all names where the rules say. @returns how many each group was asked, and refused. */
  function send({ decider, egress }: Policy) {
    const upstreams = new Upstreams(groupOptions("domestic"), groupOptions("overseas"));
    let refused = 0;
    let sent = 0;
    for (const name of names) {
      const decision = decider.decide({ name, type: TYPE.A, class: CLASS.IN }, laptop);
      if (decision.kind !== "forward") continue;
      sent++;
      const group = upstreams.groups.get(decision.group);
      if (group.admit({ ...question(), name }, { requester: laptop, egress }) instanceof UpstreamError) refused++;
    }
    return { sent, refused, violations: upstreams.groups.status().map(({ violations }) => violations) };
  }

  test("rules that split by these lists never violate `never: list:cn`", async () => {
    const { sent, refused, violations } = send(await open(""));
    expect(sent).toBeGreaterThan(100_000);
    expect({ refused, violations }).toEqual({ refused: 0, violations: [0, 0] });
  });

  test("a wrong rule before them is caught for every name that it sends abroad", async () => {
    const { refused, violations } = send(await open("  - { name: wrong, domains: [com], upstream: overseas }"));
    expect(refused).toBeGreaterThan(1000);
    expect(violations).toEqual([0, refused]);
  });
});

function configOf(text: string): Config {
  const result = parseConfig(text, null);
  if (result.kind === "invalid") throw new Error(printProblems(result.problems, result.text));
  return result.config;
}
