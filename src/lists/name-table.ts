import { randomBytes } from "node:crypto";
import type { Name } from "../dns/name.ts";

// A table of names that finds the longest suffix of a name among a million entries.
//
// An entry is found by a hash of its name. The hash runs over the labels in reverse, from the root: the hash of a name is one step from the
// hash of its parent, so one walk over a name gives the hashes of all its suffixes. With a million entries the time goes to places in
// memory that no cache holds, and a lookup visits few of them:
//   1. From the root down, it asks a filter (about one byte for an entry) whether there is anything at or below the suffix. Most names that
//      are not listed end here, at their second or third label.
//   2. From the longest remaining suffix up, it reads the records of the suffix's bucket, which lie side by side, and compares names.
// The hash decides the speed, never the result. name-table-build.ts makes the table.

/** What an entry stands for: the name with everything below it, the name alone, or only what is below it. */
export const NAME_KIND = { suffix: 0, full: 0x8000_0000 | 0, below: 0x4000_0000 } as const;
export type NameKind = keyof typeof NAME_KIND;

const KIND_BITS = 30;
/** Masks the kind off an offset or a number. */
export const OFFSET_MASK = 0x3fff_ffff;

/**
 * Layout of an entry's record: the length of the name on the wire with the root label (0 = no record, and none after it in this bucket);
 * four bytes, little-endian, with the number of the entry in the order of reading and its kind in the two highest bits; the name
 * without the root label. The offset of the record identifies the entry.
 */
export const RECORD = { number: 1, name: 5, overhead: 4 } as const;

interface NameTableParts {
  /** Bucket after bucket; within a bucket in the order of reading. */
  readonly records: Buffer;
  /** Where the records of each bucket begin, and the end of the last bucket. The number of buckets is a power of 2, two at least. */
  readonly directory: Uint32Array;
  /** Bits of every entry's name and of the names above it. The number of words is a power of 2, two at least. */
  readonly filter: Uint32Array;
  /** Line of each entry, by its number. */
  readonly lines: Uint32Array;
  /** How many different entries there are. */
  readonly size: number;
  /** Whether there is an entry for the root. */
  readonly holdsRoot: boolean;
  /** The names that have an entry strictly below them; null = too many. */
  readonly above: NameTable | null;
}

/**
 * Scratch memory of one lookup: where each label of the name begins, and the bucket of the suffix from there on. A name has at most 127
 * labels besides the root.
 */
const labelStarts = new Uint8Array(128);
const labelBuckets = new Uint32Array(128);

/** Immutable; finds the entry that fits a name best. */
export class NameTable {
  readonly #records: Buffer;
  readonly #directory: Uint32Array;
  readonly #bucketShift: number;
  readonly #filter: Uint32Array;
  readonly #filterShift: number;
  readonly #lines: Uint32Array;
  readonly #holdsRoot: boolean;
  readonly #above: NameTable | null;
  /** How many different entries there are. */
  readonly size: number;

  constructor({ records, directory, filter, lines, size, holdsRoot, above }: NameTableParts) {
    this.#records = records;
    this.#directory = directory;
    this.#bucketShift = indexShift(directory.length - 1);
    this.#filter = filter;
    this.#filterShift = indexShift(filter.length);
    this.#lines = lines;
    this.size = size;
    this.#holdsRoot = holdsRoot;
    this.#above = above;
  }

  /** The entry for exactly this name, else for its longest suffix of whole labels (the name itself and the root included); -1 = none. */
  find(name: Name): number {
    let depth = 0;
    for (let position = 0, length = name.charCodeAt(0); length !== 0; length = name.charCodeAt(position)) {
      labelStarts[depth++] = position;
      position += 1 + length;
    }
    const filter = this.#filter;
    let hash = ROOT_HASH;
    let deepest = depth;
    for (let label = depth - 1; label >= 0; label--) {
      hash = hashBelow(hash, name, labelStarts[label] ?? 0);
      const spreadHash = spread(hash);
      const bits = filterBits(spreadHash);
      if (((filter[spreadHash >>> this.#filterShift] ?? 0) & bits) !== bits) break;
      labelBuckets[label] = spreadHash >>> this.#bucketShift;
      deepest = label;
    }
    for (let label = deepest; label < depth; label++) {
      const entry = this.#probe(labelBuckets[label] ?? 0, name, labelStarts[label] ?? 0);
      if (entry >= 0) return entry;
    }
    return this.#holdsRoot ? this.#probe(spread(ROOT_HASH) >>> this.#bucketShift, name, name.length - 1) : -1;
  }

  /** Whether an entry stands for a name strictly below this one. May wrongly say yes for a table whose many names share few labels. */
  reachesBelow(name: Name): boolean {
    return this.#above === null ? this.#filterReachesBelow(name) : this.#above.find(name) >= 0;
  }

  kindOf(entry: number): NameKind {
    const kind = this.#kind(entry);
    return kind === NAME_KIND.full ? "full" : kind === NAME_KIND.below ? "below" : "suffix";
  }

  /** Bytes of the entry's name on the wire, the root label included. */
  wireLength(entry: number): number {
    return this.#records[entry] ?? 0;
  }

  nameOf(entry: number): Name {
    const start = entry + RECORD.name;
    return `${this.#records.toString("latin1", start, start + this.wireLength(entry) - 1)}\0` as Name;
  }

  /** The place of the entry in the order of reading, from 0. */
  numberOf(entry: number): number {
    return this.#records.readUInt32LE(entry + RECORD.number) & OFFSET_MASK;
  }

  lineOf(entry: number): number {
    return this.#lines[this.numberOf(entry)] ?? 0;
  }

  /** The entries in the order of reading; of equal entries the first. */
  *entries(): Generator<number, void, undefined> {
    // Offset of each entry plus one: 0 means that an equal entry came before.
    const offsets = new Uint32Array(this.#lines.length);
    for (let bucket = 0; bucket + 1 < this.#directory.length; bucket++) {
      const end = this.#directory[bucket + 1] ?? 0;
      for (let entry = this.#directory[bucket] ?? 0; entry < end; entry += RECORD.overhead + this.wireLength(entry)) {
        if (this.wireLength(entry) === 0) break;
        offsets[this.numberOf(entry)] = entry + 1;
      }
    }
    for (const offset of offsets) if (offset > 0) yield offset - 1;
  }

  #kind(entry: number): number {
    return ((this.#records[entry + RECORD.name - 1] ?? 0) >>> 6) << KIND_BITS;
  }

  #filterReachesBelow(name: Name): boolean {
    let depth = 0;
    for (let position = 0; name.charCodeAt(position) !== 0; position += 1 + name.charCodeAt(position))
      labelStarts[depth++] = position;
    let hash = ROOT_HASH;
    for (let label = depth - 1; label >= 0; label--) hash = hashBelow(hash, name, labelStarts[label] ?? 0);
    const bits = filterBits(spread(hash));
    return depth === 0 || ((this.#filter[spread(hash) >>> this.#filterShift] ?? 0) & bits) === bits;
  }

  /** The entry of a bucket whose name is the suffix from `start` on, and whose kind fits; -1 = none. */
  #probe(bucket: number, name: Name, start: number): number {
    const records = this.#records;
    const end = this.#directory[bucket + 1] ?? 0;
    const length = name.length - start;
    let found = -1;
    let wireLength = 0;
    for (let entry = this.#directory[bucket] ?? 0; entry < end; entry += RECORD.overhead + wireLength) {
      wireLength = records[entry] ?? 0;
      if (wireLength === 0) break;
      if (wireLength !== length || !isAt(records, entry + RECORD.name, name, start)) continue;
      const kind = this.#kind(entry);
      if (start > 0 ? kind !== NAME_KIND.full : kind === NAME_KIND.full) return entry;
      if (kind === NAME_KIND.suffix && found < 0) found = entry;
    }
    return found;
  }
}

/** Shifts a hash to an index below `count`, a power of 2. */
export function indexShift(count: number): number {
  return Math.clz32(count) + 1;
}

/** The two bits of a hash in its word of the filter. */
export function filterBits(spreadHash: number): number {
  return (1 << (spreadHash >>> 4)) | (1 << (spreadHash >>> 9));
}

/** Whether the name at an offset is `name` from `start` on, without the root label. */
function isAt(records: Buffer, offset: number, name: Name, start: number): boolean {
  const length = name.length - 1 - start;
  for (let index = 0; index < length; index++) if (records[offset + index] !== name.charCodeAt(start + index)) return false;
  return true;
}

/** Hashes begin at a random number: nobody can write a list whose names all collide. */
export const ROOT_HASH = randomBytes(4).readInt32LE();

/** A prime with evenly spread bits. A step takes two bytes: each step waits for the multiplication of the one before. */
const PRIME = 0x9e37_79b1 | 0;

/** The hash of the name that begins with the label at `start`, from the hash of its parent. */
function hashBelow(parentHash: number, name: Name, start: number): number {
  const end = start + 1 + name.charCodeAt(start);
  let hash = parentHash;
  let position = start;
  for (; position + 1 < end; position += 2)
    hash = Math.imul(hash ^ (name.charCodeAt(position) | (name.charCodeAt(position + 1) << 8)), PRIME);
  return position < end ? Math.imul(hash ^ name.charCodeAt(position), PRIME) : hash;
}

/** As `hashBelow`, for a label in bytes. */
export function hashBytesBelow(parentHash: number, bytes: Uint8Array, start: number): number {
  const end = start + 1 + (bytes[start] ?? 0);
  let hash = parentHash;
  let position = start;
  for (; position + 1 < end; position += 2)
    hash = Math.imul(hash ^ ((bytes[position] ?? 0) | ((bytes[position + 1] ?? 0) << 8)), PRIME);
  return position < end ? Math.imul(hash ^ (bytes[position] ?? 0), PRIME) : hash;
}

/** Lets every bit of a hash change the highest bits of the result. */
export function spread(hash: number): number {
  return Math.imul(hash ^ (hash >>> 15), 0x85eb_ca6b);
}
