import type { Readable } from "node:stream";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ControlError } from "../../src/admin/control.ts";
import { EventStream, findMissedRecords, NOTHING_MISSED } from "../../src/admin/stream.ts";
import { encodeRecord } from "../../src/log/followers.ts";
import type { LogStatus, QueryRecord } from "../../src/log/record.ts";
import { connectRaw, type RawConnection } from "../listen/support/raw.ts";
import { EVERYTHING, opened } from "../log/opened.ts";
import { record, SOME_WALL_MS } from "../log/records.ts";
import { collectGarbage } from "../support/collect-garbage.ts";
import { fakeClock } from "../support/fake-clock.ts";
import { openTestAdmin, type TestAdmin } from "./support/admin.ts";
import { EventReader, type ServerEvent } from "./support/event-reader.ts";
import { MemoryControl, MemoryLog } from "./support/memory-control.ts";
import { rawRequest } from "./support/raw-request.ts";

const FIRST = SOME_WALL_MS * 1024;

/** Records with ids that follow one another. */
function records(count: number, start = FIRST) {
  return Array.from({ length: count }, (_, index) => record({ id: start + index }));
}

function texts(records: readonly QueryRecord[]) {
  return records.map(encodeRecord);
}

function offer(stream: EventStream, record: QueryRecord): void {
  stream.offer(texts([record]), 0);
}

function idsOf(events: readonly (ServerEvent | null)[]): readonly number[] {
  return events.map((event) => Number(event?.id) - FIRST);
}

/** A reader of the live stream that takes nothing from its socket until the socket is resumed. */
async function stalledReader(admin: TestAdmin): Promise<RawConnection> {
  const reader = await connectRaw(admin.port);
  reader.socket.pause();
  reader.write(`GET /api/v1/queries/stream HTTP/1.1\r\nHost: 127.0.0.1:${admin.port}\r\n\r\n`);
  while (admin.control.queries.readers < 1) await new Promise((resolve) => setImmediate(resolve));
  return reader;
}

function streamOf(admin: TestAdmin, query = "", headers: Readonly<Record<string, string>> = {}): Promise<EventReader> {
  return EventReader.open(`${admin.base}/api/v1/queries/stream${query}`, headers);
}

describe("the live stream", () => {
  test("sends each matching record as it comes", async () => {
    const admin = await openTestAdmin();
    const reader = await streamOf(admin, "?type=HTTPS&name=example.com");
    expect(reader.response.headers.get("content-type")).toBe("text/event-stream");
    expect(reader.response.headers.get("x-accel-buffering")).toBe("no");
    expect(reader.response.headers.get("cache-control")).toBe("no-store");
    const fitting = record({ id: FIRST + 7, type: "HTTPS", name: "www.example.com" });
    admin.control.queries.add(
      record({ type: "A", name: "www.example.com" }),
      record({ type: "HTTPS", name: "example.org" }),
      fitting,
    );
    const event = await reader.next();
    expect(event).toEqual({ event: "message", id: String(FIRST + 7), data: fitting });
    const { operation } = (await admin.document()).operations().find(({ path }) => path.endsWith("/stream")) ?? {};
    expect(Object.keys(operation?.responses["200"]?.content ?? {})).toEqual(["text/event-stream"]);
    expect((await admin.document()).validator({ $ref: "#/components/schemas/QueryRecord" }).Check(event?.data)).toBe(true);
  });

  test("refuses invalid filters, and times, which have no meaning for a live stream", async () => {
    const admin = await openTestAdmin();
    expect((await admin.get("/api/v1/queries/stream?type=%21")).body).toMatchObject({
      status: 400,
      problems: [{ parameter: "type" }],
    });
    expect((await admin.get("/api/v1/queries/stream?from=1h")).body).toMatchObject({
      status: 400,
      problems: [{ parameter: "from" }],
    });
    expect((await admin.get("/api/v1/queries/stream", { headers: { "last-event-id": "one" } })).body).toMatchObject({
      status: 400,
      problems: [{ parameter: "last-event-id" }],
    });
    expect(admin.control.queries.readers).toBe(0);
  });

  test("sends comments while there are no records, so that the connection stays open", async () => {
    const admin = await openTestAdmin();
    const reader = await streamOf(admin);
    await admin.clock.advance(15_000);
    await admin.clock.advance(15_000);
    admin.control.queries.add(record());
    await reader.next();
    expect(reader.comments).toBe(3);
  });

  test("frees its place when the reader disconnects", async () => {
    const admin = await openTestAdmin({ limits: { streams: 1 } });
    const reader = await streamOf(admin);
    expect(admin.control.queries.readers).toBe(1);
    await reader.close();
    while (admin.control.queries.readers > 0) await new Promise((resolve) => setImmediate(resolve));
    await streamOf(admin);
  });
});

describe("a reader that disconnects", () => {
  test("before its pipelined streams begin frees their places", async () => {
    const admin = await openTestAdmin({ limits: { streams: 3 } });
    const connection = await connectRaw(admin.port);
    connection.write(`GET /api/v1/queries/stream HTTP/1.1\r\nHost: 127.0.0.1:${admin.port}\r\n\r\n`.repeat(3));
    while (admin.control.queries.readers < 3) await new Promise((resolve) => setImmediate(resolve));
    connection.socket.destroy();
    while (admin.control.queries.readers > 0) await new Promise((resolve) => setImmediate(resolve));
    for (let count = 0; count < 3; count++) await streamOf(admin);
    expect(admin.faults).toEqual([]);
  });
});

describe("a bug", () => {
  test("at the start of a stream frees its place", async () => {
    const control = new MemoryControl();
    control.queries.follow = () => {
      throw new Error("a bug");
    };
    const admin = await openTestAdmin({ control, limits: { streams: 1 } });
    for (let attempt = 0; attempt < 3; attempt++) expect((await admin.get("/api/v1/queries/stream")).status).toBe(500);
    expect(admin.faults.length).toBe(3);
  });

  test("in the search for missed records is reported to the operator, and the stream goes on", async () => {
    const admin = await openTestAdmin();
    admin.control.queries.fault = new Error("a bug");
    const reader = await streamOf(admin, "", { "last-event-id": String(FIRST) });
    admin.control.queries.add(record());
    expect((await reader.next())?.event).toBe("dropped");
    expect((await reader.next())?.event).toBe("message");
    expect(admin.faults.length).toBe(1);
  });
});

describe("a reader that reconnects with Last-Event-ID", () => {
  test("gets the missed records first, oldest first and each once, and then the live records", async () => {
    const admin = await openTestAdmin();
    admin.control.queries.add(...records(5));
    const reader = await streamOf(admin, "", { "last-event-id": String(FIRST + 1) });
    admin.control.queries.add(...records(2, FIRST + 5));
    expect(idsOf(await reader.take(5))).toEqual([2, 3, 4, 5, 6]);
  });

  test("gets no record twice, whether the live record comes before the search of the log or after", async () => {
    const stream = new EventStream({ clock: fakeClock(), heartbeatMs: 1000, maxWaiting: 3 });
    const [first = record(), second = record(), third = record()] = records(3);
    offer(stream, second);
    stream.begin({ records: texts([first, second, third]), more: false });
    offer(stream, third);
    offer(stream, record({ id: FIRST + 3 }));
    expect(readingsIn(await untilId(stream, FIRST + 3)).ids).toEqual([0, 1, 2, 3]);
  });

  test("gets the missed records that match its filters", async () => {
    const admin = await openTestAdmin();
    admin.control.queries.add(
      record({ id: FIRST + 1 }),
      record({ id: FIRST + 2, type: "HTTPS" }),
      record({ id: FIRST + 3, type: "HTTPS" }),
    );
    const reader = await streamOf(admin, "?type=HTTPS", { "last-event-id": String(FIRST) });
    expect(idsOf(await reader.take(2))).toEqual([2, 3]);
  });

  test("gets the newest missed records and a note if it missed more than the limit", async () => {
    const admin = await openTestAdmin({ limits: { resumedRecords: 3 } });
    admin.control.queries.add(...records(10));
    const reader = await streamOf(admin, "", { "last-event-id": String(FIRST) });
    expect(await reader.next()).toEqual({ event: "dropped", id: null, data: { records: null } });
    expect(idsOf(await reader.take(3))).toEqual([7, 8, 9]);
  });

  test("gets no note if it missed exactly as many records as the limit", async () => {
    const admin = await openTestAdmin({ limits: { resumedRecords: 3 } });
    admin.control.queries.add(...records(4));
    const reader = await streamOf(admin, "", { "last-event-id": String(FIRST) });
    expect(idsOf(await reader.take(3))).toEqual([1, 2, 3]);
  });

  test("gets a note and the live records if the log cannot be read", async () => {
    const admin = await openTestAdmin();
    admin.control.queries.fault = new ControlError("unavailable", "the disk is full");
    const reader = await streamOf(admin, "", { "last-event-id": String(FIRST) });
    admin.control.queries.add(record());
    expect((await reader.next())?.event).toBe("dropped");
    expect((await reader.next())?.event).toBe("message");
    expect(admin.faults).toEqual([]);
  });
});

describe("the search for missed records", () => {
  const request = { last: FIRST, filter: EVERYTHING, limit: 500, nowWallMs: SOME_WALL_MS + 1000 };

  test("finds records that wait to be stored", async () => {
    const { log, append } = await opened();
    const queries = new MemoryLog();
    queries.search = (search) => log.search(search);
    append(records(10));
    expect(log.status().waiting).toBe(10);
    expect(await findMissedRecords(queries, request)).toEqual({ records: texts(records(9, FIRST + 1)), more: false });
  });

  test("says that there may be more if the store fails", async () => {
    const queries = new MemoryLog();
    queries.add(...records(3));
    const status = (): LogStatus => ({
      ...MemoryLog.prototype.status.call(queries),
      state: "failing",
      fault: { reason: "the disk is full", sinceWallMs: SOME_WALL_MS },
    });
    queries.status = status;
    expect(await findMissedRecords(queries, request)).toEqual({ records: texts(records(2, FIRST + 1)), more: true });
  });

  test("says that there may be more if the clock was set back since, because newer records may have lower ids", async () => {
    const queries = new MemoryLog();
    queries.add(...records(3));
    const later = { ...request, last: (SOME_WALL_MS + 1001) * 1024 };
    expect(await findMissedRecords(queries, later)).toEqual({ records: [], more: true });
  });

  test("finds nothing after the present moment", async () => {
    const queries = new MemoryLog();
    queries.add(...records(3));
    const present = { ...request, last: (SOME_WALL_MS + 1000) * 1024 };
    expect(await findMissedRecords(queries, present)).toEqual(NOTHING_MISSED);
  });

  test("says that there may be more if it ran out of time", async () => {
    const [oldest, ...others] = texts(records(10));
    for (const [found, more] of [
      [[], true],
      [others.slice(-3).toReversed(), true],
      [[...others.toReversed(), ...(oldest === undefined ? [] : [oldest])], false],
    ] as const) {
      const queries = new MemoryLog();
      queries.search = async () => ({ records: found, cursor: "1" });
      const missed = await findMissedRecords(queries, request);
      expect(missed).toEqual({ records: found.filter((each) => each !== oldest).toReversed(), more });
    }
  });
});

describe("a slow reader", () => {
  test("is told of the records that were left out before they came to the stream", async () => {
    const stream = new EventStream({ clock: fakeClock(), heartbeatMs: 1000, maxWaiting: 3 });
    stream.begin(NOTHING_MISSED);
    stream.offer(texts(records(2, FIRST + 5)), 5);
    expect(readingsIn(await untilId(stream, FIRST + 6))).toEqual({ ids: [5, 6], dropped: 5 });
  });

  test("loses the oldest waiting records beyond the limit, and learns how many", async () => {
    const stream = new EventStream({ clock: fakeClock(), heartbeatMs: 1000, maxWaiting: 3 });
    stream.begin(NOTHING_MISSED);
    // Unread records fill the buffer of the stream first, and then wait.
    for (const each of records(2000)) offer(stream, each);
    const { ids, dropped } = readingsIn(await untilId(stream, FIRST + 1999));
    expect(ids.length + dropped).toBe(2000);
    expect(dropped).toBeGreaterThan(1900);
    expect(ids.slice(-3)).toEqual([1997, 1998, 1999]);
  });

  test("on a socket holds up no other reader, and costs bounded memory", async () => {
    const admin = await openTestAdmin({ limits: { streamRecords: 50 } });
    const slow = await stalledReader(admin);
    const quick = await streamOf(admin);
    const answers = ["60 TXT ".padEnd(4000, "x")];
    collectGarbage();
    const before = process.memoryUsage().heapUsed;
    for (let index = 0; index < 6000; index++) {
      admin.control.queries.records.length = 0;
      admin.control.queries.add(record({ id: FIRST + index, answers }));
      expect(idsOf([await quick.next()])).toEqual([index]);
    }
    collectGarbage();
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(10 * 1024 * 1024);
    slow.socket.resume();
    admin.control.queries.add(record({ id: FIRST + 6000 }));
    const { ids, dropped } = readingsIn(await untilId(slow.socket, FIRST + 6000));
    expect(dropped).toBeGreaterThan(0);
    expect(ids.length + dropped).toBe(6001);
  });

  test("that reads nothing is disconnected", async () => {
    const admin = await openTestAdmin({ limits: { idleMs: 200 } });
    await stalledReader(admin);
    const answers = ["60 TXT ".padEnd(60_000, "x")];
    let index = 0;
    while (admin.control.queries.readers > 0) {
      admin.control.queries.add(record({ id: FIRST + index++, answers }));
      admin.control.queries.records.length = 0;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    expect(admin.faults).toEqual([]);
  });

  test.each([
    ["one chunk at a time", 1],
    ["several chunks at a time", 7],
  ])("learns of every lost record, whenever it reads (%s)", async (_, most) => {
    const step = fc.oneof(
      fc.record({ offer: fc.integer({ min: 1, max: 40 }) }),
      fc.record({ read: fc.integer({ min: 1, max: most }) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), fc.nat(5), fc.boolean(), async (steps, missed, more) => {
        const stream = new EventStream({ clock: fakeClock(), heartbeatMs: 1000, maxWaiting: 4 });
        let next = 0;
        let text = "";
        const begin = () => stream.begin({ records: texts(records(missed, FIRST - missed)), more });
        if (steps.length % 2 === 0) begin();
        for (const each of steps) {
          if ("offer" in each) for (let count = 0; count < each.offer; count++) offer(stream, record({ id: FIRST + next++ }));
          else for (let count = 0; count < each.read; count++) text += stream.read() ?? "";
        }
        if (steps.length % 2 === 1) begin();
        offer(stream, record({ id: FIRST + next }));
        text += await untilId(stream, FIRST + next);
        const { ids, dropped } = readingsIn(text);
        expect(ids.length + dropped).toBe(missed + next + 1);
        expect(ids).toEqual(ids.toSorted((one, other) => one - other));
        expect(text.includes('"records":null')).toBe(more);
      }),
    );
  });
});

describe("a finished stream", () => {
  test.each([true, false])("ends after the sent records, whatever is still offered to it (begun: %s)", async (begun) => {
    const clock = fakeClock();
    const stream = new EventStream({ clock, heartbeatMs: 1000, maxWaiting: 3 });
    if (begun) stream.begin({ records: texts(records(1)), more: false });
    await new Promise((resolve) => setImmediate(resolve));
    stream.finish();
    stream.finish();
    offer(stream, record());
    stream.begin({ records: texts(records(5)), more: true });
    await clock.advance(5000);
    expect((await stream.toArray()).join("").match(/^id: /gm)?.length ?? 0).toBe(begun ? 1 : 0);
  });

  test("takes no more records after it is destroyed", async () => {
    const clock = fakeClock();
    const stream = new EventStream({ clock, heartbeatMs: 1000, maxWaiting: 3 });
    const before = stream.readableLength;
    stream.destroy();
    offer(stream, record());
    stream.begin({ records: texts(records(5)), more: true });
    stream.finish();
    await clock.advance(5000);
    expect(stream.readableLength).toBe(before);
  });
});

describe("more readers than places", () => {
  test("get 503, with the time to wait, and the end of the connection", async () => {
    const admin = await openTestAdmin({ limits: { streams: 2 } });
    await streamOf(admin);
    await streamOf(admin);
    const { status, headers } = await rawRequest(admin.port, streamLines(admin));
    expect({ status, wait: headers["retry-after"], connection: headers["connection"] }).toEqual({
      status: 503,
      wait: "10",
      connection: "close",
    });
  });

  test("are refused even if they are more than the connections that may be open, and other requests are answered", async () => {
    const admin = await openTestAdmin({ limits: { streams: 20, connections: 500, requestBurst: 20_000 } });
    const lines = streamLines(admin);
    for (let count = 0; count < 20; count++) {
      const slow = await connectRaw(admin.port);
      slow.socket.pause();
      slow.write(`${lines.join("\r\n")}\r\n\r\n`);
    }
    while (admin.control.queries.readers < 20) await new Promise((resolve) => setImmediate(resolve));
    const counts = new Map<number, number>();
    for (let wave = 0; wave < 20; wave++) {
      const responses = await Promise.all(Array.from({ length: 100 }, () => rawRequest(admin.port, lines)));
      for (const { status } of responses) counts.set(status, (counts.get(status) ?? 0) + 1);
    }
    expect(counts).toEqual(new Map([[503, 2000]]));
    expect(admin.control.queries.readers).toBe(20);
    expect((await admin.get("/api/v1/upstreams")).status).toBe(200);
    expect(admin.faults).toEqual([]);
  });
});

function streamLines({ port }: TestAdmin): readonly string[] {
  return ["GET /api/v1/queries/stream HTTP/1.1", `Host: 127.0.0.1:${port}`];
}

/** Reads until the record has come. @returns all text. */
async function untilId(stream: Readable, id: number): Promise<string> {
  let text = "";
  stream.on("data", (chunk: Buffer | string) => {
    text += chunk.toString();
  });
  while (!text.includes(`id: ${id}\n`)) await new Promise((resolve) => setImmediate(resolve));
  return text;
}

/** The ids in a text of events, and the number of dropped records that it reports. */
function readingsIn(text: string) {
  const ids = [...text.matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id) - FIRST);
  const dropped = [...text.matchAll(/"records":(\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0);
  return { ids, dropped };
}
