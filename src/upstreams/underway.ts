import { UpstreamError } from "./upstream.ts";

/** The two ends of something under way. Whichever is called first counts; later calls do nothing. */
export interface Ends<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (error: Error) => void;
}

/**
 * What is being asked of one server at the moment: never more than a limit, and each part of it ends with its caller's signal
 * or with `close`, whatever the transport does.
 */
export class Underway {
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
  run<T>(signal: AbortSignal, begin: (ends: Ends<T>) => () => void): Promise<T> {
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
