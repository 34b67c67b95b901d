import { ConnectionError, ERROR } from "./frames.ts";

/** One field of a header list. One character stands for one byte (latin1). */
export interface HeaderField {
  readonly name: string;
  readonly value: string;
}

/** The size of the dynamic table before any update. RFC 9113 §6.5.2 (SETTINGS_HEADER_TABLE_SIZE). */
export const INITIAL_TABLE_BYTES = 4096;

/** What a field costs in the table, or in a list, besides its name and value. RFC 7541 §4.1, RFC 9113 §6.5.2. */
const FIELD_OVERHEAD_BYTES = 32;

/** How many bytes of an integer may follow the first: enough for 2^28, more than any length or index here. RFC 7541 §5.1. */
const MAX_INTEGER_CONTINUATION = 4;

/** The static table; the field of index 1 is at position 0. RFC 7541 Appendix A. */
export const STATIC_TABLE: readonly HeaderField[] = `
:authority|:method=GET|:method=POST|:path=/|:path=/index.html|:scheme=http|:scheme=https|:status=200|:status=204
:status=206|:status=304|:status=400|:status=404|:status=500|accept-charset|accept-encoding=gzip, deflate
accept-language|accept-ranges|accept|access-control-allow-origin|age|allow|authorization|cache-control
content-disposition|content-encoding|content-language|content-length|content-location|content-range|content-type
cookie|date|etag|expect|expires|from|host|if-match|if-modified-since|if-none-match|if-range|if-unmodified-since
last-modified|link|location|max-forwards|proxy-authenticate|proxy-authorization|range|referer|refresh|retry-after
server|set-cookie|strict-transport-security|transfer-encoding|user-agent|vary|via|www-authenticate
`
  .trim()
  .split(/[|\n]/)
  .map((field) => {
    const [name = "", value = ""] = field.split("=");
    return { name, value };
  });

interface DecoderLimits {
  /**
   * Our SETTINGS_HEADER_TABLE_SIZE. A client may use 4096, the initial value, until it has read our SETTINGS: a smaller value is right only if
   * the encoder knows it from the start.
   */
  readonly tableBytes: number;

  /** The largest header list, with 32 bytes for each field besides its name and value (RFC 9113 §6.5.2). */
  readonly maxListBytes: number;
}

/** Decodes the header blocks of one direction of one connection (RFC 7541). It must get every block, in order. */
export class HpackDecoder {
  readonly #limits: DecoderLimits;
  /** The dynamic table (RFC 7541 §2.3.2, §4). The newest entry is last. */
  readonly #table: HeaderField[] = [];
  #tableBytes = 0;
  #maxTableBytes: number;
  /** The last block that left the table as it was. Clients that ask by POST repeat it. null = the table has changed since. */
  #repeated: { readonly block: Uint8Array; readonly fields: readonly HeaderField[] } | null = null;

  constructor(limits: DecoderLimits) {
    this.#limits = limits;
    this.#maxTableBytes = Math.min(limits.tableBytes, INITIAL_TABLE_BYTES);
  }

  /**
   * Decodes one complete header block, which is only read and not kept. Does not check the characters of names and values.
   * The same block may give the same list object.
   * null = the list is larger than `maxListBytes`; the table is still right, so the connection can go on.
   * @throws ConnectionError when the block is wrong. The decoder cannot be used after that.
   */
  decode(block: Uint8Array): readonly HeaderField[] | null {
    if (this.#repeated !== null && areEqual(this.#repeated.block, block)) return this.#repeated.fields;
    this.#repeated = null;
    let changesTable = (block[0] ?? 0) >> 5 === 0b001;
    const reader = new BlockReader(block);
    const fields: HeaderField[] = [];
    let listBytes = 0;
    this.#updateTableSize(reader);
    while (!reader.atEnd) {
      changesTable ||= reader.first >> 6 === 0b01;
      const field = this.#readField(reader);
      listBytes += sizeBytes(field);
      // Above the limit the block is only read to update the table: a block of references to one large entry must not use much memory (RFC 7541 §7.3).
      if (listBytes <= this.#limits.maxListBytes) fields.push(field);
    }
    if (listBytes > this.#limits.maxListBytes) return null;
    if (!changesTable && block.length <= MAX_REPEATED_BYTES) this.#repeated = { block: Uint8Array.from(block), fields };
    return fields;
  }

  /** Size updates are allowed only at the start of a block. RFC 7541 §4.2, §6.3. */
  #updateTableSize(reader: BlockReader): void {
    while (reader.first >> 5 === 0b001) {
      const maxBytes = reader.takeInteger(5);
      if (maxBytes > this.#limits.tableBytes) throw hpackError("a table size above the limit");
      this.#maxTableBytes = maxBytes;
      this.#evict();
    }
  }

  #readField(reader: BlockReader): HeaderField {
    const first = reader.first;
    // RFC 7541 §6.1: an indexed field.
    if (first >> 7 === 1) return this.#fieldAt(reader.takeInteger(7));
    // RFC 7541 §6.2.1: a literal that is added to the table.
    if (first >> 6 === 0b01) {
      const field = this.#takeLiteral(reader, 6);
      this.#table.push(field);
      this.#tableBytes += sizeBytes(field);
      this.#evict();
      return field;
    }
    if (first >> 5 === 0b001) throw hpackError("a table size update behind a field");
    // RFC 7541 §6.2.2 and §6.2.3: a literal that is not. The two kinds differ only for a proxy that encodes it again.
    return this.#takeLiteral(reader, 4);
  }

  #takeLiteral(reader: BlockReader, prefixBits: number): HeaderField {
    const index = reader.takeInteger(prefixBits);
    const name = index === 0 ? reader.takeString() : this.#fieldAt(index).name;
    return { name, value: reader.takeString() };
  }

  /** RFC 7541 §2.3.3: the static table first, then the dynamic table from its newest entry. 0 is not an index. */
  #fieldAt(index: number): HeaderField {
    const isStatic = index <= STATIC_TABLE.length;
    const field = isStatic ? STATIC_TABLE[index - 1] : this.#table[this.#table.length + STATIC_TABLE.length - index];
    if (field === undefined) throw hpackError("an index of no entry");
    return field;
  }

  /** RFC 7541 §4.4: an entry larger than the table empties it. That is not an error. */
  #evict(): void {
    while (this.#tableBytes > this.#maxTableBytes) {
      const oldest = this.#table.shift();
      if (oldest === undefined) return;
      this.#tableBytes -= sizeBytes(oldest);
    }
  }
}

/** The block of a POST by a client that indexes all fields has some 10 bytes, and some 100 without indexing. */
const MAX_REPEATED_BYTES = 128;

function areEqual(some: Uint8Array, others: Uint8Array): boolean {
  if (some.length !== others.length) return false;
  for (let at = 0; at < some.length; at++) if (some[at] !== others[at]) return false;
  return true;
}

/** A fault in a header block. The tables of both sides differ now, so the connection must end (RFC 9113 §4.3). */
function hpackError(problem: string): ConnectionError {
  return new ConnectionError(ERROR.COMPRESSION_ERROR, problem);
}

function sizeBytes(field: HeaderField): number {
  return field.name.length + field.value.length + FIELD_OVERHEAD_BYTES;
}

/** Reads the integers and strings of a block (RFC 7541 §5), never beyond its end. */
class BlockReader {
  readonly #block: Buffer;
  #offset = 0;

  constructor(block: Uint8Array) {
    this.#block = Buffer.from(block.buffer, block.byteOffset, block.byteLength);
  }

  get atEnd(): boolean {
    return this.#offset === this.#block.length;
  }

  /** The next byte, without taking it; -1 at the end. */
  get first(): number {
    return this.#block[this.#offset] ?? -1;
  }

  /** RFC 7541 §5.1. */
  takeInteger(prefixBits: number): number {
    const mask = (1 << prefixBits) - 1;
    let value = this.#takeByte() & mask;
    if (value < mask) return value;
    for (let count = 0; count < MAX_INTEGER_CONTINUATION; count++) {
      const byte = this.#takeByte();
      value += (byte & 0x7f) << (7 * count);
      if (byte < 0x80) return value;
    }
    throw hpackError("an integer that is too long");
  }

  /** Returns a string that does not reference the block. RFC 7541 §5.2. */
  takeString(): string {
    const isHuffman = this.first >= 0x80;
    const length = this.takeInteger(7);
    const start = this.#offset;
    const end = start + length;
    if (end > this.#block.length) throw hpackError("a string that does not end within the block");
    this.#offset = end;
    return isHuffman ? decodeHuffman(this.#block, start, end) : this.#block.toString("latin1", start, end);
  }

  #takeByte(): number {
    const byte = this.#block[this.#offset];
    if (byte === undefined) throw hpackError("the block ends within a field");
    this.#offset++;
    return byte;
  }
}

/**
 * Encodes a header block with the static table and literals only, so blocks may be encoded in any order (RFC 7541 §6). The size update for a
 * client that made its table smaller (RFC 7541 §4.2) is up to the caller. Names must be in lower case (RFC 9113 §8.2), and no character above
 * U+00FF. The caller owns the bytes.
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

/** The first byte of a field, and two lengths of at most six bytes each, enough for 2^29, the longest string. */
const MAX_FRAMING_BYTES = 1 + 6 + 6;

/** For each name of the static table: its first index, and the index of each value. */
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

  /** RFC 7541 §5.1. `marks` are the bits of the first byte that do not belong to the integer. */
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

  #put(byte: number): void {
    this.#block[this.#length++] = byte;
  }
}

/**
 * Decodes a Huffman-coded string literal, one character for each byte (latin1). RFC 7541 §5.2.
 * @throws ConnectionError for the symbol EOS, and for padding that is longer than seven bits or has zeros.
 */
export function decodeHuffman(bytes: Uint8Array, start: number, end: number): string {
  // No code is shorter than five bits.
  const text = Buffer.allocUnsafe(Math.floor(((end - start) * 8) / 5));
  let length = 0;
  let node = ROOT;
  for (let nibble = 2 * start; nibble < 2 * end; nibble++) {
    const byte = bytes[nibble >> 1] ?? 0;
    const step = STEPS[(node << 4) | (nibble & 1 ? byte & 15 : byte >> 4)] ?? IS_EOS;
    if (step & HAS_SYMBOL) text[length++] = step >> 8;
    else if (step & IS_EOS) throw hpackError("the symbol EOS within a Huffman string");
    node = step & 0xff;
  }
  if (IS_PADDING[node] !== 1) throw hpackError("wrong padding of a Huffman string");
  return text.toString("latin1", 0, length);
}

/**
 * The length of the code of each byte in bits, and at last of EOS. RFC 7541 Appendix B. The lengths determine the codes, because the code is
 * canonical: codes of equal length are consecutive numbers in the order of their bytes, and shorter codes come first.
 */
export const CODE_LENGTHS: readonly number[] = [
  [13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28],
  [28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28],
  [6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6],
  [5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10],
  [13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7],
  [7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6],
  [15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5],
  [6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28],
  [20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23],
  [24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24],
  [22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23],
  [21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23],
  [26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25],
  [19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27],
  [20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23],
  [26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26],
  [30],
].flat();

const EOS = 256;

/** A complete code of 257 symbols is a binary tree with 256 inner nodes, numbered from the root. */
const NODES = 256;
const ROOT = 0;

/** Two children for each node: the number of an inner node, or ~symbol. */
const CHILDREN = growTree();

/** A step of four bits: the node where it ends in the low byte, and the byte that it completed in the next one. Four bits complete at most one byte. */
const HAS_SYMBOL = 1 << 16;
const IS_EOS = 1 << 17;

/** The step from each node for each four bits. */
const STEPS = Uint32Array.from({ length: NODES * 16 }, (_, index) => stepFrom(index >> 4, index & 15));

/** 1 for each node where a string may end: after at most seven one bits behind the last symbol. */
const IS_PADDING = markPadding();

function growTree(): Int16Array {
  const children = new Int16Array(2 * NODES);
  let nodes = 1;
  let code = 0;
  for (let length = 1; length <= 30; length++) {
    code <<= 1;
    for (let symbol = 0; symbol <= EOS; symbol++) {
      if (CODE_LENGTHS[symbol] !== length) continue;
      let node = ROOT;
      for (let bit = length - 1; bit > 0; bit--) {
        const branch = 2 * node + ((code >> bit) & 1);
        // The root is not a child of any node, so 0 = no child yet.
        if (children[branch] === 0) children[branch] = nodes++;
        node = children[branch] ?? ROOT;
      }
      children[2 * node + (code & 1)] = ~symbol;
      code++;
    }
  }
  return children;
}

function stepFrom(start: number, bits: number): number {
  let node = start;
  let completed = 0;
  for (let bit = 3; bit >= 0; bit--) {
    const child = CHILDREN[2 * node + ((bits >> bit) & 1)] ?? ROOT;
    if (~child === EOS) return IS_EOS;
    if (child < 0) completed = HAS_SYMBOL | (~child << 8);
    node = child < 0 ? ROOT : child;
  }
  return completed | node;
}

function markPadding(): Uint8Array {
  const marks = new Uint8Array(NODES);
  for (let node = ROOT, bits = 0; bits <= 7; bits++) {
    marks[node] = 1;
    node = CHILDREN[2 * node + 1] ?? ROOT;
  }
  return marks;
}
