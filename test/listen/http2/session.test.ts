import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FRAME, FRAME_FLAG, type Frame, FrameReader, SETTING } from "../../../src/listen/http2/frames.ts";
import { collectGarbage } from "../../support/collect-garbage.ts";
import { fakeClock } from "../../support/fake-clock.ts";
import {
  connectHttp2Raw,
  expectAnswer,
  frameOf,
  get,
  headOf,
  literals,
  openedHttp2,
  pathOf,
  post,
  uint32,
} from "../support/http2-raw.ts";
import { handlerOf, idOf, messageOf, portOf } from "../support/site.ts";

const { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION } = FRAME;
const { END_STREAM, END_HEADERS, PADDED, ACK } = FRAME_FLAG;
const ALL = END_HEADERS | END_STREAM;

describe("a body", () => {
  test("may come in padded frames, with trailers", async () => {
    const { client } = await openedHttp2();
    const message = messageOf(5);
    const padded = (part: Uint8Array) => frameOf(DATA, PADDED, 1, Buffer.concat([Buffer.of(3), part, Buffer.alloc(3)]));
    client.send(post(1), padded(message.subarray(0, 20)), frameOf(DATA, 0, 1), padded(message.subarray(20)));
    client.send(frameOf(HEADERS, ALL, 1, literals([["checksum", "x"]])));
    expect(await client.response()).toMatchObject({ status: "200", body: message });
  });

  test.each<[what: string, code: string, frames: readonly Uint8Array[]]>([
    [
      "shorter than its content-length",
      "PROTOCOL_ERROR",
      [post(1, { "content-length": "41" }), frameOf(DATA, END_STREAM, 1, messageOf(1))],
    ],
    [
      "longer than its content-length",
      "PROTOCOL_ERROR",
      [post(1, { "content-length": "39" }), frameOf(DATA, END_STREAM, 1, messageOf(1))],
    ],
    [
      "followed by fields that do not end the stream",
      "PROTOCOL_ERROR",
      [post(1), frameOf(HEADERS, END_HEADERS, 1, literals([["a", "b"]]))],
    ],
    ["followed by pseudo-fields", "PROTOCOL_ERROR", [post(1), frameOf(HEADERS, ALL, 1, literals([[":path", "/"]]))]],
    ["on a window that grows by nothing", "PROTOCOL_ERROR", [post(1), frameOf(WINDOW_UPDATE, 0, 1, uint32(0))]],
    ["on a window that grows too large", "FLOW_CONTROL_ERROR", [post(1), frameOf(WINDOW_UPDATE, 0, 1, uint32(0x7fff_ffff))]],
  ])("%s ends its stream alone: %s", async (_what, code, frames) => {
    const { client } = await openedHttp2();
    expect(await client.send(...frames).errorOf(1)).toBe(code);
    // What was under way when the stream was reset is let pass.
    client.send(frameOf(DATA, 0, 1, messageOf(1)), frameOf(WINDOW_UPDATE, 0, 1, uint32(1)));
    await expectAnswer(client, 3);
  });
});

describe("a head", () => {
  test("may come in any number of frames, padded and with a priority", async () => {
    const { client } = await openedHttp2();
    const head = headOf({ ":path": pathOf(9) });
    const first = Buffer.concat([Buffer.of(2), Buffer.alloc(5), head.subarray(0, 3), Buffer.alloc(2)]);
    client.send(frameOf(HEADERS, END_STREAM | PADDED | FRAME_FLAG.PRIORITY, 1, first));
    for (const byte of head.subarray(3)) client.send(frameOf(CONTINUATION, 0, 1, Uint8Array.of(byte)));
    client.send(frameOf(CONTINUATION, END_HEADERS, 1));
    expect(await client.response()).toEqual({ streamId: 1, status: "200", body: messageOf(9) });
  });

  test("larger than we take is answered with 431, and the session goes on with equal tables", async () => {
    const { client } = await openedHttp2();
    const head = headOf({ ":path": "/dns-query", "x-large": "x".repeat(16_300), "x-more": "y".repeat(60) });
    client.send(
      frameOf(HEADERS, END_STREAM, 1, head.subarray(0, 16_000)),
      frameOf(CONTINUATION, END_HEADERS, 1, head.subarray(16_000)),
    );
    expect(await client.response()).toMatchObject({ streamId: 1, status: "431" });
    await expectAnswer(client, 3);
  });
});

describe("on a stream that the client has ended", () => {
  test.each<[what: string, frame: Uint8Array]>([
    ["data", frameOf(DATA, 0, 1, Uint8Array.of(1))],
    ["a head", get(1)],
  ])("%s ends the stream while its answer is awaited, and the connection after", async (_what, frame) => {
    const never = await openedHttp2([], { handler: handlerOf(() => new Promise(() => {})) });
    expect(await never.client.send(get(1), frame).errorOf(1)).toBe("STREAM_CLOSED");
    const { client } = await openedHttp2();
    await expectAnswer(client, 1);
    expect(await client.send(frame).errorOf("connection")).toBe("STREAM_CLOSED");
  });
});

test("frames of unknown types and priorities are ignored, and a PING is answered with its payload", async () => {
  const { client } = await openedHttp2();
  client.send(frameOf(0x42, 0xff, 1, messageOf(1)), frameOf(PRIORITY, 0, 1, new Uint8Array(5)));
  client.send(frameOf(PING, ACK, 0, new Uint8Array(8)), frameOf(PING, 0, 0, Buffer.from("12345678")));
  expect(await client.next(PING)).toMatchObject({ flags: ACK, payload: Buffer.from("12345678") });
  await expectAnswer(client, 1);
});

describe("an answer", () => {
  const large = messageOf(1, 60_000);
  const handler = handlerOf(() => ({ wire: large, maxAgeSeconds: 1 }));

  test("is sent as the windows of stream and connection allow, in any order", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 40_000 }),
        fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 30_000 })), { maxLength: 20 }),
        async (initial, updates) => {
          const { client } = await openedHttp2([[SETTING.INITIAL_WINDOW_SIZE, initial]], { handler });
          client.send(get(1));
          let [ofStream, ofConnection] = [initial, 65_535];
          await client.next(HEADERS);
          for (const [isStream, bytes] of [...updates, [true, 65_535], [false, 65_535]] as const) {
            client.send(frameOf(WINDOW_UPDATE, 0, isStream ? 1 : 0, uint32(bytes)));
            if (isStream) ofStream += bytes;
            else ofConnection += bytes;
          }
          const parts: Buffer[] = [];
          for (let over = false; !over; ) {
            const { flags, payload } = await client.next(DATA);
            expect(payload.length).toBeLessThanOrEqual(16_384);
            parts.push(payload);
            over = (flags & END_STREAM) !== 0;
          }
          const body = Buffer.concat(parts);
          expect(body.equals(large)).toBe(true);
          expect(body.length).toBeLessThanOrEqual(Math.min(ofStream, ofConnection));
          client.raw.socket.destroy();
        },
      ),
      { numRuns: 40 },
    );
  });

  test("that no window lets out counts: above the limit of all connections those are cut of which most waits, and no other", async () => {
    const clock = fakeClock();
    const { site, client: greedy } = await openedHttp2([[SETTING.INITIAL_WINDOW_SIZE, 0]], {
      handler,
      clock,
      limits: { heldBytes: 300_000 },
    });
    const modest = await connectHttp2Raw(portOf(site, "http"), [[SETTING.INITIAL_WINDOW_SIZE, 0]]);
    for (const stream of [1, 3, 5, 7]) {
      greedy.send(get(stream));
      await greedy.next(HEADERS);
    }
    modest.send(get(1));
    await modest.next(HEADERS);
    await clock.advance(1000);
    expect(site.counters).toMatchObject({ connections: 2, connectionsEvicted: 0 });
    greedy.send(get(9));
    await greedy.next(HEADERS);
    await clock.advance(1000);
    await greedy.raw.ended;
    expect(site.counters).toMatchObject({ connections: 1, connectionsEvicted: 1 });
    modest.send(frameOf(WINDOW_UPDATE, 0, 1, uint32(60_000)));
    expect((await modest.next(DATA)).payload.length).toBeGreaterThan(0);
  });

  test("waits when the client has made its windows smaller, and goes on at the same place", async () => {
    const { client } = await openedHttp2([[SETTING.INITIAL_WINDOW_SIZE, 20_000]], { handler });
    client.send(get(1));
    const parts = [(await client.next(DATA)).payload, (await client.next(DATA)).payload];
    expect(Buffer.concat(parts)).toHaveLength(20_000);
    // The window is 5,000 below nothing now (RFC 9113 §6.9.2), and 10 above with the update.
    client.send(frameOf(SETTINGS, 0, 0, Uint8Array.of(0, SETTING.INITIAL_WINDOW_SIZE, 0, 0, 0x3a, 0x98)));
    client.send(frameOf(WINDOW_UPDATE, 0, 1, uint32(5000)), frameOf(WINDOW_UPDATE, 0, 1, uint32(10)));
    expect((await client.next(DATA)).payload).toHaveLength(10);
    client.send(frameOf(WINDOW_UPDATE, 0, 1, uint32(60_000)));
    const rest = await client.next(DATA);
    expect(rest.payload.equals(large.subarray(20_010, 20_010 + rest.payload.length))).toBe(true);
  });

  test("says once that our table is empty when the client has made it smaller (RFC 7541 §4.2)", async () => {
    const { client } = await openedHttp2([[SETTING.HEADER_TABLE_SIZE, 0]]);
    const heads: number[] = [];
    for (const streamId of [1, 3, 5]) heads.push((await client.send(get(streamId)).next(HEADERS)).payload[0] ?? 0);
    expect(heads).toEqual([0x20, 0x88, 0x88]);
  });

  test("says so too when one frame makes the table smaller and larger again", async () => {
    const { client } = await openedHttp2([
      [SETTING.HEADER_TABLE_SIZE, 0],
      [SETTING.HEADER_TABLE_SIZE, 4096],
    ]);
    expect((await client.send(get(1)).next(HEADERS)).payload[0]).toBe(0x20);
  });
});

describe("bounds", () => {
  test("streams above the limit are refused, and the earlier ones are answered", async () => {
    const answers: (() => void)[] = [];
    const waiting = handlerOf((wire) => new Promise((resolve) => answers.push(() => resolve({ wire, maxAgeSeconds: 1 }))));
    const { client } = await openedHttp2([], { handler: waiting, limits: { outstandingPerConnection: 3 } });
    const settings = await client.next(SETTINGS);
    expect(settings.payload.subarray(0, 6)).toEqual(Buffer.of(0, SETTING.MAX_CONCURRENT_STREAMS, 0, 0, 0, 3));
    for (const streamId of [1, 3, 5, 7]) client.send(get(streamId));
    expect(await client.errorOf(7)).toBe("REFUSED_STREAM");
    for (const answer of answers) answer();
    const bodies = [await client.response(), await client.response(), await client.response()].map(({ streamId }) => streamId);
    expect(bodies).toEqual([1, 3, 5]);
  });

  test.each<[what: string, frames: (streamId: number) => readonly Uint8Array[]]>([
    ["that the client resets", (id) => [get(id), frameOf(RST_STREAM, 0, id, uint32(8))]],
    ["that it has us reset (CVE-2025-8671)", (id) => [post(id), frameOf(WINDOW_UPDATE, 0, id, uint32(0))]],
    ["that are malformed", (id) => [frameOf(HEADERS, ALL, id, literals([["a", "b"]]))]],
  ])("a flood of streams %s ends the session", async (_what, frames) => {
    const { client } = await openedHttp2([], { clock: fakeClock() });
    for (let streamId = 1; streamId < 2200; streamId += 2) client.send(...frames(streamId));
    expect(await client.errorOf("connection")).toBe("ENHANCE_YOUR_CALM");
  });

  test("as many resets spread over time as a client may need do not", async () => {
    const clock = fakeClock();
    // Only the last question is answered, and no answer comes before the reset.
    const handler = handlerOf((wire) => (idOf(wire) === 2401 ? { wire, maxAgeSeconds: 1 } : new Promise(() => {})));
    const { client } = await openedHttp2([], { clock, handler });
    for (let streamId = 1; streamId < 2400; streamId += 2) {
      client.send(get(streamId), frameOf(RST_STREAM, 0, streamId, uint32(8)));
      if (streamId % 20 === 1) {
        client.send(frameOf(PING, 0, 0, new Uint8Array(8)));
        await client.next(PING);
        await clock.advance(200);
      }
    }
    await expectAnswer(client, 2401);
  });

  test("a forwarder that gives up 2,000 questions a second on a dead upstream keeps its connection", async () => {
    const clock = fakeClock();
    const { client } = await openedHttp2([], { clock, handler: handlerOf(() => new Promise(() => {})) });
    let streamId = 1;
    for (let round = 0; round < 20; round++) {
      const ids = Array.from({ length: 200 }, () => (streamId += 2));
      client.send(...ids.map((id) => get(id)), frameOf(PING, 0, 0, new Uint8Array(8)));
      await client.next(PING);
      await clock.advance(100);
      client.send(...ids.map((id) => frameOf(RST_STREAM, 0, id, uint32(8))));
    }
    client.send(frameOf(PING, 0, 0, Buffer.from("lives on")));
    expect((await client.next(PING)).payload.toString()).toBe("lives on");
  });

  test.each<[what: string, frame: Uint8Array]>([
    ["PING", frameOf(PING, 0, 0, new Uint8Array(8))],
    ["SETTINGS", frameOf(SETTINGS, 0, 0)],
    ["WINDOW_UPDATE", frameOf(WINDOW_UPDATE, 0, 0, uint32(1))],
    ["PRIORITY", frameOf(PRIORITY, 0, 1, new Uint8Array(5))],
    ["unknown frames", frameOf(99, 0, 0)],
  ])("a flood of %s ends the session", async (_what, frame) => {
    const { client } = await openedHttp2([], { clock: fakeClock() });
    for (let sent = 0; sent < 20; sent++) client.send(Buffer.concat(Array.from({ length: 110 }, () => frame)));
    expect(await client.errorOf("connection")).toBe("ENHANCE_YOUR_CALM");
  });

  test("a header block that is not completed within 10 s ends the session, however many frames it has", async () => {
    const clock = fakeClock();
    const { site, client } = await openedHttp2([], { clock });
    await expectAnswer(client, 1);
    client.send(frameOf(HEADERS, END_STREAM, 3, headOf({ ":path": pathOf(3) }).subarray(0, 20)));
    while (site.counters.connections > 0) {
      client.send(frameOf(CONTINUATION, 0, 3, Uint8Array.of(0)));
      await clock.advance(1000);
    }
    expect(clock.now()).toBeGreaterThanOrEqual(10_000);
    expect(clock.now()).toBeLessThan(13_000);
  });

  test("header blocks of frames of one byte take little more memory than their bytes", async () => {
    const { site, client } = await openedHttp2();
    await client.next(SETTINGS);
    const block = Buffer.concat([
      frameOf(HEADERS, 0, 1),
      ...Array.from({ length: 6000 }, () => frameOf(CONTINUATION, 0, 1, Uint8Array.of(0))),
    ]);
    const clients = await Promise.all(Array.from({ length: 40 }, () => connectHttp2Raw(portOf(site, "http"))));
    collectGarbage();
    const before = process.memoryUsage();
    for (const each of clients) each.send(block);
    await expectAnswer(await connectHttp2Raw(portOf(site, "http")), 1);
    await expect.poll(() => clients.every(({ raw }) => raw.socket.writableLength === 0)).toBe(true);
    await expectAnswer(await connectHttp2Raw(portOf(site, "http")), 1);
    collectGarbage();
    const after = process.memoryUsage();
    expect(after.heapUsed + after.external - before.heapUsed - before.external).toBeLessThan(8 << 20);
  });

  test("a client that does not read its answers is not read either, and is cut in the end", async () => {
    const clock = fakeClock();
    const { site, client } = await openedHttp2([], { clock, limits: { writeBacklogBytes: 131_072, http2IdleFrames: 1e9 } });
    client.raw.socket.pause();
    const pings = Buffer.concat(Array.from({ length: 4000 }, () => frameOf(PING, 0, 0, new Uint8Array(8))));
    const isStuck = () => client.raw.socket.writableLength > 4 * pings.length;
    await expect.poll(() => (isStuck() ? true : client.raw.socket.write(pings) && isStuck()), { interval: 1 }).toBe(true);
    while (site.counters.connections > 0) await clock.advance(1000);
    expect(clock.now()).toBeLessThan(60_000);
  });

  test("a client that sends GOAWAY gets its answers, then the connection is closed", async () => {
    const answer = Promise.withResolvers<void>();
    const { client } = await openedHttp2([], {
      handler: handlerOf(async (wire) => {
        await answer.promise;
        return { wire, maxAgeSeconds: 1 };
      }),
    });
    client.send(get(1)).send(frameOf(GOAWAY, 0, 0, new Uint8Array(8)));
    expect(await client.errorOf("connection")).toBe("NO_ERROR");
    answer.resolve();
    expect(await client.response()).toMatchObject({ streamId: 1, status: "200" });
    await client.raw.ended;
  });

  test("a second GOAWAY names no later stream than the first (RFC 9113 §6.8)", async () => {
    const { client } = await openedHttp2([], { handler: handlerOf(() => new Promise(() => {})) });
    client.send(get(1), frameOf(GOAWAY, 0, 0, new Uint8Array(8)), get(3), frameOf(FRAME.PUSH_PROMISE, 0, 1));
    const farewells = [await client.next(GOAWAY), await client.next(GOAWAY)];
    expect(farewells.map(({ payload }) => payload.readUInt32BE(0))).toEqual([1, 1]);
  });
});

describe("at the stop of the server", () => {
  test("a request on the way is answered: GOAWAY names no last stream until the client has seen it (RFC 9113 §6.8)", async () => {
    const { site, client } = await openedHttp2();
    await expectAnswer(client, 1);
    const closed = site.close();
    const first = await client.next(GOAWAY);
    expect([first.payload.readUInt32BE(0), first.payload.readUInt32BE(4)]).toEqual([0x7fff_ffff, 0]);
    await expectAnswer(client, 3);
    client.send(frameOf(PING, ACK, 0, Buffer.from("draining")));
    expect((await client.next(GOAWAY)).payload.readUInt32BE(0)).toBe(3);
    await client.raw.ended;
    await closed;
  });

  test("a client that does not answer the PING gets the second GOAWAY after 500 ms", async () => {
    const clock = fakeClock();
    const { site, client } = await openedHttp2([], { clock });
    await expectAnswer(client, 1);
    const closed = site.close();
    await client.next(GOAWAY);
    await clock.advance(500);
    expect((await client.next(GOAWAY)).payload.readUInt32BE(0)).toBe(1);
    await clock.advance(1000);
    await closed;
  });
});

describe("after the last answer", () => {
  const large = messageOf(1, 60_000);

  test("bytes that the client still sends do not lose the answers it has not read yet", async () => {
    const { site, client } = await openedHttp2([[SETTING.INITIAL_WINDOW_SIZE, 0x7fff_ffff]], {
      handler: handlerOf(() => ({ wire: large, maxAgeSeconds: 1 })),
    });
    const serverTurns = async () => (await connectHttp2Raw(portOf(site, "http"))).send(get(1)).response();
    client.raw.socket.pause();
    const ids = Array.from({ length: 15 }, (_, index) => 2 * index + 1);
    client.send(frameOf(WINDOW_UPDATE, 0, 0, uint32(0x7000_0000)), ...ids.map((id) => get(id)));
    client.send(frameOf(GOAWAY, 0, 0, new Uint8Array(8)));
    await serverTurns();
    client.send(frameOf(PING, 0, 0, new Uint8Array(8)));
    await serverTurns();
    client.raw.socket.resume();
    for (const streamId of ids) expect(await client.response()).toMatchObject({ streamId, body: large });
    await client.raw.ended;
  });

  test("a client that was paused because it did not read is read to its end", async () => {
    const { site, client } = await openedHttp2([], {
      clock: fakeClock(),
      limits: { writeBacklogBytes: 131_072, http2IdleFrames: 1e9 },
    });
    client.raw.socket.pause();
    const pings = Buffer.concat(Array.from({ length: 4000 }, () => frameOf(PING, 0, 0, new Uint8Array(8))));
    const isStuck = () => client.raw.socket.writableLength > 4 * pings.length;
    await expect.poll(() => (isStuck() ? true : client.raw.socket.write(pings) && isStuck()), { interval: 1 }).toBe(true);
    const closed = site.close(60_000);
    client.raw.socket.resume();
    client.raw.socket.end();
    await closed;
    expect(client.raw.socket.errored).toBeNull();
  });

  test("a client that does not close is cut a second later", async () => {
    const clock = fakeClock();
    const { site, client } = await openedHttp2([], { clock });
    await expectAnswer(client.send(frameOf(PING, 0, 0, new Uint8Array(8))), 1);
    client.send(frameOf(GOAWAY, 0, 0, new Uint8Array(8)));
    await client.raw.ended;
    await clock.advance(999);
    expect(site.counters.connections).toBe(1);
    await clock.advance(1);
    await expect.poll(() => site.counters.connections).toBe(0);
  });
});

const ANY_FRAME = fc.record({
  type: fc.integer({ min: 0, max: 255 }),
  flags: fc.integer({ min: 0, max: 255 }),
  streamId: fc.integer({ min: 0, max: 0x7fff_ffff }),
  payload: fc.uint8Array({ maxLength: 300 }),
});

test("frames are the same however their bytes are cut", () => {
  fc.assert(
    fc.property(fc.array(ANY_FRAME), fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1 }), (frames, sizes) => {
      const bytes = Buffer.concat(frames.map(({ type, flags, streamId, payload }) => frameOf(type, flags, streamId, payload)));
      const reader = new FrameReader();
      const read: Frame[] = [];
      for (let start = 0, turn = 0; start < bytes.length; turn++) {
        const end = start + (sizes[turn % sizes.length] ?? 1);
        const chunk = Buffer.from(bytes.subarray(start, end));
        start = end;
        reader.push(chunk);
        for (let frame = reader.next(); frame !== null; frame = reader.next())
          read.push({ ...frame, payload: Uint8Array.from(frame.payload) });
        // What is left over must not hang on to the chunk.
        chunk.fill(0xff);
      }
      expect(read).toEqual(frames);
    }),
  );
});

test("the reserved bit of a stream id is ignored (RFC 9113 §4.1)", () => {
  const reader = new FrameReader();
  reader.push(frameOf(0, 0, 0x8000_0005));
  expect(reader.next()).toMatchObject({ streamId: 5 });
});
