/** Where the first bucket ends, in microseconds: below the quickest answer that leaves this process. */
const FIRST_US = 16;

/** Buckets with an end; each ends at twice the one before, the last at 8.4 s: past any deadline. One more takes the rest. */
const FINITE_BUCKETS = 20;

/** The end of each bucket in seconds, but for the last, which has none. */
export const BUCKET_ENDS_SECONDS: readonly number[] = Array.from(
  { length: FINITE_BUCKETS },
  (_, index) => (FIRST_US * 2 ** index) / 1e6,
);

/** Numbers that one histogram takes: its buckets, then the sum of all values in milliseconds. */
export const HISTOGRAM_SLOTS = FINITE_BUCKETS + 2;

/** Adds a duration to the histogram that begins at `start`. */
export function observe(slots: Float64Array, start: number, durationMs: number): void {
  const bucket = bucketOf(durationMs);
  slots[start + bucket] = (slots[start + bucket] ?? 0) + 1;
  slots[start + FINITE_BUCKETS + 1] = (slots[start + FINITE_BUCKETS + 1] ?? 0) + durationMs;
}

/** The bucket a duration falls into, its end included. */
export function bucketOf(durationMs: number): number {
  const quotient = Math.ceil((durationMs * 1000) / FIRST_US) - 1;
  if (quotient <= 0) return 0;
  // Beyond 31 bits `clz32` would begin anew.
  return quotient >= 2 ** FINITE_BUCKETS ? FINITE_BUCKETS : Math.min(FINITE_BUCKETS, 32 - Math.clz32(quotient));
}

/** A histogram as it is shown. */
export interface Histogram {
  /** How many values are no greater than the end of each bucket; the last one counts all. */
  readonly cumulative: readonly number[];
  readonly sumSeconds: number;
}

export function readHistogram(slots: Float64Array, start: number): Histogram {
  let total = 0;
  const cumulative = Array.from({ length: FINITE_BUCKETS + 1 }, (_, index) => {
    total += slots[start + index] ?? 0;
    return total;
  });
  return { cumulative, sumSeconds: (slots[start + FINITE_BUCKETS + 1] ?? 0) / 1000 };
}
