import { randomBytes } from "node:crypto";
import type { Name } from "../dns/name.ts";

/** What an entry stands for: the name and everything below it, the name alone, or what is below it alone. */
export const NAME_KIND = { suffix: 0, full: 0x8000_0000 | 0, below: 0x4000_0000 } as const;
export type NameKind = keyof typeof NAME_KIND;

const KIND_BITS = 30;
/** What is left without the kind: an offset, or a number. */
export const OFFSET_MASK = 0x3fff_ffff;

/**
 * An entry is known by the place of its record: the length of its name on the wire, the root label included (0 = no record, and none after it in its bucket), four
 * bytes, the lowest first, with its number in the order of reading and its kind in the two highest bits, and its name without the root label.
 */
export const RECORD = { number: 1, name: 5, overhead: 4 } as const;

interface NameTableParts {
  /** The records of one bucket after those of another, within a bucket in the order in which the entries were read. */
  readonly records: Buffer;
  /** Where the records of each bucket begin, and after the last where they end. Buckets are as many as some power of 2, two at least. */
  readonly directory: Uint32Array;
  /** Has the bits of every entry's name and of the names above it. Words are as many as some power of 2, two at least. */
  readonly filter: Uint32Array;
  /** By an entry's number, which is its place among all that were read. */
  readonly lines: Uint32Array;
  /** How many different entries there are. */
  readonly size: number;
  /** Whether an entry is of the root, of whatever kind. */
  readonly holdsRoot: boolean;
  /** The names that have an entry strictly below them, each alone; null = there are too many. */
  readonly above: NameTable | null;
}

/** A name has at most 127 labels besides the root. Filled and read within one call: where each label begins, and the bucket of the name from there on. */
const labelStarts = new Uint8Array(128);
const labelBuckets = new Uint32Array(128);

/**
 * Finds the entry that fits a name best. What takes the time with a million entries are the places in memory that no cache holds, so a lookup goes to few: down
 * from the root it asks the filter, a bit more than an byte for an entry, whether there can be anything at or below the name; most names that are
 * not listed end at their second or third label. Then, from the longest name that is left, it reads the records of the bucket, which lie side by side.
 * There the bytes are compared: the hash decides speed, never the result.
 */
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

  /** The entry for exactly this name, else that for its longest suffix (whole labels; the name itself and the root count too); -1 = none. */
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

  /** Whether an entry stands for a name strictly below this one. Errs towards yes where the names are many and have many labels that they do not share. */
  reachesBelow(name: Name): boolean {
    return this.#above === null ? this.#mayReach(name) : this.#above.find(name) >= 0;
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

  /** Its place among all that were read, from 0. */
  numberOf(entry: number): number {
    return this.#records.readUInt32LE(entry + RECORD.number) & OFFSET_MASK;
  }

  lineOf(entry: number): number {
    return this.#lines[this.numberOf(entry)] ?? 0;
  }

  /** The entries in the order in which they were read, of equal ones the first. */
  *entries(): Generator<number, void, undefined> {
    // One more than the place of each, since 0 is a place too.
    const places = new Uint32Array(this.#lines.length);
    for (let bucket = 0; bucket + 1 < this.#directory.length; bucket++) {
      const end = this.#directory[bucket + 1] ?? 0;
      for (let entry = this.#directory[bucket] ?? 0; entry < end; entry += RECORD.overhead + this.wireLength(entry)) {
        if (this.wireLength(entry) === 0) break;
        places[this.numberOf(entry)] = entry + 1;
      }
    }
    for (const place of places) if (place > 0) yield place - 1;
  }

  #kind(entry: number): number {
    return ((this.#records[entry + RECORD.name - 1] ?? 0) >>> 6) << KIND_BITS;
  }

  #mayReach(name: Name): boolean {
    let depth = 0;
    for (let position = 0; name.charCodeAt(position) !== 0; position += 1 + name.charCodeAt(position))
      labelStarts[depth++] = position;
    let hash = ROOT_HASH;
    for (let label = depth - 1; label >= 0; label--) hash = hashBelow(hash, name, labelStarts[label] ?? 0);
    const bits = filterBits(spread(hash));
    return depth === 0 || ((this.#filter[spread(hash) >>> this.#filterShift] ?? 0) & bits) === bits;
  }

  /** The entry of a bucket that fits the name and is the name from `start` on; -1 = none. */
  #probe(bucket: number, name: Name, start: number): number {
    const records = this.#records;
    const end = this.#directory[bucket + 1] ?? 0;
    const length = name.length - start;
    let found = -1;
    let held = 0;
    for (let entry = this.#directory[bucket] ?? 0; entry < end; entry += RECORD.overhead + held) {
      held = records[entry] ?? 0;
      if (held === 0) break;
      if (held !== length || !isAt(records, entry + RECORD.name, name, start)) continue;
      const kind = this.#kind(entry);
      if (start > 0 ? kind !== NAME_KIND.full : kind === NAME_KIND.full) return entry;
      if (kind === NAME_KIND.suffix && found < 0) found = entry;
    }
    return found;
  }
}

/** By how much a hash is shifted to be an index below `count`, a power of 2. */
export function indexShift(count: number): number {
  return Math.clz32(count) + 1;
}

/** The two bits that stand for a hash in its word of the filter. */
export function filterBits(spreadHash: number): number {
  return (1 << (spreadHash >>> 4)) | (1 << (spreadHash >>> 9));
}

/** Whether the name from `start` on, its root label left out, stands at an offset. */
function isAt(records: Buffer, offset: number, name: Name, start: number): boolean {
  const length = name.length - 1 - start;
  for (let index = 0; index < length; index++) if (records[offset + index] !== name.charCodeAt(start + index)) return false;
  return true;
}

/**
 * Hashes of names grow label by label from the root: the hash of a name is one step from that of its parent. They begin at a random number, so that
 * nobody can write a list whose names all collide.
 */
export const ROOT_HASH = randomBytes(4).readInt32LE();

/** A prime with its bits spread evenly; two bytes a step, because each step waits for the multiplication before it. */
const PRIME = 0x9e37_79b1 | 0;

/** The hash of the name that begins with the label at `start`, from that of its parent. */
function hashBelow(parentHash: number, name: Name, start: number): number {
  const end = start + 1 + name.charCodeAt(start);
  let hash = parentHash;
  let position = start;
  for (; position + 1 < end; position += 2)
    hash = Math.imul(hash ^ (name.charCodeAt(position) | (name.charCodeAt(position + 1) << 8)), PRIME);
  return position < end ? Math.imul(hash ^ name.charCodeAt(position), PRIME) : hash;
}

/** The same where the label stands in bytes. */
export function bytesHashBelow(parentHash: number, octets: Uint8Array, start: number): number {
  const end = start + 1 + (octets[start] ?? 0);
  let hash = parentHash;
  let position = start;
  for (; position + 1 < end; position += 2)
    hash = Math.imul(hash ^ ((octets[position] ?? 0) | ((octets[position + 1] ?? 0) << 8)), PRIME);
  return position < end ? Math.imul(hash ^ (octets[position] ?? 0), PRIME) : hash;
}

/** Makes every bit of a hash count for the highest ones of the result. */
export function spread(hash: number): number {
  return Math.imul(hash ^ (hash >>> 15), 0x85eb_ca6b);
}
