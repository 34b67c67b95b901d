import type { Answer, AnswerOutcome } from "../dns/answer.ts";
import { type BlockStore, blockBytes } from "./blocks.ts";
import type { CacheKey, KeyParts } from "./key.ts";
import type { Aging, AnswerIndex, LifetimeLimits } from "./lifetime.ts";

/** What the cache knows of one answer; its bytes lie in the blocks. */
export interface CacheEntry extends Aging {
  readonly key: CacheKey;
  readonly answer: AnswerIndex;
  readonly outcome: AnswerOutcome;
  /** See `PutOptions.synthesized`. */
  readonly synthesized: boolean;
  /** See `Held.advertisedUntilMs`. */
  advertisedUntilMs: number;
  /** From then on no rule that gave it so far can use it. */
  uselessAtMs: number;
  readonly firstBlock: number;
  readonly wireBytes: number;
  readonly ttlCount: number;
  /** What it counts against the budget. */
  readonly bytes: number;
  hits: number;
  /** When a refresh of it last failed or was slow, on the scale of `Clock.now`. */
  lastRefreshFailureAtMs: number | null;
  /** See `Held.renewalAtMs`. */
  renewalAtMs: number | null;
  /** See `Held.filterFingerprint`. */
  filterFingerprint: string | null;
  /** SIEVE: whether it was asked for since the hand passed. */
  visited: boolean;
  older: CacheEntry | null;
  newer: CacheEntry | null;
}

/**
 * What an entry costs beyond its blocks and the characters of its strings: the Entry, the AnswerIndex, numbers in boxes, the
 * headers of two strings, the list of its name, and a slot in each of two maps, some of them empty. Found by measuring the heap
 * with 40,000 and 70,000 entries, and rounded up.
 */
const ENTRY_OVERHEAD_BYTES = 560;

/** The bytes that an answer under `key` counts for. */
export function entryBytes(key: CacheKey, answer: Answer): number {
  const names = key.length + answer.name.length + (answer.chainEnd === answer.name ? 0 : answer.chainEnd.length + ALIAS_BYTES);
  const soa = answer.soa === null ? 0 : answer.soa.owner.length + SOA_BYTES;
  const errors = answer.extendedErrors.reduce((sum, { text }) => sum + text.length * 2 + ERROR_BYTES, 0);
  return ENTRY_OVERHEAD_BYTES + names + soa + errors + blockBytes(recordBytes(answer));
}

const ALIAS_BYTES = 96;
const SOA_BYTES = 96;
const ERROR_BYTES = 64;

/** Puts an answer's bytes into the blocks. @returns the first block. */
export function writeAnswer(blocks: BlockStore, { ttlOffsets, wire }: Answer): number {
  const record = new Uint8Array(ttlOffsets.byteLength + wire.length);
  record.set(new Uint8Array(ttlOffsets.buffer, ttlOffsets.byteOffset, ttlOffsets.byteLength));
  record.set(wire, ttlOffsets.byteLength);
  return blocks.write(record);
}

/** The answer whole again, in memory of its own: it stays valid when the entry has gone. */
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

/** Everything but the bytes. Spelled out, because what a spread leaves over takes several times the memory. */
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

/** An answer as it is held. */
export interface Held {
  /** As it came from upstream. For an NXDOMAIN its question may be for another type than was looked up (RFC 2308 §5). */
  readonly answer: Answer;
  /** When it came, on the scale of `Clock.now`. */
  readonly storedAtMs: number;
  /** Latest time on the scale of `Clock.now` at which a downstream cache may still hold this answer, given the TTLs we sent. */
  readonly advertisedUntilMs: number;
  /** How often `get` gave it, this time included. */
  readonly hits: number;
  readonly volatile: boolean;
  /** See `PutOptions.synthesized`. */
  readonly synthesized: boolean;
  /** When a refresh of it last failed or was slow, on the scale of `Clock.now`; null = not since it came. */
  readonly lastRefreshFailureAtMs: number | null;
  /** When its renewal was last begun (`noteRenewal`), on the scale of `Clock.now`; null = not since it came. */
  readonly renewalAtMs: number | null;
  /** The caller's mark for what the answer was judged by, as given to `put` or `noteFiltered`; null = none. The cache only keeps it. */
  readonly filterFingerprint: string | null;
}

export interface PutOptions {
  /** Those of the rule at hand: they say what "within its TTL" means for the answers already held. */
  readonly limits: LifetimeLimits;
  /** Never given stale, prefetched or persisted. */
  readonly volatile?: boolean;
  /** A negative that is not upstream's word but ours (for a guarded NXDOMAIN): it proves nothing about the name. */
  readonly synthesized?: boolean;
  /** A negative made for want of knowledge: like a failure it replaces no positive, nor a negative that still holds. */
  readonly tentative?: boolean;
  /** For answers that were kept elsewhere meanwhile. They never replace what is held. */
  readonly ageMs?: number;
  /** See `Held.filterFingerprint`. */
  readonly filterFingerprint?: string;
}

/** Why an answer is not held. */
export type Refusal =
  /** TC: the rest is missing. */
  | "truncated"
  /** A positive answer is held, and this one may not replace it. */
  | "positive"
  /** An NXDOMAIN for a name that is proven to exist. */
  | "exists"
  /** A failure, while a negative answer still holds. */
  | "negative"
  /** It was kept elsewhere, and a later one is held. */
  | "older"
  /** It lives for no time at all. What it supersedes is gone. */
  | "momentary"
  /** It is larger than its share of the budget. What it supersedes is gone. */
  | "large";

/** Where a name is spoken of: existence on one route says nothing about another. */
export interface NameScope {
  readonly class: number;
  readonly route: string;
}

/** An entry as it is shown to people. */
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
  /** NXDOMAIN, NODATA, empty answers and failures. */
  readonly negative: SegmentStats;
}

export interface SegmentStats {
  readonly entries: number;
  readonly bytes: number;
  readonly budgetBytes: number;
  readonly hits: number;
  /** Useful entries that had to make room. */
  readonly evictions: number;
}
