import { ControlError } from "../admin/control.ts";
import type { Clock } from "../lib/clock.ts";
import { withinMs } from "../lib/deadline.ts";

export interface TurnsOptions {
  readonly clock: Clock;
  /** How many may wait besides the one whose turn it is. */
  readonly maxWaiting: number;
  /** How long one may take before the next has its turn. */
  readonly limitMs: number;
}

/** Work that takes much memory or time, one after the other. */
export class Turns {
  readonly #options: TurnsOptions;
  #last: Promise<unknown> = Promise.resolve();
  #taken = 0;

  constructor(options: TurnsOptions) {
    this.#options = options;
  }

  /** @throws ControlError `unavailable` where too much waits, `slow` where it took too long, what it comes to then being lost; else what `work` throws. */
  async take<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#taken > this.#options.maxWaiting)
      throw new ControlError("unavailable", "others are being worked on: try again later");
    this.#taken++;
    const turn = this.#last.then(() => this.#within(work)).finally(() => this.#taken--);
    this.#last = turn.catch(() => {});
    return await turn;
  }

  async #within<Result>(work: () => Promise<Result>): Promise<Result> {
    const { clock, limitMs } = this.#options;
    const done = await withinMs(
      clock,
      limitMs,
      work().then((result) => ({ result })),
    );
    if (done === null) throw new ControlError("slow", `it took more than ${limitMs / 1000} s`);
    return done.result;
  }
}
