import type { Name } from "../dns/name.ts";
import type { DomainSet, Entry, Match } from "../lists/domain-set.ts";
import { domainSetFromPatterns } from "../lists/domain-set-builder.ts";
import type { Lists } from "../lists/load.ts";
import { type Pattern, parseDomainCondition } from "../lists/pattern.ts";

/** The pattern by which a rule matched. It is put into words only where somebody reads them: see `describeMatch`. */
export interface RuleMatch {
  readonly set: DomainSet;
  readonly found: Match;
}

/** List, line and pattern. */
export function describeMatch({ set, found }: RuleMatch): Entry {
  return set.describe(found);
}

/** Gives a list of domains by its name; null where there is none. */
export type DomainLists = Pick<Lists, "domains">;

/** The `domains` of a rule. */
export class DomainFilter {
  readonly wanted: readonly DomainSet[];
  readonly excepted: readonly DomainSet[];
  /** Whether nothing is wanted in particular: only excepts are written, and everything else matches. */
  readonly #wantsAll: boolean;

  /** @throws Error where a pattern is none, or a list is not there; `ruleProblems` and the configuration say so beforehand. */
  constructor(texts: readonly string[], lists: DomainLists) {
    this.wanted = setsOf(texts, lists, false);
    this.excepted = setsOf(texts, lists, true);
    this.#wantsAll = this.wanted.length === 0;
  }

  /** The first set that holds the name, those written in the rule before lists; or why the name does not match. */
  test(name: Name): RuleMatch | "unconditional" | "domains" | "excepted" {
    const match = firstMatch(this.wanted, name);
    if (match === null && !this.#wantsAll) return "domains";
    for (const except of this.excepted) if (except.match(name) !== null) return "excepted";
    return match ?? "unconditional";
  }

  /** Whether a pattern that holds the name lies at or below the zone, which holds the name too. */
  opens(name: Name, zone: Name): boolean {
    return this.wanted.some((set) => liesWithin(set.match(name), zone));
  }
}

/** Whether the pattern of a match lies at or below a zone that holds the same name: both are suffixes of it. Keywords and regular expressions lie nowhere. */
export function liesWithin(match: Match | null, zone: Name): boolean {
  return match !== null && match.octets >= zone.length;
}

/** @throws Error where there is no such list: references are checked with the configuration. */
export function listNamed(lists: DomainLists, list: string): DomainSet {
  const set = lists.domains(list);
  if (set === null) throw new Error(`there is no list ${list} of domains`);
  return set;
}

function firstMatch(sets: readonly DomainSet[], name: Name): RuleMatch | null {
  for (const set of sets) {
    const found = set.match(name);
    if (found !== null) return { set, found };
  }
  return null;
}

function setsOf(texts: readonly string[], lists: DomainLists, excepted: boolean): DomainSet[] {
  const patterns: Pattern[] = [];
  const sets: DomainSet[] = [];
  for (const text of texts) {
    const condition = parseDomainCondition(text);
    if ("kind" in condition) throw new Error(condition.reason);
    if (condition.excepted !== excepted) continue;
    if (condition.target.kind === "list") sets.push(listNamed(lists, condition.target.list));
    else patterns.push(condition.target);
  }
  if (patterns.length === 0) return sets;
  const own = domainSetFromPatterns(patterns);
  if ("kind" in own) throw new Error(own.reason);
  return [own, ...sets];
}
