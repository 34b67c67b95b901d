import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { indexAnswer, type RecordPlace, recordsOf } from "../../src/dns/answer.ts";
import { rdataText, readRdata } from "../../src/dns/rdata.ts";
import { alpnProtocols, type SvcParam, svcParams } from "../../src/dns/svcb.ts";
import { TYPE } from "../../src/dns/types.ts";
import { WireReader } from "../../src/dns/wire.ts";
import { rdataBytes } from "../support/encode.ts";
import { rdataFromText } from "../support/master-file.ts";
import { runs } from "../support/properties.ts";
import { svcParams as anyParams } from "./arbitraries.ts";
import { question, responseWire, zone } from "./zone.ts";

function wireHex(text: string, type: number = TYPE.SVCB): string {
  return Buffer.from(rdataBytes(rdataFromText(type, text))).toString("hex");
}

function textOf(hex: string, type: number = TYPE.SVCB): string {
  const bytes = Buffer.from(hex, "hex");
  return rdataText(readRdata(type, new WireReader(bytes, { start: 0, end: bytes.length }, null)));
}

const fooExampleCom = "03666f6f076578616d706c6503636f6d00";
const fooExampleOrg = "03666f6f076578616d706c65036f726700";
const exampleCom = "076578616d706c6503636f6d00";

/** Wire format and presentation of RFC 9460 appendix D.1 and D.2, in the one form that is written here. */
const vectors: readonly [string, string, string][] = [
  ["figure 2, AliasMode", "0 foo.example.com.", `0000${fooExampleCom}`],
  ["figure 3, the owner itself", "1 .", "000100"],
  ["figure 4, a port", "16 foo.example.com. port=53", `0010${fooExampleCom}000300020035`],
  ["figure 5, a generic key", "1 foo.example.com. key667=hello", `0001${fooExampleCom}029b000568656c6c6f`],
  [
    "figure 6, a generic key with a decimal escape",
    "1 foo.example.com. key667=hello\\210qoo",
    `0001${fooExampleCom}029b000968656c6c6fd2716f6f`,
  ],
  [
    "figure 7, two IPv6 hints",
    "1 foo.example.com. ipv6hint=2001:db8::1,2001:db8::53:1",
    `0001${fooExampleCom}0006002020010db800000000000000000000000120010db8000000000000000000530001`,
  ],
  [
    "figure 8, an IPv6 hint with IPv4 in it",
    "1 example.com. ipv6hint=2001:db8:122:344::c000:221",
    `0001${exampleCom}0006001020010db80122034400000000c0000221`,
  ],
  [
    "figure 9, a mandatory list",
    "16 foo.example.org. mandatory=alpn,ipv4hint alpn=h2,h3-19 ipv4hint=192.0.2.1",
    `0010${fooExampleOrg}0000000400010004000100090268320568332d313900040004c0000201`,
  ],
  [
    "figure 10, an escaped comma and backslash",
    "16 foo.example.org. alpn=f\\\\\\\\oo\\\\,bar,h2",
    `0010${fooExampleOrg}0001000c08665c6f6f2c626172026832`,
  ],
];

describe("presentation", () => {
  test.each([
    ...vectors,
    ["dohpath", "1 . dohpath=/dns-query{?dns}", "000100 0007 0010 2f646e732d71756572797b3f646e737d"],
    ["ohttp", "1 . ohttp", "000100 0008 0000"],
    ["groups of TLS", "1 . tls-supported-groups=29,23", "000100 0009 0004 001d0017"],
    ["a key without value", "1 . alpn=h2 no-default-alpn", "000100 0001 0003 026832 0002 0000"],
    ["ech", "1 . ech=AEX+DQ==", "000100 0005 0004 0045fe0d"],
    ["the highest key", "1 . key65535", "000100 ffff 0000"],
    ["a mapped address", "1 . ipv6hint=::ffff:192.0.2.1", "000100 0006 0010 00000000000000000000ffffc0000201"],
  ])("%s", (_, text, spaced) => {
    const hex = spaced.replaceAll(" ", "");
    for (const type of [TYPE.SVCB, TYPE.HTTPS]) {
      expect(textOf(hex, type)).toBe(text);
      expect(wireHex(text, type)).toBe(hex);
    }
  });

  test("text of any values gives the same bytes again", () => {
    fc.assert(
      fc.property(anyParams, (params) => {
        const data = { kind: "HTTPS", priority: 1, target: question("a").name, params } as const;
        const text = rdataText(data);
        expect(text).toMatch(/^[!-~ ]*$/);
        expect(rdataFromText(TYPE.HTTPS, text)).toEqual(data);
      }),
    );
  });
});

describe("a value that breaks its format makes the whole record opaque", () => {
  test.each([
    ["mandatory without value", "0000 0000", /list of keys/],
    ["mandatory cut off", "0000 0003 000100", /list of keys/],
    ["mandatory in itself", "0000 0002 0000", /mandatory lists itself/],
    ["a mandatory key twice", "0000 0004 0001 0001", /listed twice/],
    ["mandatory keys that descend", "0000 0004 0004 0001", /do not ascend/],
    ["alpn without value", "0001 0000", /no protocol/],
    ["an empty protocol", "0001 0004 02683200", /empty or cut off/],
    ["a protocol cut off", "0001 0003 036832", /empty or cut off/],
    ["no-default-alpn with a value", "0002 0001 61", /may be none/],
    ["port without value", "0003 0000", /two bytes/],
    ["ipv4hint without value", "0004 0000", /list of addresses/],
    ["ech without value", "0005 0000", /empty/],
    ["ipv6hint cut off", "0006 0004 c0000201", /list of addresses/],
    ["dohpath that is not UTF-8", "0007 0001 ff", /UTF-8/],
    ["ohttp with a value", "0008 0001 31", /may be none/],
    ["a group twice", "0009 0004 001d 001d", /listed twice/],
    ["half a group", "0009 0003 001d 00", /list of groups/],
  ])("%s", (_, param, note) => {
    const bytes = Buffer.from(`000100${param}`.replaceAll(" ", ""), "hex");
    for (const type of [TYPE.SVCB, TYPE.HTTPS]) {
      const data = readRdata(type, new WireReader(bytes, { start: 0, end: bytes.length }, null));
      expect(data).toMatchObject({ kind: "opaque", note: expect.stringMatching(note) });
    }
  });
});

test("the protocols of alpn come out without lengths, one that is cut off as far as it goes", () => {
  const protocols = alpnProtocols(Buffer.from("\x02h3\x03a,b\x05h", "latin1"));
  expect(protocols.map((protocol) => Buffer.from(protocol).toString())).toEqual(["h3", "a,b", "h"]);
});

describe("parameters in place", () => {
  function placesIn(text: string): { wire: Uint8Array; place: RecordPlace } {
    const wire = responseWire({ questions: [question("page.example", "HTTPS")], answers: zone(`page.example HTTPS ${text}`) });
    const answer = indexAnswer(wire);
    const place = answer === null ? undefined : recordsOf(answer)[0];
    if (answer === null || place === undefined) throw new Error("no record");
    return { wire: answer.wire, place };
  }

  test("each is where its value stands, four bytes after it begins", () => {
    const { wire, place } = placesIn("1 cdn.example alpn=h2 port=8443 ipv4hint=192.0.2.1 key667=xyz");
    const found = svcParams(wire, place) ?? [];
    expect(found.map(({ key }) => key)).toEqual([1, 3, 4, 667]);
    expect(found.map(({ start, end }) => Buffer.from(wire.subarray(start, end)).toString("hex"))).toEqual([
      "026832",
      "20fb",
      "c0000201",
      "78797a",
    ]);
    expect(found.slice(1).map(({ start }) => start - 4)).toEqual(found.slice(0, -1).map(({ end }) => end));
    expect(found.at(-1)?.end).toBe(place.end);
  });

  test("AliasMode has none", () => {
    const { wire, place } = placesIn("0 cdn.example");
    expect(svcParams(wire, place)).toEqual([]);
  });

  test.each([
    ["a target that is compressed", "0001 c00c"],
    ["a target that runs on beyond the data", "0001 03616161"],
    ["no target", "0001"],
    ["no priority", "00"],
    ["no data", ""],
    ["a key without length", "0001 00 0001"],
    ["a length cut in two", "0001 00 0001 00"],
    ["a value that runs on beyond the data", "0001 00 0001 0003 0268"],
    ["keys that descend", "0001 00 0003 0002 0035 0001 0003 026832"],
    ["a key twice", "0001 00 0003 0002 0035 0003 0002 0035"],
  ])("%s is malformed", (_, hex) => {
    const { wire, place } = placesIn(`\\# ${hex.replaceAll(" ", "").length / 2} ${hex}`);
    expect(svcParams(wire, place)).toBeNull();
  });

  test("walking and decoding agree on any data", () => {
    const start = fc.constantFrom([], [0, 1, 0], [0, 1, 1, 97, 0], [0, 1, 0, 0, 5, 0, 1, 7], [0, 1, 0, 2, 155, 0, 2, 7, 7]);
    fc.assert(
      fc.property(start, fc.uint8Array({ maxLength: 30 }), (head, tail) => {
        const bytes = Uint8Array.from([...head, ...tail]);
        const found = svcParams(bytes, { data: 0, end: bytes.length });
        const data = readRdata(TYPE.HTTPS, new WireReader(bytes, { start: 0, end: bytes.length }, null));
        if (data.kind === "HTTPS") {
          const params = found?.map(({ key, start: from, end }): SvcParam => ({ key, value: bytes.slice(from, end) }));
          expect(params).toEqual(data.params);
        } else if (found !== null) {
          // Only a value can be at fault then, and the note names its key.
          expect(data).toMatchObject({ note: expect.stringMatching(/^[a-z0-9-]+: /) });
        }
      }),
      { numRuns: runs(2000) },
    );
  });
});
