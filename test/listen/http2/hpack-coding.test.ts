import { once } from "node:events";
import { connect, sensitiveHeaders } from "node:http2";
import { type AddressInfo, createServer, type Socket } from "node:net";
import fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  ConnectionError,
  FRAME,
  FRAME_FLAG,
  FrameReader,
  PREFACE,
  SETTING,
  SETTINGS_ACK,
  settingsFrame,
} from "../../../src/listen/http2/frames.ts";
import { decodeHuffman, encodeFields, type HeaderField, HpackDecoder, STATIC_TABLE } from "../../../src/listen/http2/hpack.ts";
import { runs } from "../../support/properties.ts";
import { bytesOf, decoderOf, HUFFMAN_CODES, huffmanBits, packed, pairsOf, tableOf } from "../support/hpack-blocks.ts";
import { frameOf } from "../support/http2-raw.ts";

const hex = (...fields: readonly (readonly [string, string])[]): string =>
  Buffer.from(encodeFields(fields.map(([name, value]) => ({ name, value })))).toString("hex");

describe("the encoder takes the shortest form that needs no dynamic table", () => {
  test("a field of the static table is one byte", () => {
    expect(hex([":status", "200"], [":status", "404"], ["accept-encoding", "gzip, deflate"])).toBe("888d90");
  });

  test("a name of the static table is its first index", () => {
    expect(hex([":status", "418"])).toBe("0803343138");
    expect(hex(["content-length", "33"])).toBe("0f0d023333");
  });

  test("any other name is a literal that is not added to the table (RFC 7541 §6.2.2)", () => {
    expect(hex(["x-a", ""])).toBe("0003782d6100");
  });
});

const FIELD = fc.record({
  name: fc.oneof(fc.constantFrom(...STATIC_TABLE.map(({ name }) => name)), fc.stringMatching(/^[a-z-]{0,200}$/)),
  value: fc.oneof(
    fc.constantFrom(...STATIC_TABLE.map(({ value }) => value)),
    fc.uint8Array({ maxLength: 400, size: "max" }).map((bytes) => Buffer.from(bytes).toString("latin1")),
  ),
});

test("any fields are decoded as they were encoded, and leave the decoder's table empty", () => {
  fc.assert(
    fc.property(fc.array(FIELD), (fields) => {
      const decoder = decoderOf({ tableBytes: 0 });
      expect(decoder.decode(encodeFields(fields))).toEqual(fields);
      expect(tableOf(decoder)).toEqual([]);
    }),
  );
});

test("a value may be long", () => {
  const field = { name: "x-long", value: "v".repeat(3_000_000) };
  expect(decoderOf({ maxListBytes: 4_000_000 }).decode(encodeFields([field]))).toEqual([field]);
});

const EOS = HUFFMAN_CODES[256] ?? "";
const EVERY_BYTE = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte));

const decode = (bytes: Uint8Array): string => decodeHuffman(bytes, 0, bytes.length);

describe("the code is that of RFC 7541 Appendix B", () => {
  test.each([
    [0, "1ff8", 13],
    [1, "7fffd8", 23],
    [9, "ffffea", 24],
    [10, "3ffffffc", 30],
    [13, "3ffffffd", 30],
    [22, "3ffffffe", 30],
    [32, "14", 6],
    [48, "0", 5],
    [88, "fc", 8],
    [92, "7fff0", 19],
    [116, "9", 5],
    [127, "ffffffc", 28],
    [128, "fffe6", 20],
    [199, "1ffffec", 25],
    [220, "ffffffd", 28],
    [249, "ffffffe", 28],
    [255, "3ffffee", 26],
    [256, "3fffffff", 30],
  ])("symbol %i has the code %s in %i bits", (symbol, hex, bits) => {
    expect(HUFFMAN_CODES[symbol]).toBe(Number.parseInt(hex, 16).toString(2).padStart(bits, "0"));
  });

  test("the code is complete: every sequence of bits begins with exactly one symbol", () => {
    expect(HUFFMAN_CODES.reduce((sum, code) => sum + 2 ** -code.length, 0)).toBe(1);
  });
});

test("every byte is decoded alone, twice, and after every other", () => {
  for (const one of EVERY_BYTE) {
    expect(decode(packed(huffmanBits(one)))).toBe(one);
    for (const other of EVERY_BYTE) {
      const text = other + one;
      if (decode(packed(huffmanBits(text))) !== text) expect.fail(`${JSON.stringify(text)} is lost`);
    }
  }
});

test("no bytes are the empty text", () => {
  expect(decode(new Uint8Array())).toBe("");
});

const TEXT = fc.oneof(
  fc.string({ unit: fc.constantFrom(...EVERY_BYTE), maxLength: 300, size: "max" }),
  fc.base64String({ maxLength: 3000, size: "max" }),
);

test("any text is decoded, wherever it is among other bytes", () => {
  fc.assert(
    fc.property(TEXT, fc.uint8Array({ maxLength: 5 }), fc.uint8Array({ maxLength: 5 }), (text, before, behind) => {
      const code = packed(huffmanBits(text));
      expect(decodeHuffman(Buffer.concat([before, code, behind]), before.length, before.length + code.length)).toBe(text);
    }),
  );
});

describe("refused is", () => {
  /** `a` has five bits, `&` eight, `X` eight too. */
  test.each([
    ["padding of eight ones", "11111111"],
    ["padding of eight ones behind eight bits", `${huffmanBits("&")}11111111`],
    ["padding of eleven ones", `${huffmanBits("a")}11111111111`],
    ["padding of 29 ones", `${huffmanBits("aaa")}${"1".repeat(25)}`],
    ["padding of zeros", `${huffmanBits("a")}000`],
    ["padding with a zero at its end", `${huffmanBits("a")}110`],
    ["padding with a zero at its beginning", `${huffmanBits("X")}${huffmanBits("a")}011`],
    ["EOS", `${EOS}11`],
    ["EOS behind a symbol", `${huffmanBits("a")}${EOS}11111`],
    ["EOS before a symbol", `${EOS}${huffmanBits("&")}11`],
  ])("%s (RFC 7541 §5.2)", (_title, bits) => {
    expect(() => decode(packed(bits))).toThrow(ConnectionError);
  });
});

test("padding of one to seven one bits is accepted", () => {
  const lengths = new Set<number>();
  for (const text of ["a", "aa", "aaa", "aaaa", "aaaaa", "aaaaaa", "aaaaaaa"]) {
    const bits = huffmanBits(text);
    expect(decode(packed(bits))).toBe(text);
    lengths.add((8 - (bits.length % 8)) % 8);
  }
  expect(lengths).toEqual(new Set([1, 2, 3, 4, 5, 6, 7]));
});

test("any bytes either are the code of the decoded text or are refused", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60, size: "max" }), (bytes) => {
      let text: string;
      try {
        text = decode(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(ConnectionError);
        return;
      }
      expect(packed(huffmanBits(text))).toEqual(Buffer.from(bytes));
    }),
    { numRuns: runs(2000) },
  );
});

type Pairs = readonly (readonly [string, string])[];

interface Step {
  readonly fields: Pairs;
  /** The table afterwards, the newest entry first, and its size. */
  readonly table: Pairs;
  readonly bytes: number;
}

const AUTHORITY = [":authority", "www.example.com"] as const;
const NO_CACHE = ["cache-control", "no-cache"] as const;
const CUSTOM = ["custom-key", "custom-value"] as const;

const REQUESTS: readonly Step[] = [
  { fields: [[":method", "GET"], [":scheme", "http"], [":path", "/"], AUTHORITY], table: [AUTHORITY], bytes: 57 },
  {
    fields: [[":method", "GET"], [":scheme", "http"], [":path", "/"], AUTHORITY, NO_CACHE],
    table: [NO_CACHE, AUTHORITY],
    bytes: 110,
  },
  {
    fields: [[":method", "GET"], [":scheme", "https"], [":path", "/index.html"], AUTHORITY, CUSTOM],
    table: [CUSTOM, NO_CACHE, AUTHORITY],
    bytes: 164,
  },
];

const STATUS_302 = [":status", "302"] as const;
const STATUS_307 = [":status", "307"] as const;
const PRIVATE = ["cache-control", "private"] as const;
const DATE_21 = ["date", "Mon, 21 Oct 2013 20:13:21 GMT"] as const;
const DATE_22 = ["date", "Mon, 21 Oct 2013 20:13:22 GMT"] as const;
const LOCATION = ["location", "https://www.example.com"] as const;
const GZIP = ["content-encoding", "gzip"] as const;
const COOKIE = ["set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"] as const;

const RESPONSES: readonly Step[] = [
  { fields: [STATUS_302, PRIVATE, DATE_21, LOCATION], table: [LOCATION, DATE_21, PRIVATE, STATUS_302], bytes: 222 },
  { fields: [STATUS_307, PRIVATE, DATE_21, LOCATION], table: [STATUS_307, LOCATION, DATE_21, PRIVATE], bytes: 222 },
  { fields: [[":status", "200"], PRIVATE, DATE_22, LOCATION, GZIP, COOKIE], table: [COOKIE, GZIP, DATE_22], bytes: 215 },
];

const SINGLE: readonly (readonly [string, string, Step])[] = [
  [
    "C.2.1, a literal that enters the table",
    "400a637573746f6d2d6b65790d637573746f6d2d686561646572",
    { fields: [["custom-key", "custom-header"]], table: [["custom-key", "custom-header"]], bytes: 55 },
  ],
  [
    "C.2.2, a literal that does not",
    "040c2f73616d706c652f70617468",
    { fields: [[":path", "/sample/path"]], table: [], bytes: 0 },
  ],
  [
    "C.2.3, a literal that never must",
    "100870617373776f726406736563726574",
    { fields: [["password", "secret"]], table: [], bytes: 0 },
  ],
  ["C.2.4, a field of the static table", "82", { fields: [[":method", "GET"]], table: [], bytes: 0 }],
];

const SERIES: readonly (readonly [string, number, readonly string[], readonly Step[]])[] = [
  ...SINGLE.map(([title, hex, step]) => [title, 4096, [hex], [step]] as const),
  [
    "C.3, requests",
    4096,
    [
      "828684410f7777772e6578616d706c652e636f6d",
      "828684be58086e6f2d6361636865",
      "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
    ],
    REQUESTS,
  ],
  [
    "C.4, requests in Huffman code",
    4096,
    ["828684418cf1e3c2e5f23a6ba0ab90f4ff", "828684be5886a8eb10649cbf", "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf"],
    REQUESTS,
  ],
  [
    "C.5, responses with evictions",
    256,
    [
      "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e1768747470733a2f2f7777772e6578616d706c652e636f6d",
      "4803333037c1c0bf",
      "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31",
    ],
    RESPONSES,
  ],
  [
    "C.6, responses with evictions in Huffman code",
    256,
    [
      "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
      "4883640effc1c0bf",
      "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
    ],
    RESPONSES,
  ],
];

describe("the examples of RFC 7541 Appendix C are read, and leave the table as it says there", () => {
  test.each(SERIES)("%s", (_title, tableBytes, blocks, steps) => {
    const decoder = decoderOf({ tableBytes });
    expect(blocks).toHaveLength(steps.length);
    for (const [index, step] of steps.entries()) {
      expect(pairsOf(decoder.decode(Buffer.from(blocks[index] ?? "", "hex")))).toEqual(step.fields);
      const table = tableOf(decoder);
      expect(pairsOf(table)).toEqual(step.table);
      expect(bytesOf(table)).toBe(step.bytes);
    }
  });
});

/** Just enough of HTTP/2 to take the header blocks of one connection, none larger than a frame, and answer each with the given fields. */
function serveBlocks(socket: Socket, tableBytes: number, answer: (block: Uint8Array) => readonly HeaderField[]): void {
  const reader = new FrameReader();
  let prefaceLeft = PREFACE.length;
  socket.write(settingsFrame([[SETTING.HEADER_TABLE_SIZE, tableBytes]]));
  socket.on("error", () => {});
  socket.on("data", (chunk: Buffer) => {
    const start = Math.min(prefaceLeft, chunk.length);
    prefaceLeft -= start;
    reader.push(chunk.subarray(start));
    for (let frame = reader.next(); frame !== null; frame = reader.next()) {
      const { type, flags, streamId, payload } = frame;
      if (type === FRAME.SETTINGS && (flags & FRAME_FLAG.ACK) === 0) socket.write(SETTINGS_ACK);
      if (type !== FRAME.HEADERS) continue;
      const block = encodeFields(answer(payload.subarray(flags & FRAME_FLAG.PRIORITY ? 5 : 0)));
      socket.write(frameOf(FRAME.HEADERS, FRAME_FLAG.END_STREAM | FRAME_FLAG.END_HEADERS, streamId, block));
    }
  });
}

const NAME = fc.stringMatching(/^x-[a-z0-9]{1,6}$/);
/** What a field value may hold: visible characters and bytes above them. */
const BYTE = fc.oneof(fc.integer({ min: 0x21, max: 0x7e }), fc.integer({ min: 0x80, max: 0xff }));
const VALUE = fc.oneof(
  fc.constantFrom("application/dns-message", "1", "a-value", "another-value"),
  fc.array(BYTE, { maxLength: 60, size: "max" }).map((bytes) => Buffer.from(bytes).toString("latin1")),
  // Long enough for the Huffman code to be the shorter one, whatever byte is among them.
  BYTE.map((byte) => `0000000000${String.fromCharCode(byte)}0000000000`),
  fc.integer({ min: 100, max: 1500 }).map((length) => "a".repeat(length)),
);
const REQUEST = fc.record({
  path: fc.constantFrom("/", "/dns-query", "/dns-query?dns=AAABAAABAAAAAAAAAA"),
  headers: fc.dictionary(fc.oneof(fc.constantFrom("accept", "x-a", "x-b"), NAME), VALUE, { maxKeys: 8 }),
  isSensitive: fc.boolean(),
});

const sorted = (fields: readonly HeaderField[]): HeaderField[] =>
  fields.toSorted((one, other) => (one.name < other.name ? -1 : 1));

test("the requests of Node's client are decoded, and Node decodes our responses", async () => {
  const seen = new Set<string>();
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(0, 100, 1000, 4096, 65_536),
      fc.array(REQUEST, { minLength: 1, maxLength: 8 }),
      async (tableBytes, requests) => {
        const decoder = new HpackDecoder({ tableBytes: Math.max(tableBytes, 4096), maxListBytes: 100_000 });
        const received: (readonly HeaderField[] | null)[] = [];
        const server = createServer({ noDelay: true }, (socket) => {
          serveBlocks(socket, tableBytes, (block) => {
            if ((block[0] ?? 0) >> 5 === 0b001) seen.add("table size update");
            const fields = decoder.decode(block) ?? [];
            received.push(fields);
            return [{ name: ":status", value: "204" }, ...fields.filter(({ name }) => !name.startsWith(":"))];
          });
        });
        server.listen(0, "127.0.0.1");
        await once(server, "listening");
        const authority = `127.0.0.1:${(server.address() as AddressInfo).port}`;
        const session = connect(`http://${authority}`);
        const stop = (): void => {
          session.destroy();
          server.close();
        };
        onTestFinished(stop);
        await once(session, "remoteSettings");
        for (const [index, { path, headers, isSensitive }] of requests.entries()) {
          const names = isSensitive ? Object.keys(headers) : [];
          const request = session.request({ ":path": path, ...headers, [sensitiveHeaders]: names });
          const [response] = await once(request, "response");
          request.destroy();
          const pseudo = { ":authority": authority, ":method": "GET", ":path": path, ":scheme": "http" };
          const expected = Object.entries({ ...pseudo, ...headers }).map(([name, value]) => ({ name, value }));
          expect(sorted(received[index] ?? [])).toEqual(sorted(expected));
          expect(response).toMatchObject({ ":status": 204, ...headers });
        }
        if (tableOf(decoder).length > 0) seen.add("entries");
        stop();
        await once(server, "close");
      },
    ),
    { numRuns: runs(60) },
  );
  // Without updates and entries of the table this would say less than it seems to.
  expect(seen).toEqual(new Set(["table size update", "entries"]));
});
