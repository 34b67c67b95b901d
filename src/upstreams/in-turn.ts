import type { Clock, Timer } from "../lib/clock.ts";

interface TurnOptions<T> {
  readonly signal: AbortSignal;
  readonly clock: Clock;
  /** How long a candidate may be silent before the next one is tried beside it. */
  readonly staggerMs: number;
  /** Frees a result that came too late. */
  readonly discard: (late: T) => void;
}

/**
 * Tries candidates one after the other until one succeeds: the next begins when the one before has failed, or has been silent for
 * `staggerMs` (as RFC 8305 §5 has it for addresses). Once one has succeeded the signals of the others abort. Rejects with the error that
 * came first when all have failed; when `signal` aborts, each of those under way is aborted with its reason and none is begun.
 * @throws RangeError without candidates.
 */
export function inTurn<C, T>(
  candidates: readonly C[],
  { signal, clock, staggerMs, discard }: TurnOptions<T>,
  run: (candidate: C, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    if (candidates.length === 0) return reject(new RangeError("nothing to try"));
    const trying = new Set<AbortController>();
    const errors: unknown[] = [];
    let next = 0;
    let ended = false;
    let timer: Timer | null = null;
    const end = (settle: () => void): void => {
      ended = true;
      timer?.cancel();
      signal.removeEventListener("abort", stop);
      for (const controller of trying) controller.abort(signal.reason);
      settle();
    };
    const stop = (): void => {
      for (const controller of trying) controller.abort(signal.reason);
      next = candidates.length;
      timer?.cancel();
    };
    const tryNext = (): void => {
      timer?.cancel();
      const candidate = candidates[next];
      if (candidate === undefined) return;
      next += 1;
      const controller = new AbortController();
      trying.add(controller);
      if (next < candidates.length) timer = clock.setTimer(tryNext, staggerMs);
      run(candidate, controller.signal).then(
        (value) => {
          trying.delete(controller);
          if (ended) discard(value);
          else end(() => resolve(value));
        },
        (error: unknown) => {
          trying.delete(controller);
          if (ended) return;
          errors.push(error);
          if (next < candidates.length) tryNext();
          else if (trying.size === 0) end(() => reject(errors[0]));
        },
      );
    };
    signal.addEventListener("abort", stop);
    tryNext();
    if (signal.aborted) stop();
  });
}
