import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeMessage, type Message } from "../../src/dns/message.ts";
import { nameOfLabels, ROOT } from "../../src/dns/name.ts";
import { readRdata } from "../../src/dns/rdata.ts";
import { RCODE, TYPE } from "../../src/dns/types.ts";
import { WireReader } from "../../src/dns/wire.ts";
import { encodeMessage, rdataBytes } from "../support/encode.ts";
import { runs } from "../support/properties.ts";
import { message, typedData } from "./arbitraries.ts";
import { blankQuery, blankResponse, question, responseWire, zone } from "./zone.ts";

function decoded(wire: Uint8Array): Message {
  const result = decodeMessage(wire);
  if (result === null) throw new Error("the message was refused");
  return result;
}

describe("a message there and back", () => {
  test("whatever is encoded decodes to the same", () => {
    fc.assert(
      fc.property(message, (made) => {
        expect(decodeMessage(encodeMessage(made))).toEqual(made);
      }),
      { numRuns: runs(300) },
    );
  });

  test("every header flag has its own bit", () => {
    const flags = [
      "response",
      "authoritative",
      "truncated",
      "recursionDesired",
      "recursionAvailable",
      "authenticData",
      "checkingDisabled",
    ];
    const blank = { ...blankQuery, recursionDesired: false };
    const bits = flags.map((flag) => encodeMessage({ ...blank, [flag]: true }).readUInt16BE(2));
    expect(bits).toEqual([0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0020, 0x0010]);
  });

  test("an rcode has twelve bits with EDNS", () => {
    const edns = { udpPayloadBytes: 1232, version: 0, dnssecOk: false, otherFlags: 0, options: [] };
    expect(decoded(encodeMessage({ ...blankResponse, rcode: RCODE.BADVERS, edns })).rcode).toBe(16);
  });

  test("a TTL with its highest bit set is zero (RFC 2181 §8)", () => {
    const wire = responseWire({ answers: zone("page.example 1 A 192.0.2.7") });
    wire[wire.length - 10] = 0x80;
    expect(decoded(wire).answers[0]?.ttlSeconds).toBe(0);
  });
});

describe("compressed names", () => {
  test("pointers in SRV and NAPTR data are followed, in DNAME and HTTPS not (RFC 3597 §4, RFC 9460 §2.2)", () => {
    const pointed = (type: number, before: number[]) => {
      const fixed = [0xc0, 12, 0, type, 0, 1, 0, 0, 0, 60, 0, before.length + 2, ...before, 0xc0, 12];
      const wire = Buffer.concat([responseWire({ questions: [question("page.example")] }), Uint8Array.from(fixed)]);
      wire[7] = 1;
      return decoded(wire).answers[0]?.data;
    };
    expect(pointed(TYPE.SRV, [0, 1, 0, 2, 0, 3])).toMatchObject({ kind: "SRV", target: question("page.example").name });
    expect(pointed(TYPE.DNAME, [])).toMatchObject({ kind: "opaque", note: expect.stringContaining("name") });
    expect(pointed(TYPE.HTTPS, [0, 1])).toMatchObject({ kind: "opaque", note: expect.stringContaining("name") });
  });
});

describe("framing", () => {
  const wire = responseWire({
    questions: [question("page.example")],
    answers: zone("page.example A 192.0.2.7", "page.example TXT x"),
    edns: { udpPayloadBytes: 1232, version: 0, dnssecOk: true, otherFlags: 0, options: [] },
  });

  test("a message cut anywhere is refused", () => {
    for (let end = 0; end < wire.length; end++) expect(decodeMessage(wire.subarray(0, end))).toBeNull();
  });

  test("bytes after the last record are refused", () => {
    expect(decodeMessage(Buffer.concat([wire, Uint8Array.of(0)]))).toBeNull();
  });

  test("two OPT records, one in another section, and one with an owner are refused (RFC 6891 §6.1.1)", () => {
    const opt = [0, 0, 41, 4, 0xd0, 0, 0, 0, 0, 0, 0];
    const withRecord = (bytes: number[], countAt: number) => {
      const result = Buffer.concat([wire, Uint8Array.from(bytes)]);
      result.writeUInt16BE(result.readUInt16BE(countAt) + 1, countAt);
      return result;
    };
    expect(decodeMessage(withRecord(opt, 10))).toBeNull();
    const plain = responseWire({ questions: [question("page.example")] });
    const inAnswer = Buffer.concat([plain, Uint8Array.from(opt)]);
    inAnswer[7] = 1;
    expect(decodeMessage(inAnswer)).toBeNull();
    const owned = Buffer.concat([plain, Uint8Array.from([1, 0x61, ...opt])]);
    owned[11] = 1;
    expect(decodeMessage(owned)).toBeNull();
  });

  test("OPT is found before other additional records too", () => {
    const edns = { udpPayloadBytes: 1400, version: 0, dnssecOk: false, otherFlags: 0, options: [] };
    const first = Buffer.from(responseWire({ edns }));
    const record = responseWire({ answers: zone("a A 192.0.2.1") }).subarray(12);
    first[11] = 2;
    expect(decoded(Buffer.concat([first, record]))).toMatchObject({ edns, additional: zone("a A 192.0.2.1") });
  });

  test("the decoded message keeps nothing of the bytes", () => {
    const bytes = Buffer.from(responseWire({ answers: zone("a DNSKEY 257 3 13 AAAA", "a TYPE65280 \\# 2 0102") }));
    const before = decoded(bytes);
    const copy = structuredClone(before);
    bytes.fill(0xff);
    expect(before).toEqual(copy);
  });
});

describe("data that does not fit its type", () => {
  test.each([
    ["A", "c00002", /ends within/],
    ["A", "c000020707", /left over/],
    ["TXT", "", /ends within/],
    ["TXT", "0561", /ends within/],
    ["MX", "000a", /name/],
    ["SOA", "0000", /ends within/],
    ["NSEC", "0000020000", /bitmap/],
    ["NSEC", "00010140000140", /bitmap/],
    ["CAA", "0000", /tag/],
    ["HTTPS", "000100000300010001", /cut off/],
    ["HTTPS", "0001000003000101", /port/],
    ["HTTPS", "00010000040000", /ipv4hint/],
    ["HTTPS", "000100000300020035000100030268", /ascend|cut off/],
  ])("%s %s is given as bytes, with a note", (kind, hex, note) => {
    const wire = responseWire({
      answers: zone(`page.example TYPE65280 \\# ${hex.length / 2} ${hex}`, "page.example A 192.0.2.7"),
    });
    const type = TYPE[kind as keyof typeof TYPE];
    wire.writeUInt16BE(type, 12 + 14);
    const [broken, sound] = decoded(wire).answers;
    expect(broken).toMatchObject({
      type,
      data: { kind: "opaque", bytes: Uint8Array.from(Buffer.from(hex, "hex")), note: expect.stringMatching(note) },
    });
    expect(sound).toEqual(zone("page.example A 192.0.2.7")[0]);
  });
});

describe("data by itself", () => {
  test.each(typedData)("$kind is written and read the same, and cut short is never read as a whole", ({ arbitrary }) => {
    fc.assert(
      fc.property(arbitrary, ({ type, data }) => {
        const bytes = rdataBytes(data);
        expect(readRdata(type, new WireReader(bytes, { start: 0, end: bytes.length }, null))).toEqual(data);
        for (let end = 0; end < bytes.length; end++) {
          const cut = readRdata(type, new WireReader(bytes, { start: 0, end }, null));
          expect(cut.kind === "opaque" || rdataBytes(cut).length === end).toBe(true);
        }
      }),
      { numRuns: 30 },
    );
  });
});

describe("hostile messages", () => {
  test("decoding takes any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
        decodeMessage(bytes);
      }),
      { numRuns: runs(2000) },
    );
  });

  test("what decodes from a mutated message encodes, and decodes equal, unless malformed data held pointers", () => {
    const mutations = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 });
    fc.assert(
      fc.property(message, mutations, (made, changes) => {
        const wire = encodeMessage(made);
        for (const [at, byte] of changes) wire[at % wire.length] = byte;
        const first = decodeMessage(wire);
        if (first === null) return;
        const records = [...first.answers, ...first.authority, ...first.additional];
        if (records.some(({ data }) => data.kind === "opaque" && data.note !== null)) return;
        expect(decodeMessage(encodeMessage(first))).toEqual(first);
      }),
      { numRuns: runs(1000) },
    );
  });

  test.each([
    ["to itself", [0xc0, 12]],
    ["forward", [0xc0, 14]],
    ["to each other", [0xc0, 14, 0xc0, 12]],
    ["beyond the end", [0xff, 0xff]],
  ])("a pointer %s is refused", (_, name) => {
    const bytes = Buffer.from([0, 0, 0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...name, 0, 1, 0, 1]);
    expect(decodeMessage(bytes)).toBeNull();
  });

  test("a name that pointers make longer than 255 bytes is refused", () => {
    const long = nameOfLabels(["x".repeat(63), "x".repeat(63), "x".repeat(63), "x".repeat(61)]);
    const head = responseWire({ questions: [{ name: long ?? question("x").name, type: 1, class: 1 }] });
    const bytes = Buffer.concat([head, Uint8Array.from([1, 0x61, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0])]);
    bytes[7] = 1;
    expect(decodeMessage(bytes)).toBeNull();
  });

  test("a message whose names grow without bound by pointers is refused before it fills memory", () => {
    // Questions for a label of their own over one name of 252 bytes: eight bytes on the wire, 254 in memory.
    const long = `${`${"x".repeat(63)}.`.repeat(3)}${"y".repeat(58)}`;
    const questions = (count: number) => {
      const first = responseWire({ questions: [question(long)] });
      const others = Array.from({ length: count }, (_, index) => [1, index & 63, 0xc0, 12, 0, 1, 0, 1]);
      const wire = Buffer.concat([first, Uint8Array.from(others.flat())]);
      wire.writeUInt16BE(count + 1, 4);
      return wire;
    };
    expect(decodeMessage(questions(2000))?.questions).toHaveLength(2001);
    expect(decodeMessage(questions(8000))).toBeNull();
  });

  test("four thousand records with pointers to one long name decode", () => {
    const owner = `${"x".repeat(63)}.${"y".repeat(63)}.${"z".repeat(63)}.example`;
    const answers = zone(...Array.from({ length: 4000 }, (_, index) => `${owner} A 192.0.2.${index % 256}`));
    const result = decoded(responseWire({ answers }));
    expect(result.answers).toHaveLength(4000);
  });

  test("a chain of pointers longer than any name has labels is refused, a shorter one followed", () => {
    // A record of an unknown type holds the chain: each pointer leads to the one before it, the first to the root at 12.
    const ownerAfterChain = (pointers: number) => {
      const start = 23;
      const places = [12, ...Array.from({ length: pointers }, (_, index) => start + 2 * index)];
      const chain = places.flatMap((place) => [0xc0 | (place >> 8), place & 255]);
      const data = chain.slice(0, -2);
      const head = [0, 0, 0x80, 0, 0, 0, 0, 2, 0, 0, 0, 0];
      const fixed = [0, 0xff, 0, 0, 1, 0, 0, 0, 0, data.length >> 8, data.length & 255];
      return Buffer.from([...head, ...fixed, ...data, ...chain.slice(-2), 0, 16, 0, 1, 0, 0, 0, 0, 0, 1, 0]);
    };
    expect(decodeMessage(ownerAfterChain(126))?.answers[1]).toMatchObject({ owner: ROOT, type: TYPE.TXT });
    expect(decodeMessage(ownerAfterChain(200))).toBeNull();
  });
});
