import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type EdnsContent,
  type EdnsOption,
  ednsRecord,
  optionText,
  readEdns,
  readOptions,
  replyPadding,
} from "../../src/dns/edns.ts";
import { decodeMessage } from "../../src/dns/message.ts";
import { runs } from "../support/properties.ts";
import { uint8, uint16 } from "./arbitraries.ts";
import { extendedError, responseWire, subnetOption } from "./zone.ts";

const blank: EdnsContent = {
  udpPayloadBytes: 1232,
  extendedRcode: 0,
  dnssecOk: false,
  clientSubnet: null,
  extendedErrors: [],
  paddingBlockBytes: 0,
};

const content: fc.Arbitrary<EdnsContent> = fc.record({
  udpPayloadBytes: fc.integer({ min: 512, max: 0xffff }),
  extendedRcode: uint8,
  dnssecOk: fc.boolean(),
  clientSubnet: fc.constantFrom(
    null,
    { family: 1, sourcePrefix: 9, scopePrefix: 16, prefixHex: "0a80" },
    { family: 2, sourcePrefix: 0, scopePrefix: 0, prefixHex: "" },
  ),
  extendedErrors: fc.array(fc.record({ code: uint16, text: fc.string({ unit: "grapheme", maxLength: 20 }) }), { maxLength: 3 }),
  paddingBlockBytes: fc.constantFrom(0, 128, 468),
});

describe("an OPT record of ours", () => {
  test("is read back with the same content", () => {
    fc.assert(
      fc.property(content, fc.nat(4000), (made, preceding) => {
        const { paddingBlockBytes, ...said } = made;
        expect(readEdns(ednsRecord(made, preceding), 1)).toEqual({ ...said, version: 0, padded: paddingBlockBytes > 0 });
      }),
    );
  });

  test("pads the message it ends to whole blocks, with zeros", () => {
    fc.assert(
      fc.property(content, fc.nat(4000), (made, preceding) => {
        const record = ednsRecord(made, preceding);
        if (made.paddingBlockBytes > 0) expect((preceding + record.length) % made.paddingBlockBytes).toBe(0);
      }),
    );
  });

  test("pads no message beyond what a stream can carry", () => {
    const padded = { ...blank, paddingBlockBytes: 468 };
    const lengths = Array.from({ length: 100 }, (_, at) => 65_535 - ednsRecord(blank, 0).length - at);
    expect(
      lengths.map((preceding) => preceding + ednsRecord(padded, preceding).length).filter((bytes) => bytes > 65_535),
    ).toEqual([]);
  });

  test("is a record that decodes within a message", () => {
    fc.assert(
      fc.property(content, (made) => {
        const head = responseWire({});
        const wire = Buffer.concat([head, ednsRecord(made, head.length)]);
        wire[11] = 1;
        const options = [
          ...made.extendedErrors.map(({ code, text }) => extendedError(code, text)),
          ...(made.clientSubnet === null ? [] : [subnetOption(made.clientSubnet)]),
          ...(made.paddingBlockBytes === 0 ? [] : [{ code: 12, data: expect.any(Uint8Array) }]),
        ].map(({ code, data }) => ({ code, data: data instanceof Uint8Array ? new Uint8Array(data) : data }));
        expect(decodeMessage(wire)?.edns).toEqual({
          udpPayloadBytes: made.udpPayloadBytes,
          version: 0,
          dnssecOk: made.dnssecOk,
          otherFlags: 0,
          options,
        });
      }),
    );
  });
});

describe("an OPT record of others", () => {
  test("any bytes are read without throwing", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (data) => {
        const record = ednsRecord(blank, 0);
        record.writeUInt16BE(data.length, 9);
        const edns = readEdns(Buffer.concat([record, data]), 1);
        if (edns !== null) expect(edns.udpPayloadBytes).toBe(1232);
      }),
      { numRuns: runs(1000) },
    );
  });

  test("the text of an extended error that is no UTF-8 has replacement characters", () => {
    const record = ednsRecord({ ...blank, extendedErrors: [{ code: 15, text: "ab" }] }, 0);
    record[record.length - 1] = 0xff;
    expect(readEdns(record, 1)?.extendedErrors).toEqual([{ code: 15, text: "a\ufffd" }]);
  });
});

test("a reply is padded where the query was (RFC 8467 §4.1)", () => {
  expect([replyPadding(true), replyPadding(false)]).toEqual([468, 0]);
});

function written(options: readonly EdnsOption[]): Buffer {
  return Buffer.concat(
    options.flatMap(({ code, data }) => (code === null ? [data] : [Uint8Array.of(code >> 8, code & 255, 0, data.length), data])),
  );
}

function read(hex: string): EdnsOption[] {
  const bytes = Buffer.from(hex.replaceAll(" ", ""), "hex");
  return readOptions(bytes, 0, bytes.length);
}

/** Expects that the option is shown as `text`, and written as it was read. */
function expectShown(hex: string, text: string): void {
  expect(read(hex).map(optionText)).toEqual([text]);
  expect(written(read(hex)).toString("hex")).toBe(hex.replaceAll(" ", ""));
}

describe("an option", () => {
  test.each([
    ["0003 0000", 'NSID:  ("")'],
    ["0003 0003 6e7331", 'NSID: 6e7331 ("ns1")'],
    ["0003 0002 1b5b", 'NSID: 1b5b ("\\u{1b}[")'],
    ["0008 0007 0001 18 00 c00002", "CLIENT-SUBNET: 192.0.2.0/24/0"],
    ["0008 000b 0002 38 30 20010db8000001", "CLIENT-SUBNET: 2001:db8:0:100::/56/48"],
    ["0008 0004 0001 00 00", "CLIENT-SUBNET: 0.0.0.0/0/0"],
    ["0009 0000", "EXPIRE"],
    ["0009 0004 00000e10", "EXPIRE: 3600 s"],
    ["000a 0008 0102030405060708", "COOKIE: 0102030405060708"],
    ["000a 0010 01020304050607081112131415161718", "COOKIE: 01020304050607081112131415161718"],
    ["000b 0000", "TCP-KEEPALIVE"],
    ["000b 0002 0019", "TCP-KEEPALIVE: 2.5 s"],
    ["000c 0003 000000", "PADDING: 3 bytes"],
    ["000f 0002 0016", "EDE: 22 (No Reachable Authority)"],
    ["000f 0005 000f 616473", "EDE: 15 (Blocked): ads"],
    ["000f 0004 000f 6100", "EDE: 15 (Blocked): a"],
    ["000f 0002 0fff", "EDE: 4095"],
    ["000f 0005 0000 1b5b6d", "EDE: 0 (Other Error): \\u{1b}[m"],
    ["fde9 0002 0102", "OPT=65001: 0102"],
  ])("%s is shown as %s", expectShown);

  test.each([
    ["0008 0003 0001 18", "OPT=8: 000118 (malformed)"],
    ["0008 0006 0001 18 00 c000", "OPT=8: 00011800c000 (malformed)"],
    ["0009 0002 0e10", "OPT=9: 0e10 (malformed)"],
    ["000a 0007 01020304050607", "OPT=10: 01020304050607 (malformed)"],
    ["000a 000a 01020304050607080102", "OPT=10: 01020304050607080102 (malformed)"],
    ["000b 0003 001900", "OPT=11: 001900 (malformed)"],
    ["000c 0001 07", "OPT=12: 07 (malformed)"],
    ["000f 0001 00", "OPT=15: 00 (malformed)"],
    ["000f 0003 0000 ff", "OPT=15: 0000ff (malformed)"],
    ["000f 0003", "cut off: 000f0003"],
    ["000f 00", "cut off: 000f00"],
    ["000c 0005 0000", "cut off: 000c00050000"],
  ])("%s, which does not fit its code, is kept as bytes", expectShown);

  test("any bytes are read, and written back read the same", () => {
    const codes = fc.constantFrom(3, 8, 9, 10, 11, 12, 15, 65_001);
    const framed = fc.array(fc.tuple(codes, fc.uint8Array({ maxLength: 12 })), { maxLength: 5 });
    fc.assert(
      fc.property(framed, fc.uint8Array({ maxLength: 6 }), (options, tail) => {
        const bytes = Buffer.concat([
          ...options.flatMap(([code, data]) => [Uint8Array.of(0, code & 255, 0, data.length), data]),
          tail,
        ]);
        const first = readOptions(bytes, 0, bytes.length);
        const again = written(first);
        expect(readOptions(again, 0, again.length)).toEqual(first);
        expect(again.length).toBe(bytes.length);
      }),
      { numRuns: runs(1000) },
    );
  });
});
