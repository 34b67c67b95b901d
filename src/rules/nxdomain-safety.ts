import type { Name } from "../dns/name.ts";
import { TYPE } from "../dns/types.ts";
import type { DomainSet } from "../lists/domain-set.ts";
import type { Requester } from "./decision.ts";
import { isHit, type Rule } from "./rule.ts";
import { reachesBelow, type SpecialZone, type SpecialZones } from "./special-zones.ts";

/**
 * The rule because of which a name that `denying` denies may exist all the same, in another type or through a name below it; null where there is none.
 * NXDOMAIN would take that along, because it speaks for the whole name and for all below (RFC 2308 §5, RFC 8020 §2). Errs towards a rule.
 */
export function ruleThatKeeps(
  rules: readonly Rule[],
  denying: Rule,
  { name, asker }: { readonly name: Name; readonly asker: Requester },
): Rule | null {
  if (denying.types !== null || !deniesBelow(denying, name)) return denying;
  for (const rule of rules.slice(0, rules.indexOf(denying))) {
    if (rule.action === null || !rule.admits(asker)) continue;
    if (rule.types !== null && isHit(rule.testName(name))) return rule;
    if (givesRecords(rule) && mayHoldBelow(rule, name)) return rule;
  }
  return null;
}

/** Whether questions that the rule decides can get NOERROR. */
function givesRecords({ action }: Rule): boolean {
  if (action === null) return false;
  return action.kind !== "answer" || action.answer === "nodata" || action.answer === "zero";
}

// What lies below and is not denied along with the name goes on to later rules, and in the end to the first group.
function deniesBelow({ domains }: Rule, name: Name): boolean {
  if (domains === null) return true;
  const below = someNameBelow(name);
  if (domains.excepted.some((except) => except.match(below) !== null || reachesBelow(except, name))) return false;
  return domains.wanted.length === 0 || domains.wanted.some((wanted) => holdsAllBelow(wanted, name));
}

// A keyword in a name is in every name below it too; a regular expression may be tied to the beginning.
function holdsAllBelow(set: DomainSet, name: Name): boolean {
  const bySuffix = set.match(someNameBelow(name))?.kind === "suffix";
  return (bySuffix || set.match(name)?.kind === "keyword") && !set.exceptsBelow(name);
}

/** Whether a rule that does not hold the name may hold one below it: by a pattern there, or because only the name itself is excepted. */
function mayHoldBelow(rule: Rule, name: Name): boolean {
  return rule.sets().some((set) => reachesBelow(set, name)) || isHit(rule.testName(someNameBelow(name)));
}

/** A name below with a label that nobody writes, so that it stands for all those of which no pattern speaks in particular. */
function someNameBelow(name: Name): Name {
  return `\x01\0${name}` as Name;
}

/** Knows which special names exist because rules let them, or names below them, out. */
export class SpecialExistence {
  readonly #rules: readonly Rule[];
  readonly #sets: readonly DomainSet[];
  readonly #zones: SpecialZones;

  constructor(rules: readonly Rule[], zones: SpecialZones) {
    this.#rules = rules.filter(givesRecords);
    this.#sets = [...new Set(this.#rules.flatMap((rule) => rule.sets()))];
    this.#zones = zones;
  }

  /** Whether any rule lets out this name of the zone, for some type or client, or a name below it: then it is no NXDOMAIN (RFC 8020 §2). */
  leavesAtOrBelow(name: Name, zone: SpecialZone): boolean {
    return zone.opens && (this.#holdsBelow(name) || this.#rules.some((rule) => rule.opens(name, zone.name)));
  }

  #holdsBelow(name: Name): boolean {
    // Asked for SOA, a single label is no zone of its own: what lies below it is not let out of one.
    return this.#zones.find(name, TYPE.SOA) !== null && this.#sets.some((set) => set.reachesBelow(name));
  }
}
