import type { Clock } from "../lib/clock.ts";

/** Keeps one server below its `maxQps`: a token bucket that holds one second's worth, so a burst after a pause may use all of it at once. */
export class Rate {
  readonly #perSecond: number | null;
  readonly #clock: Clock;
  #tokens: number;
  #filledMs: number;

  /** `perSecond` null = no limit. */
  constructor(perSecond: number | null, clock: Clock) {
    this.#perSecond = perSecond;
    this.#clock = clock;
    this.#tokens = capacity(perSecond ?? 0);
    this.#filledMs = clock.now();
  }

  /** Counts one question; false where there is no room for it now, and then nothing is counted. */
  take(): boolean {
    if (this.#perSecond === null) return true;
    const nowMs = this.#clock.now();
    const gained = ((nowMs - this.#filledMs) / 1000) * this.#perSecond;
    this.#tokens = Math.min(capacity(this.#perSecond), this.#tokens + gained);
    this.#filledMs = nowMs;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}

// Below one question a second the bucket must still be able to hold one.
function capacity(perSecond: number): number {
  return Math.max(1, perSecond);
}
