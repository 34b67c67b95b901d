import type { Rebinding, Shaping } from "../answers/options.ts";
import type { Name } from "../dns/name.ts";
import { TYPE } from "../dns/types.ts";
import type { EcsMode } from "../upstreams/options.ts";
import type { CompareOptions } from "./options.ts";
import type { RuleMatch } from "./rule.ts";
import type { Settings } from "./settings.ts";

/** What becomes of a question, and why. Immutable; parts of it are shared between decisions. */
export type Decision =
  /** It is answered here, and nobody is asked. */
  | ReplyDecision
  /** A group of upstreams answers it. */
  | ForwardDecision
  /** Two groups are asked and their answers weighed against each other. */
  | CompareDecision
  /** A rule wants silence: nothing is sent over UDP, REFUSED on streams. */
  | DropDecision;

/** What every decision carries. */
interface Decided {
  /** The rule that decided; null where hosts, a special name, or the first group for want of a rule did. */
  readonly rule: string | null;
  /** The pattern by which that rule matched; null where it has none, or only excepts. */
  readonly match: RuleMatch | null;
  /** Section `answers` with what the matching rules changed; the same object for all questions that no modifier touched. */
  readonly shaping: Shaping;
  /** false = a rule forbids stale answers; true leaves it to section `cache`. */
  readonly stale: boolean;
  /** null = left to the group. */
  readonly ecs: EcsMode | null;
  /** What a rule says; null = left to the group, and after it to section `answers`, as `shaping` has it. */
  readonly rebinding: Rebinding | null;
  /** Whether the query may be recorded in the query log. */
  readonly log: boolean;
}

export interface ReplyDecision extends Decided {
  readonly kind: "reply";
  readonly source: "hosts" | "special" | "rule";
  /** `block` for what a rule or a switch of section `special` denies, `any:minimal` for a curtailed ANY, else `none`. */
  readonly action: "none" | "block" | "any:minimal";
  readonly answer: LocalAnswer;
}

export interface ForwardDecision extends Decided {
  readonly kind: "forward";
  readonly group: string;
}

export interface CompareDecision extends Decided {
  readonly kind: "compare";
  readonly compare: CompareOptions;
}

export interface DropDecision extends Decided {
  readonly kind: "drop";
  readonly action: "drop";
}

/** An answer made here, for the name that was asked. */
export type LocalAnswer =
  /** Addresses of the family asked for, 4 or 16 bytes each. */
  | { readonly kind: "addresses"; readonly addresses: readonly Uint8Array[]; readonly ttlSeconds: number }
  /** A CNAME; what the target answers follows by the target's own decision. */
  | { readonly kind: "alias"; readonly target: Name; readonly ttlSeconds: number }
  /** A PTR. */
  | { readonly kind: "pointer"; readonly target: Name; readonly ttlSeconds: number }
  /** A TYPE65 record of a hosts name, as its RDATA. */
  | { readonly kind: "https"; readonly data: Uint8Array; readonly ttlSeconds: number }
  /** NOERROR without records: the name is there, the type is not; one SOA of this owner with TTL = MINIMUM. */
  | { readonly kind: "nodata"; readonly soaOwner: Name; readonly ttlSeconds: number }
  /** Neither the name nor anything below it is there (RFC 8020); one SOA of this owner with TTL = MINIMUM. */
  | { readonly kind: "nxdomain"; readonly soaOwner: Name; readonly ttlSeconds: number }
  | { readonly kind: "refused" }
  /** One HINFO record in place of everything there is (RFC 8482 §4.2). */
  | { readonly kind: "minimal-any"; readonly ttlSeconds: number };

/** What of a question the decision depends on. */
export interface RuleQuestion {
  readonly name: Name;
  readonly type: number;
  readonly class: number;
}

/** What of the client the decision depends on. */
export interface Requester {
  /** As in `Client`. */
  readonly address: string;
  readonly clientId: string | null;
}

/** What a decision rests on. */
export interface MatchContext {
  readonly rule: string | null;
  readonly match: RuleMatch | null;
  readonly settings: Settings;
}

export function forwardDecision(group: string, { rule, match, settings }: MatchContext): ForwardDecision {
  const { shaping, stale, ecs, rebinding, log } = settings;
  return { kind: "forward", group, rule, match, shaping, stale, ecs, rebinding, log };
}

export function compareDecision(options: CompareOptions, { rule, match, settings }: MatchContext): CompareDecision {
  const { shaping, stale, ecs, rebinding, log } = settings;
  return { kind: "compare", compare: options, rule, match, shaping, stale, ecs, rebinding, log };
}

export function dropDecision({ rule, match, settings }: MatchContext): DropDecision {
  const { shaping, stale, ecs, rebinding, log } = settings;
  return { kind: "drop", action: "drop", rule, match, shaping, stale, ecs, rebinding, log };
}

export function replyDecision(
  answer: LocalAnswer,
  { source, action }: Pick<ReplyDecision, "source" | "action">,
  { rule, match, settings }: MatchContext,
): ReplyDecision {
  const { shaping, stale, ecs, rebinding, log } = settings;
  return { kind: "reply", source, action, answer, rule, match, shaping, stale, ecs, rebinding, log };
}

export type FilterAction =
  | "type64:nodata"
  | "type65:nodata"
  | "ipv6:nodata"
  | "ipv4:nodata"
  /** Whether these two apply is known only when the other family is. */
  | "ipv6:prefer-ipv4"
  | "ipv4:prefer-ipv6";

/**
 * Whether a question that would be forwarded is answered by NODATA because its type is switched off, and under which name
 * the log shows it. The SOA's owner is the name asked; it is never NXDOMAIN, which would speak for the other types too (RFC 2308 §5).
 */
export function typeFilter(shaping: Shaping, type: number): FilterAction | null {
  switch (type) {
    case TYPE.A:
      return shaping.ipv4 === "nodata" ? "ipv4:nodata" : null;
    case TYPE.AAAA:
      return shaping.ipv6 === "nodata" ? "ipv6:nodata" : null;
    case TYPE.SVCB:
      return shaping.https === "nodata" ? "type64:nodata" : null;
    case TYPE.HTTPS:
      return shaping.https === "nodata" ? "type65:nodata" : null;
    default:
      return null;
  }
}
