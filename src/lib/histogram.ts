/**
 * Counts of durations by buckets that double, each histogram in a run of slots of a `Float64Array`: its buckets, then the sum of all durations in
 * milliseconds. A thread may count into shared memory, and another one may read there.
 */

/** End of the first bucket in microseconds: below the quickest answer of this process. */
const FIRST_US = 16;

/** Number of buckets with an end. Each ends at twice the end of the one before, the last at 8.4 s; one more bucket takes the rest. */
const FINITE_BUCKETS = 20;

/** The ends of the buckets in seconds; the last bucket has none. */
export const BUCKET_ENDS_SECONDS: readonly number[] = Array.from(
  { length: FINITE_BUCKETS },
  (_, index) => (FIRST_US * 2 ** index) / 1e6,
);

/** Slots of one histogram. */
export const HISTOGRAM_SLOTS = FINITE_BUCKETS + 2;

/** Adds a duration to the histogram that begins at `start`. */
export function countDuration(slots: Float64Array, start: number, durationMs: number): void {
  const bucket = bucketOf(durationMs);
  slots[start + bucket] = (slots[start + bucket] ?? 0) + 1;
  slots[start + FINITE_BUCKETS + 1] = (slots[start + FINITE_BUCKETS + 1] ?? 0) + durationMs;
}

/** The bucket of a duration; the end of a bucket belongs to it. */
export function bucketOf(durationMs: number): number {
  const quotient = Math.ceil((durationMs * 1000) / FIRST_US) - 1;
  if (quotient <= 0) return 0;
  // `clz32` would wrap beyond 32 bits.
  return quotient >= 2 ** FINITE_BUCKETS ? FINITE_BUCKETS : Math.min(FINITE_BUCKETS, 32 - Math.clz32(quotient));
}

export interface Histogram {
  /** Number of values up to the end of each bucket; the last element counts all values. */
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
