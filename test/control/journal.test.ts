import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { QueryRecorder } from "../../src/control/journal.ts";
import { isRejection, parseQuery } from "../../src/dns/query.ts";
import { operationsLog } from "../../src/log/operations.ts";
import type { QueryRecord } from "../../src/log/record.ts";
import type { Resolver } from "../../src/resolve/types.ts";
import { handlerFor } from "../../src/server/pipeline.ts";
import type { QueryEvent } from "../../src/server/query-event.ts";
import { fakeClock } from "../support/fake-clock.ts";
import { queryWire } from "../support/message.ts";
import { runs } from "../support/properties.ts";
import { siteWith } from "../support/site.ts";
import { honest } from "../support/zone-script.ts";
import { recorder } from "./recorder.ts";

const page = honest("page.example 300 A 192.0.2.7");

describe("what is recorded", () => {
  test("nothing of clients that a rule leaves out, who are counted all the same", async () => {
    const yaml = "rules: [{ name: private, clients: [10.0.9.0/24], log: false }, { name: all, upstream: main }]";
    const site = await siteWith({ yaml, upstreams: { main: page } });
    const records = recorder(site);
    await site.ask("page.example", "A", { client: "10.0.9.1" });
    await site.ask("localhost", "A", { client: "10.0.9.1" });
    await site.ask("page.example", "A", { client: "10.0.8.1" });
    expect(records()).toMatchObject([{ client: "10.0.8.1" }]);
    expect([...site.app.recorder.counters.rules.entries()]).toEqual([["all", 2]]);
  });

  test("nothing of an alias of the hosts table that leads to a name which a rule leaves out", async () => {
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

  test("nothing of them either when they are over their rate", async () => {
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
  ] as const)("of the client, with clients: $clients: '$client' and id $clientId", async ({ clients, ...shown }) => {
    const site = await siteWith({ upstreams: { main: page } });
    const records = recorder(site);
    site.app.recorder.use(null, clients);
    await site.ask("page.example", "A", { client: "10.0.8.77", clientId: "tv" });
    expect(records()).toMatchObject([shown]);
  });

  test("the client no better than what was asked for before its record was made", async () => {
    const site = await siteWith({ upstreams: { main: page } });
    const appended: QueryRecord[] = [];
    const sink = { append: (records: readonly QueryRecord[]) => void appended.push(...records) };
    site.app.recorder.use(sink, "full");
    await site.ask("page.example");
    site.app.recorder.use(null, "none");
    expect(appended).toMatchObject([{ client: "" }]);
  });

  test("the version that it was decided under", async () => {
    const site = await siteWith({ upstreams: { main: page } });
    const records = recorder(site);
    await site.ask("page.example");
    const before = site.app.state.version;
    await site.reload("rules: [{ name: all, upstream: main }]");
    await site.ask("page.example");
    const versions = records().map(({ version }) => version);
    expect(versions).toEqual([before, site.app.state.version]);
    expect(versions[1]).not.toBe(before);
  });

  test("the trace of the very site that decided, not of the one that serves when the record is made", async () => {
    const site = await siteWith({ yaml: "rules: [{ name: before, upstream: main }]", upstreams: { main: page } });
    const records = recorder(site);
    await site.ask("page.example");
    await site.reload("rules: [{ name: after, upstream: main }]");
    expect(records()).toMatchObject([{ rule: "before", trace: [{ rule: "before", outcome: "decides" }] }]);
  });

  test("a fault of ours, as a failure", async () => {
    const site = await siteWith({ upstreams: { main: page } });
    const { recorder: observer, state } = site.app;
    const records = recorder(site);
    const cache: Resolver["cache"] = Object.create(null);
    const broken = { ...state, resolver: { ...state.resolver, cache } };
    const log = operationsLog("silent", () => {}, false);
    const client = { address: "127.0.0.1", port: 5353, transport: "tcp", http: null, method: null, clientId: null } as const;
    await handlerFor({ state: broken, recorder: observer }, log).answer(queryWire("page.example", "A"), client);
    expect(records()).toMatchObject([{ source: "failure", action: "fault", rcode: "SERVFAIL", name: "page.example", trace: [] }]);
  });
});

describe("records are made later", () => {
  test("so many at a time, with a pause for answers in between", async () => {
    const { journal, clock, sent, note } = await standalone();
    for (let count = 0; count < 150; count++) note();
    expect(sent).toEqual([]);
    await clock.advance(20);
    expect(sent).toEqual([64]);
    await clock.advance(1);
    expect(sent).toEqual([64, 64]);
    await clock.advance(1);
    expect(sent).toEqual([64, 64, 22]);
    expect(journal.counters.recordsDropped).toBe(0);
  });

  test("or not at all where too many wait: they are counted, and who asked has long been answered", async () => {
    const { journal, clock, sent, note } = await standalone();
    for (let count = 0; count < 16_384 + 5; count++) note();
    expect(journal.counters.recordsDropped).toBe(5);
    expect(total(journal)).toBe(16_384 + 5);
    await clock.advance(20 + 256);
    expect(sent.reduce((sum, count) => sum + count, 0)).toBe(16_384);
    note();
    journal.flush();
    expect(sent.at(-1)).toBe(1);
    expect(journal.counters.recordsDropped).toBe(5);
  });

  test("or not at all where what waits takes too much memory", async () => {
    const { journal, note } = await standalone();
    const wire = new Uint8Array(0xffff);
    wire.set([0, 0, 0x80, 0]);
    for (let count = 0; count < 1000; count++) note({ wire, maxAgeSeconds: null });
    expect(journal.counters.recordsDropped).toBe(1000 - 512);
  });

  test("or at once, as many as one turn makes, for somebody who looks for them", async () => {
    const { journal, clock, sent, note } = await standalone();
    for (let count = 0; count < 65; count++) note();
    journal.catchUp();
    expect(sent).toEqual([64]);
    journal.catchUp();
    journal.catchUp();
    expect(sent).toEqual([64, 1]);
    await clock.advance(1000);
    expect(sent).toEqual([64, 1]);
  });

  test("nothing is kept of queries while nobody wants their records", async () => {
    const { journal, clock, sent, note, sink } = await standalone();
    journal.use(null, "full");
    note();
    journal.use(sink, "full");
    await clock.advance(1000);
    expect(sent).toEqual([]);
    expect(total(journal)).toBe(1);
  });

  test("a record that cannot be made costs itself alone, and is told", async () => {
    const { journal, sent, note, faults } = await standalone();
    note();
    note(undefined, { parsed: {} });
    note();
    journal.flush();
    expect(sent).toEqual([2]);
    expect(journal.counters.recordsDropped).toBe(1);
    expect(faults).toHaveLength(1);
  });

  test("followers are told until they have had enough", async () => {
    const { journal, note } = await standalone();
    const told: string[] = [];
    const first = journal.follow(() => told.push("first"));
    journal.follow(() => told.push("second"));
    note();
    journal.flush();
    first();
    first();
    note();
    journal.flush();
    expect(told).toEqual(["first", "second", "second"]);
  });
});

/** Bytes of any kind, and queries with some bytes changed. */
const good = queryWire("page.example", "A", { do: true });
const octets = fc.oneof(
  fc.uint8Array({ maxLength: 80 }),
  fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 4 }).map((changes) => {
    const wire = Uint8Array.from(good);
    for (const [at, byte] of changes) wire[at] = byte;
    return wire;
  }),
);

test("any octets leave one record where a header could be read that is not a response's, else none; and it says what was sent", async () => {
  const site = await siteWith({ upstreams: { main: honest("page.example A 192.0.2.7") } });
  const records = recorder(site);
  const handler = handlerFor(
    site.app,
    operationsLog("silent", () => {}, false),
  );
  const client = { address: "127.0.0.1", port: 5353, transport: "tcp", http: null, method: null, clientId: null } as const;
  await fc.assert(
    fc.asyncProperty(octets, async (message) => {
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
    { numRuns: runs(300) },
  );
});

async function standalone() {
  const site = await siteWith({ upstreams: { main: page } });
  const clock = fakeClock();
  const faults: unknown[] = [];
  const journal = new QueryRecorder(clock, (error) => faults.push(error));
  const sent: number[] = [];
  const sink = { append: (records: readonly QueryRecord[]) => void sent.push(records.length) };
  journal.use(sink, "full");
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
  return { journal, clock, sent, sink, note, faults };
}

function total(journal: QueryRecorder): number {
  return [...journal.counters.queries()].reduce((sum, { count }) => sum + count, 0);
}
