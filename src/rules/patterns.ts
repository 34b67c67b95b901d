import type { Name } from "../dns/name.ts";
import type { DomainSet, Entry, Match } from "../lists/domain-set.ts";
import { domainSetFromPatterns } from "../lists/domain-set-builder.ts";
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

/** A set as it is now: a list is replaced as a whole when it is refreshed. */
export type CurrentSet = () => DomainSet;

/** Gives the current set of a list of domains. */
export type ListSource = (list: string) => CurrentSet;

/** The `domains` of a rule. */
export class DomainFilter {
  readonly wanted: readonly CurrentSet[];
  readonly excepted: readonly CurrentSet[];
  /** Whether nothing is wanted in particular: only excepts are written, and everything else matches. */
  readonly #wantsAll: boolean;

  /** @throws Error where a pattern is none; `ruleProblems` says so beforehand. */
  constructor(texts: readonly string[], lists: ListSource) {
    this.wanted = setsOf(texts, lists, false);
    this.excepted = setsOf(texts, lists, true);
    this.#wantsAll = this.wanted.length === 0;
  }

  /** The first set that holds the name, those written in the rule before lists; or why the name does not match. */
  test(name: Name): RuleMatch | "unconditional" | "domains" | "excepted" {
    const match = firstMatch(this.wanted, name);
    if (match === null && !this.#wantsAll) return "domains";
    for (const except of this.excepted) if (except().match(name) !== null) return "excepted";
    return match ?? "unconditional";
  }

  /** Whether a pattern that holds the name lies at or below the zone, which holds the name too. */
  opens(name: Name, zone: Name): boolean {
    return this.wanted.some((current) => liesWithin(current().match(name), zone));
  }
}

/** Whether the pattern of a match lies at or below a zone that holds the same name: both are suffixes of it. Keywords and regular expressions lie nowhere. */
export function liesWithin(match: Match | null, zone: Name): boolean {
  return match !== null && match.octets >= zone.length;
}

function firstMatch(sets: readonly CurrentSet[], name: Name): RuleMatch | null {
  for (const current of sets) {
    const set = current();
    const found = set.match(name);
    if (found !== null) return { set, found };
  }
  return null;
}

function setsOf(texts: readonly string[], lists: ListSource, excepted: boolean): CurrentSet[] {
  const patterns: Pattern[] = [];
  const sets: CurrentSet[] = [];
  for (const text of texts) {
    const condition = parseDomainCondition(text);
    if ("kind" in condition) throw new Error(condition.reason);
    if (condition.excepted !== excepted) continue;
    if (condition.target.kind === "list") sets.push(lists(condition.target.list));
    else patterns.push(condition.target);
  }
  if (patterns.length === 0) return sets;
  const own = domainSetFromPatterns(patterns);
  if ("kind" in own) throw new Error(own.reason);
  return [() => own, ...sets];
}
