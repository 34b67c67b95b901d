interface Count {
  last: number;
  /** What was counted before it began again at zero. */
  before: number;
}

/**
 * Keeps counters from falling: what counts servers, the cache and the log is made anew by a reload, and begins at zero. What was counted between
 * the last look and the reload is not made up for.
 */
export class RisingCounts {
  #counts: ReadonlyMap<string, Count> = new Map();
  #seen = new Map<string, Count>();

  /** The count of this sample since the start of the process. */
  read(sample: string, value: number): number {
    const count = this.#counts.get(sample) ?? { last: 0, before: 0 };
    if (value < count.last) count.before += count.last;
    count.last = value;
    this.#seen.set(sample, count);
    return count.before + value;
  }

  /** Ends a look at all of them: what was not among them is forgotten. */
  settle(): void {
    this.#counts = this.#seen;
    this.#seen = new Map();
  }
}
