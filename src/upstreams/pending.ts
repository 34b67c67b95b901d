import type { Clock, Timer } from "../lib/clock.ts";
import { UpstreamError } from "./upstream.ts";

/** The two ends of something under way. Whichever is called first counts; later calls do nothing. */
export interface Settle<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (error: Error) => void;
}

/**
 * What is being asked of one server at the moment: never more than a limit, and each part of it ends with its caller's signal
 * or with `close`, whatever the transport does.
 */
export class PendingRequests {
  readonly #label: string;
  readonly #limit: number;
  readonly #failing = new Set<(error: UpstreamError) => void>();
  #closed = false;

  constructor(label: string, limit: number) {
    this.#label = label;
    this.#limit = limit;
  }

  /**
   * Calls `begin` at once, which starts the work and gives back what undoes it; that is called exactly once, however the work ends.
   * @throws UpstreamError `aborted`, `closed`, or `barred` where the limit is reached; and whatever `begin` rejects with.
   */
  run<T>(signal: AbortSignal, begin: (ends: Settle<T>) => () => void): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#closed) return reject(new UpstreamError("closed", this.#label, "closed"));
      if (signal.aborted) return reject(this.#givenUp());
      if (this.#failing.size >= this.#limit)
        return reject(new UpstreamError("barred", this.#label, `${this.#limit} questions are already waiting`));
      let undo: (() => void) | null = null;
      let ended = false;
      const end = (settle: () => void): void => {
        if (ended) return;
        ended = true;
        signal.removeEventListener("abort", abort);
        this.#failing.delete(fail);
        undo?.();
        settle();
      };
      const fail = (error: Error): void => end(() => reject(error));
      const abort = (): void => fail(this.#givenUp());
      signal.addEventListener("abort", abort);
      this.#failing.add(fail);
      const undoOnce = begin({ resolve: (value) => end(() => resolve(value)), reject: fail });
      if (ended) undoOnce();
      else undo = undoOnce;
    });
  }

  close(): void {
    this.#closed = true;
    for (const fail of this.#failing) fail(new UpstreamError("closed", this.#label, "closed while a question was under way"));
  }

  #givenUp(): UpstreamError {
    return new UpstreamError("aborted", this.#label, "the caller gave up");
  }
}

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
