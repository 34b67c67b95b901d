/** Ids of one millisecond. */
const PER_MILLISECOND = 1024;

/**
 * Gives records their ids: the millisecond times 1024, plus a counter. They rise without exception, also where the wall clock is set back
 * or more than 1,024 are wanted in one millisecond: then they run ahead of the clock until it has caught up.
 */
export class RecordIds {
  #last = 0;

  /** @param wallMs when the query came, in whole milliseconds since 1970. */
  next(wallMs: number): number {
    this.#last = Math.max(this.#last + 1, Math.floor(wallMs) * PER_MILLISECOND);
    return this.#last;
  }
}
