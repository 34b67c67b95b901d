import type { Clock } from "../../lib/clock.ts";

/** For so long the clock is not believed after the start, and after it was moved: NTP sets right within minutes what a machine without a battery makes up. */
const DOUBT_MS = 3_600_000;

/** A clock that was moved by less is of no concern where hours are kept. */
const MOVED_MS = 60_000;

/** Tells the time to what cannot be undone, such as to drop what is too old. */
export class BelievedTime {
  readonly #clock: Clock;
  #aheadMs: number;
  #sinceMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#sinceMs = clock.now();
    this.#aheadMs = clock.wallMs() - this.#sinceMs;
  }

  /** Milliseconds since 1970; null while the clock on the wall has not gone evenly for an hour. To be asked every minute. */
  wallMs(): number | null {
    const nowMs = this.#clock.now();
    const wallMs = this.#clock.wallMs();
    if (Math.abs(wallMs - nowMs - this.#aheadMs) > MOVED_MS) {
      this.#aheadMs = wallMs - nowMs;
      this.#sinceMs = nowMs;
    }
    return nowMs - this.#sinceMs < DOUBT_MS ? null : wallMs;
  }
}
