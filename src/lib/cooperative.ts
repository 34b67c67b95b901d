import { setImmediate } from "node:timers/promises";

/**
 * A sliced generator: long synchronous work that `yield`s nothing now and then, each time after much less than a millisecond, and returns its result. The caller chooses
 * how to run it: `runCooperatively` lets the event loop turn at each `yield`, so that queries are answered meanwhile; `runSync` does not.
 * A sliced generator calls another with `yield*`.
 */
export type Sliced<Result> = Generator<undefined, Result, undefined>;

/**
 * Size of a slice for work that is measured in bytes or in entries. Small, because an entry may cost a hundred times what most do; the clock says how many
 * slices a turn has.
 */
export const SLICE_BYTES = 2048;
export const SLICE_ENTRIES = 256;

/** How long the work goes on before everything else has its turn. */
const TURN_MS = 3;

/** Runs the work, with a turn of the event loop after every few milliseconds. */
export async function runCooperatively<Result>(work: Sliced<Result>): Promise<Result> {
  for (let begunMs = performance.now(); ; ) {
    const step = work.next();
    if (step.done === true) return step.value;
    if (performance.now() - begunMs < TURN_MS) continue;
    await setImmediate();
    begunMs = performance.now();
  }
}

/** Runs the work without a pause. */
export function runSync<Result>(work: Sliced<Result>): Result {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}
