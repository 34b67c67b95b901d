import fc from "fast-check";
import { expect, test } from "vitest";
import { RisingCounts } from "../../src/stats/metrics.ts";

test("a count never falls, and equals the value as long as the value does not fall", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(100)), (values) => {
      const counts = new RisingCounts();
      let shown = 0;
      let rising = true;
      for (const [index, value] of values.entries()) {
        rising &&= value >= (values[index - 1] ?? 0);
        const next = counts.add("a", value);
        counts.endPass();
        expect(next).toBeGreaterThanOrEqual(shown);
        expect(next).toBeGreaterThanOrEqual(value);
        if (rising) expect(next).toBe(value);
        shown = next;
      }
    }),
  );
});

test("each sample has its own count, which is forgotten with the sample", () => {
  const counts = new RisingCounts();
  const look = (...samples: readonly (readonly [string, number])[]) => {
    const read = samples.map(([sample, value]) => counts.add(sample, value));
    counts.endPass();
    return read;
  };
  expect(look(["a", 5], ["b", 7])).toEqual([5, 7]);
  expect(look(["a", 1], ["b", 8])).toEqual([6, 8]);
  expect(look(["b", 2])).toEqual([10]);
  expect(look(["a", 1])).toEqual([1]);
});
