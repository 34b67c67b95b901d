import type { Clock, Timer } from "./lib/clock.ts";

/** What was replaced and may still have questions under way: each is closed when these have had their time, one after the other. */
export class RetiredSites {
  readonly #clock: Clock;
  readonly #failed: (error: unknown) => void;
  readonly #waiting = new Set<Retired>();
  #closing: Promise<void> = Promise.resolve();

  /** @param failed told of what could not be closed; must not throw. */
  constructor(clock: Clock, failed: (error: unknown) => void) {
    this.#clock = clock;
    this.#failed = failed;
  }

  /** Calls `close` after `delayMs`, or in the end. */
  add(close: () => Promise<void>, delayMs: number): void {
    const retired: Retired = { close, timer: this.#clock.setTimer(() => this.#end(retired), delayMs) };
    this.#waiting.add(retired);
  }

  /** Closes all of them now, the oldest first. May be called again. */
  async close(): Promise<void> {
    for (const retired of this.#waiting) this.#end(retired);
    await this.#closing;
  }

  #end(retired: Retired): void {
    this.#waiting.delete(retired);
    retired.timer.cancel();
    this.#closing = this.#closing.then(retired.close).catch(this.#failed);
  }
}

interface Retired {
  readonly close: () => Promise<void>;
  readonly timer: Timer;
}
