import type { Clock, Timer } from "./clock.ts";

/** Waits for a promise for a limited time; null = the time is up. The promise goes on in any case. */
export async function awaitWithin<Result>(clock: Clock, limitMs: number, promise: Promise<Result>): Promise<Result | null> {
  const { promise: timeUp, resolve } = Promise.withResolvers<null>();
  const timer = clock.setTimer(() => resolve(null), Math.max(0, limitMs));
  try {
    return await Promise.race([promise, timeUp]);
  } finally {
    timer.cancel();
  }
}

/**
 * Calls `run` at the time that was set last. Cheap to set often: a later time is only noted, and the timer is renewed when it fires.
 */
export class ResettableTimer {
  readonly #clock: Clock;
  readonly #run: () => void;
  #timer: Timer | null = null;
  #firesAtMs = 0;
  #dueAtMs: number | null = null;

  constructor(clock: Clock, run: () => void) {
    this.#clock = clock;
    this.#run = run;
  }

  /** @param delayMs from now; negative = at once; null = not at all, until `set` is called again. */
  set(delayMs: number | null): void {
    if (delayMs === null) {
      this.#dueAtMs = null;
      return;
    }
    const nowMs = this.#clock.now();
    this.#dueAtMs = nowMs + delayMs;
    if (this.#timer === null || this.#firesAtMs > this.#dueAtMs) this.#arm(delayMs, nowMs);
  }

  /** Forgets the time, and frees the timer. */
  cancel(): void {
    this.#dueAtMs = null;
    this.#timer?.cancel();
    this.#timer = null;
  }

  #arm(delayMs: number, nowMs: number): void {
    this.#timer?.cancel();
    this.#firesAtMs = nowMs + delayMs;
    // Node warns on stderr of a timer in the past.
    this.#timer = this.#clock.setTimer(() => this.#fired(), Math.max(0, delayMs));
  }

  #fired(): void {
    this.#timer = null;
    if (this.#dueAtMs === null) return;
    const nowMs = this.#clock.now();
    // A timer may fire a fraction of a millisecond early.
    if (this.#dueAtMs - nowMs >= 1) {
      this.#arm(this.#dueAtMs - nowMs, nowMs);
      return;
    }
    this.#dueAtMs = null;
    this.#run();
  }
}
