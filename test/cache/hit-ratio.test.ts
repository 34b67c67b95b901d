import { describe, expect, test } from "vitest";
import { hitRatio, lru, sieve, type Workload } from "../../bench/hit-ratio.ts";

const calm: Workload = { names: 5000, exponent: 0.9, questions: 40_000, questionsPerSecond: 100, flood: 0, seed: 7 };
const budgetBytes = 256 * 1024;

/** Hit ratios without a flood. */
const undisturbed = { sieve: hitRatio(sieve, budgetBytes, calm), lru: hitRatio(lru, budgetBytes, calm) };

describe("a flood of random subdomains", () => {
  const flooded = { ...calm, flood: 20_000 };

  test("lowers the hit ratio of the names in use by less than one point", () => {
    expect(undisturbed.sieve).toBeGreaterThan(0.3);
    expect(undisturbed.sieve).toBeLessThan(0.95);
    expect(Math.abs(undisturbed.sieve - hitRatio(sieve, budgetBytes, flooded))).toBeLessThan(0.01);
  });

  test("lowers the hit ratio of a single LRU cache by more, so the flood is a real flood", () => {
    expect(undisturbed.lru - hitRatio(lru, budgetBytes, flooded)).toBeGreaterThan(0.01);
  });
});

test("SIEVE has more hits than LRU in the same memory", () => {
  expect(undisturbed.sieve).toBeGreaterThan(undisturbed.lru);
});
