import type { HeaderField } from "./decoder.ts";
import { STATIC_TABLE } from "./static-table.ts";

/**
 * A header block of the static table and literals alone, so blocks may be made in any order. The update that a client which made its
 * table smaller waits for (RFC 7541 §4.2) is the caller's to put before the first of them.
 * Names must be in lower case (RFC 9113 §8.2), and no character above U+00FF. The octets are the caller's. RFC 7541 §6.
 */
export function encodeFields(fields: readonly HeaderField[]): Uint8Array {
  const writer = new BlockWriter(
    fields.reduce((sum, { name, value }) => sum + name.length + value.length + MAX_FRAMING_BYTES, 0),
  );
  for (const { name, value } of fields) {
    const known = STATIC_NAMES.get(name);
    const index = known?.values.get(value);
    if (index !== undefined) {
      writer.putInteger(0x80, 7, index);
      continue;
    }
    // RFC 7541 §6.2.2: a literal without indexing.
    writer.putInteger(0, 4, known?.index ?? 0);
    if (known === undefined) writer.putString(name);
    writer.putString(value);
  }
  return writer.written;
}

/** A field's first octet, and two lengths of at most six octets each: 7 bits and then 7 more each cover the 2^29 of the longest string. */
const MAX_FRAMING_BYTES = 1 + 6 + 6;

/** By each name of the static table: the first index of the name, and the index of each value. */
const STATIC_NAMES = indexNames();

function indexNames(): ReadonlyMap<string, { readonly index: number; readonly values: ReadonlyMap<string, number> }> {
  const names = new Map<string, { readonly index: number; readonly values: Map<string, number> }>();
  STATIC_TABLE.forEach(({ name, value }, position) => {
    const entry = names.get(name) ?? { index: position + 1, values: new Map<string, number>() };
    names.set(name, entry);
    entry.values.set(value, position + 1);
  });
  return names;
}

class BlockWriter {
  readonly #block: Buffer;
  #length = 0;

  constructor(maxBytes: number) {
    this.#block = Buffer.allocUnsafe(maxBytes);
  }

  get written(): Uint8Array {
    return this.#block.subarray(0, this.#length);
  }

  /** RFC 7541 §5.1; `marks` are the bits of the first octet that are not the integer's. */
  putInteger(marks: number, prefixBits: number, value: number): void {
    const mask = (1 << prefixBits) - 1;
    if (value < mask) {
      this.#put(marks | value);
      return;
    }
    this.#put(marks | mask);
    let rest = value - mask;
    for (; rest >= 0x80; rest >>= 7) this.#put((rest & 0x7f) | 0x80);
    this.#put(rest);
  }

  /** RFC 7541 §5.2, without Huffman code. */
  putString(text: string): void {
    this.putInteger(0, 7, text.length);
    this.#length += this.#block.write(text, this.#length, "latin1");
  }

  #put(octet: number): void {
    this.#block[this.#length++] = octet;
  }
}
