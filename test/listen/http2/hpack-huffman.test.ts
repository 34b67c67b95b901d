import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeHuffman, HpackError } from "../../../src/listen/http2/hpack.ts";
import { runs } from "../../support/properties.ts";
import { HUFFMAN_CODES, huffmanBits, packed } from "../support/hpack-blocks.ts";

const EOS = HUFFMAN_CODES[256] ?? "";
const EVERY_BYTE = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte));

const decode = (octets: Uint8Array): string => decodeHuffman(octets, 0, octets.length);

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

  test("it is complete: every row of bits begins with just one symbol", () => {
    expect(HUFFMAN_CODES.reduce((sum, code) => sum + 2 ** -code.length, 0)).toBe(1);
  });
});

test("every byte is decoded, alone, twice, and behind every other", () => {
  for (const one of EVERY_BYTE) {
    expect(decode(packed(huffmanBits(one)))).toBe(one);
    for (const other of EVERY_BYTE) {
      const text = other + one;
      if (decode(packed(huffmanBits(text))) !== text) expect.fail(`${JSON.stringify(text)} is lost`);
    }
  }
});

test("no octets are the empty text", () => {
  expect(decode(new Uint8Array())).toBe("");
});

const TEXT = fc.oneof(
  fc.string({ unit: fc.constantFrom(...EVERY_BYTE), maxLength: 300, size: "max" }),
  fc.base64String({ maxLength: 3000, size: "max" }),
);

test("any text comes back, wherever it stands among other octets", () => {
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
    expect(() => decode(packed(bits))).toThrow(HpackError);
  });
});

test("every padding of one to seven ones is right", () => {
  const lengths = new Set<number>();
  for (const text of ["a", "aa", "aaa", "aaaa", "aaaaa", "aaaaaa", "aaaaaaa"]) {
    const bits = huffmanBits(text);
    expect(decode(packed(bits))).toBe(text);
    lengths.add((8 - (bits.length % 8)) % 8);
  }
  expect(lengths).toEqual(new Set([1, 2, 3, 4, 5, 6, 7]));
});

test("any octets are a text whose code they are, or are refused", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60, size: "max" }), (octets) => {
      let text: string;
      try {
        text = decode(octets);
      } catch (error) {
        expect(error).toBeInstanceOf(HpackError);
        return;
      }
      expect(packed(huffmanBits(text))).toEqual(Buffer.from(octets));
    }),
    { numRuns: runs(2000) },
  );
});
