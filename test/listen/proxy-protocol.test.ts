import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readProxyHeader } from "../../src/listen/tcp.ts";

const text = (line: string) => Buffer.from(line, "latin1");
const SIGNATURE = text("\r\n\r\n\0\r\nQUIT\n");

function v2(command: number, family: number, payload: Uint8Array): Buffer {
  const fixed = Buffer.alloc(4);
  fixed.writeUInt8(command, 0);
  fixed.writeUInt8(family, 1);
  fixed.writeUInt16BE(payload.length, 2);
  return Buffer.concat([SIGNATURE, fixed, payload]);
}

const four = Buffer.from([198, 51, 100, 7, 192, 0, 2, 1, 0x12, 0x67, 0, 53]);
const six = Buffer.concat([
  Buffer.from("20010db8000000000000000000000007", "hex"),
  Buffer.alloc(16),
  Buffer.from([0x12, 0x67, 0, 53]),
]);
const tlvs = Buffer.from([4, 0, 3, 1, 2, 3]);

const HEADERS: readonly (readonly [string, Buffer, { readonly address: string; readonly port: number } | null])[] = [
  ["v1 TCP4", text("PROXY TCP4 198.51.100.7 192.0.2.1 4711 53\r\n"), { address: "198.51.100.7", port: 4711 }],
  ["v1 TCP6", text("PROXY TCP6 2001:DB8::7 ::1 4711 53\r\n"), { address: "2001:db8::7", port: 4711 }],
  [
    "v1 TCP6 with a mapped address",
    text("PROXY TCP6 ::ffff:198.51.100.7 ::1 4711 53\r\n"),
    { address: "198.51.100.7", port: 4711 },
  ],
  ["v1 UNKNOWN", text("PROXY UNKNOWN\r\n"), null],
  ["v1 UNKNOWN with more", text("PROXY UNKNOWN ffff::1 ::1 1 2\r\n"), null],
  ["v2 IPv4", v2(0x21, 0x11, four), { address: "198.51.100.7", port: 4711 }],
  ["v2 IPv4 with TLVs", v2(0x21, 0x11, Buffer.concat([four, tlvs])), { address: "198.51.100.7", port: 4711 }],
  ["v2 IPv6 with TLVs", v2(0x21, 0x21, Buffer.concat([six, tlvs])), { address: "2001:db8::7", port: 4711 }],
  ["v2 LOCAL", v2(0x20, 0x11, four), null],
  ["v2 LOCAL without addresses", v2(0x20, 0, Buffer.alloc(0)), null],
  ["v2 UNSPEC", v2(0x21, 0, Buffer.alloc(0)), null],
  ["v2 UNIX", v2(0x21, 0x31, Buffer.alloc(216)), null],
];

describe.each(HEADERS)("%s", (_title, header, source) => {
  test("is read, and nothing beyond it", () => {
    const decision = { kind: "decided", takenBytes: header.length, value: { source } };
    expect(readProxyHeader(header)).toEqual(decision);
    expect(readProxyHeader(Buffer.concat([header, text("\r\nmore")]))).toEqual(decision);
  });

  test("is waited for while it is incomplete, wherever it is cut", () => {
    for (let length = 0; length < header.length; length++) {
      expect(readProxyHeader(header.subarray(0, length))).toEqual({ kind: "more" });
    }
  });
});

describe("refused are", () => {
  test.each([
    ["anything else", text("GET / HTTP/1.1\r\n\r\n")],
    ["a DNS message", Buffer.from([0, 12, 0, 1, 1, 0])],
    ["an unknown family", text("PROXY UDP4 198.51.100.7 192.0.2.1 4711 53\r\n")],
    ["an address of the other family", text("PROXY TCP4 2001:db8::7 ::1 4711 53\r\n")],
    ["a bad destination", text("PROXY TCP4 198.51.100.7 nowhere 4711 53\r\n")],
    ["a port too high", text("PROXY TCP4 198.51.100.7 192.0.2.1 65536 53\r\n")],
    ["a word too many", text("PROXY TCP4 198.51.100.7 192.0.2.1 4711 53 54\r\n")],
    ["a line without end", text(`PROXY TCP4 ${"1".repeat(101)}`)],
    ["another version", v2(0x11, 0x11, four)],
    ["another command", v2(0x22, 0x11, four)],
    ["a v2 header too short for its addresses", v2(0x21, 0x11, four.subarray(1))],
    ["a v2 header too short for IPv6", v2(0x21, 0x21, six.subarray(1))],
    ["a v2 header that announces 64 KB", v2(0x21, 0x11, Buffer.alloc(65_535)).subarray(0, 16)],
  ])("%s", (_title, bytes) => {
    expect(readProxyHeader(bytes)).toEqual({ kind: "refused" });
  });
});

test("no bytes make it throw, and a decision is made within 4096 octets", () => {
  const starts = fc.constantFrom(
    Buffer.alloc(0),
    text("PROXY "),
    text("PROXY TCP4 "),
    SIGNATURE,
    v2(0x21, 0x11, four).subarray(0, 14),
  );
  fc.assert(
    fc.property(starts, fc.uint8Array({ maxLength: 300 }), (start, rest) => {
      expect(["more", "refused", "decided"]).toContain(readProxyHeader(Buffer.concat([start, rest])).kind);
      expect(readProxyHeader(Buffer.concat([start, rest, Buffer.alloc(4096)])).kind).not.toBe("more");
    }),
  );
});
