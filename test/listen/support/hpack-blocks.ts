import { ConnectionError } from "../../../src/listen/http2/frames.ts";
import { CODE_LENGTHS, type HeaderField, HpackDecoder } from "../../../src/listen/http2/hpack.ts";

/** An integer behind the marks of its first byte, in as few bytes as there can be. RFC 7541 §5.1. */
export function integer(marks: number, prefixBits: number, value: number): Buffer {
  const most = 2 ** prefixBits - 1;
  if (value < most) return Buffer.of(marks + value);
  const bytes = [marks + most];
  let rest = value - most;
  while (rest >= 128) {
    bytes.push(128 + (rest % 128));
    rest = Math.floor(rest / 128);
  }
  return Buffer.of(...bytes, rest);
}

/** A string literal. RFC 7541 §5.2. */
export function string(text: string, isHuffman = false): Buffer {
  const bytes = isHuffman ? packed(huffmanBits(text)) : Buffer.from(text, "latin1");
  return Buffer.concat([integer(isHuffman ? 0x80 : 0, 7, bytes.length), bytes]);
}

export const indexed = (index: number): Buffer => integer(0x80, 7, index);

export const tableSize = (bytes: number): Buffer => integer(0x20, 5, bytes);

/** A literal with a name of its own that enters the table. */
export const added = ({ name, value }: HeaderField, isHuffman = false): Buffer =>
  Buffer.concat([Buffer.of(0x40), string(name, isHuffman), string(value, isHuffman)]);

/** The code of each symbol as ones and zeros, by RFC 7541 Appendix B. */
export const HUFFMAN_CODES: readonly string[] = canonicalCodes(CODE_LENGTHS);

/** The bits of a text of latin1 characters, without padding. */
export function huffmanBits(text: string): string {
  return Array.from(Buffer.from(text, "latin1"), (byte) => HUFFMAN_CODES[byte]).join("");
}

/** Bits as bytes, the last one filled with ones. */
export function packed(bits: string): Buffer {
  const bytes = bits.match(/.{1,8}/g) ?? [];
  return Buffer.from(bytes.map((byte) => Number.parseInt(byte.padEnd(8, "1"), 2)));
}

function canonicalCodes(lengths: readonly number[]): string[] {
  const codes = lengths.map(() => "");
  let next = 0n;
  for (let length = 1; length <= Math.max(...lengths); length++) {
    next *= 2n;
    lengths.forEach((symbolLength, symbol) => {
      if (symbolLength === length) codes[symbol] = (next++).toString(2).padStart(length, "0");
    });
  }
  return codes;
}

/** A decoder with limits that matter to no test that does not name them. */
export function decoderOf(limits: { tableBytes?: number; maxListBytes?: number } = {}): HpackDecoder {
  return new HpackDecoder({ tableBytes: 4096, maxListBytes: 65_536, ...limits });
}

/** The fields as pairs, which are shorter to write. */
export function pairsOf(fields: readonly HeaderField[] | null): (readonly [string, string])[] | null {
  return fields === null ? null : fields.map(({ name, value }) => [name, value] as const);
}

/** The entries of the dynamic table from the newest on, as references to them bring them up. */
export function tableOf(decoder: HpackDecoder): HeaderField[] {
  const entries: HeaderField[] = [];
  try {
    for (let index = 62; ; index++) entries.push(...(decoder.decode(indexed(index)) ?? []));
  } catch (error) {
    if (!(error instanceof ConnectionError)) throw error;
    return entries;
  }
}

export function bytesOf(fields: readonly HeaderField[]): number {
  return fields.reduce((sum, { name, value }) => sum + name.length + value.length + 32, 0);
}
