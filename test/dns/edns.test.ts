import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type EdnsContent, ednsRecord, readEdns, replyPadding } from "../../src/dns/edns.ts";
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
  test("is read back as it was meant", () => {
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
  test("any octets are read without throwing", () => {
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

  test("text of an extended error that is no UTF-8 is shown as far as it goes", () => {
    const record = ednsRecord({ ...blank, extendedErrors: [{ code: 15, text: "ab" }] }, 0);
    record[record.length - 1] = 0xff;
    expect(readEdns(record, 1)?.extendedErrors).toEqual([{ code: 15, text: "a\ufffd" }]);
  });
});

test("replies are padded for those who padded their query (RFC 8467 §4.1)", () => {
  expect([replyPadding(true), replyPadding(false)]).toEqual([468, 0]);
});
