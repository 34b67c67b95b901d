import type { Answer, Outcome } from "../dns/answer.ts";
import { type BlockStore, blockBytes } from "./blocks.ts";
import type { CacheKey } from "./key.ts";
import type { Aging, AnswerIndex } from "./lifetime.ts";

/** What the cache knows of one answer; its octets lie in the blocks. */
export interface Entry extends Aging {
  readonly key: CacheKey;
  readonly answer: AnswerIndex;
  readonly outcome: Outcome;
  /** See `PutOptions.made`. */
  readonly made: boolean;
  /** See `Held.promisedUntilMs`. */
  promisedUntilMs: number;
  /** From then on no rule that gave it so far can use it. */
  uselessAtMs: number;
  readonly firstBlock: number;
  readonly wireOctets: number;
  readonly ttlCount: number;
  /** What it counts against the budget. */
  readonly bytes: number;
  hits: number;
  /** When a refresh of it last failed or was slow, on the scale of `Clock.now`. */
  troubledAtMs: number | null;
  /** See `Held.renewalAtMs`. */
  renewalAtMs: number | null;
  /** See `Held.judgedBy`. */
  judgedBy: string | null;
  /** SIEVE: whether it was asked for since the hand passed. */
  visited: boolean;
  older: Entry | null;
  newer: Entry | null;
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
  return ENTRY_OVERHEAD_BYTES + names + soa + errors + blockBytes(recordOctets(answer));
}

const ALIAS_BYTES = 96;
const SOA_BYTES = 96;
const ERROR_BYTES = 64;

/** Puts an answer's octets into the blocks. @returns the first block. */
export function writeAnswer(blocks: BlockStore, { ttlOffsets, wire }: Answer): number {
  const record = new Uint8Array(ttlOffsets.byteLength + wire.length);
  record.set(new Uint8Array(ttlOffsets.buffer, ttlOffsets.byteOffset, ttlOffsets.byteLength));
  record.set(wire, ttlOffsets.byteLength);
  return blocks.write(record);
}

/** The answer whole again, in memory of its own: it stays valid when the entry has gone. */
export function readAnswer(blocks: BlockStore, entry: Entry): Answer {
  const { answer, ttlCount, wireOctets } = entry;
  const record = blocks.read(entry.firstBlock, 2 * ttlCount + wireOctets);
  return {
    wire: new Uint8Array(record.buffer, record.byteOffset + 2 * ttlCount, wireOctets),
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

function recordOctets({ ttlOffsets, wire }: Answer): number {
  return ttlOffsets.byteLength + wire.length;
}
