/** Section `access`. `private` stands for the networks listed in docs/config.md. */
export interface AccessOptions {
  /** CIDRs, `private`, and client ids. */
  readonly clients: readonly string[];
  readonly rateLimit: RateLimitOptions | null;
}

export interface RateLimitOptions {
  readonly perSecond: number;
  readonly burst: number;
  /** CIDRs, `private`, and client ids. */
  readonly exempt: readonly string[];
}
