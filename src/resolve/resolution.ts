import type { TtlEdit } from "../answers/render.ts";
import type { Answer } from "../dns/answer.ts";
import type { ExtendedError } from "../dns/edns.ts";
import type { Decision } from "../rules/decision.ts";
import type { Attempt } from "../upstreams/upstream.ts";

export type Source = "hosts" | "special" | "rule" | "cache" | "stale" | "upstream" | "failure";

/** How a query ended: what was decided, where the answer came from, what is to be sent, and the trace of the way there. */
export interface Resolution {
  readonly decision: Decision;
  readonly source: Source;
  /** What was done to the answer: `none`, `block`, `type65:nodata`, `nxdomain:guarded`, … */
  readonly action: string;
  /** null = a rule wants silence. */
  readonly answer: Answer | null;
  readonly ttl: TtlEdit;
  /** Whether AD may be passed on. */
  readonly authenticated: boolean;
  readonly extendedErrors: readonly ExtendedError[];
  /** The servers asked on behalf of this query, or of the equal one it joined; empty where nobody was. */
  readonly attempts: readonly Attempt[];
}
