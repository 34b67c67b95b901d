/** Ids of one millisecond. */
const PER_MILLISECOND = 1024;

/** How far ids may run ahead of the clock: longer than any query waits for its answer, which is counted from when it came. */
export const MAX_AHEAD_MS = 60_000;

/** Where the counter may begin, one after the other: 128 apart, so that ids of a time that comes again are others than before. */
const BEGINNINGS = 8;

/**
 * Gives records their ids: the millisecond times 1024, plus a counter. They rise, also where the wall clock is set back a little or more than 1,024 are
 * wanted in one millisecond: then they run ahead of the clock until it has caught up. Where it is set back by more than a minute they follow it, or
 * for as long as it was wrong no search by time would find what comes.
 */
export class RecordIds {
  #last = 0;
  #beginning = 0;

  /** @param wallMs when the query came, in whole milliseconds since 1970. */
  next(wallMs: number): number {
    const first = Math.floor(wallMs) * PER_MILLISECOND;
    const isSetBack = first < this.#last - MAX_AHEAD_MS * PER_MILLISECOND;
    if (isSetBack) this.#beginning = (this.#beginning + 1) % BEGINNINGS;
    const begun = first + (this.#beginning * PER_MILLISECOND) / BEGINNINGS;
    this.#last = isSetBack ? begun : Math.max(this.#last + 1, begun);
    return this.#last;
  }
}
