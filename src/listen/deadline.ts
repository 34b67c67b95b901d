import type { Clock, Timer } from "../clock.ts";

/**
 * Calls `run` once the time last set has come. Made to be moved often: setting it later only notes the time, and the
 * timer under way is renewed when it fires.
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

  /** `delayMs` from now, at once where that is negative; null = not at all, until set again. */
  set(delayMs: number | null): void {
    if (delayMs === null) {
      this.#dueAtMs = null;
      return;
    }
    const nowMs = this.#clock.now();
    this.#dueAtMs = nowMs + delayMs;
    if (this.#timer === null || this.#firesAtMs > this.#dueAtMs) this.#arm(delayMs, nowMs);
  }

  /** Forgets the time and frees the timer. */
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
