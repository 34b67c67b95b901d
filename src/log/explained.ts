import type { AttemptRecord } from "./record.ts";
import type { TraceStep } from "./trace.ts";

/** What becomes of a question, and why, without anybody having been asked; `attempts` and the outcome are there only where it was carried out. */
export interface Explained {
  readonly question: { readonly name: string; readonly type: string; readonly client: string; readonly clientId: string | null };
  /** The version of configuration, hosts and lists it holds for. */
  readonly version: string;
  readonly decision: ExplainedDecision;
  readonly trace: readonly TraceStep[];
  /** What the cache holds of the name on this route, all types; empty for what is answered here. */
  readonly cache: readonly CachedAnswer[];
  /** Of a rule that compares: what is known of the name. */
  readonly verdict: ExplainedVerdict | null;
  /** The next step of a CNAME of the hosts table: its target goes by its own decision. */
  readonly target: Explained | null;
  /** One or two sentences for people: `Rule split sends it to domestic because of taobao.com, line 12 of list cn.` */
  readonly summary: string;
  /** What else bears on it, a sentence each: that a `never` forbids it, that it would be a loop, on what a preference for a family depends. */
  readonly notes: readonly string[];
  /** What really came of it, with `resolve=true`; else null. */
  readonly outcome: ExplainedOutcome | null;
}

export interface ExplainedDecision {
  readonly kind: "reply" | "forward" | "compare" | "drop";
  readonly rule: string | null;
  /** The group asked; of a comparison the side that is known to answer, null where that is found out first; null where it is answered here. */
  readonly route: string | null;
  readonly near: string | null;
  readonly far: string | null;
  /** What is answered here: `10.0.0.5, 10.0.0.6`, `CNAME nas.lan`, `nodata`, `nxdomain`, `zero`, `drop`, …; null for what is forwarded. */
  readonly answer: string | null;
  /** As in a query record, as far as it is known beforehand: `block`, `type65:nodata`, `ipv6:nodata`, `never`, `loop`, … */
  readonly action: string;
  /** Modifiers in force, as they would be written in a rule, whether a rule sets them or not. */
  readonly settings: Readonly<Record<string, unknown>>;
}

export interface ExplainedVerdict {
  readonly side: "near" | "far";
  /** What the near answer came to. */
  readonly near: string;
  readonly type: string;
  readonly ageSeconds: number;
}

export interface ExplainedOutcome {
  readonly rcode: string | null;
  readonly source: string;
  readonly action: string;
  readonly answers: readonly string[];
  readonly negativeTtl: number | null;
  readonly ede: readonly string[];
  readonly edits: readonly string[];
  readonly attempts: readonly AttemptRecord[];
  readonly durationUs: number;
}

/** An answer that the cache holds. */
export interface CachedAnswer {
  readonly name: string;
  /** `ANY` for an NXDOMAIN of the name itself, which answers every type. */
  readonly type: string;
  readonly route: string;
  readonly dnssecOk: boolean;
  readonly checkingDisabled: boolean;
  /** Prefix of the subnet it was asked for; null = for everybody. */
  readonly subnet: string | null;
  readonly outcome: "positive" | "nodata" | "nxdomain" | "bare" | "failure";
  readonly rcode: string;
  readonly answers: readonly string[];
  readonly ageSeconds: number;
  /** How long it is still fresh by the limits of section `answers`; negative = stale for so long. */
  readonly remainingSeconds: number;
  readonly hits: number;
  /** Never stale, prefetched or persisted. */
  readonly volatile: boolean;
  /** Not an upstream's word but ours, for a guarded NXDOMAIN. */
  readonly made: boolean;
  readonly bytes: number;
}
