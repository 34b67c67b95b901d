import { setImmediate } from "node:timers/promises";

/** Work in slices of a few milliseconds: each `yield` is a place where others may have their turn. */
export type Sliced<Result> = Generator<undefined, Result, undefined>;

/** How much a slice is where it is measured by bytes that are read, or by entries. */
export const SLICE_BYTES = 65_536;
export const SLICE_ENTRIES = 4096;

/** Does the work with a turn of the event loop between its slices: a list of a million names takes long, and queries wait for nothing. */
export async function runCooperatively<Result>(work: Sliced<Result>): Promise<Result> {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
    await setImmediate();
  }
}

/** Does the work without a pause. */
export function runSync<Result>(work: Sliced<Result>): Result {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}
