import type { Answer, AnswerOutcome } from "../dns/answer.ts";
import { MAX_MESSAGE_BYTES } from "../dns/wire.ts";
import { type BlockStore, blockBytes } from "./blocks.ts";
import type { CacheKey, KeyParts } from "./key.ts";
import type { AnswerIndex, LifetimeLimits } from "./lifetime.ts";

/** What the cache notes about an answer while it holds it. Times are on the scale of `Clock.now`. */
interface EntryNotes {
  /** When the answer came. */
  readonly storedAtMs: number;
  /** Never given stale, prefetched or persisted. */
  readonly volatile: boolean;
  /** See `PutOptions.synthesized`. */
  readonly synthesized: boolean;
  /** Latest time at which a downstream cache may still hold this answer, given the TTLs we sent. */
  advertisedUntilMs: number;
  /** How often `get` has given the answer, this time included. */
  hits: number;
  /** When a refresh last failed or was slow; null = not since the answer came. */
  lastRefreshFailureAtMs: number | null;
  /** When a renewal was last begun; null = not since the answer came. */
  renewalAtMs: number | null;
  /** Which filters the answer last passed, as the caller said; null = none. The cache only keeps it. */
  filterFingerprint: string | null;
}

/** An answer as the cache gives it out. */
export interface Held extends Readonly<EntryNotes> {
  /** Where it is held, for `AnswerCache.isHeld` and `noteUses`. */
  readonly entry: CacheEntry;
  /** As it came from upstream. An NXDOMAIN may carry a question for another type than was looked up (RFC 2308 §5). */
  readonly answer: Answer;
}

/** An answer as the cache holds it: its bytes lie in the blocks. */
export interface CacheEntry extends EntryNotes {
  readonly key: CacheKey;
  readonly answer: AnswerIndex;
  readonly outcome: AnswerOutcome;
  /** From this time on, no rule that has used the entry so far can use it. */
  uselessAtMs: number;
  readonly firstBlock: number;
  readonly wireBytes: number;
  readonly ttlCount: number;
  /** What the entry counts against the budget. */
  readonly bytes: number;
  /** SIEVE: whether the entry was asked for since the hand last passed. */
  visited: boolean;
  older: CacheEntry | null;
  newer: CacheEntry | null;
}

/** Those who give out answers of entries without asking the cache (`replies/`). They call `AnswerCache.noteUses`. */
export interface EntryCopies {
  /** The entry is gone, and what was made from it must not be given any more. */
  withdraw(entry: CacheEntry): void;
  /** Uses of this entry are to be noted now. */
  settle(entry: CacheEntry): void;
  settleAll(): void;
}

/**
 * Memory of an entry beyond its blocks and the characters of its strings: the `CacheEntry`, the `AnswerIndex`, boxed numbers, two string headers,
 * the list of its name and a slot in each of two maps, of which some are empty. Measured on the heap with 40,000 and 70,000 entries, rounded up.
 */
const ENTRY_OVERHEAD_BYTES = 560;

/** What an answer under `key` counts against the budget. */
export function entryBytes(key: CacheKey, answer: Answer): number {
  const names = key.length + answer.name.length + (answer.chainEnd === answer.name ? 0 : answer.chainEnd.length + ALIAS_BYTES);
  const soa = answer.soa === null ? 0 : answer.soa.owner.length + SOA_BYTES;
  const errors = answer.extendedErrors.reduce((sum, { text }) => sum + text.length * 2 + ERROR_BYTES, 0);
  return ENTRY_OVERHEAD_BYTES + names + soa + errors + blockBytes(recordBytes(answer));
}

const ALIAS_BYTES = 96;
const SOA_BYTES = 96;
const ERROR_BYTES = 64;

/** Copies TTL offsets and wire bytes into the blocks. @returns the first block. */
export function writeAnswer(blocks: BlockStore, { ttlOffsets, wire }: Answer): number {
  scratchOffsets.set(ttlOffsets);
  scratch.set(wire, ttlOffsets.byteLength);
  return blocks.write(scratch, ttlOffsets.byteLength + wire.length);
}

/** A record has eleven bytes at least. */
const MAX_RECORDS = Math.ceil(MAX_MESSAGE_BYTES / 11);

/** Room for the longest message and the offsets of its records. */
const scratchOffsets = new Uint16Array(MAX_RECORDS + Math.ceil(MAX_MESSAGE_BYTES / 2));
const scratch = new Uint8Array(scratchOffsets.buffer);

/** The whole answer again, in memory of its own: it stays valid when the entry is dropped. */
export function readAnswer(blocks: BlockStore, entry: CacheEntry): Answer {
  const { answer, ttlCount, wireBytes } = entry;
  const record = blocks.read(entry.firstBlock, 2 * ttlCount + wireBytes);
  return {
    wire: new Uint8Array(record.buffer, record.byteOffset + 2 * ttlCount, wireBytes),
    rcode: answer.rcode,
    truncated: answer.truncated,
    authenticData: answer.authenticData,
    name: answer.name,
    type: answer.type,
    class: answer.class,
    ttlOffsets: new Uint16Array(record.buffer, record.byteOffset, ttlCount),
    answerRecords: answer.answerRecords,
    additionalOffset: answer.additionalOffset,
    lowestTtlSeconds: answer.lowestTtlSeconds,
    chainEnd: answer.chainEnd,
    answered: answer.answered,
    soa: answer.soa,
    signed: answer.signed,
    extendedErrors: answer.extendedErrors,
  };
}

/** The answer without its bytes. Spelled out, because an object made by a rest pattern takes several times the memory. */
export function withoutBytes(answer: Answer): AnswerIndex {
  return {
    rcode: answer.rcode,
    truncated: answer.truncated,
    authenticData: answer.authenticData,
    name: answer.name,
    type: answer.type,
    class: answer.class,
    answerRecords: answer.answerRecords,
    additionalOffset: answer.additionalOffset,
    lowestTtlSeconds: answer.lowestTtlSeconds,
    chainEnd: answer.chainEnd,
    answered: answer.answered,
    soa: answer.soa,
    signed: answer.signed,
    extendedErrors: answer.extendedErrors.length === 0 ? NO_ERRORS : answer.extendedErrors,
  };
}

const NO_ERRORS: Answer["extendedErrors"] = [];

function recordBytes({ ttlOffsets, wire }: Answer): number {
  return ttlOffsets.byteLength + wire.length;
}

export interface PutOptions {
  /** The limits of the query's rule. They also decide which of the answers held already are within their TTL. */
  readonly limits: LifetimeLimits;
  readonly volatile?: boolean;
  /** A negative that Fenliu made itself, in place of an NXDOMAIN that it did not believe: it proves nothing about the name. */
  readonly synthesized?: boolean;
  /** A negative given because nothing better is known. Like a failure it replaces neither a positive nor a fresh negative. */
  readonly tentative?: boolean;
  /** Age of an answer that was kept in a file meanwhile. Such an answer never replaces one that is held. */
  readonly ageMs?: number;
  readonly filterFingerprint?: string;
}

/** Why `put` does not take an answer. */
export type Refusal =
  /** TC is set: records are missing. */
  | "truncated"
  /** A positive answer is held that this answer must not replace. */
  | "positive"
  /** An NXDOMAIN for a name that is proven to exist. */
  | "exists"
  /** A failure, while a negative answer is fresh. */
  | "negative"
  /** The answer comes from a file, and a later one is held. */
  | "older"
  /** The lifetime of the answer is over or zero. The answers that it supersedes are dropped all the same. */
  | "momentary"
  /** The answer is larger than its share of the budget. The answers that it supersedes are dropped all the same. */
  | "large";

/** The answers that say whether a name exists: those of one class and route. */
export interface NameScope {
  readonly class: number;
  readonly route: string;
}

/** An entry with its key taken apart, for people and for the cache file. */
export interface Inspected {
  readonly key: CacheKey;
  readonly parts: KeyParts;
  readonly outcome: AnswerOutcome;
  readonly held: Held;
  readonly storedWallMs: number;
  readonly bytes: number;
}

export interface CacheStats {
  readonly hits: number;
  readonly misses: number;
  readonly positive: SegmentStats;
  /** NXDOMAIN, NODATA with and without SOA, and failures. */
  readonly negative: SegmentStats;
}

export interface SegmentStats {
  readonly entries: number;
  readonly bytes: number;
  readonly budgetBytes: number;
  readonly hits: number;
  /** Useful entries that were dropped to make room. */
  readonly evictions: number;
}
