import { MAX_LABEL_LENGTH, MAX_NAME_LENGTH, type Name, nameFromText, nameWire } from "../dns/name.ts";
import { SLICE_ENTRIES, type Sliced } from "../lib/cooperative.ts";
import {
  bytesHashBelow,
  filterBits,
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

/** At most. More would make the directory smaller, so that the processor's cache holds it, but a bucket takes longer to look through. */
const ENTRIES_PER_BUCKET = 4;
/** At least. An entry sets two of them, so that about one name in twenty passes the filter without being there. */
const FILTER_BITS_PER_ENTRY = 8;

/** Entries whose buckets are read ahead, and the bytes that a processor fetches at a time. */
const GROUP_ENTRIES = 64;
const CACHE_LINE_BYTES = 64;
/** Written only, lest the compiler leave the reading out. */
const readAhead = new Uint8Array(GROUP_ENTRIES);

/** Equal entries are kept once, the first of them. */
export function* buildNameTable(rows: NameRows): Sliced<NameTable> {
  const above = new NamesAbove(rows.octets, (rows.starts.at(-1) ?? 0) & OFFSET_MASK);
  const builder = yield* built(rows, above);
  const rowsAbove = above.rows();
  return builder.table(rowsAbove === null ? null : (yield* built(rowsAbove, null)).table(null));
}

function* built(rows: NameRows, above: NamesAbove | null): Sliced<TableBuilder> {
  const builder = new TableBuilder(rows, above);
  yield* ranges(builder.count, (first, end) => builder.measure(first, end));
  builder.allot();
  yield* ranges(builder.count, (first, end) => builder.place(first, end));
  return builder;
}

function* ranges(count: number, each: (first: number, end: number) => void): Sliced<void> {
  for (let first = 0; first < count; first += SLICE_ENTRIES) {
    if (first > 0) yield;
    each(first, Math.min(first + SLICE_ENTRIES, count));
  }
}

/** Each entry is measured, then every bucket is given its room, then each entry is put into its bucket. */
class TableBuilder {
  readonly count: number;
  readonly #rows: NameRows;
  readonly #above: NamesAbove | null;
  readonly #directory: Uint32Array;
  readonly #bucketShift: number;
  readonly #filter: Uint32Array;
  readonly #filterShift: number;
  /** By entry. */
  readonly #buckets: Uint32Array;
  readonly #records: Buffer;
  #size = 0;
  #holdsRoot = false;

  constructor(rows: NameRows, above: NamesAbove | null) {
    this.#rows = rows;
    this.#above = above;
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

  measure(first: number, end: number): void {
    for (let entry = first; entry < end; entry++) this.#measure(entry);
  }

  /** Turns the bytes that each bucket needs into where it begins. */
  allot(): void {
    const directory = this.#directory;
    let offset = 0;
    for (let bucket = 0; bucket < directory.length; bucket++) {
      const octets = directory[bucket] ?? 0;
      directory[bucket] = offset;
      offset += octets;
    }
  }

  place(first: number, end: number): void {
    for (let entry = first; entry < end; ) {
      const next = Math.min(entry + GROUP_ENTRIES, end);
      this.#readAhead(entry, next);
      for (; entry < next; entry++) this.#place(entry);
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

  #measure(entry: number): void {
    const { octets } = this.#rows;
    const filter = this.#filter;
    const start = this.#start(entry);
    const end = this.#start(entry + 1);
    let depth = 0;
    for (let position = start; position < end; position += 1 + (octets[position] ?? 0)) labelStarts[depth++] = position - start;
    const reachesBelow = this.#kind(entry) === NAME_KIND.below;
    if (depth > 0 || reachesBelow) this.#above?.addRoot();
    let hash = ROOT_HASH;
    for (let label = depth - 1; label >= 0; label--) {
      const labelStart = start + (labelStarts[label] ?? 0);
      hash = bytesHashBelow(hash, octets, labelStart);
      const spreadHash = spread(hash);
      if (label > 0 || reachesBelow) this.#above?.add(labelStart, end, spreadHash);
      const word = spreadHash >>> this.#filterShift;
      filter[word] = (filter[word] ?? 0) | filterBits(spreadHash);
    }
    if (depth === 0) this.#holdsRoot = true;
    const bucket = spread(hash) >>> this.#bucketShift;
    this.#buckets[entry] = bucket;
    this.#directory[bucket] = (this.#directory[bucket] ?? 0) + recordBytes(end - start);
  }

  /** Goes to the buckets of these entries, so that their memory is fetched for all at once: one after another that takes three times as long. */
  #readAhead(first: number, end: number): void {
    for (let entry = first; entry < end; entry++) {
      const begin = this.#directory[this.#buckets[entry] ?? 0] ?? 0;
      readAhead[entry - first] = (this.#records[begin] ?? 0) ^ (this.#records[begin + CACHE_LINE_BYTES] ?? 0);
    }
  }

  #place(entry: number): void {
    const { octets } = this.#rows;
    const records = this.#records;
    const start = this.#start(entry);
    const length = this.#start(entry + 1) - start;
    let record = this.#directory[this.#buckets[entry] ?? 0] ?? 0;
    for (let held = records[record] ?? 0; held !== 0; held = records[record] ?? 0) {
      if (held === length + 1 && this.#isAt(record, entry)) return;
      record += RECORD.overhead + held;
    }
    records[record] = length + 1;
    records.writeInt32LE(this.#kind(entry) | entry, record + RECORD.number);
    const name = record + RECORD.name;
    for (let index = 0; index < length; index++) records[name + index] = octets[start + index] ?? 0;
    this.#size++;
  }

  /** Whether a record, whose name has the same length, is that of an equal entry. */
  #isAt(record: number, entry: number): boolean {
    const { octets } = this.#rows;
    const records = this.#records;
    if ((records.readInt32LE(record + RECORD.number) & ~OFFSET_MASK) !== this.#kind(entry)) return false;
    const start = this.#start(entry);
    const length = this.#start(entry + 1) - start;
    const name = record + RECORD.name;
    for (let index = 0; index < length; index++) if (records[name + index] !== octets[start + index]) return false;
    return true;
  }

  #kind(entry: number): number {
    return (this.#rows.starts[entry] ?? 0) & ~OFFSET_MASK;
  }

  #start(entry: number): number {
    return (this.#rows.starts[entry] ?? 0) & OFFSET_MASK;
  }
}

/** What a name takes, without the root label. */
function recordBytes(nameBytes: number): number {
  return RECORD.overhead + nameBytes + 1;
}

/** A name has at most 127 labels besides the root. Filled and read within one call. */
const labelStarts = new Uint8Array(128);

/** The lowest that is not below `wanted`, and two at least. */
function powerOf2(wanted: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(2, wanted)));
}

const DOT = 0x2e;
const NO_NAME = "not a domain name";
/** Bytes that the names of one table may have together. */
const MAX_TABLE_BYTES = OFFSET_MASK;
const IS_FULL = "the list is full";
const IS_ADDRESS = "an address, where a domain name belongs";

/**
 * The names of a table as they were collected. Entry `i` is the wire form without the root label in `bytes[starts[i] .. starts[i + 1]]`, the two highest bits
 * of `starts[i]` masked off: these are its kind, one of `NAME_KIND`. All are only read.
 */
interface NameRows {
  readonly octets: Uint8Array;
  /** One more than there are entries. */
  readonly starts: Uint32Array;
  readonly lines: Uint32Array;
}

/** Collects the entries of a NameTable from text, without making a string of each. */
export class NameCollector {
  #octets = new Uint8Array(1024);
  #used = 0;
  #starts = new Uint32Array(64);
  #lines = new Uint32Array(64);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** Of all names so far. */
  get octets(): number {
    return this.#used;
  }

  /**
   * Adds a name in presentation format: letters, digits, hyphen and underscore, a final dot allowed, or letters beyond ASCII (RFC 5890).
   * Answers why it is none, else null.
   */
  addText(span: Span, kind: NameKind, lineNumber: number): string | null {
    const end = span.bytes[span.end - 1] === DOT ? span.end - 1 : span.end;
    const length = end - span.start;
    if (this.#used > MAX_TABLE_BYTES - MAX_NAME_LENGTH) return IS_FULL;
    if (length <= 0) return NO_NAME;
    // In UTF-8 a name may be longer than its A-labels.
    if (length > MAX_NAME_LENGTH - 2) return hasHighByte(span) ? this.#addUnicode(span, kind, lineNumber) : NO_NAME;
    this.#reserve(length + 1);
    const { bytes } = span;
    const octets = this.#octets;
    const base = this.#used;
    let labelStart = base;
    let position = base + 1;
    let numeric = true;
    for (let index = span.start; index < end; index++) {
      const byte = LABEL_BYTES[bytes[index] ?? 0] ?? 0;
      if (byte !== 0) {
        octets[position++] = byte;
        if (byte < 0x30 || byte > 0x39) numeric = false;
      } else if (bytes[index] === DOT) {
        const labelLength = position - labelStart - 1;
        if (labelLength === 0 || labelLength > MAX_LABEL_LENGTH) return NO_NAME;
        octets[labelStart] = labelLength;
        labelStart = position++;
        numeric = true;
      } else {
        return (bytes[index] ?? 0) >= 0x80 ? this.#addUnicode(span, kind, lineNumber) : NO_NAME;
      }
    }
    const labelLength = position - labelStart - 1;
    if (labelLength === 0 || labelLength > MAX_LABEL_LENGTH) return NO_NAME;
    // No top-level domain is all digits (RFC 3696 §2), so this is an address or a part of one.
    if (numeric) return IS_ADDRESS;
    octets[labelStart] = labelLength;
    this.#finish(position, kind, lineNumber);
    return null;
  }

  addName(name: Name, kind: NameKind, lineNumber: number): void {
    const length = name.length - 1;
    this.#reserve(length);
    this.#octets.set(nameWire(name).subarray(0, length), this.#used);
    this.#finish(this.#used + length, kind, lineNumber);
  }

  /** Adds the name whose wire form without the root label is `bytes[start .. end]`. */
  addWire(octets: Uint8Array, { start, end }: Pick<Span, "start" | "end">, kind: NameKind): void {
    this.#reserve(end - start);
    for (let index = start; index < end; index++) this.#octets[this.#used + index - start] = octets[index] ?? 0;
    this.#finish(this.#used + end - start, kind, 0);
  }

  /** What was collected; nothing can be added any more. */
  rows(): NameRows {
    this.#starts[this.#count] = this.#used;
    return {
      octets: this.#octets,
      starts: this.#starts.subarray(0, this.#count + 1),
      lines: this.#lines.slice(0, this.#count),
    };
  }

  #addUnicode(span: Span, kind: NameKind, lineNumber: number): string | null {
    const name = nameFromText(spanText(span));
    if (name === null || !isListable(name)) return NO_NAME;
    this.addName(name, kind, lineNumber);
    return null;
  }

  #finish(used: number, kind: NameKind, lineNumber: number): void {
    this.#starts[this.#count] = this.#used | NAME_KIND[kind];
    this.#lines[this.#count] = lineNumber;
    this.#count++;
    this.#used = used;
  }

  #reserve(octets: number): void {
    if (this.#used + octets > this.#octets.length) this.#octets = grown(this.#octets, new Uint8Array(this.#octets.length * 2));
    if (this.#count + 2 <= this.#starts.length) return;
    this.#starts = grown(this.#starts, new Uint32Array(this.#starts.length * 2));
    this.#lines = grown(this.#lines, new Uint32Array(this.#lines.length * 2));
  }
}

/** The bytes a label of a list may have, letters mapped to lower case; 0 = not allowed. */
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

function grown<Words extends Uint8Array | Uint32Array>(old: Words, larger: Words): Words {
  larger.set(old);
  return larger;
}

/** Names of which it is remembered that they were gathered, a power of 2. */
const REMEMBERED = 4096;

/** Bytes that they may have however small the entries are. */
const MIN_BYTES = 65_536;

/** Gathers the names above the entries of a table, each at least once, and not much oftener: most entries lie right below one of a few names. */
class NamesAbove {
  readonly #octets: Uint8Array;
  readonly #collector = new NameCollector();
  /** By hash, where a name that was gathered begins and ends. */
  readonly #remembered = new Uint32Array(2 * REMEMBERED);
  readonly #maxBytes: number;
  #hasRoot = false;
  #isFull = false;

  /** @param bytes of the entries, without root labels, up to `end`. */
  constructor(octets: Uint8Array, end: number) {
    this.#octets = octets;
    this.#maxBytes = end + MIN_BYTES;
  }

  /** The name whose labels begin at `start` and whose entry ends at `end`. */
  add(start: number, end: number, spreadHash: number): void {
    const slot = (spreadHash >>> 20) * 2;
    if (this.#isRemembered(slot, start, end)) return;
    this.#isFull ||= this.#collector.octets > this.#maxBytes;
    if (this.#isFull) return;
    this.#remembered[slot] = start;
    this.#remembered[slot + 1] = end;
    this.#collector.addWire(this.#octets, { start, end }, "full");
  }

  addRoot(): void {
    if (!this.#hasRoot) this.#collector.addWire(this.#octets, { start: 0, end: 0 }, "full");
    this.#hasRoot = true;
  }

  /** null = together they are larger than the entries: of names with a hundred labels each the names above could fill all memory. */
  rows(): NameRows | null {
    return this.#isFull ? null : this.#collector.rows();
  }

  #isRemembered(slot: number, start: number, end: number): boolean {
    const octets = this.#octets;
    const first = this.#remembered[slot] ?? 0;
    const length = end - start;
    if ((this.#remembered[slot + 1] ?? 0) - first !== length) return false;
    for (let index = 0; index < length; index++) if (octets[first + index] !== octets[start + index]) return false;
    return true;
  }
}
