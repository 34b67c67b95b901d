import type { Shaping } from "../answers/options.ts";
import { type Name, nameText } from "../dns/name.ts";
import { CLASS, TYPE } from "../dns/types.ts";
import type { HostsMatch, HostsTable } from "../hosts/table.ts";
import { unreachable } from "../lib/unreachable.ts";
import type { DomainEntry } from "../lists/domain-set.ts";
import {
  compareDecision,
  type Decision,
  dropDecision,
  forwardDecision,
  type LocalAnswer,
  type MatchContext,
  type ReplyDecision,
  type Requester,
  type RuleQuestion,
  replyDecision,
} from "./decision.ts";
import { ruleThatKeeps, SpecialExistence } from "./nxdomain-safety.ts";
import type { RuleAnswer, RuleOptions, SpecialOptions } from "./options.ts";
import { ClientAddresses, type DomainLists, describeMatch, isHit, type Miss, Rule, type RuleMatch } from "./rule.ts";
import { Settings } from "./settings.ts";
import { type SpecialZone, SpecialZones } from "./special-zones.ts";

interface DeciderParts {
  readonly rules: readonly RuleOptions[];
  readonly answers: Shaping;
  readonly special: SpecialOptions;
  readonly hosts: HostsTable;
  readonly hostsTtlSeconds: number;
  readonly lists: DomainLists;
  /** Takes the questions that no rule decides. */
  readonly firstGroup: string;
}

/** One question on its way through the rules. */
interface RuleQuery {
  readonly asked: RuleQuestion;
  readonly asker: Requester;
  /** The special zone of the name: only rules with a pattern within it count. */
  readonly zone: SpecialZone | null;
  /** null = nobody reads them, and none are made. */
  readonly steps: ExplanationStep[] | null;
}

/** Decides what becomes of a question: hosts, special names, rules, in this order. Immutable. */
export class Decider {
  readonly #rules: readonly Rule[];
  readonly #hosts: HostsTable;
  readonly #hostsTtls: HostsTtls;
  readonly #zones: SpecialZones;
  readonly #existence: SpecialExistence;
  readonly #initial: Settings;
  readonly #setsLog: boolean;
  readonly #firstGroup: string;

  /** @throws Error where a rule's pattern is none; `ruleProblems` says so beforehand. */
  constructor({ rules, answers, special, hosts, hostsTtlSeconds, lists, firstGroup }: DeciderParts) {
    const addresses = new ClientAddresses();
    this.#rules = rules.map((options) => new Rule(options, { lists, addresses }));
    this.#hosts = hosts;
    this.#hostsTtls = { positiveSeconds: hostsTtlSeconds, negativeSeconds: answers.negative.blockSeconds };
    this.#zones = new SpecialZones(special);
    this.#existence = new SpecialExistence(this.#rules, this.#zones);
    this.#initial = Settings.initial(answers);
    this.#setsLog = rules.some(({ modifiers }) => modifiers.log !== undefined);
    this.#firstGroup = firstGroup;
  }

  decide(asked: RuleQuestion, asker: Requester): Decision {
    return this.#walk(asked, asker, null);
  }

  /** The same decision, with everything that was looked at on the way. */
  explain(asked: RuleQuestion, asker: Requester): Explanation {
    const steps: ExplanationStep[] = [];
    const decision = this.#walk(asked, asker, steps);
    return { decision, steps };
  }

  /**
   * Whether the static table has this name or one below it. Such a name exists, so an upstream's NXDOMAIN for it must become NODATA
   * (RFC 8020 §2): it can come for a name above a hosts name, and for a type that `others: forward` sends on.
   */
  holds(name: Name): boolean {
    return this.#hosts.isAncestor(name) || this.#hosts.lookup(name) !== null || this.#hosts.pointer(name) !== null;
  }

  /** Whether the name lies in a special zone: what it stands for is at home, wherever a rule sends it. */
  isSpecial(name: Name): boolean {
    return this.#zones.find(name, TYPE.A) !== null;
  }

  #walk(asked: RuleQuestion, asker: Requester, steps: ExplanationStep[] | null): Decision {
    // Hosts and special names are of class IN; the rules hold for any.
    if (asked.class !== CLASS.IN) return this.#byRules({ asked, asker, zone: null, steps });
    const held = hostsAnswer(this.#hosts, asked, this.#hostsTtls);
    if (held !== null) {
      steps?.push(hostsStep(this.#hosts, asked.name));
      return replyDecision(held, { source: "hosts", action: "none" }, this.#localGround(asked, asker));
    }
    const zone = this.#zones.find(asked.name, asked.type);
    if (zone === null) return this.#byRules({ asked, asker, zone, steps });
    steps?.push({ kind: "special", zone: zone.name });
    return zone.opens ? this.#byRules({ asked, asker, zone, steps }) : this.#fromZone(zone, asked, asker);
  }

  #byRules(inquiry: RuleQuery): Decision {
    const { asked, asker, zone, steps } = inquiry;
    let settings = this.#initial;
    for (const rule of this.#rules) {
      const result = rule.test(asked, asker);
      if (!isHit(result)) {
        steps?.push({ kind: "rule", rule: rule.name, outcome: result, match: null });
        continue;
      }
      const match = result === "unconditional" ? null : result;
      if (rule.modifiers !== null) settings = settings.after(rule.modifiers);
      if (rule.action === null) {
        steps?.push(hitStep(rule.name, "modifies", match));
        continue;
      }
      const leaves = zone === null || rule.opens(asked.name, zone.name);
      steps?.push(hitStep(rule.name, leaves ? "decides" : "closed", match));
      if (!leaves) break;
      return this.#carryOut(rule, { rule: rule.name, match, settings }, inquiry);
    }
    if (zone !== null) return this.#fromZone(zone, asked, asker);
    steps?.push({ kind: "first-group", group: this.#firstGroup });
    const ground = { rule: null, match: null, settings };
    return isAny(asked) ? minimalAny(ground) : forwardDecision(this.#firstGroup, ground);
  }

  #carryOut(rule: Rule, ground: MatchContext, inquiry: RuleQuery): Decision {
    const { action } = rule;
    if (action === null) throw new Error(`rule ${rule.name} has no action`);
    if (action.kind === "answer") return this.#block(rule, action.answer, { ground, inquiry });
    if (isAny(inquiry.asked)) return minimalAny(ground);
    switch (action.kind) {
      case "upstream":
        return forwardDecision(action.group, ground);
      case "longest":
        return forwardDecision(rule.groupOf(ground.match), ground);
      case "compare":
        return compareDecision(action.compare, ground);
      default:
        return unreachable(action);
    }
  }

  #block(
    rule: Rule,
    answer: RuleAnswer,
    { ground, inquiry }: { readonly ground: MatchContext; readonly inquiry: RuleQuery },
  ): Decision {
    if (answer === "drop") return dropDecision(ground);
    const { asked } = inquiry;
    const sent = answer === "nxdomain" && this.#mustKeep(rule, inquiry) ? "nodata" : answer;
    const ttlSeconds = ground.settings.shaping.negative.blockSeconds;
    return replyDecision(blockedAnswer(sent, asked, ttlSeconds), { source: "rule", action: "block" }, ground);
  }

  /** Whether NXDOMAIN would take along something that exists. */
  #mustKeep(rule: Rule, { asked, asker, steps }: RuleQuery): boolean {
    const because = this.#keeperOf(rule, asked.name, asker);
    if (because !== null) steps?.push({ kind: "kept", because });
    return because !== null;
  }

  #keeperOf(rule: Rule, name: Name, asker: Requester): Extract<ExplanationStep, { kind: "kept" }>["because"] | null {
    if (this.holds(name)) return "hosts";
    if (this.#zones.existAtOrBelow(name)) return "special";
    const keeping = ruleThatKeeps(this.#rules, rule, { name, asker });
    return keeping === null ? null : { rule: keeping.name };
  }

  #fromZone(zone: SpecialZone, asked: RuleQuestion, asker: Requester): ReplyDecision {
    const wanted = asked.name === zone.name ? zone.apex : zone.below;
    const kept = wanted === "nxdomain" && (this.holds(asked.name) || this.#existence.leavesAtOrBelow(asked.name, zone));
    return replyDecision(
      { kind: kept ? "nodata" : wanted, soaOwner: zone.name, ttlSeconds: this.#hostsTtls.negativeSeconds },
      { source: "special", action: zone.denies ? "block" : "none" },
      this.#localGround(asked, asker),
    );
  }

  // Rules change nothing about names that are answered here, but whether a client is logged must not depend on the name.
  #localGround(asked: RuleQuestion, asker: Requester): MatchContext {
    const ground = { rule: null, match: null, settings: this.#initial };
    if (!this.#setsLog) return ground;
    for (const rule of this.#rules) {
      const log = rule.modifiers?.log;
      if ((log === undefined && rule.action === null) || !isHit(rule.test(asked, asker))) continue;
      return log === false ? { ...ground, settings: this.#initial.after(UNLOGGED) } : ground;
    }
    return ground;
  }
}

const UNLOGGED = { log: false };

function isAny({ type, class: klass }: RuleQuestion): boolean {
  return type === TYPE.ANY && klass === CLASS.IN;
}

/** What would be forwarded is cut short: ANY serves amplification more than anybody else (RFC 8482 §4.2). */
function minimalAny(ground: MatchContext): ReplyDecision {
  const ttlSeconds = ground.settings.shaping.negative.blockSeconds;
  return replyDecision({ kind: "minimal-any", ttlSeconds }, { source: "special", action: "any:minimal" }, ground);
}

interface HostsTtls {
  readonly positiveSeconds: number;
  readonly negativeSeconds: number;
}

/** What the static table answers to a question of class IN; null where it holds nothing, or leaves the type to others. */
function hostsAnswer(
  hosts: HostsTable,
  { name, type }: { readonly name: Name; readonly type: number },
  ttls: HostsTtls,
): LocalAnswer | null {
  const match = hosts.lookup(name);
  if (match !== null) return matchAnswer(match, { name, type }, ttls);
  const pointer = hosts.pointer(name);
  if (pointer === null) return null;
  if (type === TYPE.PTR) return { kind: "pointer", target: pointer.target, ttlSeconds: ttls.positiveSeconds };
  return withoutRecord({ name, type }, ttls);
}

function matchAnswer(
  match: HostsMatch,
  asked: { readonly name: Name; readonly type: number },
  ttls: HostsTtls,
): LocalAnswer | null {
  const ttlSeconds = ttls.positiveSeconds;
  const { type } = asked;
  if (type === TYPE.ANY) return { kind: "minimal-any", ttlSeconds };
  // RFC 1034 §3.6.2: beside a CNAME there is nothing else.
  if (match.cname !== null) return { kind: "alias", target: match.cname, ttlSeconds };
  if (type === TYPE.A || type === TYPE.AAAA) {
    const octets = type === TYPE.A ? 4 : 16;
    const addresses = match.addresses.filter(({ length }) => length === octets);
    if (addresses.length > 0) return { kind: "addresses", addresses, ttlSeconds };
  }
  if (type === TYPE.HTTPS && match.https !== null) return { kind: "https", data: httpsData(match.https), ttlSeconds };
  return match.others === "forward" ? null : withoutRecord(asked, ttls);
}

function withoutRecord({ name, type }: { readonly name: Name; readonly type: number }, ttls: HostsTtls): LocalAnswer {
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

/** The answer of a rule that blocks, alike for every type. Negative ones hold for `ttlSeconds` and have the name itself as their SOA's owner. */
function blockedAnswer(
  answer: Exclude<RuleAnswer, "drop">,
  { name, type }: { readonly name: Name; readonly type: number },
  ttlSeconds: number,
): LocalAnswer {
  if (answer === "refused") return { kind: "refused" };
  if (answer === "zero" && type === TYPE.A) return { kind: "addresses", addresses: ZERO_IPV4, ttlSeconds };
  if (answer === "zero" && type === TYPE.AAAA) return { kind: "addresses", addresses: ZERO_IPV6, ttlSeconds };
  return { kind: answer === "nxdomain" ? "nxdomain" : "nodata", soaOwner: name, ttlSeconds };
}

/** One thing that was looked at on the way to a decision. */
export type ExplanationStep =
  /** The static table decided. */
  | { readonly kind: "hosts"; readonly pattern: string; readonly source: string; readonly line: number }
  /** The name is special; the rules can still let it out by a pattern within the zone. */
  | { readonly kind: "special"; readonly zone: Name }
  | {
      readonly kind: "rule";
      readonly rule: string;
      /** `closed`: it matches and would decide, but by no pattern within the special zone, so the name stays here. */
      readonly outcome: "decides" | "modifies" | "closed" | Miss;
      /** What it matched by; null for a miss, and where it has no pattern. */
      readonly match: DomainEntry | null;
    }
  /** The name must not get NXDOMAIN, because of the static table, of a special name, or of this rule. */
  | { readonly kind: "kept"; readonly because: "hosts" | "special" | { readonly rule: string } }
  /** No rule decided. */
  | { readonly kind: "first-group"; readonly group: string };

/** A decision with the way to it. */
interface Explanation {
  readonly decision: Decision;
  readonly steps: readonly ExplanationStep[];
}

function hostsStep(hosts: HostsTable, name: Name): ExplanationStep {
  const match = hosts.lookup(name);
  const from = match ?? hosts.pointer(name);
  return { kind: "hosts", pattern: match?.pattern ?? nameText(name), source: from?.source ?? "", line: from?.line ?? 0 };
}

function hitStep(rule: string, outcome: "decides" | "modifies" | "closed", match: RuleMatch | null): ExplanationStep {
  return { kind: "rule", rule, outcome, match: match === null ? null : describeMatch(match) };
}
