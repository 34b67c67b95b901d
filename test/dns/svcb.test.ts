import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { indexAnswer, type RecordPlace, recordsOf } from "../../src/dns/answer.ts";
import { rdataBytes, rdataFromText, rdataText, readRdata } from "../../src/dns/rdata.ts";
import { alpnProtocols, type SvcParam, svcKeyName, svcKeyNumber, svcParams, svcParamText } from "../../src/dns/svcb.ts";
import { TYPE } from "../../src/dns/types.ts";
import { WireReader } from "../../src/dns/wire.ts";
import { runs } from "../support/properties.ts";
import { svcParams as anyParams } from "./arbitraries.ts";
import { question, responseWire, zone } from "./zone.ts";

function wireHex(text: string, type: number = TYPE.SVCB): string {
  return Buffer.from(rdataBytes(rdataFromText(type, text))).toString("hex");
}

function textOf(hex: string, type: number = TYPE.SVCB): string {
  const octets = Buffer.from(hex, "hex");
  return rdataText(readRdata(type, new WireReader(octets, { start: 0, end: octets.length }, null)));
}

const fooExampleCom = "03666f6f076578616d706c6503636f6d00";
const fooExampleOrg = "03666f6f076578616d706c65036f726700";
const exampleCom = "076578616d706c6503636f6d00";

/** RFC 9460 appendix D.1 and D.2: presentation, wire format, and our presentation where it differs. */
const vectors: readonly [string, string, string, string?][] = [
  ["figure 2, AliasMode", "0 foo.example.com.", `0000${fooExampleCom}`],
  ["figure 3, the owner itself", "1 .", "000100"],
  ["figure 4, a port", "16 foo.example.com. port=53", `0010${fooExampleCom}000300020035`],
  ["figure 5, a generic key unquoted", "1 foo.example.com. key667=hello", `0001${fooExampleCom}029b000568656c6c6f`],
  [
    "figure 6, a generic key quoted, with a decimal escape",
    '1 foo.example.com. key667="hello\\210qoo"',
    `0001${fooExampleCom}029b000968656c6c6fd2716f6f`,
    "1 foo.example.com. key667=hello\\210qoo",
  ],
  [
    "figure 7, two quoted IPv6 hints",
    '1 foo.example.com. (\n ipv6hint="2001:db8::1,2001:db8::53:1"\n )',
    `0001${fooExampleCom}0006002020010db800000000000000000000000120010db8000000000000000000530001`,
    "1 foo.example.com. ipv6hint=2001:db8::1,2001:db8::53:1",
  ],
  [
    "figure 8, an IPv6 hint with IPv4 in it",
    '1 example.com. (\n ipv6hint="2001:db8:122:344::192.0.2.33"\n )',
    `0001${exampleCom}0006001020010db80122034400000000c0000221`,
    "1 example.com. ipv6hint=2001:db8:122:344::c000:221",
  ],
  [
    "figure 9, keys and mandatory list out of order",
    "16 foo.example.org. (\n alpn=h2,h3-19 mandatory=ipv4hint,alpn\n ipv4hint=192.0.2.1\n )",
    `0010${fooExampleOrg}0000000400010004000100090268320568332d313900040004c0000201`,
    "16 foo.example.org. mandatory=alpn,ipv4hint alpn=h2,h3-19 ipv4hint=192.0.2.1",
  ],
  [
    "figure 10, an escaped comma and backslash, quoted",
    '16 foo.example.org. alpn="f\\\\\\\\oo\\\\,bar,h2"',
    `0010${fooExampleOrg}0001000c08665c6f6f2c626172026832`,
    "16 foo.example.org. alpn=f\\\\\\\\oo\\\\,bar,h2",
  ],
  [
    "figure 10, the same with decimal escapes",
    "16 foo.example.org. alpn=f\\\\\\092oo\\092,bar,h2",
    `0010${fooExampleOrg}0001000c08665c6f6f2c626172026832`,
    "16 foo.example.org. alpn=f\\\\\\\\oo\\\\,bar,h2",
  ],
];

describe("the test vectors of RFC 9460 appendix D", () => {
  test.each(vectors)("%s", (_, text, hex, shown = text) => {
    for (const type of [TYPE.SVCB, TYPE.HTTPS]) {
      expect(wireHex(text, type)).toBe(hex);
      expect(textOf(hex, type)).toBe(shown);
      expect(wireHex(shown, type)).toBe(hex);
    }
  });

  test.each([
    ["figure 11, a key twice", "1 foo.example.com. (\n key123=abc key123=def\n )", /key123 is given twice/],
    ["figure 12, mandatory without value", "1 foo.example.com. mandatory", /no SvcParamKey/],
    ["figure 12, alpn without value", "1 foo.example.com. alpn", /protocol of alpn is empty/],
    ["figure 12, port without value", "1 foo.example.com. port", /no number/],
    ["figure 12, ipv4hint without value", "1 foo.example.com. ipv4hint", /no IPv4 address/],
    ["figure 12, ipv6hint without value", "1 foo.example.com. ipv6hint", /no IPv6 address/],
    ["figure 13, no-default-alpn with a value", "1 foo.example.com. no-default-alpn=abc", /may be none/],
    ["figure 14, a mandatory key missing", "1 foo.example.com. mandatory=key123", /key123 is mandatory and missing/],
    ["figure 15, mandatory in itself", "1 foo.example.com. mandatory=mandatory", /mandatory lists itself/],
    ["figure 16, a mandatory key twice", "1 foo.example.com. (\n mandatory=key123,key123 key123=abc\n )", /listed twice/],
  ])("%s is refused", (_, text, reason) => {
    for (const type of [TYPE.SVCB, TYPE.HTTPS]) expect(() => rdataFromText(type, text)).toThrow(reason);
  });
});

describe("presentation", () => {
  test.each([
    ["1 . dohpath=/dns-query{?dns}", "000100 0007 0010 2f646e732d71756572797b3f646e737d"],
    ["1 . ohttp", "000100 0008 0000"],
    ["1 . tls-supported-groups=29,23", "000100 0009 0004 001d0017"],
    ["1 . alpn=h2 no-default-alpn", "000100 0001 0003 026832 0002 0000"],
    ["1 . ech=AEX+DQ==", "000100 0005 0004 0045fe0d"],
    ["1 . key65535", "000100 ffff 0000"],
    ["1 . ipv6hint=::ffff:192.0.2.1", "000100 0006 0010 00000000000000000000ffffc0000201"],
  ])("%s", (text, hex) => {
    expect(wireHex(text)).toBe(hex.replaceAll(" ", ""));
    expect(textOf(hex.replaceAll(" ", ""))).toBe(text);
  });

  test("a known key may be given as key123 with its octets (RFC 9460 §2.1)", () => {
    expect(wireHex("1 . key1=\\002h2 key3=\\000\\053")).toBe(wireHex("1 . alpn=h2 port=53"));
    expect(() => rdataFromText(TYPE.HTTPS, "1 . key3=53a")).toThrow(/two octets/);
  });

  test.each([
    ["1 . port=65536", /no number/],
    ["1 . port=", /no number/],
    ["1 . port=0x35", /no number/],
    ["1 . alpn=h2,,h3", /empty/],
    ["1 . alpn=,h2", /empty/],
    ["1 . alpn=h2,", /empty/],
    ["1 . alpn=h\\\\2", /backslash/],
    ["1 . alpn=h2\\\\", /backslash/],
    ["1 . no-default-alpn", /without alpn/],
    ["1 . ech", /empty/],
    ["1 . ech=????", /base64/],
    ["1 . ipv4hint=192.0.2.1,", /IPv4/],
    ["1 . ipv4hint=::1", /IPv4/],
    ["1 . ipv6hint=192.0.2.1", /IPv6/],
    ["1 . mandatory=", /SvcParamKey/],
    ["1 . tls-supported-groups=29,29", /listed twice/],
    ["1 . dohpath=\\255", /UTF-8/],
    ["1 . ohttp=1", /may be none/],
    ["1 . key07=x", /SvcParamKey/],
    ["1 . key65536=x", /SvcParamKey/],
    ["1 . ALPN=h2", /SvcParamKey/],
    ['1 . "alpn=h2"', /SvcParamKey/],
    ["1 . al\\112n=h2", /SvcParamKey/],
    ["1 . =h2", /SvcParamKey/],
    ["1", /ends where/],
    ["65536 .", /no number/],
  ])("%s is refused", (text, reason) => {
    expect(() => rdataFromText(TYPE.HTTPS, text)).toThrow(reason);
  });

  test("whatever the values, text gives the same octets again", () => {
    fc.assert(
      fc.property(anyParams, (params) => {
        const data = { kind: "HTTPS", priority: 1, target: question("a").name, params } as const;
        const text = rdataText(data);
        expect(text).toMatch(/^[!-~ ]*$/);
        expect(rdataFromText(TYPE.HTTPS, text)).toEqual(data);
        expect(rdataFromText(TYPE.HTTPS, params.map(svcParamText).toReversed().join(" ").replace(/^/, "1 a "))).toEqual(data);
      }),
    );
  });

  test("keys and their names are each other's inverse", () => {
    for (let key = 0; key < 20; key++) expect(svcKeyNumber(svcKeyName(key))).toBe(key);
  });

  test("the protocols of alpn come out without escapes", () => {
    const data = rdataFromText(TYPE.HTTPS, '1 . alpn="h3,a\\\\,b"');
    expect(data.kind === "HTTPS" ? data.params.map(({ value }) => alpnProtocols(value)) : []).toEqual([["h3", "a,b"]]);
  });
});

describe("parameters in place", () => {
  function placesIn(text: string): { wire: Uint8Array; place: RecordPlace } {
    const wire = responseWire({ questions: [question("page.example", "HTTPS")], answers: zone(`page.example HTTPS ${text}`) });
    const answer = indexAnswer(wire);
    const place = answer === null ? undefined : recordsOf(answer)[0];
    if (answer === null || place === undefined) throw new Error("no record");
    return { wire: answer.wire, place };
  }

  test("each is where its value stands, four octets after it begins", () => {
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
        const octets = Uint8Array.from([...head, ...tail]);
        const found = svcParams(octets, { data: 0, end: octets.length });
        const data = readRdata(TYPE.HTTPS, new WireReader(octets, { start: 0, end: octets.length }, null));
        if (data.kind === "HTTPS") {
          const params = found?.map(({ key, start: from, end }): SvcParam => ({ key, value: octets.slice(from, end) }));
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
