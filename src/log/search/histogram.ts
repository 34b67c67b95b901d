import { bucketMiddleUs } from "../store/latency.ts";
import type { Percentiles } from "../summary.ts";

/** Durations by the buckets of the store. */
export class Histogram {
  readonly #counts = new Map<number, number>();

  add(bucket: number, count: number): void {
    this.#counts.set(bucket, (this.#counts.get(bucket) ?? 0) + count);
  }

  /** In microseconds; null where nothing was counted. */
  percentiles(): Percentiles | null {
    const buckets = [...this.#counts].sort(([a], [b]) => a - b);
    const total = buckets.reduce((sum, [, count]) => sum + count, 0);
    return total === 0
      ? null
      : { p50: durationAt(buckets, total * 0.5), p90: durationAt(buckets, total * 0.9), p99: durationAt(buckets, total * 0.99) };
  }
}

/** The duration that so many of the counted do not exceed. */
function durationAt(buckets: readonly (readonly [number, number])[], rank: number): number {
  let sum = 0;
  for (const [bucket, count] of buckets) {
    sum += count;
    if (sum >= rank) return bucketMiddleUs(bucket);
  }
  return 0;
}
