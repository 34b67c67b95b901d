import type { CacheEntry } from "./entry.ts";

/**
 * One share of the budget and the entries in it, in the order they came, with SIEVE to say who goes: a hand walks from the
 * oldest to the newest and round again, spares once whoever was asked for since it last came by, and takes the first who was not.
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

  /** Whom to remove next to make room; null where nothing is left. The useless go first, as far as a short look finds them. */
  victim(nowMs: number): CacheEntry | null {
    const useless = this.#sweep(nowMs);
    if (useless !== null) return useless;
    let entry = this.#hand ?? this.#oldest;
    while (entry?.visited && nowMs < entry.uselessAtMs) {
      entry.visited = false;
      entry = entry.newer ?? this.#oldest;
    }
    this.#hand = entry;
    return entry;
  }

  /** Looks at the next few entries, going round as the hand does, and gives the first that has become useless. */
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

/** Enough for a full segment to be looked through many times before it has been replaced once. */
const SWEEP_LOOKS = 8;
