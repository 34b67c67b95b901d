import type { Clock } from "../lib/clock.ts";

/** When and why work is to stop. */
interface StopOptions {
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly limitMs: number;
  /** What the inner signal's reason is once the time is over. */
  readonly overdue: () => Error;
}

/** Runs `work` with a signal that aborts when the outer one does, with its reason, or when `limitMs` have passed. */
export async function stopAfter<T>(
  { signal, clock, limitMs, overdue }: StopOptions,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const pass = (): void => controller.abort(signal.reason);
  signal.addEventListener("abort", pass);
  if (signal.aborted) pass();
  const timer = clock.setTimer(() => controller.abort(overdue()), limitMs);
  try {
    return await work(controller.signal);
  } finally {
    timer.cancel();
    signal.removeEventListener("abort", pass);
  }
}

/** Waits for a promise that cannot be stopped, but no longer than until `signal` aborts; rejects with its reason then. */
export function orStopped<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const stop = (): void => reject(signal.reason);
    if (signal.aborted) return stop();
    signal.addEventListener("abort", stop);
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}
