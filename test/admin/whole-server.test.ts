import { writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { FakeClock } from "../support/fake-clock.ts";
import { directory } from "../support/files.ts";
import { runs } from "../support/properties.ts";
import { siteWith, type TestSite } from "../support/site.ts";
import { honest } from "../support/zone-script.ts";
import { anyRequest } from "./support/any-request.ts";
import { ApiClient } from "./support/api-client.ts";
import { EventReader } from "./support/event-reader.ts";

const YAML = `log: { queries: { store: data/queries.db } }
lists: { cn: { domains: [cn.txt] }, near: { addresses: [near.txt] } }
answers: { https: nodata, negative: { block: 45s } }
hosts: { records: { nas.lan: 10.0.0.5, "*.apps.lan": [10.0.0.6, "fd00::6"] } }
rules:
  - { name: ads, domains: ads.example, answer: nodata }
  - { name: split, longest: { "list:cn": domestic } }
  - { name: others, compare: { near: domestic, far: overseas, keepNearIf: "list:near" } }
expect: [{ name: page.example, upstream: domestic }]`;

/** A house with two groups, a list, hosts, and a log of queries. */
async function house(): Promise<{ readonly site: TestSite; readonly api: ApiClient }> {
  const folder = directory();
  writeFileSync(join(folder, "cn.txt"), "page.example\n");
  writeFileSync(join(folder, "near.txt"), "192.0.2.0/24\n");
  const zone = honest("page.example 100 A 192.0.2.7", "other.example 100 A 198.51.100.7", "www.example.com 100 A 192.0.2.8");
  const site = await siteWith({
    yaml: YAML,
    upstreams: { domestic: zone, overseas: zone },
    admin: true,
    folder,
  });
  const { bound } = site.app.administration;
  return { site, api: new ApiClient(`http://127.0.0.1:${bound?.port}`) };
}

/** Moves the clock on until the promise is settled. */
async function inTime<T>(clock: FakeClock, awaited: Promise<T>): Promise<T> {
  let settled = false;
  const settle = () => {
    settled = true;
  };
  awaited.then(settle, settle);
  while (!settled) await clock.advance(1);
  return await awaited;
}

/** Searches until the log has the wanted records: a record is stored a moment after the reply. Time stands still while the log is read. */
async function recordsOf({ site, api }: { readonly site: TestSite; readonly api: ApiClient }, query: string, count: number) {
  for (;;) {
    await site.clock.advance(1000);
    const { body } = await api.get(`/api/v1/queries?${query}`);
    if (
      typeof body === "object" &&
      body !== null &&
      "records" in body &&
      Array.isArray(body.records) &&
      body.records.length >= count
    )
      return body.records;
  }
}

describe("the API over a running server", () => {
  test("says in one call why a query of type HTTPS had no answer, and explain agrees", async () => {
    const { site, api } = await house();
    expect(await site.ask("page.example", "HTTPS")).toMatchObject({ rcode: "NOERROR", answers: [] });
    expect(await site.ask("page.example", "A")).toMatchObject({ answers: ["192.0.2.7"] });
    const [filtered] = await recordsOf({ site, api }, "name=page.example&type=HTTPS", 1);
    expect(filtered).toMatchObject({ rcode: "NOERROR", action: "type65:nodata", rule: "split", negativeTtl: 45, answers: [] });
    const { body } = await api.get(`/api/v1/queries/${filtered.id}`);
    // A list has no traces.
    expect(body).toEqual({
      ...filtered,
      trace: expect.arrayContaining([expect.objectContaining({ rule: "split", outcome: "decides" })]),
    });
    expect((await api.get("/api/v1/explain?name=page.example&type=HTTPS")).body).toMatchObject({
      decision: { rule: "split", action: "type65:nodata", answer: "nodata" },
    });
  });

  test("explains a question of another moment, under the configuration or a draft", async () => {
    const { api } = await house();
    const config = `upstreams: { a: { servers: [192.0.2.1] } }
rules: [{ name: night, when: { from: "21:00", to: "07:00", zone: Asia/Shanghai }, answer: nodata }, { name: rest, upstream: a }]`;
    const under = async (at: string) =>
      (await api.call("POST", "/api/v1/explain", { json: { name: "page.example", at, under: { config } } })).body;
    expect(await under("2026-11-29T22:00+08:00")).toMatchObject({ decision: { rule: "night", answer: "nodata" } });
    expect(await under("2026-11-29T14:10+08:00")).toMatchObject({
      decision: { rule: "rest", route: "a" },
      trace: [{ outcome: "when", when: { hours: "21:00-07:00 Asia/Shanghai", time: "14:10" } }, { outcome: "decides" }],
    });
    expect((await api.get("/api/v1/explain?name=page.example&at=2026-11-29T22:00Z")).body).toMatchObject({
      decision: { rule: "split" },
      notes: expect.arrayContaining([expect.objectContaining({ code: "note.moment" })]),
    });
  });

  test("sends each query on the live stream after its answer", async () => {
    const { site, api } = await house();
    const reader = await EventReader.open(`${api.base}/api/v1/queries/stream?action=block`);
    await site.ask("page.example");
    await site.ask("www.ads.example");
    expect((await inTime(site.clock, reader.next()))?.data).toMatchObject({
      name: "www.ads.example",
      rule: "ads",
      action: "block",
    });
  });

  test("sends a reader that reconnects the missed records from the log", async () => {
    const { site, api } = await house();
    await site.ask("page.example");
    const [first] = await recordsOf({ site, api }, "name=page.example", 1);
    await site.ask("www.ads.example");
    await recordsOf({ site, api }, "name=ads.example", 1);
    const headers = { "last-event-id": String(first.id) };
    const reader = await EventReader.open(`${api.base}/api/v1/queries/stream`, headers);
    // Time stands still: otherwise the deadline of the search would pass before a busy machine has read the log.
    expect((await reader.next())?.data).toMatchObject({ name: "www.ads.example" });
  });

  test("refuses an invalid host record, and keeps no part of it", async () => {
    const { site, api } = await house();
    for (const [name, json] of [
      ["a.lan", { cname: "b.lan", https: {} }],
      ["a.lan", { cname: "a.lan" }],
      ["a.lan", {}],
      ["a.lan", { address: "10.0.0" }],
      ["a b", { address: "10.0.0.7" }],
    ] as const) {
      const { status } = await api.call("PUT", `/api/v1/hosts/${encodeURIComponent(name)}`, { json });
      expect({ name, json, status }).toEqual({ name, json, status: 400 });
      expect(site.app.state.policy.hosts.size).toBe(2);
    }
  });

  test("names the parameter of each refusal", async () => {
    const { api } = await house();
    for (const [path, parameter, says] of [
      ["/api/v1/queries?cursor=abc", "cursor", "the cursor is none that a search gave: give that of the page before"],
      ["/api/v1/explain?name=a..b", "name", "`a..b` is no domain name"],
      ["/api/v1/explain?name=a.example&type=HTPS", "type", "`HTPS` is no record type"],
      ["/api/v1/explain?name=a.example&type=AXFR", "type", "answered with REFUSED"],
      ["/api/v1/explain?name=a.example&client=tv", "client", "`tv` is no address; client ids go by `clientId`"],
      ["/api/v1/cache?name=a..b", "name", "`a..b` is no domain name"],
      ["/api/v1/hosts/a..b", "name", "`a..b` is no name of a host"],
      ["/api/v1/routeros.rsc?url=http://a.example", "url", "https"],
      ["/api/v1/apple.mobileconfig", "url", "say where they reach Fenliu"],
    ] as const) {
      const reason = expect.stringContaining(says);
      expect((await api.get(path)).body, path).toMatchObject({ status: 400, problems: [{ parameter, reason }] });
    }
  });

  test("reports each fault of a draft for what-if", async () => {
    const { api } = await house();
    const { body } = await api.call("POST", "/api/v1/whatif", { json: { config: "foo: 1\nbar: 2\n" } });
    expect(body).toMatchObject({
      status: 400,
      problems: [
        { parameter: "config", reason: expect.stringContaining("unknown key `foo`") },
        { parameter: "config", reason: expect.stringContaining("unknown key `bar`") },
      ],
    });
  });

  test("answers random requests with a documented status and body, and has no fault of its own", async () => {
    const { site, api } = await house();
    await site.ask("www.example.com");
    await site.ask("page.example", "HTTPS");
    await recordsOf({ site, api }, "", 2);
    const document = await api.document();
    for (const placed of document.operations()) {
      if (placed.path.endsWith("/stream") || placed.path.endsWith("/events")) continue;
      const ask = fc.asyncProperty(anyRequest(placed, document), async ({ path, headers, body }) => {
        const call = { headers, ...(body === undefined || placed.method === "GET" ? {} : { body }) };
        // The rate of a client allows a request every 50 ms.
        await site.clock.advance(50);
        const called = api.call(placed.method, path, call);
        // Only a resolution waits for time to pass; a search would time out.
        const { status } = await (placed.path.endsWith("/explain") ? inTime(site.clock, called) : called);
        // 502 reports that the source of a list cannot be read.
        expect(status === 502 || status < 500, `${placed.method} ${path} gave ${status}`).toBe(true);
      });
      await fc.assert(ask, { numRuns: runs(40) });
    }
    expect(site.log.filter((line) => line.includes("a fault in Fenliu itself"))).toEqual([]);
    await site.ask("page.example");
  });
});
