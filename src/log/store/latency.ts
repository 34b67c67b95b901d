/** Buckets to a doubling: each is wider than the one before by a fifth (2 ** 0.25 = 1.19). */
const BUCKETS_PER_OCTAVE = 4;

/** The last one holds all that lasted longer: 2 ** 31.75 microseconds are an hour. */
const LAST_BUCKET = 127;

/** The bucket of a duration in the histograms of the roll-ups, 0 to 127. */
export function latencyBucket(durationUs: number): number {
  if (durationUs < 1) return 0;
  return Math.min(LAST_BUCKET, Math.floor(Math.log2(durationUs) * BUCKETS_PER_OCTAVE));
}

/** The duration in microseconds that stands for all in a bucket: its middle on the scale of logarithms. */
export function bucketMiddleUs(bucket: number): number {
  return Math.round(2 ** ((bucket + 0.5) / BUCKETS_PER_OCTAVE));
}
