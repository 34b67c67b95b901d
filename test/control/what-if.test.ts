import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { QuerySource, WhatIfRequest } from "../../src/admin/control.ts";
import type { WhatIf } from "../../src/admin/schemas/views.ts";
import { parseConfig } from "../../src/config/load.ts";
import { whatIf } from "../../src/control/what-if.ts";
import { ROOT } from "../../src/dns/name.ts";
import { exportText } from "../../src/log/export.ts";
import type { QueryRecord } from "../../src/log/record.ts";
import { record } from "../log/records.ts";
import { file } from "../support/files.ts";
import { siteWith, type TestSite } from "../support/site.ts";
import { honest } from "../support/zone-script.ts";

/** A log with these queries. */
function logOf(records: readonly Partial<QueryRecord>[], batch = 7): Pick<QuerySource, "read"> {
  return {
    async *read(_filter, format, signal) {
      const made = records.map((changes) => record(changes));
      for (let start = 0; start < made.length && !signal.aborted; start += batch)
        yield exportText(format, made.slice(start, start + batch));
    },
  };
}

function ask(
  site: TestSite,
  yaml: string,
  log: Pick<QuerySource, "read">,
  { config, ...request }: Partial<WhatIfRequest> = {},
): Promise<WhatIf> {
  const draft = parseConfig(config ?? site.config(yaml).text, site.app.state.config.path);
  return whatIf(site.app.state, { draft, request: { fromMs: 0, toMs: 2 ** 48, examples: 100, ...request }, queries: log });
}

const upstreams = { domestic: honest(), overseas: honest() };

function lists(cn: readonly string[], world: readonly string[]): string {
  return `lists: { cn: { domains: ["${file("cn.txt", cn)}"] }, world: { domains: ["${file("world.txt", world)}"] } }`;
}

const SPLIT = `rules:
  - { name: ads, domains: [ads.example], answer: nodata }
  - { name: tv, clients: [tv, 192.0.2.0/24], upstream: overseas }
  - { name: split, longest: { "list:cn": domestic, "list:world": overseas } }
`;

describe("what a draft would change", () => {
  test("equal queries are decided once and counted; changes are grouped, the most frequent first", async () => {
    const site = await siteWith({ yaml: `${lists(["a.example", "b.example"], ["c.example"])}\n${SPLIT}`, upstreams });
    const draft = `${lists(["b.example"], ["a.example", "c.example"])}\n${SPLIT.replace("nodata", "nxdomain")}`;
    const log = logOf([
      ...Array.from({ length: 5 }, () => ({ name: "www.a.example" })),
      { name: "a.example", type: "AAAA" },
      { name: "www.b.example" },
      { name: "c.example" },
      { name: "x.ads.example" },
      { name: "x.ads.example", client: "192.168.88.9" },
      { name: "", type: "", source: "refused" },
    ]);
    expect(await ask(site, draft, log)).toEqual({
      queries: 11,
      changed: 8,
      truncated: false,
      changes: [
        {
          before: { rule: "split", route: "domestic", answer: null, action: "none" },
          after: { rule: "split", route: "overseas", answer: null, action: "none" },
          queries: 6,
          names: [
            { name: "www.a.example", type: "A", queries: 5 },
            { name: "a.example", type: "AAAA", queries: 1 },
          ],
        },
        {
          before: { rule: "ads", route: null, answer: "nodata", action: "block" },
          after: { rule: "ads", route: null, answer: "nxdomain", action: "block" },
          queries: 2,
          names: [{ name: "x.ads.example", type: "A", queries: 2 }],
        },
      ],
      notes: [],
    });
  });

  test("the most frequent names are shown", async () => {
    const site = await siteWith({ yaml: `${lists(["example"], [])}\n${SPLIT}`, upstreams });
    const names = ["a.example", "b.example", "b.example", "c.example", "c.example", "c.example"].map((name) => ({ name }));
    const { changes } = await ask(site, `${lists([], ["example"])}\n${SPLIT}`, logOf(names), { examples: 2 });
    expect(changes).toMatchObject([
      {
        queries: 6,
        names: [
          { name: "c.example", queries: 3 },
          { name: "b.example", queries: 2 },
        ],
      },
    ]);
  });

  test("an unchanged file changes nothing, and neither does an option that concerns no decision", async () => {
    const yaml = `${lists(["a.example"], [])}\n${SPLIT}`;
    const site = await siteWith({ yaml, upstreams });
    const log = logOf([{ name: "a.example" }, { name: "nas.lan" }, { name: "b.example", type: "TYPE65" }]);
    expect(await ask(site, `${yaml}\nlog: { level: warn }`, log)).toMatchObject({ queries: 3, changed: 0, changes: [] });
  });

  test("hosts, filtered types, preferences and `never` count as well", async () => {
    const site = await siteWith({
      yaml: "hosts: { records: { nas.lan: 10.0.0.5, www.lan: { cname: www.a.example } } }",
      upstreams: {
        domestic: upstreams.domestic,
        overseas: { servers: [upstreams.overseas], keys: "never: { domains: [home.example] }" },
      },
    });
    const draft = `hosts: { records: { nas.lan: 10.0.0.6, www.lan: { cname: www.a.example } } }
rules: [{ name: far, domains: [a.example, home.example], upstream: overseas, ipv6: nodata }, { name: six, domains: [six.example], ipv6: prefer-ipv4, https: [strip-ech] }]`;
    const queries = ["nas.lan", "www.lan", "home.example", "six.example"].map((name) => ({ name }));
    const typed = [
      { name: "a.example", type: "AAAA" },
      { name: "six.example", type: "AAAA" },
      { name: "six.example", type: "HTTPS" },
    ];
    const { changes } = await ask(site, draft, logOf([...queries, ...typed]));
    const byName = Object.fromEntries(changes.map(({ names, after }) => [`${names[0]?.name} ${names[0]?.type}`, after]));
    expect(byName).toEqual({
      "nas.lan A": { rule: null, route: null, answer: "10.0.0.6", action: "none" },
      "www.lan A": { rule: "far", route: "overseas", answer: "CNAME www.a.example", action: "none" },
      "home.example A": { rule: "far", route: "overseas", answer: null, action: "never" },
      "a.example AAAA": { rule: "far", route: null, answer: "nodata", action: "ipv6:nodata" },
      "six.example AAAA": { rule: null, route: "domestic", answer: null, action: "ipv6:prefer-ipv4" },
      "six.example HTTPS": { rule: null, route: "domestic", answer: null, action: "type65:strip-ech" },
    });
  });

  test("a comparison shows both of its groups, and which of them is asked first", async () => {
    const near = file("near.txt", ["192.0.2.0/24"]);
    const draft = (first: "near" | "far") => `lists: { near: { addresses: ["${near}"] } }
rules: [{ name: others, compare: { near: domestic, far: overseas, keepNearIf: "list:near", first: ${first}, verdict: 1d } }]`;
    const log = logOf([{ name: "a.example" }]);
    const site = await siteWith({ upstreams });
    expect((await ask(site, draft("near"), log)).changes).toMatchObject([
      { before: { route: "domestic" }, after: { rule: "others", route: "domestic or overseas" } },
    ]);
    const comparing = await siteWith({ yaml: draft("near"), upstreams });
    expect((await ask(comparing, draft("near"), log)).changes).toEqual([]);
    expect((await ask(comparing, draft("far"), log)).changes).toMatchObject([
      { before: { route: "domestic or overseas" }, after: { rule: "others", route: "overseas, then domestic" } },
    ]);
  });

  test("the result says that the log keeps no whole addresses", async () => {
    const yaml = `${lists(["a.example"], ["b.example"])}\n${SPLIT}`;
    const site = await siteWith({ yaml, upstreams });
    const said = async (client: string) =>
      (await ask(site, yaml.replace("192.0.2.0/24", "10.0.0.0/24"), logOf([{ client }]))).notes;
    expect(await said("192.168.88.20")).toEqual([]);
    expect(await said("192.0.2.0/24")).toEqual([expect.objectContaining({ code: "whatIf.shortAddresses" })]);
    expect(await said("")).toEqual([expect.objectContaining({ code: "whatIf.shortAddresses" })]);
    const { changed } = await ask(
      site,
      yaml.replace("192.0.2.0/24", "10.0.0.0/24"),
      logOf([{ client: "192.0.2.0/24" }, { client: "" }]),
    );
    expect(changed).toBe(1);
  });
});

describe("a draft that cannot be compared", () => {
  test.each([
    { config: "rulez: []", says: "line 1, column 1: unknown key `rulez`" },
    { config: "rules: [{ name: a, upstream: nowhere }]", says: "nowhere" },
    { config: "a: [", says: "line 1" },
    { config: 'rules: [{ name: a, domains: ["regexp:(?=a)"], upstream: domestic }]', says: "(?=a)" },
  ])("$config: refused with its problems", async ({ config, says }) => {
    const site = await siteWith({ upstreams });
    const judged = ask(site, "", logOf([]), { config });
    await expect(judged).rejects.toMatchObject({ kind: "invalid", message: expect.stringContaining(says) });
  });

  test("the result names a list that was never downloaded", async () => {
    const site = await siteWith({ upstreams });
    const draft = `lists: { far: { domains: "https://lists.example/far.txt" } }\nrules: [{ name: far, domains: "list:far", upstream: overseas }]`;
    const { notes } = await ask(site, draft, logOf([{ name: "a.example" }]));
    expect(notes.map(({ text }) => text)).toEqual([
      "List far of the draft: https://lists.example/far.txt: not downloaded, and it has no seed.",
    ]);
  });
});

describe("bounds", () => {
  test("the reading of the log ends as soon as the limit is reached", async () => {
    const site = await siteWith({ upstreams });
    const seen: { signal: AbortSignal | null } = { signal: null };
    const failing: Pick<QuerySource, "read"> = {
      async *read(_filter, format, signal) {
        seen.signal = signal;
        yield exportText(format, [record({})]);
        throw new Error("the store is gone");
      },
    };
    await expect(ask(site, "", failing)).rejects.toThrow("the store is gone");
    expect(seen.signal?.aborted).toBe(true);
  });
});

interface Query {
  readonly name: string;
  readonly type: string;
  readonly clientId: string | null;
}

/** The group that each query reaches with an empty cache; null = none. */
async function replay(site: TestSite, queries: readonly Query[]): Promise<(string | null)[]> {
  const reached: (string | null)[] = [];
  for (const { name, type, clientId } of queries) {
    site.app.state.resolver.cache.flush(ROOT, true);
    const groups = ["domestic", "overseas"];
    const before = groups.map((group) => site.asked(group).length);
    await site.ask(name, type, clientId === null ? {} : { clientId });
    const asked = groups.filter((group, index) => site.asked(group).length > (before[index] ?? 0));
    reached.push(asked.length === 0 ? null : asked.join());
  }
  return reached;
}

const anyName = fc
  .array(fc.constantFrom("a", "b", "c"), { minLength: 1, maxLength: 3 })
  .map((labels) => `${labels.join(".")}.example`);
const anyQueries: fc.Arbitrary<Query[]> = fc.array(
  fc.record({ name: anyName, type: fc.constantFrom("A", "MX"), clientId: fc.constantFrom(null, "tv") }),
  { minLength: 8, maxLength: 24 },
);
const anyList = fc.array(
  fc.tuple(fc.constantFrom("", "full:"), anyName).map((parts) => parts.join("")),
  { maxLength: 5 },
);

test("after a list moves to another group, the differences are those between two servers", async () => {
  const judgesAsAsked = async (
    cn: readonly string[],
    moved: readonly string[],
    world: readonly string[],
    queries: readonly Query[],
  ) => {
    const yaml = (near: readonly string[]) => `${lists(near, world)}
hosts: { records: { b.example: { cname: c.a.example } } }
${SPLIT.replace("ads.example", "c.c.example")}`;
    const now = await siteWith({ yaml: yaml(cn), upstreams });
    const then = await siteWith({ yaml: yaml(moved), upstreams });
    const [before, after] = [await replay(now, queries), await replay(then, queries)];
    const seen = queries.flatMap(({ name, type }, index) =>
      before[index] === after[index] ? [] : [`${name} ${type}: ${before[index]} > ${after[index]}`],
    );
    const result = await ask(now, yaml(moved), logOf(queries));
    const judged = result.changes
      .filter((change) => change.before.route !== change.after.route)
      .flatMap((change) =>
        change.names.flatMap(({ name, type, queries: count }) =>
          Array.from({ length: count }, () => `${name} ${type}: ${change.before.route} > ${change.after.route}`),
        ),
      );
    expect(judged.toSorted()).toEqual(seen.toSorted());
    await now.close();
    await then.close();
  };
  await fc.assert(fc.asyncProperty(anyList, anyList, anyList, anyQueries, judgesAsAsked), { numRuns: 12 });
});

test("each record is judged at its own time, also where the same was asked at another", async () => {
  const site = await siteWith({ yaml: "rules: [{ name: rest, upstream: overseas }]", upstreams });
  const draft = site.config(
    `rules: [{ name: night, when: { from: "21:00", to: "07:00", zone: UTC }, answer: nodata }, { name: rest, upstream: overseas }]`,
  ).text;
  const times = ["2026-11-29T12:00:00.000Z", "2026-11-29T21:00:00.000Z", "2026-11-30T06:59:59.999Z", "2026-11-30T07:00:00.000Z"];
  const result = await ask(site, "", logOf(times.map((time) => ({ name: "a.example", time }))), { config: draft });
  expect(result).toMatchObject({
    queries: 4,
    changed: 2,
    changes: [{ before: { rule: "rest" }, after: { rule: "night" }, queries: 2 }],
  });
});
