import type { Clock, Timer } from "../clock.ts";

/** The time by which a query has its reply, as a signal for what is asked on its behalf. */
export class QueryDeadline {
  readonly untilMs: number;
  readonly signal: AbortSignal;
  readonly #timer: Timer;

  constructor(clock: Clock, untilMs: number) {
    const controller = new AbortController();
    this.untilMs = untilMs;
    this.signal = controller.signal;
    this.#timer = clock.setTimer(() => controller.abort(), Math.max(0, untilMs - clock.now()));
  }

  /** What was waited for is there; the signal will not fire any more. */
  lift(): void {
    this.#timer.cancel();
  }
}

/** The first of a promise and a time limit; null when time was up. The promise goes on in any case. */
export async function withinMs<Result>(clock: Clock, limitMs: number, promise: Promise<Result>): Promise<Result | null> {
  const { promise: timeUp, resolve } = Promise.withResolvers<null>();
  const timer = clock.setTimer(() => resolve(null), Math.max(0, limitMs));
  try {
    return await Promise.race([promise, timeUp]);
  } finally {
    timer.cancel();
  }
}
