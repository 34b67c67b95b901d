import { LRUCache } from "lru-cache";
import { AddressSet, addressFromText, rangeFromText, withoutZone } from "../dns/address.ts";
import type { Name } from "../dns/name.ts";
import { type DomainEntry, type DomainSet, type Match, outranks } from "../lists/domain-set.ts";
import { domainSetFromPatterns } from "../lists/domain-set-builder.ts";
import type { Lists } from "../lists/load.ts";
import { type Pattern, parseDomainCondition } from "../lists/patterns.ts";
import type { Requester, RuleQuestion } from "./decision.ts";
import type { RuleAction, RuleModifiers, RuleOptions } from "./options.ts";

/** Why a rule does not match: the first condition that fails. */
export type Miss = "types" | "clients" | "domains" | "excepted" | "longest";

/** What a matching rule matched by. */
type Hit = RuleMatch | "unconditional";

/** One rule, ready to be asked. */
export class Rule {
  readonly name: string;
  readonly action: RuleAction | null;
  /** null = it changes nothing. */
  readonly modifiers: RuleModifiers | null;
  readonly domains: DomainFilter | null;
  readonly longest: Longest | null;
  readonly types: ReadonlySet<number> | null;
  readonly #clients: ClientCondition | null;

  constructor(options: RuleOptions, { lists, addresses }: { readonly lists: DomainLists; readonly addresses: ClientAddresses }) {
    this.name = options.name;
    this.action = options.action;
    this.modifiers = Object.values(options.modifiers).some((value) => value !== undefined) ? options.modifiers : null;
    this.domains = options.domains.length === 0 ? null : new DomainFilter(options.domains, lists);
    this.longest = options.action?.kind === "longest" ? new Longest(options.action, lists) : null;
    this.types = options.types.length === 0 ? null : new Set(options.types);
    this.#clients = options.clients.length === 0 ? null : new ClientCondition(options.clients, addresses);
  }

  /** Conditions that cost little come first; all must hold. */
  test({ name, type }: Pick<RuleQuestion, "name" | "type">, asker: Requester): Hit | Miss {
    if (this.types?.has(type) === false) return "types";
    if (!this.admits(asker)) return "clients";
    return this.testName(name);
  }

  admits(asker: Requester): boolean {
    return this.#clients === null || this.#clients.matches(asker);
  }

  /** The conditions that concern the name alone. */
  testName(name: Name): Hit | "domains" | "excepted" | "longest" {
    const hit = this.domains === null ? "unconditional" : this.domains.test(name);
    if (hit === "domains" || hit === "excepted" || this.longest === null) return hit;
    return this.longest.find(name) ?? "longest";
  }

  /** The group that `longest` gives the name that matched so. */
  groupOf(match: RuleMatch | null): string {
    if (this.longest === null || match === null) throw new Error(`rule ${this.name} chooses no group`);
    return this.longest.groupOf(match);
  }

  /** The sets that names match by, in `domains` and `longest`. */
  sets(): DomainSet[] {
    return [...(this.domains?.wanted ?? []), ...(this.longest?.choices.map(({ set }) => set) ?? [])];
  }

  /** Whether the rule, which matches the name, lets it out of a special zone: by a pattern of `domains` or `longest` within the zone. */
  opens(name: Name, zone: Name): boolean {
    if (this.domains?.opens(name, zone) === true) return true;
    return this.longest !== null && liesWithin(this.longest.find(name)?.found ?? null, zone);
  }
}

export function isHit(result: Hit | Miss): result is Hit {
  return typeof result === "object" || result === "unconditional";
}

interface Choice {
  readonly set: DomainSet;
  readonly group: string;
}

/** The action `longest`: of several lists the one whose pattern fits a name best names the group. */
class Longest {
  readonly choices: readonly Choice[];

  constructor({ choices }: Extract<RuleAction, { kind: "longest" }>, lists: DomainLists) {
    this.choices = choices.map(({ list, group }) => ({ set: listNamed(lists, list), group }));
  }

  /** `full:` beats suffixes, the longer suffix wins, keywords and regular expressions come last, a tie goes to the list named first. */
  find(name: Name): RuleMatch | null {
    let best: RuleMatch | null = null;
    for (const { set } of this.choices) {
      const found = set.match(name);
      if (found !== null && (best === null || outranks(found, best.found))) best = { set, found };
    }
    return best;
  }

  /** The group of the list that a match of `find` is of. */
  groupOf({ set }: RuleMatch): string {
    const choice = this.choices.find((candidate) => candidate.set === set);
    if (choice === undefined) throw new Error("a match of another rule");
    return choice.group;
  }
}

/** The pattern by which a rule matched. It is put into words only where somebody reads them: see `describeMatch`. */
export interface RuleMatch {
  readonly set: DomainSet;
  readonly found: Match;
}

/** List, line and pattern. */
export function describeMatch({ set, found }: RuleMatch): DomainEntry {
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
function liesWithin(match: Match | null, zone: Name): boolean {
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

/** Client addresses kept in bytes, so that a query does not parse its client's address at every rule. */
const MAX_ADDRESSES = 4_096;

const NO_ADDRESS = new Uint8Array(0);

/** Reads client addresses, the same ones over and over. */
export class ClientAddresses {
  readonly #octets = new LRUCache<string, Uint8Array>({ max: MAX_ADDRESSES });

  /** 4 or 16 bytes, a zone disregarded; none where the text is no address. */
  bytesOf(text: string): Uint8Array {
    const known = this.#octets.get(text);
    if (known !== undefined) return known;
    const octets = addressFromText(withoutZone(text)) ?? NO_ADDRESS;
    this.#octets.set(text, octets);
    return octets;
  }
}

/** The `clients` of a rule: addresses and CIDRs, and client ids, which are all that is neither. */
export class ClientCondition {
  readonly #addresses: AddressSet;
  readonly #ids: ReadonlySet<string>;
  readonly #known: ClientAddresses;

  constructor(entries: readonly string[], known: ClientAddresses) {
    const ranges = entries.map(rangeFromText);
    this.#addresses = new AddressSet(ranges.filter((range) => range !== null));
    this.#ids = new Set(entries.filter((_, index) => ranges[index] === null));
    this.#known = known;
  }

  matches({ address, clientId }: Requester): boolean {
    if (clientId !== null && this.#ids.has(clientId)) return true;
    return this.#addresses.size > 0 && this.#addresses.has(this.#known.bytesOf(address));
  }
}
