import type { CacheEntry, EntryCopies } from "./entry.ts";

/**
 * A share of the budget and its entries, in the order in which they came. SIEVE chooses the entry to evict: a hand walks from the oldest entry to the
 * newest and round again, spares once each entry that was asked for since the hand last passed, and takes the first that was not.
 * (Zhang et al., "SIEVE is Simpler than LRU", NSDI 2024.)
 */
export class Segment {
  budgetBytes = 0;
  bytes = 0;
  entries = 0;
  hits = 0;
  evictions = 0;
  #oldest: CacheEntry | null = null;
  #newest: CacheEntry | null = null;
  #hand: CacheEntry | null = null;
  #broom: CacheEntry | null = null;

  add(entry: CacheEntry): void {
    entry.older = this.#newest;
    if (this.#newest === null) this.#oldest = entry;
    else this.#newest.newer = entry;
    this.#newest = entry;
    this.entries++;
    this.bytes += entry.bytes;
  }

  remove(entry: CacheEntry): void {
    if (this.#hand === entry) this.#hand = entry.newer;
    if (this.#broom === entry) this.#broom = entry.newer;
    if (entry.older === null) this.#oldest = entry.newer;
    else entry.older.newer = entry.newer;
    if (entry.newer === null) this.#newest = entry.older;
    else entry.newer.older = entry.older;
    entry.older = null;
    entry.newer = null;
    this.entries--;
    this.bytes -= entry.bytes;
  }

  /** The entry to evict next; null = the segment is empty. Useless entries go first, if a short look finds one. */
  victim(nowMs: number, copies: EntryCopies | null): CacheEntry | null {
    const useless = this.#sweep(nowMs);
    if (useless !== null) return useless;
    let entry = this.#hand ?? this.#oldest;
    while (entry !== null && isInUse(entry, nowMs, copies)) {
      entry.visited = false;
      entry = entry.newer ?? this.#oldest;
    }
    this.#hand = entry;
    return entry;
  }

  /** Looks at the next few entries, round and round like the hand, and returns the first that has become useless. */
  #sweep(nowMs: number): CacheEntry | null {
    for (let looks = 0; looks < SWEEP_LOOKS; looks++) {
      const entry = this.#broom ?? this.#oldest;
      if (entry === null) return null;
      if (nowMs >= entry.uselessAtMs) return entry;
      this.#broom = entry.newer;
    }
    return null;
  }
}

function isInUse(entry: CacheEntry, nowMs: number, copies: EntryCopies | null): boolean {
  copies?.settle(entry);
  return entry.visited && nowMs < entry.uselessAtMs;
}

/** With so many looks for each eviction a full segment is searched many times before all its entries have been replaced once. */
const SWEEP_LOOKS = 8;
