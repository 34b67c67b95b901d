import type { HttpsMode, NegativeLimits, Rebinding, Shaping, TtlLimits } from "../answers/options.ts";
import type { EcsMode } from "../upstreams/options.ts";

/** Answers that a rule can give. */
export type RuleAnswer = "nodata" | "nxdomain" | "zero" | "refused" | "drop";

export interface CompareOptions {
  readonly near: string;
  readonly far: string;
  /** A list of addresses, without the prefix `list:`. */
  readonly keepNearIf: string;
  /** `near`: both groups are asked together. `far`: near is asked only about names whose far addresses are in the list. */
  readonly first: "near" | "far";
  readonly withinMs: number;
  readonly verdictMs: number;
}

/** The action of a rule. `longest` keeps the order of the file: the list named first wins a tie. */
export type RuleAction =
  | { readonly kind: "upstream"; readonly group: string }
  | { readonly kind: "longest"; readonly choices: readonly { readonly list: string; readonly group: string }[] }
  | { readonly kind: "compare"; readonly compare: CompareOptions }
  | { readonly kind: "answer"; readonly answer: RuleAnswer }
  /** The name is an alias of the target, which goes its own way. The target itself does not match the rule. */
  | { readonly kind: "cname"; readonly target: string };

/** Addresses of a list that give way to chosen ones of the same family. */
export interface ReplaceOptions {
  /** A list of addresses, without the prefix `list:`. */
  readonly list: string;
  /** IP literals. */
  readonly addresses: readonly string[];
}

/** What a rule changes without deciding. Absent = later rules and section `answers` decide. */
export interface RuleModifiers {
  readonly https?: HttpsMode;
  readonly ipv6?: Shaping["ipv6"];
  readonly ipv4?: Shaping["ipv4"];
  readonly ttl?: Partial<TtlLimits>;
  readonly negative?: Partial<NegativeLimits>;
  readonly stale?: boolean;
  readonly ecs?: EcsMode;
  readonly rebinding?: Rebinding;
  readonly log?: boolean;
  readonly replace?: readonly ReplaceOptions[];
}

/** The condition `when` of a rule. */
export interface WhenOptions {
  /** Days of the week from 0, Sunday; empty = every day. */
  readonly days: readonly number[];
  /** In minutes since midnight. Where `toMinute` is not after `fromMinute`, the hours end on the next day; null = the whole day. */
  readonly hours: { readonly fromMinute: number; readonly toMinute: number } | null;
  /** A name of the IANA's data base. */
  readonly zone: string;
}

/** One entry of section `rules`. Empty `domains`, `clients` or `types` = no such condition. */
export interface RuleOptions {
  readonly name: string;
  /** Patterns and `list:NAME` as written; `!` before one excepts it. */
  readonly domains: readonly string[];
  /** Further conditions of the kind of `domains`, all of which must hold too. */
  readonly alsoDomains: readonly (readonly string[])[];
  /** CIDRs, addresses and client ids; `!` before one excepts it. */
  readonly clients: readonly string[];
  /** Type numbers. */
  readonly types: readonly number[];
  /** Types that do not match; empty unless `types` is. */
  readonly exceptTypes: readonly number[];
  /** Absent = at any time; so policies of rules without hours keep their digest. */
  readonly when?: WhenOptions;
  readonly action: RuleAction | null;
  readonly modifiers: RuleModifiers;
}

/** Section `special`. */
export interface SpecialOptions {
  readonly firefoxCanary: boolean;
  readonly privateRelay: boolean;
  /** null = clients are not told. */
  readonly ddr: DdrOptions | null;
}

/** The encrypted listeners that clients are told of (RFC 9462). */
export interface DdrOptions {
  /** The name that the certificate is for. */
  readonly name: string;
  readonly httpsPorts: readonly number[];
  readonly tlsPorts: readonly number[];
  readonly dohPath: string;
}

/** One entry of section `expect`: a decision that the configuration must make. The check asks no upstream. */
export interface Expectation {
  readonly name: string;
  readonly type: number;
  readonly client: string | null;
  /** When it is asked, in milliseconds since 1970; absent = when it is checked. */
  readonly atMs?: number;
  readonly rule: string | null;
  readonly upstream: string | null;
  readonly answer: string | null;
  /** From 1, where it stands in the file; null = unknown. */
  readonly line: number | null;
}
