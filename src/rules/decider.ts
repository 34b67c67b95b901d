/**
 * The door of the room: decides what to do with a question. `resolve/` and `control/` call the decider; `server/policy.ts` builds one from each
 * configuration. Nothing here asks an upstream.
 *
 * Reading order: `decision.ts` (what a decision is), this file, `rule.ts` (how one rule matches), `schedule.ts` (at which hours),
 * `settings.ts` (what modifiers add up to),
 * `special-zones.ts` (names that never leave), `nxdomain-safety.ts` (when NXDOMAIN would deny too much). Beside them, `egress.ts` checks what may
 * reach a group at all, `checks.ts` finds faults in a configuration, and `conflicts.ts` finds lists that disagree.
 */
import type { Shaping } from "../answers/options.ts";
import { type Name, nameText } from "../dns/name.ts";
import { CLASS, TYPE } from "../dns/types.ts";
import type { HostsMatch, HostsTable } from "../hosts/table.ts";
import type { Requester } from "../lib/client.ts";
import { systemClock } from "../lib/clock.ts";
import { unreachable } from "../lib/unreachable.ts";
import type { Rewritten } from "../lists/adguard-rules.ts";
import { ClientAddresses } from "../lists/clients.ts";
import type { DomainEntry } from "../lists/domain-set.ts";
import type {
  CompareDecision,
  Decision,
  FilterAction,
  ForwardDecision,
  LocalAnswer,
  MatchContext,
  ReplyDecision,
  RuleQuestion,
} from "./decision.ts";
import { findRuleAgainstNxdomain, SpecialExistence } from "./nxdomain-safety.ts";
import type { RuleAnswer, RuleOptions, SpecialOptions } from "./options.ts";
import { type Circumstances, type DomainLists, describeMatch, isHit, type Miss, Rule, type RuleMatch } from "./rule.ts";
import type { SteadySpan } from "./schedule.ts";
import { Settings } from "./settings.ts";
import { type SpecialZone, SpecialZones } from "./special-zones.ts";

interface DeciderParts {
  readonly rules: readonly RuleOptions[];
  readonly answers: Shaping;
  readonly special: SpecialOptions;
  readonly hosts: HostsTable;
  readonly hostsTtlSeconds: number;
  readonly lists: DomainLists;
  /** The group for questions that no rule decides. */
  readonly firstGroup: string;
}

/** One question on its way through the rules. */
interface RuleQuery extends Circumstances {
  readonly question: RuleQuestion;
  /** The special zone of the name. Only a rule with a pattern in the zone can let the name out. */
  readonly zone: SpecialZone | null;
  /** null = nobody reads the trace, and none is written. */
  readonly steps: ExplanationStep[] | null;
}

/** What a decider makes of its parts, the same at all times. */
interface Prepared {
  readonly rules: readonly Rule[];
  readonly zones: SpecialZones;
  readonly existence: SpecialExistence;
}

/** @throws Error for a rule with an invalid pattern; `ruleProblems` reports those first. */
function prepare({ rules: options, special, lists }: DeciderParts): Prepared {
  const addresses = new ClientAddresses();
  const rules = options.map((each) => new Rule(each, { lists, addresses }));
  const zones = new SpecialZones(special);
  return { rules, zones, existence: new SpecialExistence(rules, zones) };
}

/** A span without an end. */
const ALWAYS: SteadySpan = { fromMs: Number.NEGATIVE_INFINITY, untilMs: Number.POSITIVE_INFINITY };

/** Decides by the hosts table, then the special zones, then the rules. Immutable: only rules with `when` depend on the time. */
export class Decider {
  readonly #parts: DeciderParts;
  readonly #prepared: Prepared;
  readonly #wallMs: () => number;
  readonly #rules: readonly Rule[];
  readonly #hosts: HostsTable;
  readonly #hostsTtls: HostsTtls;
  readonly #zones: SpecialZones;
  readonly #existence: SpecialExistence;
  /** The settings before any modifier. */
  readonly #initial: Settings;
  /** Whether any rule excludes queries from the log, or includes them. */
  readonly changesLog: boolean;
  /** Whether any rule has hours. */
  readonly hasHours: boolean;
  readonly #firstGroup: string;

  /** @throws Error for a rule with an invalid pattern; `ruleProblems` reports those first. */
  constructor(parts: DeciderParts, prepared: Prepared = prepare(parts), wallMs: () => number = systemClock.wallMs) {
    const { rules, answers, hosts, hostsTtlSeconds, firstGroup } = parts;
    this.#parts = parts;
    this.#prepared = prepared;
    this.#wallMs = wallMs;
    this.#rules = prepared.rules;
    this.#hosts = hosts;
    this.#hostsTtls = { positiveSeconds: hostsTtlSeconds, negativeSeconds: answers.negative.blockSeconds };
    this.#zones = prepared.zones;
    this.#existence = prepared.existence;
    this.#initial = Settings.initial(answers);
    this.changesLog = rules.some(({ modifiers }) => modifiers.log !== undefined);
    this.#firstGroup = firstGroup;
    this.hasHours = this.#rules.some(({ schedule }) => schedule !== null);
  }

  /** The same decider, with another clock for the hours of rules. */
  withClock(wallMs: () => number): Decider {
    return this.hasHours ? new Decider(this.#parts, this.#prepared, wallMs) : this;
  }

  /** The same decider as it decides at a moment, in milliseconds since 1970. */
  at(atMs: number): Decider {
    return this.withClock(() => atMs);
  }

  /** Which of the rules with hours hold now, a character each: at moments with equal texts decisions are equal. */
  period(): string {
    const atMs = this.#wallMs();
    return this.#rules.flatMap(({ schedule }) => (schedule === null ? [] : [schedule.isOpen(atMs) ? "1" : "0"])).join("");
  }

  /** A span around the moment in which no rule begins or ends to hold. */
  steadyAround(atMs: number): SteadySpan {
    return this.#rules.reduce((span, { schedule }) => {
      if (schedule === null) return span;
      const { fromMs, untilMs } = schedule.steadyAround(atMs);
      return { fromMs: Math.max(span.fromMs, fromMs), untilMs: Math.min(span.untilMs, untilMs) };
    }, ALWAYS);
  }

  decide(question: RuleQuestion, requester: Requester): Decision {
    return this.#decide(question, requester, null);
  }

  /** Makes the same decision and records every step. */
  explain(question: RuleQuestion, requester: Requester): Explanation {
    const steps: ExplanationStep[] = [];
    return { decision: this.#decide(question, requester, steps), steps };
  }

  /** Which conditions on clients hold for this one, a character each: decisions are equal for clients with equal texts. */
  clientClass(requester: Requester): string {
    return this.#rules.map((rule) => (rule.admits(requester) ? "1" : "0") + rule.listClass(requester)).join("");
  }

  /**
   * Whether the hosts table has this name or a name below it. Such a name exists, so NXDOMAIN for it must become NODATA (RFC 8020 §2). An upstream
   * can send that NXDOMAIN for a name above a hosts name, and for a type that `others: forward` lets through.
   */
  hasHost(name: Name): boolean {
    return this.#hosts.isAncestor(name) || this.#hosts.lookup(name) !== null || this.#hosts.pointer(name) !== null;
  }

  /** Whether the name lies in a special zone. Such a name belongs to the local network, even where a rule sends it to a group. */
  isSpecial(name: Name): boolean {
    return this.#zones.find(name, TYPE.A) !== null;
  }

  /** Whether the name is that of a special zone. Fenliu answers all its types except DS, so an upstream's NXDOMAIN for DS must become NODATA. */
  isSpecialApex(name: Name): boolean {
    return this.#zones.isApex(name);
  }

  #decide(question: RuleQuestion, requester: Requester, steps: ExplanationStep[] | null): Decision {
    const asked = { requester, atMs: this.hasHours ? this.#wallMs() : 0 };
    // Hosts and special zones are of class IN; rules apply to every class.
    if (question.class !== CLASS.IN) return this.#decideByRules({ question, ...asked, zone: null, steps });
    const answer = answerFromHosts(this.#hosts, question, this.#hostsTtls);
    if (steps !== null) pushHostsStep(this.#hosts, question.name, steps);
    if (answer !== null) {
      const context = this.#localContext(question, asked);
      return { kind: "reply", source: "hosts", action: "none", answer, context };
    }
    const zone = this.#zones.find(question.name, question.type);
    if (zone === null) return this.#decideByRules({ question, ...asked, zone, steps });
    steps?.push({ kind: "special", zone: zone.name });
    return zone.opens ? this.#decideByRules({ question, ...asked, zone, steps }) : this.#answerFromZone(zone, question, asked);
  }

  #decideByRules(query: RuleQuery): Decision {
    const { question, atMs, zone, steps } = query;
    let settings = this.#initial;
    for (const rule of this.#rules) {
      const result = rule.test(question, query);
      if (!isHit(result)) {
        steps?.push(missStep(rule, result, atMs));
        continue;
      }
      const match = result === "unconditional" ? null : result;
      if (rule.modifiers !== null) settings = settings.after(rule.modifiers);
      if (rule.action === null) {
        steps?.push(hitStep(rule.name, "modifies", match));
        continue;
      }
      const leavesZone = zone === null || rule.opens(question, zone, query.requester);
      steps?.push(hitStep(rule.name, leavesZone ? "decides" : "closed", match));
      if (!leavesZone) break;
      return this.#runAction(rule, { rule: rule.name, match, settings }, query);
    }
    if (zone !== null) return this.#answerFromZone(zone, question, query);
    steps?.push({ kind: "first-group", group: this.#firstGroup });
    const context = { rule: null, match: null, settings };
    return isAny(question) ? answerMinimalAny(context) : { kind: "forward", group: this.#firstGroup, context };
  }

  #runAction(rule: Rule, context: MatchContext, query: RuleQuery): Decision {
    const { action } = rule;
    if (action === null) throw new Error(`rule ${rule.name} has no action`);
    if (action.kind === "answer") {
      const rewritten = context.match?.found.rewritten;
      if (rewritten === undefined) return this.#block({ rule, answer: action.answer }, context, query);
      if (rewritten.kind !== "addresses" && rewritten.kind !== "cname")
        return this.#block({ rule, answer: rewritten.kind }, context, query);
      if (isAny(query.question)) return answerMinimalAny(context);
      const answer = rewrittenAnswer(rewritten, query.question, this.#hostsTtls);
      return { kind: "reply", source: "rule", action: "none", answer, context };
    }
    if (isAny(query.question)) return answerMinimalAny(context);
    switch (action.kind) {
      case "upstream":
        return { kind: "forward", group: action.group, context };
      case "longest":
        return { kind: "forward", group: rule.groupOf(context.match), context };
      case "compare":
        return { kind: "compare", compare: action.compare, context };
      case "cname": {
        if (rule.target === null) throw new Error(`rule ${rule.name} has no target`);
        const answer = { kind: "alias", target: rule.target, ttlSeconds: this.#hostsTtls.positiveSeconds } as const;
        return { kind: "reply", source: "rule", action: "none", answer, context };
      }
      default:
        return unreachable(action);
    }
  }

  #block(
    { rule, answer: wanted }: { readonly rule: Rule; readonly answer: RuleAnswer },
    context: MatchContext,
    query: RuleQuery,
  ): Decision {
    if (wanted === "drop") return { kind: "drop", context };
    const kind = wanted === "nxdomain" && this.#mustExist(rule, query) ? "nodata" : wanted;
    const answer = blockedAnswer(kind, query.question, context.settings.shaping.negative.blockSeconds);
    return { kind: "reply", source: "rule", action: "block", answer, context };
  }

  /** Whether NXDOMAIN by this rule would deny something that exists. */
  #mustExist(rule: Rule, query: RuleQuery): boolean {
    const because = this.#findExistence(rule, query);
    if (because !== null) query.steps?.push({ kind: "kept", because });
    return because !== null;
  }

  #findExistence(
    rule: Rule,
    { question: { name }, requester, atMs }: RuleQuery,
  ): Extract<ExplanationStep, { kind: "kept" }>["because"] | null {
    if (this.hasHost(name)) return "hosts";
    if (this.#zones.existAtOrBelow(name)) return "special";
    const keeping = findRuleAgainstNxdomain(this.#rules, rule, { name, requester, atMs });
    return keeping === null ? null : { rule: keeping.name };
  }

  #answerFromZone(zone: SpecialZone, question: RuleQuestion, asked: Circumstances): ReplyDecision {
    const reply = { kind: "reply", source: "special", action: zone.denies ? "block" : "none" } as const;
    const context = this.#localContext(question, asked);
    const record = this.#zones.recordOf(question.name, question.type);
    if (record !== null) return { ...reply, answer: { ...record, ttlSeconds: this.#hostsTtls.positiveSeconds }, context };
    const wanted = question.name === zone.name ? zone.apex : zone.below;
    const exists = wanted === "nxdomain" && this.#existsInZone(zone, question.name);
    const answer = {
      kind: exists ? "nodata" : wanted,
      soaOwner: zone.name,
      ttlSeconds: this.#hostsTtls.negativeSeconds,
    } as const;
    return { ...reply, answer, context };
  }

  #existsInZone(zone: SpecialZone, name: Name): boolean {
    return this.hasHost(name) || this.#zones.hasRecords(name) || this.#existence.leavesAtOrBelow(name, zone);
  }

  // No modifier changes a local answer, but `log: false` holds for it too: whether a client is logged must not depend on the name.
  #localContext(question: RuleQuestion, asked: Circumstances): MatchContext {
    const context = { rule: null, match: null, settings: this.#initial };
    if (!this.changesLog) return context;
    for (const rule of this.#rules) {
      const log = rule.modifiers?.log;
      if ((log === undefined && rule.action === null) || !isHit(rule.test(question, asked))) continue;
      return log === false ? { ...context, settings: this.#initial.after(UNLOGGED) } : context;
    }
    return context;
  }
}

const UNLOGGED = { log: false };

/**
 * Tells whether the type is switched off for a question that would go upstream, and under which name the log shows that. The answer is NODATA and
 * never NXDOMAIN, which would deny the other types of the name as well (RFC 2308 §5).
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

/** The address family that is preferred to the one in the question. */
export interface Preference {
  /** Its type, A or AAAA. */
  readonly preferred: number;
  /** How the log shows an answer that was withheld. */
  readonly action: Extract<FilterAction, `${string}:prefer-${string}`>;
}

/**
 * Finds the preferred family; null = none is preferred, or the client would not get the preferred one: a preference must never leave a name without
 * addresses. Where the rules prefer both families to each other, IPv4 wins.
 */
export function preferenceFor(
  { decider }: { readonly decider: Decider },
  { query, client, decision }: Preferring,
): Preference | null {
  if (query.class !== CLASS.IN) return null;
  const { ipv4, ipv6 } = decision.context.settings.shaping;
  if (query.type === TYPE.AAAA && ipv6 === "prefer-ipv4") {
    const forA = decider.decide({ ...query, type: TYPE.A }, client);
    return isAnswered(forA, (shaping) => shaping.ipv4 !== "nodata") ? PREFER_IPV4 : null;
  }
  if (query.type === TYPE.A && ipv4 === "prefer-ipv6") {
    const forAaaa = decider.decide({ ...query, type: TYPE.AAAA }, client);
    return isAnswered(forAaaa, (shaping) => shaping.ipv6 === "pass") ? PREFER_IPV6 : null;
  }
  return null;
}

/** The parts of a query that a preference depends on. */
interface Preferring {
  readonly query: RuleQuestion;
  readonly client: Requester;
  readonly decision: ForwardDecision | CompareDecision;
}

const PREFER_IPV4: Preference = { preferred: TYPE.A, action: "ipv6:prefer-ipv4" };
const PREFER_IPV6: Preference = { preferred: TYPE.AAAA, action: "ipv4:prefer-ipv6" };

function isAnswered(decision: Decision, passes: (shaping: Decision["context"]["settings"]["shaping"]) => boolean): boolean {
  if (decision.kind === "forward" || decision.kind === "compare") return passes(decision.context.settings.shaping);
  return decision.kind === "reply" && decision.action === "none";
}

/** A decision with the steps that led to it. */
interface Explanation {
  readonly decision: Decision;
  readonly steps: readonly ExplanationStep[];
}

/** One step on the way to a decision. */
export type ExplanationStep =
  /** The hosts table has the name. It decided, unless other steps follow: then it leaves this type, or the name, to the rules. */
  | { readonly kind: "hosts"; readonly pattern: string; readonly source: string; readonly line: number }
  /** The name is special. A rule with a pattern in the zone can still let the name out. */
  | { readonly kind: "special"; readonly zone: Name }
  | {
      readonly kind: "rule";
      readonly rule: string;
      /** `closed`: the rule matches and has an action, but no pattern in the special zone, so the name does not leave the zone. */
      readonly outcome: "decides" | "modifies" | "closed" | Miss;
      /** The pattern that matched; null for a miss, and for a rule without patterns. */
      readonly match: DomainEntry | null;
      /** For outcome `when`: the hours of the rule, and what the clock showed. */
      readonly when?: { readonly hours: string; readonly time: string };
    }
  /** NXDOMAIN became NODATA because of the hosts table, a special name, or this rule. */
  | { readonly kind: "kept"; readonly because: "hosts" | "special" | { readonly rule: string } }
  /** No rule decided. */
  | { readonly kind: "first-group"; readonly group: string };

function pushHostsStep(hosts: HostsTable, name: Name, steps: ExplanationStep[]): void {
  const match = hosts.find(name);
  const from = match ?? hosts.pointer(name);
  if (from !== null)
    steps.push({ kind: "hosts", pattern: match?.pattern ?? nameText(name), source: from.source, line: from.line });
}

function missStep({ name, schedule }: Rule, outcome: Miss, atMs: number): ExplanationStep {
  const step = { kind: "rule", rule: name, outcome, match: null } as const;
  return outcome === "when" && schedule !== null ? { ...step, when: schedule.describe(atMs) } : step;
}

function hitStep(rule: string, outcome: "decides" | "modifies" | "closed", match: RuleMatch | null): ExplanationStep {
  return { kind: "rule", rule, outcome, match: match === null ? null : describeMatch(match) };
}

function isAny({ type, class: klass }: RuleQuestion): boolean {
  return type === TYPE.ANY && klass === CLASS.IN;
}

/** Cuts ANY short instead of forwarding it: ANY helps amplification attacks more than anybody else (RFC 8482 §4.2). */
function answerMinimalAny(context: MatchContext): ReplyDecision {
  const ttlSeconds = context.settings.shaping.negative.blockSeconds;
  return { kind: "reply", source: "special", action: "any:minimal", answer: { kind: "minimal-any", ttlSeconds }, context };
}

interface HostsTtls {
  readonly positiveSeconds: number;
  readonly negativeSeconds: number;
}

/** Answers a question of class IN from the hosts table; null = the table lacks the name, or leaves the type to the rules. */
function answerFromHosts(hosts: HostsTable, question: RuleQuestion, ttls: HostsTtls): LocalAnswer | null {
  const match = hosts.lookup(question.name);
  if (match !== null) return answerFromMatch(match, question, ttls);
  const pointer = hosts.pointer(question.name);
  if (pointer === null) return null;
  if (question.type === TYPE.PTR) return { kind: "pointer", target: pointer.target, ttlSeconds: ttls.positiveSeconds };
  return answerWithoutRecord(question, ttls);
}

function answerFromMatch(match: HostsMatch, question: RuleQuestion, ttls: HostsTtls): LocalAnswer | null {
  const ttlSeconds = ttls.positiveSeconds;
  const { type } = question;
  if (type === TYPE.ANY) return { kind: "minimal-any", ttlSeconds };
  // RFC 1034 §3.6.2: a name with a CNAME has no other records.
  if (match.cname !== null) return { kind: "alias", target: match.cname, ttlSeconds };
  if (type === TYPE.A || type === TYPE.AAAA) {
    const sizeBytes = type === TYPE.A ? 4 : 16;
    const addresses = match.addresses.filter(({ length }) => length === sizeBytes);
    if (addresses.length > 0) return { kind: "addresses", addresses, ttlSeconds };
    const missing = (type === TYPE.A ? match.a : match.aaaa) ?? match.others;
    return missing === "forward" ? null : answerWithoutRecord(question, ttls);
  }
  if (type === TYPE.HTTPS && match.https !== null) return { kind: "svcb", data: [httpsData(match.https)], ttlSeconds };
  return match.others === "forward" ? null : answerWithoutRecord(question, ttls);
}

/** The addresses or the alias of a list's own rule. */
function rewrittenAnswer(
  rewritten: Extract<Rewritten, { kind: "addresses" | "cname" }>,
  question: RuleQuestion,
  ttls: HostsTtls,
): LocalAnswer {
  const ttlSeconds = ttls.positiveSeconds;
  if (rewritten.kind === "cname") return { kind: "alias", target: rewritten.target, ttlSeconds };
  const sizeBytes = question.type === TYPE.A ? 4 : question.type === TYPE.AAAA ? 16 : 0;
  const addresses = rewritten.addresses.filter(({ length }) => length === sizeBytes);
  return addresses.length > 0 ? { kind: "addresses", addresses, ttlSeconds } : answerWithoutRecord(question, ttls);
}

function answerWithoutRecord({ name, type }: RuleQuestion, ttls: HostsTtls): LocalAnswer {
  if (type === TYPE.ANY) return { kind: "minimal-any", ttlSeconds: ttls.positiveSeconds };
  return { kind: "nodata", soaOwner: name, ttlSeconds: ttls.negativeSeconds };
}

/** SvcParamKeys (RFC 9460 §14.3.2). */
const ALPN = 1;
const PORT = 3;

/** The RDATA of a TYPE65 record in ServiceMode whose target is its owner (RFC 9460 §2.2, §2.5.2). */
export function httpsData({ alpn, port }: { readonly alpn: readonly string[]; readonly port: number | null }): Uint8Array {
  const protocols = alpn.map((protocol) => Buffer.from(protocol, "latin1"));
  const alpnValue = Buffer.concat(protocols.flatMap((protocol) => [Uint8Array.of(protocol.length), protocol]));
  return Buffer.concat([
    Uint8Array.of(0, 1, 0),
    ...(alpn.length === 0 ? [] : [parameter(ALPN, alpnValue)]),
    ...(port === null ? [] : [parameter(PORT, Uint8Array.of(port >> 8, port & 255))]),
  ]);
}

function parameter(key: number, value: Uint8Array): Buffer {
  return Buffer.concat([Uint8Array.of(0, key, value.length >> 8, value.length & 255), value]);
}

const ZERO_IPV4: readonly Uint8Array[] = [new Uint8Array(4)];
const ZERO_IPV6: readonly Uint8Array[] = [new Uint8Array(16)];

/** The answer of a rule that blocks, equal for every type. The owner of the SOA is the name itself. */
function blockedAnswer(answer: Exclude<RuleAnswer, "drop">, { name, type }: RuleQuestion, ttlSeconds: number): LocalAnswer {
  if (answer === "refused") return { kind: "refused" };
  if (answer === "zero" && type === TYPE.A) return { kind: "addresses", addresses: ZERO_IPV4, ttlSeconds };
  if (answer === "zero" && type === TYPE.AAAA) return { kind: "addresses", addresses: ZERO_IPV6, ttlSeconds };
  return { kind: answer === "nxdomain" ? "nxdomain" : "nodata", soaOwner: name, ttlSeconds };
}
