import type { LRUCache } from "lru-cache";
import { recentlyUsed } from "./recently-used.ts";

/** How fast something may happen: `burst` times at once, and `perSecond` times a second in the long run. */
interface BucketLimits {
  readonly perSecond: number;
  readonly burst: number;
}

/** Lets events pass while it holds a token for each. Tokens come back at a steady rate. */
export class TokenBucket {
  readonly #perMs: number;
  readonly #burst: number;
  #tokens: number;
  #filledMs: number;

  constructor({ perSecond, burst }: BucketLimits, nowMs: number) {
    this.#perMs = perSecond / 1000;
    this.#burst = burst;
    this.#tokens = burst;
    this.#filledMs = nowMs;
  }

  /** Whether one more event may pass at `nowMs`. A refused event costs no token. */
  take(nowMs: number): boolean {
    this.#fill(nowMs);
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  /** Takes more tokens than `take` did. The bucket may go into debt, by one burst at most. */
  charge(tokens: number, nowMs: number): void {
    this.#fill(nowMs);
    this.#tokens = Math.max(-this.#burst, this.#tokens - tokens);
  }

  /** Gives tokens back, at most to a full bucket. */
  refund(tokens: number): void {
    this.#tokens = Math.min(this.#burst, this.#tokens + tokens);
  }

  /** How long it takes until one event may pass; 0 = now. */
  waitMs(nowMs: number): number {
    this.#fill(nowMs);
    return Math.max(0, 1 - this.#tokens) / this.#perMs;
  }

  #fill(nowMs: number): void {
    this.#tokens = Math.min(this.#burst, this.#tokens + Math.max(0, nowMs - this.#filledMs) * this.#perMs);
    this.#filledMs = nowMs;
  }
}

/** A bucket for each key, such as a client. Of more than `max` keys the one not used for longest is forgotten and later begins with a full bucket. */
export class TokenBuckets {
  readonly #limits: BucketLimits;
  readonly #buckets: LRUCache<string, TokenBucket>;

  constructor(limits: BucketLimits, max: number) {
    this.#limits = limits;
    this.#buckets = recentlyUsed(max);
  }

  of(key: string, nowMs: number): TokenBucket {
    const known = this.#buckets.get(key);
    if (known !== undefined) return known;
    const bucket = new TokenBucket(this.#limits, nowMs);
    this.#buckets.set(key, bucket);
    return bucket;
  }
}
