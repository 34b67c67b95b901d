import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { QueryRecorder } from "../../src/control/recorder.ts";
import { traceOfRecord } from "../../src/control/records.ts";
import { isRejection, parseQuery } from "../../src/dns/query.ts";
import { EntryReader } from "../../src/log/entries.ts";
import { QueryFeed } from "../../src/log/feed.ts";
import { operationsLog } from "../../src/log/operations.ts";
import { decodeRow, storedRowOf } from "../../src/log/rows.ts";
import type { Resolver } from "../../src/resolve/types.ts";
import { handlerFor, waitingQueries } from "../../src/server/pipeline.ts";
import type { QueryEvent } from "../../src/server/query-event.ts";
import { fakeClock } from "../support/fake-clock.ts";
import { queryWire } from "../support/message.ts";
import { siteWith } from "../support/site.ts";
import { honest } from "../support/zone-script.ts";
import { recorder } from "./recorder.ts";

const page = honest("page.example 300 A 192.0.2.7");

describe("recorded queries", () => {
  test("clients that a rule excludes are counted, not recorded", async () => {
    const yaml = "rules: [{ name: private, clients: [10.0.9.0/24], log: false }, { name: all, upstream: main }]";
    const site = await siteWith({ yaml, upstreams: { main: page } });
    const records = recorder(site);
    await site.ask("page.example", "A", { client: "10.0.9.1" });
    await site.ask("localhost", "A", { client: "10.0.9.1" });
    await site.ask("page.example", "A", { client: "10.0.8.1" });
    expect(records()).toMatchObject([{ client: "10.0.8.1" }]);
    expect([...site.app.recorder.counters.rules.entries()]).toEqual([["all", 2]]);
  });

  test("an alias of the hosts table to a name that a rule excludes is not recorded", async () => {
    const yaml = `hosts: { records: { one.lan: { cname: two.lan }, two.lan: { cname: page.example }, three.lan: { cname: page.example } } }
rules: [{ name: private, domains: [page.example], log: false, clients: [10.0.9.0/24] }]`;
    const site = await siteWith({ yaml, upstreams: { main: page } });
    const records = recorder(site);
    for (const name of ["one.lan", "three.lan", "page.example", "nas.lan"]) {
      await site.ask(name, "A", { client: "10.0.9.1" });
      await site.ask(name, "A", { client: "10.0.8.1" });
    }
    expect(records().map(({ client, name }) => `${client} ${name}`)).toEqual([
      "10.0.8.1 one.lan",
      "10.0.8.1 three.lan",
      "10.0.8.1 page.example",
      "10.0.9.1 nas.lan",
      "10.0.8.1 nas.lan",
    ]);
  });

  test("excluded clients over their rate are not recorded either", async () => {
    const yaml = `rules: [{ name: private, clients: [10.0.9.0/24], log: false }]
access: { rateLimit: { perSecond: 1, burst: 1, exempt: [] } }`;
    const site = await siteWith({ yaml, upstreams: { main: page } });
    const records = recorder(site);
    for (const client of ["10.0.9.1", "10.0.9.1", "10.0.8.1", "10.0.8.1"]) await site.ask("page.example", "A", { client });
    expect(records()).toMatchObject([
      { client: "10.0.8.1", action: "none" },
      { client: "10.0.8.1", action: "rate" },
    ]);
  });

  test.each([
    { clients: "full", client: "10.0.8.77", clientId: "tv" },
    { clients: "prefix", client: "10.0.8.0/24", clientId: "tv" },
    { clients: "none", client: "", clientId: null },
  ] as const)("with clients: $clients the client is '$client' and its id $clientId", async ({ clients, ...shown }) => {
    const site = await siteWith({ upstreams: { main: page } });
    const records = recorder(site, clients);
    await site.ask("page.example", "A", { client: "10.0.8.77", clientId: "tv" });
    expect(records()).toMatchObject([shown]);
  });

  test("a record has the version of its decision", async () => {
    const site = await siteWith({ upstreams: { main: page } });
    const records = recorder(site);
    await site.ask("page.example");
    const before = site.app.state.version;
    await site.reload("rules: [{ name: all, upstream: main }]");
    // The configuration wants no log.
    site.app.recorder.use({ enabled: true, clients: "full" });
    await site.ask("page.example");
    const versions = records().map(({ version }) => version);
    expect(versions).toEqual([before, site.app.state.version]);
    expect(versions[1]).not.toBe(before);
  });

  test("a record has no trace if the policy has changed and would decide otherwise", async () => {
    const site = await siteWith({ yaml: "rules: [{ name: before, upstream: main }]", upstreams: { main: page } });
    const records = recorder(site);
    await site.ask("page.example");
    await site.reload("rules: [{ name: after, upstream: main }]");
    const [record] = records();
    expect(record).toMatchObject({ rule: "before", trace: null });
    const { decider } = site.app.state.policy;
    expect(record === undefined ? [] : traceOfRecord(decider, { record, compared: null })).toBeNull();
  });

  test("a bug is recorded as a failure", async () => {
    const site = await siteWith({ upstreams: { main: page } });
    const { recorder: journal, state: serving } = site.app;
    const records = recorder(site);
    const cache: Resolver["cache"] = Object.create(null);
    const broken = { ...serving, resolver: { ...serving.resolver, cache } };
    const log = operationsLog("silent", () => {}, false);
    const client = { address: "127.0.0.1", port: 5353, transport: "tcp", http: null, method: null, clientId: null } as const;
    await handlerFor({ state: broken, recorder: journal, waiting: site.app.waiting }, log).answer(
      queryWire("page.example", "A"),
      client,
    );
    expect(records()).toMatchObject([{ source: "failure", action: "fault", rcode: "SERVFAIL", name: "page.example", trace: [] }]);
  });
});

describe("ring entries", () => {
  test("are dropped and counted if the ring is full, without delaying any answer", async () => {
    const { journal, note, rows } = await standalone(16 * 1024);
    for (let count = 0; count < 500; count++) note();
    const written = rows();
    expect(written).toBeGreaterThan(50);
    expect(journal.counters.recordsDropped).toBe(500 - written);
    expect(total(journal)).toBe(500);
    note();
    expect(rows()).toBe(1);
    expect(journal.counters.recordsDropped).toBe(500 - written);
  });

  test("of large replies stay within the ring", async () => {
    const { journal, note, rows } = await standalone(1024 * 1024);
    const wire = new Uint8Array(0xffff);
    wire.set([0, 0, 0x80, 0]);
    for (let count = 0; count < 100; count++) note({ wire, maxAgeSeconds: null });
    expect(rows()).toBe(15);
    expect(journal.counters.recordsDropped).toBe(85);
  });

  test("are not written while nobody reads them", async () => {
    const { journal, note, rows } = await standalone();
    journal.use({ enabled: false, clients: "full" });
    note();
    expect(rows()).toBe(0);
    expect(total(journal)).toBe(1);
    const stop = journal.feed.followers.add({ fromMs: null, toMs: null, conditions: [] }, () => {});
    note();
    expect(rows()).toBe(1);
    stop();
    note();
    expect(rows()).toBe(0);
  });

  test("an entry that cannot be written is lost alone, and is reported", async () => {
    const { journal, note, rows, faults } = await standalone();
    note();
    note(undefined, { parsed: {} });
    note();
    expect(rows()).toBe(2);
    expect(journal.counters.recordsDropped).toBe(1);
    expect(faults).toHaveLength(1);
  });

  test("wake the reader at the first entry, and when the ring becomes half full", async () => {
    const { journal, note } = await standalone(16 * 1024);
    const told: boolean[] = [];
    journal.feed.listen((isHalfFull) => told.push(isHalfFull));
    for (let count = 0; count < 3; count++) note();
    expect(told).toEqual([false]);
    for (let count = 0; count < 500; count++) note();
    expect(told).toEqual([false, true]);
    journal.feed.await();
    note();
    expect(told).toEqual([false, true]);
  });

  test("have the wall time, also after the clock was set", async () => {
    const { clock, note, take } = await standalone();
    note();
    await clock.advance(5000);
    note(undefined, { startedMs: 5000, endedMs: 5001 });
    const [first, second] = take().map((row) => decodeRow(storedRowOf(row)).record);
    expect(Date.parse(second?.time ?? "") - Date.parse(first?.time ?? "")).toBe(5000);
    expect(second?.durationUs).toBe(1000);
  });
});

/** Bytes of any kind, and queries with some bytes changed. */
const good = queryWire("page.example", "A", { do: true });
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 80 }),
  fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 4 }).map((changes) => {
    const wire = Uint8Array.from(good);
    for (const [at, byte] of changes) wire[at] = byte;
    return wire;
  }),
);

test("any bytes with the header of a query leave one record that says what was sent, other bytes leave none", async () => {
  const site = await siteWith({ upstreams: { main: honest("page.example A 192.0.2.7") } });
  const records = recorder(site);
  const { state, recorder: observer } = site.app;
  // Without the table of replies, whose records are held against these by test/replies.
  const handler = handlerFor(
    { state, recorder: observer, waiting: waitingQueries() },
    operationsLog("silent", () => {}, false),
  );
  const client = { address: "127.0.0.1", port: 5353, transport: "tcp", http: null, method: null, clientId: null } as const;
  await fc.assert(
    fc.asyncProperty(bytes, async (message) => {
      const parsed = parseQuery(message);
      const reply = await handler.answer(message, client);
      const made = records();
      expect(made).toHaveLength(parsed === null ? 0 : 1);
      for (const record of made) {
        expect(record).toMatchObject({ size: reply?.wire.length ?? 0 });
        expect(record.source === "refused").toBe(parsed !== null && isRejection(parsed));
        expect(JSON.parse(JSON.stringify(record))).toEqual(record);
      }
    }),
    { numRuns: 300 },
  );
});

async function standalone(ringBytes = 64 * 1024) {
  const site = await siteWith({ upstreams: { main: page } });
  const clock = fakeClock();
  const faults: unknown[] = [];
  const journal = new QueryRecorder(clock, (error) => faults.push(error), new QueryFeed(ringBytes));
  const { ring, texts } = journal.feed;
  journal.use({ enabled: true, clients: "full" });
  const parsed = parseQuery(queryWire("page.example", "A"));
  if (parsed === null) throw new Error("not a query");
  const client = { address: "127.0.0.1", port: 5353, transport: "udp", http: null, method: null, clientId: null } as const;
  const rendered = { wire: Buffer.from("000080000000000000000000", "hex"), maxAgeSeconds: null };
  const noted = {
    state: site.app.state,
    client,
    parsed,
    resolution: null,
    startedMs: 0,
    endedMs: 0,
    admission: "admitted",
  } as const;
  const note = (reply: NonNullable<QueryEvent["rendered"]> = rendered, change: object = {}): void =>
    journal.observe({ ...noted, rendered: reply, ...change });
  /** Takes the entries out of the ring. */
  const take = () => {
    const rows = ring.spans(ring.taken, ring.written).flatMap((span) => new EntryReader(texts).rows(span));
    ring.release(ring.written);
    return rows;
  };
  return { journal, clock, note, take, rows: () => take().length, faults };
}

function total(journal: QueryRecorder): number {
  return [...journal.counters.queries()].reduce((sum, { count }) => sum + count, 0);
}
