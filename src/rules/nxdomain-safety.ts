import type { Name } from "../dns/name.ts";
import { TYPE } from "../dns/types.ts";
import type { DomainSet } from "../lists/domain-set.ts";
import { type Circumstances, isHit, type Rule } from "./rule.ts";
import type { SpecialZone, SpecialZones } from "./special-zones.ts";

/**
 * Finds a rule that forbids NXDOMAIN for a name which `denying` denies: NXDOMAIN speaks for all types of the name and for all names below it
 * (RFC 2308 §5, RFC 8020 §2), and by that rule one of them may still get an answer. null = NXDOMAIN is safe. When in doubt, returns a rule.
 */
export function findRuleAgainstNxdomain(
  rules: readonly Rule[],
  denying: Rule,
  { name, requester, atMs }: Circumstances & { readonly name: Name },
): Rule | null {
  if (denying.types !== null || !deniesAllBelow(denying, name)) return denying;
  for (const rule of rules.slice(0, rules.indexOf(denying))) {
    if (rule.action === null || !rule.admits(requester) || !rule.isOpen(atMs)) continue;
    if (rule.types !== null && isHit(rule.testName(name))) return rule;
    if (canAnswer(rule) && canHoldBelow(rule, name)) return rule;
  }
  return null;
}

/** Whether a question that the rule decides can get NOERROR. */
function canAnswer({ action }: Rule): boolean {
  if (action === null) return false;
  return action.kind !== "answer" || action.answer === "nodata" || action.answer === "zero";
}

// A name below that the rule does not deny goes on to later rules, and in the end to the first group.
function deniesAllBelow({ filters }: Rule, name: Name): boolean {
  const below = anyNameBelow(name);
  return filters.every(({ wanted, excepted }) => {
    if (excepted.some((except) => except.match(below) !== null || canReachBelow(except, name))) return false;
    return wanted.length === 0 || wanted.some((set) => holdsAllBelow(set, name));
  });
}

// A keyword in a name is in every name below it too. A regular expression may be anchored at the start.
function holdsAllBelow(set: DomainSet, name: Name): boolean {
  const bySuffix = set.match(anyNameBelow(name))?.kind === "suffix";
  return (bySuffix || set.match(name)?.kind === "keyword") && !set.exceptsBelow(name);
}

/** Whether a rule that does not hold the name may hold a name below it: by a pattern there, or because it excepts only the name itself. */
function canHoldBelow(rule: Rule, name: Name): boolean {
  return rule.sets().some((set) => canReachBelow(set, name)) || isHit(rule.testName(anyNameBelow(name)));
}

/** Whether a set may hold a name strictly below this one by a pattern that does not hold this one. When in doubt, true. */
function canReachBelow(set: DomainSet, name: Name): boolean {
  return set.hasTexts || set.reachesBelow(name);
}

/** A name below with a label that nobody writes. It stands for all names below that no pattern singles out. */
function anyNameBelow(name: Name): Name {
  return `\x01\0${name}` as Name;
}

/** Knows which special names exist because a rule lets them, or names below them, out of their zone. */
export class SpecialExistence {
  readonly #rules: readonly Rule[];
  readonly #sets: readonly DomainSet[];
  readonly #zones: SpecialZones;

  constructor(rules: readonly Rule[], zones: SpecialZones) {
    this.#rules = rules.filter(canAnswer);
    this.#sets = [...new Set(this.#rules.flatMap((rule) => rule.sets()))];
    this.#zones = zones;
  }

  /** Whether any rule lets this name of the zone out for some type or client, or a name below it. Then NXDOMAIN is wrong (RFC 8020 §2). */
  leavesAtOrBelow(name: Name, zone: SpecialZone): boolean {
    return zone.opens && (this.#holdsBelow(name) || this.#rules.some((rule) => rule.opens({ name, type: TYPE.SOA }, zone, null)));
  }

  #holdsBelow(name: Name): boolean {
    // A single label is a zone for address types only. For SOA it is not, so the names below it do not count.
    return this.#zones.find(name, TYPE.SOA) !== null && this.#sets.some((set) => set.reachesBelow(name));
  }
}
