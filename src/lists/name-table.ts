import type { Name } from "../dns/name.ts";

/**
 * The names of a table as they were collected. Entry `i` is the wire form without the root label in `octets[starts[i] .. starts[i + 1]]`, the two highest bits
 * of `starts[i]` masked off: these are its kind, one of `NAME_KIND`. The arrays belong to the table.
 */
export interface NameRows {
  readonly octets: Buffer;
  /** One more than there are entries. */
  readonly starts: Uint32Array;
  readonly lines: Uint32Array;
}

/** What an entry stands for: the name and everything below it, the name alone, or what is below it alone. */
export const NAME_KIND = { suffix: 0, full: 0x8000_0000 | 0, below: 0x4000_0000 } as const;
export type NameKind = keyof typeof NAME_KIND;

const KIND_MASK = 0xc000_0000 | 0;
const OFFSET_MASK = 0x3fff_ffff;

/** Octets that the names of one table may have together. */
export const MAX_TABLE_OCTETS = OFFSET_MASK;

/** Share of the slots that may be taken: beyond it probes for names that are not there grow long. */
const MAX_LOAD = 0.7;
const HASH_SEED = 0x811c_9dc5 | 0;
const HASH_PRIME = 0x0100_0193;
/** Told apart by their hash, names that stand for themselves alone and suffixes share one table. */
const FULL_SALT = 0x5bd1_e995;

/** A name has at most 127 labels besides the root. Filled and read within one call. */
const labelStarts = new Uint8Array(128);

/**
 * Finds the entry that fits a name best in one pass over the name from the root upwards. An open-addressing table: a slot holds an entry and, in an array of
 * its own, one octet of its hash, so that a probe that misses seldom leaves those octets. A hit is compared with the entry's own octets: the hash decides
 * speed, never the result. Equal entries are kept once, the first of them.
 */
export class NameTable {
  readonly #octets: Buffer;
  readonly #starts: Uint32Array;
  readonly #lines: Uint32Array;
  /** 0 = free, else 1 to 255. */
  readonly #tags: Uint8Array;
  readonly #entries: Uint32Array;
  readonly #mask: number;
  /** How many different entries there are. */
  readonly size: number;

  constructor({ octets, starts, lines }: NameRows) {
    this.#octets = octets;
    this.#starts = starts;
    this.#lines = lines;
    const count = starts.length - 1;
    const capacity = 2 ** Math.ceil(Math.log2(Math.max(8, count / MAX_LOAD)));
    this.#tags = new Uint8Array(capacity);
    this.#entries = new Uint32Array(capacity);
    this.#mask = capacity - 1;
    let size = 0;
    for (let entry = 0; entry < count; entry++) if (this.#insert(entry)) size++;
    this.size = size;
  }

  /** The entry for exactly this name, else that for its longest suffix (whole labels; the name itself and the root count too); -1 = none. */
  find(name: Name): number {
    let depth = 0;
    for (let position = 0, length = name.charCodeAt(0); length !== 0; length = name.charCodeAt(position)) {
      labelStarts[depth++] = position;
      position += 1 + length;
    }
    let hash = HASH_SEED;
    let found = this.#probe(name, name.length - 1, mixed(hash));
    for (let label = depth - 1; label >= 0; label--) {
      const start = labelStarts[label] ?? 0;
      const end = start + 1 + name.charCodeAt(start);
      for (let position = start; position < end; position++) hash = Math.imul(hash ^ name.charCodeAt(position), HASH_PRIME);
      const entry = this.#probe(name, start, mixed(hash));
      if (entry >= 0) found = entry;
    }
    const exact = this.#probe(name, 0, mixed(hash ^ FULL_SALT), true);
    return exact >= 0 ? exact : found;
  }

  kindOf(entry: number): NameKind {
    const kind = this.#kind(entry);
    return kind === NAME_KIND.full ? "full" : kind === NAME_KIND.below ? "below" : "suffix";
  }

  /** Octets of the entry's name on the wire, the root label included. */
  wireLength(entry: number): number {
    return this.#end(entry) - this.#start(entry) + 1;
  }

  nameOf(entry: number): Name {
    return `${this.#octets.toString("latin1", this.#start(entry), this.#end(entry))}\0` as Name;
  }

  lineOf(entry: number): number {
    return this.#lines[entry] ?? 0;
  }

  /** Every entry collected, those that were there before included. */
  get rows(): number {
    return this.#starts.length - 1;
  }

  #kind(entry: number): number {
    return (this.#starts[entry] ?? 0) & KIND_MASK;
  }

  #start(entry: number): number {
    return (this.#starts[entry] ?? 0) & OFFSET_MASK;
  }

  #end(entry: number): number {
    return (this.#starts[entry + 1] ?? 0) & OFFSET_MASK;
  }

  #probe(name: Name, from: number, hash: number, full = false): number {
    const tag = hash >>> 24 || 1;
    for (let slot = hash & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const held = this.#tags[slot];
      if (held === 0) return -1;
      if (held !== tag) continue;
      const entry = this.#entries[slot] ?? 0;
      const kind = this.#kind(entry);
      const fits = full ? kind === NAME_KIND.full : kind === NAME_KIND.suffix || (kind === NAME_KIND.below && from > 0);
      if (fits && this.#isSuffix(entry, name, from)) return entry;
    }
  }

  #isSuffix(entry: number, name: Name, from: number): boolean {
    const start = this.#start(entry);
    const length = name.length - 1 - from;
    if (this.#end(entry) - start !== length) return false;
    const octets = this.#octets;
    for (let index = 0; index < length; index++) if (octets[start + index] !== name.charCodeAt(from + index)) return false;
    return true;
  }

  /** false where an equal entry was there before. */
  #insert(entry: number): boolean {
    const hash = this.#hash(entry);
    const tag = hash >>> 24 || 1;
    let slot = hash & this.#mask;
    for (; this.#tags[slot] !== 0; slot = (slot + 1) & this.#mask) {
      if (this.#tags[slot] === tag && this.#equal(this.#entries[slot] ?? 0, entry)) return false;
    }
    this.#tags[slot] = tag;
    this.#entries[slot] = entry;
    return true;
  }

  #hash(entry: number): number {
    const octets = this.#octets;
    const end = this.#end(entry);
    const first = this.#start(entry);
    let depth = 0;
    for (let position = first; position < end; position += 1 + (octets[position] ?? 0)) labelStarts[depth++] = position - first;
    let hash = HASH_SEED;
    for (let label = depth - 1; label >= 0; label--) {
      const start = first + (labelStarts[label] ?? 0);
      const stop = start + 1 + (octets[start] ?? 0);
      for (let position = start; position < stop; position++) hash = Math.imul(hash ^ (octets[position] ?? 0), HASH_PRIME);
    }
    return mixed(this.#kind(entry) === NAME_KIND.full ? hash ^ FULL_SALT : hash);
  }

  #equal(left: number, right: number): boolean {
    const leftStart = this.#start(left);
    const rightStart = this.#start(right);
    const length = this.#end(left) - leftStart;
    if (this.#kind(left) !== this.#kind(right) || this.#end(right) - rightStart !== length) return false;
    const octets = this.#octets;
    for (let index = 0; index < length; index++) if (octets[leftStart + index] !== octets[rightStart + index]) return false;
    return true;
  }
}

// The last steps of MurmurHash3: without them the slot would hang on the last few octets alone.
function mixed(hash: number): number {
  let value = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2_ae35);
  return value ^ (value >>> 16);
}
