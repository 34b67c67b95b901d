import { median } from "../statistics.ts";

/** One thing that is done over and over. `run` does it `count` times and gives a number that depends on all of them, or they might be left out. */
export interface Operation {
  readonly name: string;
  readonly run: (count: number) => number;
}

export interface Timing {
  readonly name: string;
  readonly nanoseconds: number;
  readonly lowest: number;
  readonly highest: number;
}

export interface Runs {
  readonly runs: number;
  readonly runMs: number;
}

/** The median of several runs, each long enough for the clock, after one that lets the compiler finish. */
export function timing({ name, run }: Operation, { runs: times, runMs }: Runs = { runs: 9, runMs: 100 }): Timing {
  let count = 1000;
  let kept = 0;
  for (let elapsed = 0; elapsed < runMs; count = Math.ceil(count * 1.5)) {
    const start = performance.now();
    kept += run(count);
    elapsed = performance.now() - start;
  }
  const runs = Array.from({ length: times }, () => {
    const start = performance.now();
    kept += run(count);
    return ((performance.now() - start) * 1e6) / count;
  });
  if (Number.isNaN(kept)) throw new Error(`${name} gave no number`);
  return { name, nanoseconds: median(runs), lowest: Math.min(...runs), highest: Math.max(...runs) };
}
