import type { TtlEdit } from "../answers/render.ts";
import type { Answer } from "../dns/answer.ts";
import type { ExtendedError } from "../dns/edns.ts";
import type { Decision } from "../rules/decision.ts";
import type { Attempt } from "../upstreams/upstream.ts";
import type { Finding } from "./judge.ts";
import type { Side } from "./verdicts.ts";

export type Source = "hosts" | "special" | "rule" | "cache" | "stale" | "upstream" | "failure";

/** How a query ended: what was decided, where the answer came from, what is to be sent, and the trace of the way there. */
export interface Resolution {
  readonly decision: Decision;
  readonly source: Source;
  /** The group whose answer it is, or that was asked in vain; null where no group has a part in it. */
  readonly route: string | null;
  /** What was done to the answer: `none`, `block`, `type65:nodata`, `nxdomain:guarded`, … */
  readonly action: string;
  /** null = a rule wants silence. */
  readonly answer: Answer | null;
  readonly ttl: TtlEdit;
  /** Whether AD may be passed on. */
  readonly authenticated: boolean;
  readonly extendedErrors: readonly ExtendedError[];
  /** The servers asked on behalf of this query, or of the equal one it joined, also those it did not wait for to the end; empty where nobody was. */
  readonly attempts: readonly Attempt[];
  /** How many bits of the subnet that the client sent the answer is for (RFC 7871 §7.2.1); absent = it is for everybody. */
  readonly subnetScope?: number;
  /** What was changed in the answer but for its TTLs, beside what `action` says; absent = nothing. */
  readonly edits?: readonly string[];
  /** Absent where no rule compares. */
  readonly comparison?: Comparison;
}

/** How a comparison chose between its sides. */
export interface Comparison {
  readonly side: Side;
  /** The group of that side. */
  readonly group: string;
  /** What the near group's answer came to, now or when the verdict was found; null where there was none to look at. */
  readonly near: Finding | null;
  /**
   * `comparison`: both were weighed. `verdict`: one is held. `default`: nothing is known of the name, and the type is not judged.
   * `failure`: the far group failed, so this is the best that was left.
   */
  readonly by: "comparison" | "verdict" | "default" | "failure";
}
