import type { Clock, Timer } from "../lib/clock.ts";

/** How long a connection is kept without a question. Servers often close sooner (RFC 7766 §6.2.3), which costs nothing here. */
const IDLE_MS = 30_000;

interface WatchOptions {
  readonly stalledMs: number;
  /** Called when nothing has come for so long after a question went out. */
  readonly stalled: () => void;
  /** Called when no question has been on the connection for a while. */
  readonly idle: () => void;
}

/** Notices when a kept-open connection is silent under questions, or not used: one timer, however many questions. */
export class ConnectionWatch {
  readonly #clock: Clock;
  readonly #options: WatchOptions;
  #isQuiet = false;
  #timer: Timer | null = null;

  constructor(clock: Clock, options: WatchOptions) {
    this.#clock = clock;
    this.#options = options;
  }

  /** A question went out. Silence counts from the first one after something was heard. */
  sent(): void {
    if (this.#isQuiet) return;
    this.#isQuiet = true;
    this.#arm(this.#options.stalledMs, this.#options.stalled);
  }

  heard(): void {
    this.#isQuiet = false;
    this.#timer?.cancel();
  }

  /** Nobody waits. A silence goes on being measured: questions that were given up tell as much about the connection as others. */
  rest(): void {
    if (!this.#isQuiet) this.#arm(IDLE_MS, this.#options.idle);
  }

  stop(): void {
    this.#timer?.cancel();
  }

  #arm(delayMs: number, run: () => void): void {
    this.#timer?.cancel();
    this.#timer = this.#clock.setTimer(run, delayMs);
  }
}
