import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type EdnsOption, optionText, readOptions } from "../../src/dns/edns.ts";
import { runs } from "../support/properties.ts";

function written(options: readonly EdnsOption[]): Buffer {
  return Buffer.concat(
    options.flatMap(({ code, data }) => (code === null ? [data] : [Uint8Array.of(code >> 8, code & 255, 0, data.length), data])),
  );
}

function read(hex: string): EdnsOption[] {
  const octets = Buffer.from(hex.replaceAll(" ", ""), "hex");
  return readOptions(octets, 0, octets.length);
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
    ["000c 0003 000000", "PADDING: 3 octets"],
    ["000f 0002 0016", "EDE: 22 (No Reachable Authority)"],
    ["000f 0005 000f 616473", "EDE: 15 (Blocked): ads"],
    ["000f 0004 000f 6100", "EDE: 15 (Blocked): a"],
    ["000f 0002 0fff", "EDE: 4095"],
    ["000f 0005 0000 1b5b6d", "EDE: 0 (Other Error): \\u{1b}[m"],
    ["fde9 0002 0102", "OPT=65001: 0102"],
  ])("%s is shown as %s", (hex, text) => {
    expect(read(hex).map(optionText)).toEqual([text]);
    expect(written(read(hex)).toString("hex")).toBe(hex.replaceAll(" ", ""));
  });

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
  ])("%s, which does not fit its code, is kept as octets", (hex, text) => {
    expect(read(hex).map(optionText)).toEqual([text]);
    expect(written(read(hex)).toString("hex")).toBe(hex.replaceAll(" ", ""));
  });

  test("any octets are read, and written back read the same", () => {
    const codes = fc.constantFrom(3, 8, 9, 10, 11, 12, 15, 65_001);
    const framed = fc.array(fc.tuple(codes, fc.uint8Array({ maxLength: 12 })), { maxLength: 5 });
    fc.assert(
      fc.property(framed, fc.uint8Array({ maxLength: 6 }), (options, tail) => {
        const octets = Buffer.concat([
          ...options.flatMap(([code, data]) => [Uint8Array.of(0, code & 255, 0, data.length), data]),
          tail,
        ]);
        const first = readOptions(octets, 0, octets.length);
        const again = written(first);
        expect(readOptions(again, 0, again.length)).toEqual(first);
        expect(again.length).toBe(octets.length);
      }),
      { numRuns: runs(1000) },
    );
  });
});
