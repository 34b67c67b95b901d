import { describe, expect, test } from "vitest";
import { bytesOf, decoderOf, pairsOf, tableOf } from "../support/hpack-blocks.ts";

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
