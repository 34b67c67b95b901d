import { expect, test } from "vitest";
import { runCooperatively, type Sliced } from "../../src/lib/cooperative.ts";

/** Runs so many slices, each of which takes so long. @returns how often something else had its turn. */
async function othersBeside(slices: number, sliceMs: number): Promise<number> {
  function* work(): Sliced<string> {
    for (let slice = 0; slice < slices; slice++) {
      const untilMs = performance.now() + sliceMs;
      while (performance.now() < untilMs);
      yield;
    }
    return "done";
  }
  let others = 0;
  let isOver = false;
  const other = (): void => {
    others++;
    if (!isOver) setImmediate(other);
  };
  setImmediate(other);
  expect(await runCooperatively(work())).toBe("done");
  isOver = true;
  return others;
}

test("while work goes on in small slices, everything else has its turn after every few milliseconds", async () => {
  expect(await othersBeside(200, 0.5)).toBeGreaterThan(15);
});

test("a turn holds many slices where they are quick", async () => {
  expect(await othersBeside(20_000, 0)).toBeLessThan(10_000);
});
