import type { Answer, Outcome } from "../dns/answer.ts";
import type { CacheKey, KeyParts } from "./key.ts";
import type { Limits } from "./lifetime.ts";

/** An answer as it is held. */
export interface Held {
  /** As it came from upstream. For an NXDOMAIN its question may be for another type than was looked up (RFC 2308 §5). */
  readonly answer: Answer;
  /** When it came, on the scale of `Clock.now`. */
  readonly storedAtMs: number;
  /**
   * Until when somebody behind us may hold it, by what was sent, on the scale of `Clock.now`: as long as the limits it was put with say, or as
   * `notePromise` told since.
   */
  readonly promisedUntilMs: number;
  /** How often `get` gave it, this time included. */
  readonly hits: number;
  readonly volatile: boolean;
  /** See `PutOptions.made`. */
  readonly made: boolean;
  /** When a refresh of it last failed or was slow, on the scale of `Clock.now`; null = not since it came. */
  readonly troubledAtMs: number | null;
  /** When its renewal was last begun (`noteRenewal`), on the scale of `Clock.now`; null = not since it came. */
  readonly renewalAtMs: number | null;
  /** The caller's mark for what the answer was judged by, as given to `put` or `noteJudged`; null = none. The cache only keeps it. */
  readonly judgedBy: string | null;
}

export interface PutOptions {
  /** Those of the rule at hand: they say what "within its TTL" means for the answers already held. */
  readonly limits: Limits;
  /** Never given stale, prefetched or persisted. */
  readonly volatile?: boolean;
  /** A negative that is not upstream's word but ours (for a guarded NXDOMAIN): it proves nothing about the name. */
  readonly made?: boolean;
  /** A negative made for want of knowledge: like a failure it replaces no positive, nor a negative that still holds. */
  readonly isGuess?: boolean;
  /** For answers that were kept elsewhere meanwhile. They never replace what is held. */
  readonly ageMs?: number;
  /** See `Held.judgedBy`. */
  readonly judgedBy?: string;
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
export interface Place {
  readonly class: number;
  readonly route: string;
}

/** An entry as it is shown to people. */
export interface Inspected {
  readonly key: CacheKey;
  readonly parts: KeyParts;
  readonly outcome: Outcome;
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
