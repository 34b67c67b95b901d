import type { Name } from "../dns/name.ts";
import type { CompareOptions } from "./options.ts";
import type { RuleMatch } from "./rule.ts";
import type { Settings } from "./settings.ts";

/** What to do with a question, and why. Immutable; decisions share parts of each other. */
export type Decision =
  /** Fenliu answers by itself and asks no upstream. */
  | ReplyDecision
  /** One group of upstreams answers. */
  | ForwardDecision
  /** Two groups are asked, and their answers are compared. */
  | CompareDecision
  /** A rule wants silence: no reply over UDP, REFUSED on streams. */
  | DropDecision;

export interface ReplyDecision extends DecisionBase {
  readonly kind: "reply";
  readonly source: "hosts" | "special" | "rule";
  /** `block` = a rule or a switch of section `special` denies the name; `any:minimal` = an ANY answer cut short. */
  readonly action: "none" | "block" | "any:minimal";
  readonly answer: LocalAnswer;
}

export interface ForwardDecision extends DecisionBase {
  readonly kind: "forward";
  readonly group: string;
}

export interface CompareDecision extends DecisionBase {
  readonly kind: "compare";
  readonly compare: CompareOptions;
}

export interface DropDecision extends DecisionBase {
  readonly kind: "drop";
}

interface DecisionBase {
  readonly context: MatchContext;
}

/** How the rules came to a decision. */
export interface MatchContext {
  /** The rule that decided; null = the hosts table, a special zone or the default group decided. */
  readonly rule: string | null;
  /** The pattern by which that rule matched; null = the rule has no patterns, or only exceptions. */
  readonly match: RuleMatch | null;
  /** What the modifiers of all matching rules add up to. Questions that no modifier touches share one object. */
  readonly settings: Settings;
}

/** An answer that Fenliu gives by itself, for the name in the question. */
export type LocalAnswer =
  /** Addresses of the family in the question, 4 or 16 bytes each. */
  | { readonly kind: "addresses"; readonly addresses: readonly Uint8Array[]; readonly ttlSeconds: number }
  /** A CNAME. The target has a decision of its own, whose answer follows the CNAME. */
  | { readonly kind: "alias"; readonly target: Name; readonly ttlSeconds: number }
  /** A PTR record. */
  | { readonly kind: "pointer"; readonly target: Name; readonly ttlSeconds: number }
  /** Records of the type in the question, SVCB or HTTPS, as RDATA. */
  | { readonly kind: "svcb"; readonly data: readonly Uint8Array[]; readonly ttlSeconds: number }
  /** NOERROR without records, with one SOA of this owner whose TTL equals its MINIMUM: the name exists, the type does not. */
  | { readonly kind: "nodata"; readonly soaOwner: Name; readonly ttlSeconds: number }
  /** NXDOMAIN with one such SOA: neither the name nor any name below it exists (RFC 8020). */
  | { readonly kind: "nxdomain"; readonly soaOwner: Name; readonly ttlSeconds: number }
  | { readonly kind: "refused" }
  /** One HINFO record instead of all records (RFC 8482 §4.2). */
  | { readonly kind: "minimal-any"; readonly ttlSeconds: number };

/** The parts of a question that a decision depends on. */
export interface RuleQuestion {
  readonly name: Name;
  readonly type: number;
  readonly class: number;
}

/** How many aliases of the hosts table and of rules are followed one after the other. More of them count as a circle. */
export const MAX_ALIASES = 8;

export type FilterAction =
  | "type64:nodata"
  | "type65:nodata"
  | "ipv6:nodata"
  | "ipv4:nodata"
  /** Whether these two apply depends on the answer for the other address family. */
  | "ipv6:prefer-ipv4"
  | "ipv4:prefer-ipv6";
