import { decodeHuffman, HpackError } from "./huffman.ts";

/** The static table; the field of index 1 stands at 0. RFC 7541 Appendix A. */
export const STATIC_TABLE: readonly HeaderField[] = [
  { name: ":authority", value: "" },
  { name: ":method", value: "GET" },
  { name: ":method", value: "POST" },
  { name: ":path", value: "/" },
  { name: ":path", value: "/index.html" },
  { name: ":scheme", value: "http" },
  { name: ":scheme", value: "https" },
  { name: ":status", value: "200" },
  { name: ":status", value: "204" },
  { name: ":status", value: "206" },
  { name: ":status", value: "304" },
  { name: ":status", value: "400" },
  { name: ":status", value: "404" },
  { name: ":status", value: "500" },
  { name: "accept-charset", value: "" },
  { name: "accept-encoding", value: "gzip, deflate" },
  { name: "accept-language", value: "" },
  { name: "accept-ranges", value: "" },
  { name: "accept", value: "" },
  { name: "access-control-allow-origin", value: "" },
  { name: "age", value: "" },
  { name: "allow", value: "" },
  { name: "authorization", value: "" },
  { name: "cache-control", value: "" },
  { name: "content-disposition", value: "" },
  { name: "content-encoding", value: "" },
  { name: "content-language", value: "" },
  { name: "content-length", value: "" },
  { name: "content-location", value: "" },
  { name: "content-range", value: "" },
  { name: "content-type", value: "" },
  { name: "cookie", value: "" },
  { name: "date", value: "" },
  { name: "etag", value: "" },
  { name: "expect", value: "" },
  { name: "expires", value: "" },
  { name: "from", value: "" },
  { name: "host", value: "" },
  { name: "if-match", value: "" },
  { name: "if-modified-since", value: "" },
  { name: "if-none-match", value: "" },
  { name: "if-range", value: "" },
  { name: "if-unmodified-since", value: "" },
  { name: "last-modified", value: "" },
  { name: "link", value: "" },
  { name: "location", value: "" },
  { name: "max-forwards", value: "" },
  { name: "proxy-authenticate", value: "" },
  { name: "proxy-authorization", value: "" },
  { name: "range", value: "" },
  { name: "referer", value: "" },
  { name: "refresh", value: "" },
  { name: "retry-after", value: "" },
  { name: "server", value: "" },
  { name: "set-cookie", value: "" },
  { name: "strict-transport-security", value: "" },
  { name: "transfer-encoding", value: "" },
  { name: "user-agent", value: "" },
  { name: "vary", value: "" },
  { name: "via", value: "" },
  { name: "www-authenticate", value: "" },
];

/** What a field takes of the table, or of a list, beside its name and value. RFC 7541 §4.1, RFC 9113 §6.5.2. */
const FIELD_OVERHEAD_BYTES = 32;

/** The table's size before any update. RFC 9113 §6.5.2 (SETTINGS_HEADER_TABLE_SIZE). */
const INITIAL_TABLE_BYTES = 4096;

/** How many bytes of an integer may follow its first: enough for 2^28, and no length or index here comes near. RFC 7541 §5.1. */
const MAX_INTEGER_CONTINUATION = 4;

/** One character stands for each byte (latin1). */
export interface HeaderField {
  readonly name: string;
  readonly value: string;
}

interface DecoderLimits {
  /**
   * What our SETTINGS_HEADER_TABLE_SIZE says. The protocol's own value is 4096, and a client may count on it until it has read
   * our SETTINGS: less is right only where the encoder knows of it from the beginning.
   */
  readonly tableBytes: number;

  /** Of one header list, counted with 32 bytes for each field beside its name and value (RFC 9113 §6.5.2). */
  readonly maxListBytes: number;
}

/** Reads the header blocks of one direction of one connection, all of them, in their order; RFC 7541. */
export class HpackDecoder {
  readonly #limits: DecoderLimits;
  readonly #table: DynamicTable;

  constructor(limits: DecoderLimits) {
    this.#limits = limits;
    this.#table = new DynamicTable(Math.min(limits.tableBytes, INITIAL_TABLE_BYTES));
  }

  /**
   * Decodes one whole header block, which is only read and not held on to. Says nothing about which characters a name or a value may have.
   * null = the list is larger than `maxListBytes`; the table then stands as after any other block, so the connection can go on.
   * @throws HpackError when the block is wrong; the decoder is then of no more use.
   */
  decode(block: Uint8Array): readonly HeaderField[] | null {
    const reader = new BlockReader(block);
    const fields: HeaderField[] = [];
    let listBytes = 0;
    this.#updateTableSize(reader);
    while (!reader.atEnd) {
      const field = this.#readField(reader);
      listBytes += sizeBytes(field);
      // Beyond the limit the block is read for the table's sake only: bytes that each name a large entry must not add up (RFC 7541 §7.3).
      if (listBytes <= this.#limits.maxListBytes) fields.push(field);
    }
    return listBytes <= this.#limits.maxListBytes ? fields : null;
  }

  /** Updates are allowed at a block's beginning alone. RFC 7541 §4.2, §6.3. */
  #updateTableSize(reader: BlockReader): void {
    while (reader.first >> 5 === 0b001) {
      const maxBytes = reader.takeInteger(5);
      if (maxBytes > this.#limits.tableBytes) throw new HpackError("a table size above the limit");
      this.#table.resize(maxBytes);
    }
  }

  #readField(reader: BlockReader): HeaderField {
    const first = reader.first;
    // RFC 7541 §6.1: a field of the tables.
    if (first >> 7 === 1) return this.#fieldAt(reader.takeInteger(7));
    // RFC 7541 §6.2.1: a literal that enters the table.
    if (first >> 6 === 0b01) {
      const field = this.#takeLiteral(reader, 6);
      this.#table.add(field);
      return field;
    }
    if (first >> 5 === 0b001) throw new HpackError("a table size update behind a field");
    // RFC 7541 §6.2.2 and §6.2.3: a literal that does not; the two kinds differ for those only who encode it anew.
    return this.#takeLiteral(reader, 4);
  }

  #takeLiteral(reader: BlockReader, prefixBits: number): HeaderField {
    const index = reader.takeInteger(prefixBits);
    const name = index === 0 ? reader.takeString() : this.#fieldAt(index).name;
    return { name, value: reader.takeString() };
  }

  /** RFC 7541 §2.3.3: the static table first, then the dynamic one from its newest entry; 0 names nothing. */
  #fieldAt(index: number): HeaderField {
    const field = index <= STATIC_TABLE.length ? STATIC_TABLE[index - 1] : this.#table.at(index - STATIC_TABLE.length - 1);
    if (field === undefined) throw new HpackError("an index of no entry");
    return field;
  }
}

/** RFC 7541 §2.3.2, §4. */
class DynamicTable {
  /** The newest is last. */
  readonly #entries: HeaderField[] = [];
  #bytes = 0;
  #maxBytes: number;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** @param age 0 = the newest entry. */
  at(age: number): HeaderField | undefined {
    return this.#entries[this.#entries.length - 1 - age];
  }

  resize(maxBytes: number): void {
    this.#maxBytes = maxBytes;
    this.#evict();
  }

  /** RFC 7541 §4.4: an entry larger than the table leaves it empty, which is no error. */
  add(entry: HeaderField): void {
    this.#entries.push(entry);
    this.#bytes += sizeBytes(entry);
    this.#evict();
  }

  #evict(): void {
    while (this.#bytes > this.#maxBytes) {
      const oldest = this.#entries.shift();
      if (oldest === undefined) return;
      this.#bytes -= sizeBytes(oldest);
    }
  }
}

function sizeBytes(field: HeaderField): number {
  return field.name.length + field.value.length + FIELD_OVERHEAD_BYTES;
}

/** Takes a block's integers and strings, RFC 7541 §5, and never reads beyond its end. */
class BlockReader {
  readonly #block: Buffer;
  #offset = 0;

  constructor(block: Uint8Array) {
    this.#block = Buffer.from(block.buffer, block.byteOffset, block.byteLength);
  }

  get atEnd(): boolean {
    return this.#offset === this.#block.length;
  }

  /** The byte that comes next, which stays; -1 at the end. */
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
    throw new HpackError("an integer that is too long");
  }

  /** A string of its own: it does not hold on to the block. RFC 7541 §5.2. */
  takeString(): string {
    const isHuffman = this.first >= 0x80;
    const length = this.takeInteger(7);
    const start = this.#offset;
    const end = start + length;
    if (end > this.#block.length) throw new HpackError("a string that does not end within the block");
    this.#offset = end;
    return isHuffman ? decodeHuffman(this.#block, start, end) : this.#block.toString("latin1", start, end);
  }

  #takeByte(): number {
    const byte = this.#block[this.#offset];
    if (byte === undefined) throw new HpackError("the block ends within a field");
    this.#offset++;
    return byte;
  }
}

/**
 * A header block of the static table and literals alone, so blocks may be made in any order. The update that a client which made its
 * table smaller waits for (RFC 7541 §4.2) is the caller's to put before the first of them.
 * Names must be in lower case (RFC 9113 §8.2), and no character above U+00FF. The bytes are the caller's. RFC 7541 §6.
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

/** A field's first byte, and two lengths of at most six bytes each: 7 bits and then 7 more each cover the 2^29 of the longest string. */
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

  /** RFC 7541 §5.1; `marks` are the bits of the first byte that are not the integer's. */
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
