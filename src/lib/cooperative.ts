import { setImmediate } from "node:timers/promises";

/**
 * A sliced generator: long synchronous work that `yield`s nothing after every few milliseconds and returns its result. The caller chooses
 * how to run it: `runCooperatively` lets the event loop turn at each `yield`, so that queries are answered meanwhile; `runSync` does not.
 * A sliced generator calls another with `yield*`.
 */
export type Sliced<Result> = Generator<undefined, Result, undefined>;

/** Size of a slice for work that is measured in bytes or in entries: some milliseconds also on a small machine. */
export const SLICE_BYTES = 16_384;
export const SLICE_ENTRIES = 4096;

/** Runs the work with a turn of the event loop between its slices. */
export async function runCooperatively<Result>(work: Sliced<Result>): Promise<Result> {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
    await setImmediate();
  }
}

/** Runs the work without a pause. */
export function runSync<Result>(work: Sliced<Result>): Result {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}
