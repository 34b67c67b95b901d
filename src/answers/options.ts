/** What happens to SVCB and HTTPS records: pass unchanged, answer NODATA, or strip parts in any combination. */
export type HttpsMode = "pass" | "nodata" | readonly HttpsStrip[];
export type HttpsStrip = "strip-ech" | "strip-hints" | "strip-ipv6hint" | "strip-h3";
type FamilyMode = "pass" | "nodata";
export type Rebinding = "allow" | "nodata";

export interface TtlLimits {
  readonly minSeconds: number;
  readonly maxSeconds: number;
}

/** Lifetimes of answers that carry no records, in seconds. */
export interface NegativeLimits {
  readonly minSeconds: number;
  readonly maxSeconds: number;
  /** Of an answer that a rule makes. */
  readonly blockSeconds: number;
  /** Of a negative answer without SOA, once it is verified. */
  readonly bareSeconds: number;
  readonly failureSeconds: number;
}

/** How replies are shaped: section `answers`, with the changes that rules make for one query. */
export interface Shaping {
  readonly https: HttpsMode;
  readonly ipv6: FamilyMode | "prefer-ipv4";
  readonly ipv4: FamilyMode | "prefer-ipv6";
  readonly ttl: TtlLimits;
  readonly negative: NegativeLimits;
  readonly rebinding: Rebinding;
}

/** Section `answers`. */
export interface AnswersOptions extends Shaping {
  readonly deadlineMs: number;
}
