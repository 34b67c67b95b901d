import { SLICE_ENTRIES, type Sliced } from "../lib/cooperative.ts";
import type { NameRows } from "./name-collector.ts";
import { octetsHashBelow, ROOT_HASH, spread } from "./name-hash.ts";
import { filterBits, indexShift, NAME_KIND, NameTable, OFFSET_MASK, RECORD } from "./name-table.ts";
import { NamesAbove } from "./names-above.ts";

/** At most. More would make the directory smaller, so that the processor's cache holds it, but a bucket takes longer to look through. */
const ENTRIES_PER_BUCKET = 4;
/** At least. An entry sets two of them, so that about one name in twenty passes the filter without being there. */
const FILTER_BITS_PER_ENTRY = 8;

/** Entries whose buckets are read ahead, and the octets that a processor fetches at a time. */
const GROUP_ENTRIES = 64;
const CACHE_LINE_OCTETS = 64;
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
    this.#records = Buffer.alloc(this.#start(this.count) + this.count * recordOctets(0));
  }

  measure(first: number, end: number): void {
    for (let entry = first; entry < end; entry++) this.#measure(entry);
  }

  /** Turns the octets that each bucket needs into where it begins. */
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
      hash = octetsHashBelow(hash, octets, labelStart);
      const spreadHash = spread(hash);
      if (label > 0 || reachesBelow) this.#above?.add(labelStart, end, spreadHash);
      const word = spreadHash >>> this.#filterShift;
      filter[word] = (filter[word] ?? 0) | filterBits(spreadHash);
    }
    if (depth === 0) this.#holdsRoot = true;
    const bucket = spread(hash) >>> this.#bucketShift;
    this.#buckets[entry] = bucket;
    this.#directory[bucket] = (this.#directory[bucket] ?? 0) + recordOctets(end - start);
  }

  /** Goes to the buckets of these entries, so that their memory is fetched for all at once: one after another that takes three times as long. */
  #readAhead(first: number, end: number): void {
    for (let entry = first; entry < end; entry++) {
      const begin = this.#directory[this.#buckets[entry] ?? 0] ?? 0;
      readAhead[entry - first] = (this.#records[begin] ?? 0) ^ (this.#records[begin + CACHE_LINE_OCTETS] ?? 0);
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
function recordOctets(nameOctets: number): number {
  return RECORD.overhead + nameOctets + 1;
}

/** A name has at most 127 labels besides the root. Filled and read within one call. */
const labelStarts = new Uint8Array(128);

/** The lowest that is not below `wanted`, and two at least. */
function powerOf2(wanted: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(2, wanted)));
}
