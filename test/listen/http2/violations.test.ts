import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Clock } from "../../../src/lib/clock.ts";
import { FRAME, FRAME_FLAG, SETTING } from "../../../src/listen/http2/frames.ts";
import { fakeClock } from "../../support/fake-clock.ts";
import { runs } from "../../support/properties.ts";
import {
  connectHttp2Raw,
  expectAnswer,
  frameOf,
  get,
  headOf,
  literals,
  openedHttp2,
  post,
  RawHttp2,
  uint32,
} from "../support/http2-raw.ts";
import { connectRaw } from "../support/raw.ts";
import { openSite, portOf } from "../support/site.ts";

const { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION } = FRAME;
const { END_STREAM, END_HEADERS, PADDED, ACK } = FRAME_FLAG;
const ALL = END_HEADERS | END_STREAM;

/** Whatever is done takes some milliseconds. */
function slowClock(): Clock {
  let nowMs = 0;
  return { ...fakeClock(), now: () => nowMs++ };
}

describe("a connection ends, with the code that RFC 9113 names, when a client sends", () => {
  test.each<[what: string, code: string, frames: readonly Uint8Array[]]>([
    ["a frame larger than we take", "FRAME_SIZE_ERROR", [frameOf(DATA, 0, 1, new Uint8Array(16_385))]],
    ["data on no stream", "PROTOCOL_ERROR", [frameOf(DATA, 0, 0, Uint8Array.of(1))]],
    ["data on a stream that has not begun", "PROTOCOL_ERROR", [frameOf(DATA, 0, 1, Uint8Array.of(1))]],
    ["more padding than data", "PROTOCOL_ERROR", [post(1), frameOf(DATA, PADDED, 1, Uint8Array.of(5, 1, 1))]],
    ["data padded without a length of the padding", "PROTOCOL_ERROR", [post(1), frameOf(DATA, PADDED, 1)]],
    ["a stream of our parity", "PROTOCOL_ERROR", [get(2)]],
    ["a head on no stream", "PROTOCOL_ERROR", [get(0)]],
    ["a stream below one that it began", "STREAM_CLOSED", [get(5), get(3)]],
    [
      "a head cut short by another frame",
      "PROTOCOL_ERROR",
      [frameOf(HEADERS, 0, 1, headOf({})), frameOf(PING, 0, 0, new Uint8Array(8))],
    ],
    ["a head continued on another stream", "PROTOCOL_ERROR", [frameOf(HEADERS, 0, 1), frameOf(CONTINUATION, 0, 3)]],
    ["the end of a head without its beginning", "PROTOCOL_ERROR", [frameOf(CONTINUATION, END_HEADERS, 1)]],
    [
      "a head that cannot be decoded",
      "COMPRESSION_ERROR",
      [frameOf(HEADERS, ALL, 1, Uint8Array.of(0x40, 0x7f, 0xff, 0xff, 0xff))],
    ],
    [
      "a head without end",
      "ENHANCE_YOUR_CALM",
      [frameOf(HEADERS, 0, 1), ...Array.from({ length: 10_000 }, () => frameOf(CONTINUATION, 0, 1))],
    ],
    [
      "a head without end or weight",
      "ENHANCE_YOUR_CALM",
      [frameOf(HEADERS, 0, 1), ...Array.from({ length: 5 }, () => frameOf(CONTINUATION, 0, 1, new Uint8Array(16_384)))],
    ],
    ["a reset of the wrong size", "FRAME_SIZE_ERROR", [get(1), frameOf(RST_STREAM, 0, 1, new Uint8Array(3))]],
    ["a reset of no stream", "PROTOCOL_ERROR", [frameOf(RST_STREAM, 0, 0, uint32(8))]],
    ["a reset of a stream that has not begun", "PROTOCOL_ERROR", [frameOf(RST_STREAM, 0, 1, uint32(8))]],
    ["settings on a stream", "PROTOCOL_ERROR", [frameOf(SETTINGS, 0, 1)]],
    ["half a setting", "FRAME_SIZE_ERROR", [frameOf(SETTINGS, 0, 0, new Uint8Array(5))]],
    ["settings acknowledged with something in it", "FRAME_SIZE_ERROR", [frameOf(SETTINGS, ACK, 0, new Uint8Array(6))]],
    ["a strange ENABLE_PUSH", "PROTOCOL_ERROR", [frameOf(SETTINGS, 0, 0, Uint8Array.of(0, SETTING.ENABLE_PUSH, 0, 0, 0, 2))]],
    [
      "too large an initial window",
      "FLOW_CONTROL_ERROR",
      [frameOf(SETTINGS, 0, 0, Uint8Array.of(0, SETTING.INITIAL_WINDOW_SIZE, 128, 0, 0, 0))],
    ],
    [
      "too small a frame size",
      "PROTOCOL_ERROR",
      [frameOf(SETTINGS, 0, 0, Uint8Array.of(0, SETTING.MAX_FRAME_SIZE, 0, 0, 63, 255))],
    ],
    ["a push", "PROTOCOL_ERROR", [frameOf(PUSH_PROMISE, END_HEADERS, 1, uint32(2))]],
    ["a ping of the wrong size", "FRAME_SIZE_ERROR", [frameOf(PING, 0, 0, new Uint8Array(7))]],
    ["a ping on a stream", "PROTOCOL_ERROR", [frameOf(PING, 0, 1, new Uint8Array(8))]],
    ["a farewell on a stream", "PROTOCOL_ERROR", [frameOf(GOAWAY, 0, 1, new Uint8Array(8))]],
    ["a window that grows by nothing", "PROTOCOL_ERROR", [frameOf(WINDOW_UPDATE, 0, 0, uint32(0))]],
    ["a window that grows too large", "FLOW_CONTROL_ERROR", [frameOf(WINDOW_UPDATE, 0, 0, uint32(0x7fff_ffff))]],
    ["a window update of the wrong size", "FRAME_SIZE_ERROR", [frameOf(WINDOW_UPDATE, 0, 0, new Uint8Array(3))]],
    ["a window of a stream that has not begun", "PROTOCOL_ERROR", [frameOf(WINDOW_UPDATE, 0, 1, uint32(1))]],
    ["a priority on no stream", "PROTOCOL_ERROR", [frameOf(PRIORITY, 0, 0, new Uint8Array(5))]],
    ["a priority of the wrong size", "FRAME_SIZE_ERROR", [frameOf(PRIORITY, 0, 1, new Uint8Array(4))]],
  ])("%s: %s", async (_what, code, frames) => {
    const { site, client } = await openedHttp2();
    client.send(...frames);
    expect(await client.errorOf("connection")).toBe(code);
    await client.raw.ended;
    client.raw.socket.end();
    await expect.poll(() => site.counters.connections).toBe(0);
  });

  test("a flood of resets: ENHANCE_YOUR_CALM, however slowly its frames have their turns", async () => {
    const { site, client } = await openedHttp2([], { clock: slowClock() });
    const frames = Array.from({ length: 1500 }, (_, index) => [
      // GET, http, the path "/" (RFC 7541 appendix A).
      frameOf(HEADERS, ALL, 2 * index + 1, Uint8Array.of(0x82, 0x86, 0x84)),
      frameOf(RST_STREAM, 0, 2 * index + 1, uint32(8)),
    ]);
    // A second fault, which would be the first one if the flood were none.
    client.send(...frames.flat(), frameOf(DATA, 0, 0, Uint8Array.of(1)));
    expect(await client.errorOf("connection")).toBe("ENHANCE_YOUR_CALM");
    client.raw.socket.end();
    await expect.poll(() => site.counters.connections).toBe(0);
  });

  test("anything but settings at the beginning: PROTOCOL_ERROR", async () => {
    const site = await openSite();
    const client = new RawHttp2(await connectRaw(portOf(site, "http")));
    client.raw.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    expect(await client.send(get(1)).errorOf("connection")).toBe("PROTOCOL_ERROR");
  });
});

describe("a stream alone ends with PROTOCOL_ERROR when its head", () => {
  test.each<[what: string, fields: readonly (readonly [string, string])[]]>([
    [
      "names no method",
      [
        [":scheme", "http"],
        [":path", "/"],
      ],
    ],
    [
      "names no path",
      [
        [":method", "GET"],
        [":scheme", "http"],
      ],
    ],
    [
      "names an empty path",
      [
        [":method", "GET"],
        [":scheme", "http"],
        [":path", ""],
      ],
    ],
    [
      "names no scheme",
      [
        [":method", "GET"],
        [":path", "/"],
      ],
    ],
    [
      "names a method twice",
      [
        [":method", "GET"],
        [":method", "GET"],
        [":scheme", "http"],
        [":path", "/"],
      ],
    ],
    [
      "has a pseudo-field of ours",
      [
        [":method", "GET"],
        [":scheme", "http"],
        [":path", "/"],
        [":status", "200"],
      ],
    ],
    [
      "has a pseudo-field behind others",
      [
        [":method", "GET"],
        [":scheme", "http"],
        ["a", "b"],
        [":path", "/"],
      ],
    ],
    [
      "has a name in capitals",
      [
        [":method", "GET"],
        [":scheme", "http"],
        [":path", "/"],
        ["Accept", "b"],
      ],
    ],
    [
      "has an empty name",
      [
        [":method", "GET"],
        [":scheme", "http"],
        [":path", "/"],
        ["", "b"],
      ],
    ],
    [
      "has a name with a blank",
      [
        [":method", "GET"],
        [":scheme", "http"],
        [":path", "/"],
        ["a b", "b"],
      ],
    ],
    [
      "has a line's end in a value",
      [
        [":method", "GET"],
        [":scheme", "http"],
        [":path", "/"],
        ["a", "b\r\nc: d"],
      ],
    ],
    [
      "has a zero in a value",
      [
        [":method", "GET"],
        [":scheme", "http"],
        [":path", "/\0"],
      ],
    ],
    [
      "has a blank before a value",
      [
        [":method", "GET"],
        [":scheme", "http"],
        [":path", "/"],
        ["a", " b"],
      ],
    ],
    [
      "speaks of the connection",
      [
        [":method", "GET"],
        [":scheme", "http"],
        [":path", "/"],
        ["connection", "close"],
      ],
    ],
    [
      "would be sent in chunks",
      [
        [":method", "GET"],
        [":scheme", "http"],
        [":path", "/"],
        ["transfer-encoding", "chunked"],
      ],
    ],
    [
      "has a `te` that is not trailers",
      [
        [":method", "GET"],
        [":scheme", "http"],
        [":path", "/"],
        ["te", "gzip"],
      ],
    ],
    [
      "promises a body that it has not",
      [
        [":method", "GET"],
        [":scheme", "http"],
        [":path", "/"],
        ["content-length", "1"],
      ],
    ],
    [
      "has two lengths",
      [
        [":method", "GET"],
        [":scheme", "http"],
        [":path", "/"],
        ["content-length", "0"],
        ["content-length", "1"],
      ],
    ],
    [
      "has a length that is no number",
      [
        [":method", "GET"],
        [":scheme", "http"],
        [":path", "/"],
        ["content-length", "-1"],
      ],
    ],
  ])("%s, and the session lives on", async (_what, fields) => {
    const { client } = await openedHttp2();
    client.send(frameOf(HEADERS, ALL, 1, literals(fields)));
    expect(await client.errorOf(1)).toBe("PROTOCOL_ERROR");
    await expectAnswer(client, 3);
  });
});

const PAYLOAD = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  fc.constantFrom(
    headOf({ ":path": "/dns-query?dns=AAABAAABAAAAAAAAA25hcwNsYW4AAAEAAQ" }),
    headOf({ ":method": "POST", ":path": "/dns-query", "content-type": "application/dns-message", expect: "100-continue" }),
    literals([["a", "b"]]),
    Uint8Array.of(0x40, 0x7f, 0xff, 0xff, 0xff),
    uint32(8),
    uint32(0x7fff_ffff),
    Buffer.alloc(8),
    Buffer.alloc(16_384),
    Uint8Array.of(0, SETTING.INITIAL_WINDOW_SIZE, 0, 0, 0, 1),
  ),
);
const ANY_FRAME = fc
  .tuple(fc.integer({ min: 0, max: 10 }), fc.constantFrom(0, 1, 4, 5, 8, 13, 0x20, 0xff), fc.integer({ min: 0, max: 9 }), PAYLOAD)
  .map(([type, flags, streamId, payload]) => frameOf(type, flags, streamId, payload));

test("any frames in any order leave the listener working: the next client is answered, and no connection stays open", async () => {
  const site = await openSite();
  await fc.assert(
    fc.asyncProperty(fc.array(ANY_FRAME, { maxLength: 30 }), fc.boolean(), async (frames, resets) => {
      const { raw } = (await connectHttp2Raw(portOf(site, "http"))).send(...frames);
      if (resets) raw.socket.resetAndDestroy();
      else raw.socket.end();
      await raw.ended;
      raw.socket.destroy();
    }),
    { numRuns: runs(300) },
  );
  await expect.poll(() => site.counters.connections).toBe(0);
  await expectAnswer(await connectHttp2Raw(portOf(site, "http")), 1);
});
