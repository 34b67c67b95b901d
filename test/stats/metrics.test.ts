import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RisingCounts } from "../../src/stats/metrics.ts";
import { siteWith } from "../support/site.ts";
import { deny, honest } from "../support/zone-script.ts";
import { exposedBy, samplesOf } from "./exposed.ts";

const page = honest("page.example 300 A 192.0.2.7");

async function busySite() {
  const yaml = `
rules:
  - { name: ads, domains: [ads.example], answer: nodata }
  - { name: quiet, clients: [10.0.9.0/24], ipv6: nodata }
  - { name: all, upstream: main }`;
  const main = (question: Parameters<typeof page>[0]) => (question.type === 65 ? deny(question) : page(question));
  const site = await siteWith({ yaml, upstreams: { main } });
  for (const name of ["page.example", "page.example", "ads.example", "localhost"]) await site.ask(name);
  await site.ask("page.example", "HTTPS");
  await site.ask("page.example", "A", { client: "203.0.113.9" });
  await site.send(Buffer.from("000701000002000000000000", "hex"), "tcp");
  return site;
}

describe("metrics", () => {
  test("count every query by transport, source and rcode", async () => {
    const { app } = await busySite();
    const queries = samplesOf(exposedBy(app)).filter(({ name }) => name === "fenliu_queries_total");
    expect(queries.map(({ labels, value }) => [...Object.values(labels), value].join(" ")).sort()).toEqual([
      "doh refused REFUSED 1",
      "tcp refused FORMERR 1",
      "udp cache NOERROR 1",
      "udp rule NOERROR 1",
      "udp special NOERROR 1",
      "udp upstream NOERROR 2",
    ]);
  });

  test("count actions, rules and groups", async () => {
    const { app } = await busySite();
    const samples = samplesOf(exposedBy(app));
    const of = (metric: string) =>
      Object.fromEntries(
        samples
          .filter(({ name, value }) => name === metric && value > 0)
          .map(({ labels, value }) => [Object.values(labels).join(" "), value]),
      );
    expect(of("fenliu_actions_total")).toEqual({ block: 1, guard: 1, access: 1, malformed: 1 });
    expect(of("fenliu_rule_queries_total")).toEqual({ ads: 1, all: 3 });
    expect(of("fenliu_group_queries_total")).toEqual({ main: 3 });
    expect(of("fenliu_upstream_questions_total")).toEqual({ [`main ${app.upstreams()[0]?.members[0]?.label}`]: 2 });
  });

  test("have one sample for each set of labels, behind a HELP and a TYPE of their own", async () => {
    const { app } = await busySite();
    const text = exposedBy(app);
    const keys = samplesOf(text).map(({ name, labels }) => JSON.stringify([name, labels]));
    expect(new Set(keys).size).toBe(keys.length);
    const types = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = ""]) => name);
    expect(new Set(types).size).toBe(types.length);
    expect([...text.matchAll(/^# HELP (\S+) \S.*\.$/gm)].map(([, name = ""]) => name)).toEqual(types);
    for (const { name } of samplesOf(text)) expect(types).toContain(name.replace(/_(bucket|sum|count)$/, ""));
    expect(text.endsWith("\n")).toBe(true);
  });

  test("have histograms whose buckets rise up to the count", async () => {
    const { app } = await busySite();
    const samples = samplesOf(exposedBy(app));
    for (const answered of ["cache", "upstream", "local"]) {
      const ours = samples.filter(({ labels }) => labels["answered"] === answered);
      const buckets = ours.filter(({ name }) => name.endsWith("_bucket")).map(({ value }) => value);
      expect(buckets).toEqual(buckets.toSorted((a, b) => a - b));
      expect(ours.find(({ name }) => name.endsWith("_count"))?.value).toBe(buckets.at(-1));
    }
    expect(samples.find(({ name, labels }) => name.endsWith("_count") && labels["answered"] === "upstream")?.value).toBe(2);
  });

  test("have no label whose values clients could choose", async () => {
    const site = await siteWith({ upstreams: { main: page } });
    const before = exposedBy(site.app);
    for (let index = 0; index < 50; index++)
      await site.ask(`name-${index}.example`, `TYPE${1000 + index}`, { clientId: `id-${index}` });
    const after = exposedBy(site.app);
    const names = (text: string) => new Set(samplesOf(text).map(({ name, labels }) => JSON.stringify([name, labels])));
    const added = [...names(after)].filter((key) => !names(before).has(key));
    expect(added).toEqual([
      '["fenliu_queries_total",{"transport":"doh","source":"upstream","rcode":"NXDOMAIN"}]',
      `["fenliu_upstream_latency_seconds",{"group":"main","server":"${site.app.upstreams()[0]?.members[0]?.label}"}]`,
    ]);
  });

  test("keep their counts over a reload, and forget rules that are gone", async () => {
    const site = await busySite();
    await site.reload("rules: [{ name: all, upstream: main }, { name: new, upstream: main }]");
    await site.ask("page.example");
    const rules = samplesOf(exposedBy(site.app)).filter(({ name }) => name === "fenliu_rule_queries_total");
    expect(rules.map(({ labels, value }) => [labels["rule"], value])).toEqual([
      ["all", 4],
      ["new", 0],
    ]);
  });

  test("never fall, though a reload replaces the objects that count for servers and the cache", async () => {
    const site = await busySite();
    const counts = new RisingCounts();
    const counters = () => {
      const text = exposedBy(site.app, { counts });
      const names = new Set([...text.matchAll(/^# TYPE (\S+) counter$/gm)].map(([, name = ""]) => name));
      return new Map(
        samplesOf(text)
          .filter(({ name }) => names.has(name))
          .map(({ name, labels, value }) => [JSON.stringify([name, labels]), value]),
      );
    };
    const before = counters();
    const config = site.config("cache: { size: 8MiB }\nrules: [{ name: all, upstream: main }]");
    const groups = config.upstreams.groups.map((group) => ({ ...group, attemptMs: group.attemptMs + 1 }));
    await site.app.reload({ ...config, upstreams: { ...config.upstreams, groups } });
    const reloaded = counters();
    await site.ask("page.example", "AAAA");
    const after = counters();
    const fallen = (earlier: ReadonlyMap<string, number>, later: ReadonlyMap<string, number>) =>
      [...earlier].filter(([key, value]) => (later.get(key) ?? Number.POSITIVE_INFINITY) < value);
    expect([fallen(before, reloaded), fallen(reloaded, after)]).toEqual([[], []]);
    const questions = [...before.keys()].find((key) => key.includes("fenliu_upstream_questions_total")) ?? "";
    expect([before.get(questions), reloaded.get(questions), after.get(questions)]).toEqual([2, 2, 3]);
  });

  test("count reloads by how they ended, and tell since when the configuration is in force", async () => {
    const site = await siteWith({ upstreams: { main: page } });
    const of = (metric: string) => samplesOf(exposedBy(site.app)).filter(({ name }) => name === metric);
    await site.clock.advance(5000);
    await site.reload("");
    await expect(site.reload("expect: [{ name: page.example, answer: nxdomain }]")).rejects.toThrow();
    expect(of("fenliu_config_reloads_total").map(({ labels, value }) => [labels["result"], value])).toEqual([
      ["success", 1],
      ["failure", 1],
    ]);
    expect(of("fenliu_config_last_reload_successful")).toMatchObject([{ value: 0 }]);
    expect(of("fenliu_config_loaded_timestamp_seconds")).toMatchObject([{ value: Date.UTC(2026, 0, 1) / 1000 + 5 }]);
  });

  test("number two members with the same address, and leave out unknown values", async () => {
    const { app } = await siteWith({ upstreams: { main: page } });
    const member = { server: "udp://192.0.2.1", well: true, latencyMs: null, questions: 0, failures: 0, inFlight: 0 };
    const group = { name: "main", well: true, inFlight: 0, breaches: 0, members: [member, { ...member, latencyMs: 20 }] };
    const samples = samplesOf(exposedBy(app, { upstreams: [group] }));
    const of = (metric: string) =>
      samples.filter(({ name }) => name === metric).map(({ labels, value }) => [labels["server"], value]);
    expect(of("fenliu_upstream_up")).toEqual([
      ["udp://192.0.2.1", 1],
      ["udp://192.0.2.1 (2)", 1],
    ]);
    expect(of("fenliu_upstream_latency_seconds")).toEqual([["udp://192.0.2.1 (2)", 0.02]]);
  });

  test("have labels with quotes, backslashes and line ends in them escaped", async () => {
    const { app } = await siteWith({ upstreams: { main: page } });
    const lists = [{ name: 'a"b\\c\nd', size: 3, sources: [] }];
    expect(exposedBy(app, { lists })).toContain('fenliu_list_entries{list="a\\"b\\\\c\\nd"} 3\n');
  });

  test("count the sources of a list with problems, and give the age of the oldest download and its limit", async () => {
    const { app } = await siteWith({ upstreams: { main: page } });
    const source = { servedFrom: "copy", checked: null, problem: null, downloadProblem: null };
    const sources = [
      { ...source, checked: "2026-01-01T12:00:00.000Z" },
      { ...source, checked: "2026-01-01T18:00:00.000Z", downloadProblem: {} },
      { ...source, servedFrom: "nothing", problem: "not downloaded yet" },
    ];
    const lists = [
      { name: "cn", size: 3, sources },
      { name: "own", size: 1, sources: [source] },
    ];
    const refreshes = [
      { name: "cn", refreshMs: 86_400_000 },
      { name: "own", refreshMs: null },
    ];
    const samples = samplesOf(exposedBy(app, { lists, refreshes, nowWallMs: Date.UTC(2026, 0, 2) }));
    const of = (metric: string) =>
      samples.filter(({ name }) => name === metric).map(({ labels, value }) => [labels["list"], value]);
    expect(of("fenliu_list_age_seconds")).toEqual([["cn", 43_200]]);
    expect(of("fenliu_list_refresh_seconds")).toEqual([["cn", 86_400]]);
    expect(of("fenliu_list_problems")).toEqual([
      ["cn", 2],
      ["own", 0],
    ]);
    expect(of("fenliu_list_missing")).toEqual([
      ["cn", 1],
      ["own", 0],
    ]);
  });
});

test("a count never falls, and equals the value as long as the value does not fall", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(100)), (values) => {
      const counts = new RisingCounts();
      let shown = 0;
      let rising = true;
      for (const [index, value] of values.entries()) {
        rising &&= value >= (values[index - 1] ?? 0);
        const next = counts.add("a", value);
        counts.endPass();
        expect(next).toBeGreaterThanOrEqual(shown);
        expect(next).toBeGreaterThanOrEqual(value);
        if (rising) expect(next).toBe(value);
        shown = next;
      }
    }),
  );
});

test("each sample has its own count, which is forgotten with the sample", () => {
  const counts = new RisingCounts();
  const look = (...samples: readonly (readonly [string, number])[]) => {
    const read = samples.map(([sample, value]) => counts.add(sample, value));
    counts.endPass();
    return read;
  };
  expect(look(["a", 5], ["b", 7])).toEqual([5, 7]);
  expect(look(["a", 1], ["b", 8])).toEqual([6, 8]);
  expect(look(["b", 2])).toEqual([10]);
  expect(look(["a", 1])).toEqual([1]);
});
