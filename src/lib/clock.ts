/**
 * The only source of time, passed to everything that waits or ages, so that tests can set the time. `now` may be called without its object.
 */
export interface Clock {
  /** Milliseconds on a scale that never goes back; only differences have a meaning. */
  readonly now: () => number;
  /** Milliseconds since 1970 in UTC, for times that are stored or shown. */
  readonly wallMs: () => number;
  /** Calls `run` once after `delayMs`. A pending timer does not keep the process alive. */
  readonly setTimer: (run: () => void, delayMs: number) => Timer;
  /** Where other threads read a clock that is not the system's: `now` and `wallMs` as two Float64. */
  readonly shared?: SharedArrayBuffer;
}

export interface Timer {
  /** Has no effect after the timer has run. */
  cancel(): void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  wallMs: () => Date.now(),
  setTimer(run, delayMs) {
    // What was due while the process was busy is due now.
    const timeout = setTimeout(run, Math.max(0, delayMs));
    timeout.unref();
    return { cancel: () => clearTimeout(timeout) };
  },
};
