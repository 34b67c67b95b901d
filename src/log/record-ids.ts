import { firstIdAt } from "./schema.ts";

/** How far ids may run ahead of the clock: longer than any query waits for its answer, which is counted from when it came. */
export const MAX_AHEAD_MS = 60_000;

/** Each time that the clock is set back the counter of each millisecond begins elsewhere, so that ids of a time that comes again are others than before. */
const BEGINNINGS = { count: 8, apart: 128 } as const;

/**
 * Gives records their ids: the millisecond times 1024, plus a counter in steps of two. They rise, also where the wall clock is set back a little or more than 512 are
 * wanted in one millisecond: then they run ahead of the clock until it has caught up. Where it is set back by more than a minute they follow it, or
 * for as long as it was wrong no search by time would find what comes.
 */
export class RecordIds {
  readonly #lane: 0 | 1;
  #last = 0;
  #turn = 0;

  /** @param lane two threads give ids at the same time, one the even ones, the other the odd ones. */
  constructor(lane: 0 | 1 = 0) {
    this.#lane = lane;
  }

  /** @param wallMs when the query came, in whole milliseconds since 1970. */
  next(wallMs: number): number {
    if (firstIdAt(wallMs + MAX_AHEAD_MS) < this.#last) {
      this.#turn++;
      this.#last = 0;
    }
    const begun = firstIdAt(Math.floor(wallMs)) + (this.#turn % BEGINNINGS.count) * BEGINNINGS.apart + this.#lane;
    this.#last = Math.max(this.#last + 2, begun);
    return this.#last;
  }
}
