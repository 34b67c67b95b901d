import { MAX_LABEL_LENGTH, MAX_NAME_LENGTH, type Name, nameFromText, nameWire } from "../dns/name.ts";
import { SLICE_ENTRIES, type Sliced } from "../lib/cooperative.ts";
import {
  filterBits,
  hashBytesBelow,
  indexShift,
  NAME_KIND,
  type NameKind,
  NameTable,
  OFFSET_MASK,
  RECORD,
  ROOT_HASH,
  spread,
} from "./name-table.ts";
import { type Span, spanText } from "./span.ts";

/** Upper limit. With more, the directory would fit better into the processor's cache, but a search of a bucket takes longer. */
const ENTRIES_PER_BUCKET = 4;
/** Lower limit. An entry sets two bits, so about one unlisted name in twenty passes the filter. */
const FILTER_BITS_PER_ENTRY = 8;

/** Entries whose buckets are fetched ahead, and the bytes that a processor fetches at a time. */
const GROUP_ENTRIES = 64;
const CACHE_LINE_BYTES = 64;
/** Only written: without a use of the bytes the compiler would drop the reads. */
const fetched = new Uint8Array(GROUP_ENTRIES);

/** Builds a table of the names. Of equal entries the first is stored. */
export function* buildNameTable(names: NameCollector): Sliced<NameTable> {
  const rows = yield* names.rows();
  const parents = new ParentCollector(rows.bytes, (rows.starts.at(-1) ?? 0) & OFFSET_MASK);
  const builder = yield* fillTable(rows, parents);
  const parentRows = yield* parents.rows();
  return builder.table(parentRows === null ? null : (yield* fillTable(parentRows, null)).table(null));
}

function* fillTable(rows: NameRows, parents: ParentCollector | null): Sliced<TableBuilder> {
  const builder = new TableBuilder(rows, parents);
  yield* eachSlice(builder, (first, end) => builder.measure(first, end));
  yield* builder.allot();
  yield* builder.touch();
  yield* eachSlice(builder, (first, end) => builder.place(first, end));
  return builder;
}

function* eachSlice(builder: TableBuilder, visit: (first: number, end: number) => void): Sliced<void> {
  for (let first = 0; first < builder.count; ) {
    if (first > 0) yield;
    const end = builder.sliceEnd(first);
    visit(first, end);
    first = end;
  }
}

/** Bytes of names in one slice. A name of many labels has as many names above it, each of which is compared and perhaps copied. */
const SLICE_NAME_BYTES = 4096;

/** Three passes: measure each entry, give every bucket its room, put each entry into its bucket. */
class TableBuilder {
  readonly count: number;
  readonly #rows: NameRows;
  readonly #parents: ParentCollector | null;
  readonly #directory: Uint32Array;
  readonly #bucketShift: number;
  readonly #filter: Uint32Array;
  readonly #filterShift: number;
  /** The bucket of each entry. */
  readonly #buckets: Uint32Array;
  readonly #records: Buffer;
  #size = 0;
  #holdsRoot = false;

  constructor(rows: NameRows, parents: ParentCollector | null) {
    this.#rows = rows;
    this.#parents = parents;
    this.count = rows.starts.length - 1;
    const buckets = powerOf2(this.count / ENTRIES_PER_BUCKET);
    const words = powerOf2((this.count * FILTER_BITS_PER_ENTRY) / 32);
    this.#directory = new Uint32Array(buckets + 1);
    this.#bucketShift = indexShift(buckets);
    this.#filter = new Uint32Array(words);
    this.#filterShift = indexShift(words);
    this.#buckets = new Uint32Array(this.count);
    this.#records = Buffer.alloc(this.#start(this.count) + this.count * recordBytes(0));
  }

  /** Where a slice ends that begins with this entry. */
  sliceEnd(first: number): number {
    const last = Math.min(first + SLICE_ENTRIES, this.count);
    const limit = this.#start(first) + SLICE_NAME_BYTES;
    let end = first + 1;
    while (end < last && this.#start(end) < limit) end++;
    return end;
  }

  measure(first: number, end: number): void {
    for (let entry = first; entry < end; entry++) this.#measureEntry(entry);
  }

  /** Replaces the size of each bucket by its offset. */
  *allot(): Sliced<void> {
    const directory = this.#directory;
    let offset = 0;
    for (let bucket = 0; bucket < directory.length; bucket++) {
      if (bucket % CHUNK_ENTRIES === CHUNK_ENTRIES - 1) yield;
      const bytes = directory[bucket] ?? 0;
      directory[bucket] = offset;
      offset += bytes;
    }
  }

  /** The system gives memory when it is touched first, and takes long about it: not for a thousand entries here and there in one slice. */
  *touch(): Sliced<void> {
    for (let at = 0; at < this.#records.length; at += PAGE_BYTES) {
      this.#records[at] = 0;
      if (at % TOUCHED_BYTES === 0) yield;
    }
  }

  place(first: number, end: number): void {
    for (let entry = first; entry < end; ) {
      const next = Math.min(entry + GROUP_ENTRIES, end);
      this.#fetchBuckets(entry, next);
      for (; entry < next; entry++) this.#placeEntry(entry);
    }
  }

  table(above: NameTable | null): NameTable {
    return new NameTable({
      above,
      records: this.#records,
      directory: this.#directory,
      filter: this.#filter,
      lines: this.#rows.lines,
      size: this.#size,
      holdsRoot: this.#holdsRoot,
    });
  }

  #measureEntry(entry: number): void {
    const { bytes } = this.#rows;
    const filter = this.#filter;
    const start = this.#start(entry);
    const end = this.#start(entry + 1);
    let depth = 0;
    for (let position = start; position < end; position += 1 + (bytes[position] ?? 0)) labelStarts[depth++] = position - start;
    const reachesBelow = this.#kind(entry) === NAME_KIND.below;
    if (depth > 0 || reachesBelow) this.#parents?.addRoot();
    let hash = ROOT_HASH;
    for (let label = depth - 1; label >= 0; label--) {
      const labelStart = start + (labelStarts[label] ?? 0);
      hash = hashBytesBelow(hash, bytes, labelStart);
      const spreadHash = spread(hash);
      if (label > 0 || reachesBelow) this.#parents?.add(labelStart, end, spreadHash);
      const word = spreadHash >>> this.#filterShift;
      filter[word] = (filter[word] ?? 0) | filterBits(spreadHash);
    }
    if (depth === 0) this.#holdsRoot = true;
    const bucket = spread(hash) >>> this.#bucketShift;
    this.#buckets[entry] = bucket;
    this.#directory[bucket] = (this.#directory[bucket] ?? 0) + recordBytes(end - start);
  }

  /** Touches the buckets of these entries, so that the processor fetches them at the same time: one after another takes three times as long. */
  #fetchBuckets(first: number, end: number): void {
    for (let entry = first; entry < end; entry++) {
      const begin = this.#directory[this.#buckets[entry] ?? 0] ?? 0;
      fetched[entry - first] = (this.#records[begin] ?? 0) ^ (this.#records[begin + CACHE_LINE_BYTES] ?? 0);
    }
  }

  #placeEntry(entry: number): void {
    const { bytes } = this.#rows;
    const records = this.#records;
    const start = this.#start(entry);
    const length = this.#start(entry + 1) - start;
    let record = this.#directory[this.#buckets[entry] ?? 0] ?? 0;
    for (let wireLength = records[record] ?? 0; wireLength !== 0; wireLength = records[record] ?? 0) {
      if (wireLength === length + 1 && this.#isAt(record, entry)) return;
      record += RECORD.overhead + wireLength;
    }
    records[record] = length + 1;
    records.writeInt32LE(this.#kind(entry) | entry, record + RECORD.number);
    const name = record + RECORD.name;
    for (let index = 0; index < length; index++) records[name + index] = bytes[start + index] ?? 0;
    this.#size++;
  }

  /** Whether a record, whose name has the same length, is equal to the entry. */
  #isAt(record: number, entry: number): boolean {
    const { bytes } = this.#rows;
    const records = this.#records;
    if ((records.readInt32LE(record + RECORD.number) & ~OFFSET_MASK) !== this.#kind(entry)) return false;
    const start = this.#start(entry);
    const length = this.#start(entry + 1) - start;
    const name = record + RECORD.name;
    for (let index = 0; index < length; index++) if (records[name + index] !== bytes[start + index]) return false;
    return true;
  }

  #kind(entry: number): number {
    return (this.#rows.starts[entry] ?? 0) & ~OFFSET_MASK;
  }

  #start(entry: number): number {
    return (this.#rows.starts[entry] ?? 0) & OFFSET_MASK;
  }
}

const PAGE_BYTES = 4096;
const TOUCHED_BYTES = 32 * PAGE_BYTES;

/** Size of a record; `nameBytes` does not count the root label. */
function recordBytes(nameBytes: number): number {
  return RECORD.overhead + nameBytes + 1;
}

/** Scratch memory of one call. A name has at most 127 labels besides the root. */
const labelStarts = new Uint8Array(128);

/** The lowest power of 2 that is at least `wanted` and at least 2. */
function powerOf2(wanted: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(2, wanted)));
}

const DOT = 0x2e;
const NO_NAME = "not a domain name";
const MANY_BYTES = 1024 * 1024;

/** Limit for the names of one table together. */
const MAX_TABLE_BYTES = OFFSET_MASK;
const IS_FULL = "the list is full";
const IS_ADDRESS = "an address, where a domain name belongs";

/**
 * Collected names. Entry `i` is the wire form without the root label in `bytes[starts[i] .. starts[i + 1]]`. The two highest bits of
 * `starts[i]` are not part of the offset: they hold the kind, one of `NAME_KIND`. Readers must not change the arrays.
 */
interface NameRows {
  readonly bytes: Uint8Array;
  /** One more element than there are entries. */
  readonly starts: Uint32Array;
  readonly lines: Uint32Array;
}

/** Entries that are collected in one piece of memory. What grows by being copied as a whole holds the thread: a million entries for 50 ms. */
const CHUNK_ENTRIES = 16_384;

interface Chunk {
  readonly starts: Uint32Array;
  readonly lines: Uint32Array;
}

/** Collects the entries of a NameTable from text, without a string for each entry. */
export class NameCollector {
  #bytes = new Uint8Array(1024);
  #used = 0;
  /** The chunks that are full. */
  readonly #chunks: Chunk[] = [];
  /** The chunk that is filled: the first one grows, the others have their full size. */
  #chunk: Chunk = { starts: new Uint32Array(64), lines: new Uint32Array(64) };
  /** Entries of that chunk. */
  #filled = 0;

  get count(): number {
    return this.#chunks.length * CHUNK_ENTRIES + this.#filled;
  }

  /** Size of all names so far. */
  get usedBytes(): number {
    return this.#used;
  }

  /**
   * Adds a name in presentation format: letters, digits, hyphen and underscore, perhaps a final dot, or letters beyond ASCII (RFC 5890).
   * Returns why the text is no name, or null.
   */
  addText(span: Span, kind: NameKind, lineNumber: number): string | null {
    const text = span.bytes;
    const end = text[span.end - 1] === DOT ? span.end - 1 : span.end;
    const length = end - span.start;
    if (this.#used > MAX_TABLE_BYTES - MAX_NAME_LENGTH) return IS_FULL;
    if (length <= 0) return NO_NAME;
    // A name in UTF-8 may be longer than its A-labels.
    if (length > MAX_NAME_LENGTH - 2) return hasHighByte(span) ? this.#addUnicode(span, kind, lineNumber) : NO_NAME;
    this.#reserve(length + 1);
    const bytes = this.#bytes;
    let labelStart = this.#used;
    let position = labelStart + 1;
    let isNumeric = true;
    for (let index = span.start; index < end; index++) {
      const byte = LABEL_BYTES[text[index] ?? 0] ?? 0;
      if (byte !== 0) {
        bytes[position++] = byte;
        if (byte < 0x30 || byte > 0x39) isNumeric = false;
      } else if (text[index] === DOT) {
        const labelLength = position - labelStart - 1;
        if (labelLength === 0 || labelLength > MAX_LABEL_LENGTH) return NO_NAME;
        bytes[labelStart] = labelLength;
        labelStart = position++;
        isNumeric = true;
      } else {
        return (text[index] ?? 0) >= 0x80 ? this.#addUnicode(span, kind, lineNumber) : NO_NAME;
      }
    }
    const labelLength = position - labelStart - 1;
    if (labelLength === 0 || labelLength > MAX_LABEL_LENGTH) return NO_NAME;
    // No top-level domain is all digits (RFC 3696 §2): the text is an address or a part of one.
    if (isNumeric) return IS_ADDRESS;
    bytes[labelStart] = labelLength;
    this.#finish(position, kind, lineNumber);
    return null;
  }

  /** Makes room for so many bytes of names, if they are many: to copy some megabytes into larger memory holds the thread. Memory that is not used costs nothing. */
  expectBytes(bytes: number): void {
    if (bytes < MANY_BYTES) return;
    // A name takes a byte more than its text, and the last line may have no end.
    const wanted = this.#used + bytes + MAX_NAME_LENGTH;
    if (wanted > this.#bytes.length) this.#bytes = copyInto(new Uint8Array(wanted), this.#bytes.subarray(0, this.#used));
  }

  addName(name: Name, kind: NameKind, lineNumber: number): void {
    const length = name.length - 1;
    this.#reserve(length);
    this.#bytes.set(nameWire(name).subarray(0, length), this.#used);
    this.#finish(this.#used + length, kind, lineNumber);
  }

  /** Adds the name whose wire form without the root label is `bytes[start .. end]`. */
  addWire(bytes: Uint8Array, { start, end }: Pick<Span, "start" | "end">, kind: NameKind): void {
    this.#reserve(end - start);
    for (let index = start; index < end; index++) this.#bytes[this.#used + index - start] = bytes[index] ?? 0;
    this.#finish(this.#used + end - start, kind, 0);
  }

  /** The collected names. Nothing may be added after this call. */
  *rows(): Sliced<NameRows> {
    const { count } = this;
    const starts = new Uint32Array(count + 1);
    const lines = new Uint32Array(count);
    for (const [index, chunk] of this.#chunks.entries()) {
      starts.set(chunk.starts, index * CHUNK_ENTRIES);
      lines.set(chunk.lines, index * CHUNK_ENTRIES);
      yield;
    }
    starts.set(this.#chunk.starts.subarray(0, this.#filled), count - this.#filled);
    lines.set(this.#chunk.lines.subarray(0, this.#filled), count - this.#filled);
    starts[count] = this.#used;
    return { bytes: this.#bytes, starts, lines };
  }

  #addUnicode(span: Span, kind: NameKind, lineNumber: number): string | null {
    const name = nameFromText(spanText(span));
    if (name === null || !isListable(name)) return NO_NAME;
    this.addName(name, kind, lineNumber);
    return null;
  }

  #finish(used: number, kind: NameKind, lineNumber: number): void {
    this.#chunk.starts[this.#filled] = this.#used | NAME_KIND[kind];
    this.#chunk.lines[this.#filled] = lineNumber;
    this.#filled++;
    this.#used = used;
  }

  #reserve(bytes: number): void {
    if (this.#used + bytes > this.#bytes.length) this.#bytes = copyInto(new Uint8Array(this.#bytes.length * 2), this.#bytes);
    const { starts, lines } = this.#chunk;
    if (this.#filled < starts.length) return;
    if (starts.length < CHUNK_ENTRIES) {
      const length = starts.length * 2;
      this.#chunk = { starts: copyInto(new Uint32Array(length), starts), lines: copyInto(new Uint32Array(length), lines) };
      return;
    }
    this.#chunks.push(this.#chunk);
    this.#chunk = { starts: new Uint32Array(CHUNK_ENTRIES), lines: new Uint32Array(CHUNK_ENTRIES) };
    this.#filled = 0;
  }
}

/** The bytes that a label of a list may have, with letters in lower case; 0 = not allowed. */
const LABEL_BYTES = new Uint8Array(256);
for (const byte of Buffer.from("abcdefghijklmnopqrstuvwxyz0123456789-_")) LABEL_BYTES[byte] = byte;
for (const byte of Buffer.from("ABCDEFGHIJKLMNOPQRSTUVWXYZ")) LABEL_BYTES[byte] = byte | 0x20;

function isListable(name: Name): boolean {
  for (let position = 0; name.charCodeAt(position) !== 0; ) {
    const end = position + 1 + name.charCodeAt(position);
    for (position++; position < end; position++) if (LABEL_BYTES[name.charCodeAt(position)] === 0) return false;
  }
  return true;
}

function hasHighByte({ bytes, start, end }: Span): boolean {
  for (let index = start; index < end; index++) if ((bytes[index] ?? 0) >= 0x80) return true;
  return false;
}

function copyInto<Words extends Uint8Array | Uint32Array>(larger: Words, old: Words): Words {
  larger.set(old);
  return larger;
}

/** Recent names that a ParentCollector remembers; a power of 2. */
const REMEMBERED = 4096;

/** Size that the names may have however small the entries are. */
const MIN_BYTES = 65_536;

/**
 * Collects the names above the entries of a table. Most entries lie right below one of a few names, so remembering recent names avoids
 * most doubles; a few doubles do no harm.
 */
class ParentCollector {
  readonly #bytes: Uint8Array;
  readonly #collector = new NameCollector();
  /** Begin and end of each remembered name, by hash. */
  readonly #remembered = new Uint32Array(2 * REMEMBERED);
  readonly #maxBytes: number;
  #hasRoot = false;
  #isFull = false;

  /** @param bytes names of the entries, without root labels, up to `end`. */
  constructor(bytes: Uint8Array, end: number) {
    this.#bytes = bytes;
    this.#maxBytes = end + MIN_BYTES;
    this.#collector.expectBytes(this.#maxBytes);
  }

  /** Adds the name whose labels begin at `start`; its entry ends at `end`. */
  add(start: number, end: number, spreadHash: number): void {
    const slot = (spreadHash >>> 20) * 2;
    if (this.#isRemembered(slot, start, end)) return;
    this.#isFull ||= this.#collector.usedBytes > this.#maxBytes;
    if (this.#isFull) return;
    this.#remembered[slot] = start;
    this.#remembered[slot + 1] = end;
    this.#collector.addWire(this.#bytes, { start, end }, "full");
  }

  addRoot(): void {
    if (!this.#hasRoot) this.#collector.addWire(this.#bytes, { start: 0, end: 0 }, "full");
    this.#hasRoot = true;
  }

  /** null = the names are larger than the entries. With a hundred labels in each entry the names above could fill all memory. */
  *rows(): Sliced<NameRows | null> {
    return this.#isFull ? null : yield* this.#collector.rows();
  }

  #isRemembered(slot: number, start: number, end: number): boolean {
    const bytes = this.#bytes;
    const first = this.#remembered[slot] ?? 0;
    const length = end - start;
    if ((this.#remembered[slot + 1] ?? 0) - first !== length) return false;
    for (let index = 0; index < length; index++) if (bytes[first + index] !== bytes[start + index]) return false;
    return true;
  }
}
