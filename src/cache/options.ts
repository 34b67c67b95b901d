export interface StaleOptions {
  /** How long an expired positive answer may still be given. */
  readonly keepMs: number;
  /** How long a client waits for a fresh answer before it gets the stale one. */
  readonly afterMs: number;
  readonly ttlSeconds: number;
  /** For how long after a failed refresh the stale answer is given at once. */
  readonly recheckMs: number;
}

/** Section `cache`. */
export interface CacheOptions {
  readonly sizeBytes: number;
  /** null = stale answers are never given. */
  readonly stale: StaleOptions | null;
  readonly prefetch: boolean;
  /** Absolute path; null = nothing is kept across restarts. */
  readonly file: string | null;
  /** CIDRs: answers with an address in one are never stale, prefetched or persisted. */
  readonly volatile: readonly string[];
}
