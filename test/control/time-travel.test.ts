import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Control } from "../../src/admin/control.ts";
import { traceOfRecord } from "../../src/control/records.ts";
import type { QueryRecord } from "../../src/log/record.ts";
import { record } from "../log/records.ts";
import { directory } from "../support/files.ts";
import { siteWith } from "../support/site.ts";
import { honest } from "../support/zone-script.ts";

const upstreams = {
  domestic: honest("www.page.example 100 A 192.0.2.7"),
  overseas: honest("www.page.example 100 A 198.51.100.7"),
};

/** A server with a query log and a list file that decides the route of page.example. */
async function scene(folder: string) {
  const list = join(folder, "cn.txt");
  const yaml = `log: { queries: { store: "${join(folder, "queries.db")}" } }
lists: { cn: { domains: ["${list}"] } }
rules: [{ name: split, longest: { "list:cn": domestic } }, { name: others, domains: [.], upstream: overseas }]`;
  const site = await siteWith({ yaml, upstreams, folder });
  return { site, yaml, list, control: site.app.administration.control };
}

/** Waits until the newest record is stored. */
async function newest({ queries }: Control): Promise<QueryRecord> {
  const { records } = await queries.search({ filter: { fromMs: null, toMs: null, conditions: [] }, limit: 1, cursor: null });
  return (await queries.get(records[0]?.id ?? 0)) ?? expect.fail("there is no record");
}

function asked({ name, type, client, clientId, version }: QueryRecord) {
  return { name, type, client, clientId, version, resolve: false };
}

test("a record is explained under the version that decided it, after the list has changed and after a restart", async () => {
  const folder = directory();
  writeFileSync(join(folder, "cn.txt"), "# domestic\npage.example\n");
  const first = await scene(folder);
  await first.site.ask("www.page.example");
  const before = await newest(first.control);
  expect(before).toMatchObject({ rule: "split", list: "cn", line: 2, version: first.site.app.state.version });
  expect(before.trace).toMatchObject([{ rule: "split", outcome: "decides", match: { list: "cn", pattern: "page.example" } }]);
  // Files are kept behind the answers; one that is changed before cannot be.
  expect(await first.control.versions()).toMatchObject([{ version: before.version, missing: [] }]);
  writeFileSync(first.list, "other.example\n");
  await first.site.reload(first.yaml);
  await first.site.ask("www.page.example");
  const after = await newest(first.control);
  expect(after).toMatchObject({ rule: "others", list: null });
  expect(after.version).not.toBe(before.version);
  const then = await first.control.explain(asked(before));
  expect(then).toMatchObject({ version: before.version, trace: before.trace, decision: { rule: "split", route: "domestic" } });
  expect((await first.control.explain(asked(after))).trace).toEqual(after.trace);
  await first.site.close();

  const { control } = await scene(folder);
  for (const { id, trace } of [before, after]) expect((await control.queries.get(id))?.trace).toEqual(trace);
  expect((await control.versions()).map(({ version }) => version)).toEqual([after.version, before.version]);
  expect((await control.explain(asked(before))).trace).toEqual(before.trace);
});

test("a record whose version is gone has everything but the trace", async () => {
  const folder = directory();
  writeFileSync(join(folder, "cn.txt"), "page.example\n");
  const first = await scene(folder);
  await first.site.ask("www.page.example");
  const { id } = await newest(first.control);
  await first.site.close();
  rmSync(join(folder, "versions"), { recursive: true });
  writeFileSync(first.list, "other.example\n");
  const { control } = await scene(folder);
  expect(await control.queries.get(id)).toMatchObject({
    trace: null,
    rule: "split",
    list: "cn",
    line: 1,
    answers: ["100 A 192.0.2.7"],
  });
});

test("a draft is compared over the records of the log", async () => {
  const folder = directory();
  writeFileSync(join(folder, "cn.txt"), "page.example\n");
  const { site, yaml, control } = await scene(folder);
  for (const name of ["www.page.example", "page.example", "other.example"]) await site.ask(name);
  await newest(control);
  const moved = join(folder, "moved.txt");
  writeFileSync(moved, "other.example\n");
  const config = site.config(yaml.replace(join(folder, "cn.txt"), moved)).text;
  const { changes, ...counts } = await control.whatIf({ config, fromMs: 0, toMs: 2 ** 48, examples: 10 });
  expect(counts).toEqual({ queries: 3, changed: 3, truncated: false, notes: [] });
  expect(changes.map(({ before, after, queries }) => [before.route, after.route, queries])).toEqual([
    ["domestic", "overseas", 2],
    ["overseas", "domestic", 1],
  ]);
});

test("a record is traced as at its own time, and explained at the moment that is asked for", async () => {
  const yaml = `log: { queries: { store: "${join(directory(), "queries.db")}" } }
rules: [{ name: soon, when: { from: "00:01", to: "00:00", zone: UTC }, upstream: overseas }, { name: others, upstream: domestic }]`;
  const site = await siteWith({ yaml, upstreams });
  const { control } = site.app.administration;
  const question = { name: "www.page.example", type: "A", client: null, clientId: null, resolve: false, version: null };
  const midnight = Date.UTC(2026, 10, 29);
  const explainedAt = async (atMs: number) => (await control.explain({ ...question, atMs })).decision.rule;
  expect(await explainedAt(midnight)).toBe("others");
  expect(await explainedAt(midnight + 60_000)).toBe("soon");
  await expect(control.explain({ ...question, atMs: midnight, resolve: true })).rejects.toThrow(
    "nothing can be asked at another moment",
  );
  const found = {
    compared: null,
    record: { ...record({ name: "www.page.example", rule: "others" }), time: "2026-11-29T00:00:30.000Z" },
  };
  expect(traceOfRecord(site.app.state.policy.decider, found)).toMatchObject([
    { rule: "soon", outcome: "when", when: { hours: "00:01-00:00 UTC", time: "00:00" } },
    { rule: "others", outcome: "decides" },
  ]);
});
