/**
 * The one source of time. It is passed to everything that waits or ages, so that tests turn the hands themselves.
 * `now` may be taken off its object and called alone.
 */
export interface Clock {
  /** Milliseconds on a scale that never runs backwards; only differences mean anything. */
  readonly now: () => number;
  /** Milliseconds since 1970 in UTC, for what outlives the process or is shown to people. */
  readonly wallMs: () => number;
  /** Calls `run` once after `delayMs`. A pending timer does not keep the process alive. */
  readonly setTimer: (run: () => void, delayMs: number) => Timer;
}

export interface Timer {
  /** Harmless after the timer has run. */
  cancel(): void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  wallMs: () => Date.now(),
  setTimer(run, delayMs) {
    const timeout = setTimeout(run, delayMs);
    timeout.unref();
    return { cancel: () => clearTimeout(timeout) };
  },
};
