import { type Name, nameFromText } from "../dns/name.ts";
import type { Requester } from "../lib/client.ts";
import type { Asked } from "../lists/adguard-rules.ts";
import { type ClientAddresses, ClientCondition } from "../lists/clients.ts";
import { type DomainEntry, type DomainSet, type Match, outranks } from "../lists/domain-set.ts";
import { domainSetFromPatterns } from "../lists/domain-set-builder.ts";
import type { Lists } from "../lists/load.ts";
import { type Pattern, parseDomainCondition } from "../lists/patterns.ts";
import type { RuleQuestion } from "./decision.ts";
import type { RuleAction, RuleModifiers, RuleOptions } from "./options.ts";
import { Schedule } from "./schedule.ts";
import type { SpecialZone } from "./special-zones.ts";

/** Why a rule does not match: its first condition that fails. */
export type Miss = "types" | "when" | "clients" | "domains" | "excepted" | "longest";

/** How a rule matches. */
type Hit = RuleMatch | "unconditional";

/** One entry of section `rules`, ready for matching. */
export class Rule {
  readonly name: string;
  readonly action: RuleAction | null;
  /** null = the rule changes nothing. */
  readonly modifiers: RuleModifiers | null;
  /** The conditions on the name. All must hold; the match of the first is that of the rule. */
  readonly filters: readonly DomainFilter[];
  readonly types: TypeCondition | null;
  /** null = the rule holds at any time. */
  readonly schedule: Schedule | null;
  /** The target of action `cname`; null for other actions. */
  readonly target: Name | null;
  readonly #clients: ClientCondition | null;
  /** The lists of action `longest`; null for other actions. */
  readonly #choices: readonly Choice[] | null;
  /** Whether a list has rules that hold for some questions alone. */
  readonly #hasListRules: boolean;

  constructor(options: RuleOptions, { lists, addresses }: { readonly lists: DomainLists; readonly addresses: ClientAddresses }) {
    const { name, action, modifiers, domains, alsoDomains, clients, when } = options;
    this.name = name;
    this.action = action;
    this.modifiers = Object.values(modifiers).some((value) => value !== undefined) ? modifiers : null;
    this.filters = [domains, ...alsoDomains].flatMap((texts) => (texts.length === 0 ? [] : [new DomainFilter(texts, lists)]));
    this.types = typeCondition(options);
    this.schedule = when === undefined ? null : new Schedule(when);
    this.#clients = clients.length === 0 ? null : new ClientCondition(clients, addresses);
    this.target = action?.kind === "cname" ? nameFromText(action.target) : null;
    this.#choices =
      action?.kind === "longest" ? action.choices.map(({ list, group }) => ({ set: listNamed(lists, list), group })) : null;
    this.#hasListRules = this.#allSets().some(({ hasRules }) => hasRules);
  }

  /** Tests the cheap conditions first. All must hold. */
  test(question: Pick<RuleQuestion, "name" | "type">, { requester, atMs }: Circumstances): Hit | Miss {
    if (this.types !== null && !isAmong(question.type, this.types)) return "types";
    if (!this.isOpen(atMs)) return "when";
    if (!this.admits(requester)) return "clients";
    return this.testName(question.name, this.#asked(question, requester));
  }

  /** Whether the rule holds at this moment, in milliseconds since 1970. */
  isOpen(atMs: number): boolean {
    return this.schedule === null || this.schedule.isOpen(atMs);
  }

  admits(requester: Requester): boolean {
    return this.#clients === null || this.#clients.matches(requester);
  }

  /** Which of the conditions on clients in the rule's lists hold for this one, a character each. */
  listClass(requester: Requester): string {
    if (!this.#hasListRules) return "";
    return this.#allSets()
      .flatMap(({ clients }) => clients.map((clients) => (clients.matches(requester) ? "1" : "0")))
      .join("");
  }

  /** Tests only the conditions on the name. @param asked null = rules in lists that hold for some clients or types alone do not count. */
  testName(name: Name, asked: Asked | null = null): Hit | "domains" | "excepted" | "longest" {
    // Without this an alias whose target matches its own rule would never end.
    if (name === this.target) return "excepted";
    let hit: Hit = "unconditional";
    for (const filter of this.filters) {
      const result = filter.test(name, asked);
      if (result === "domains" || result === "excepted") return result;
      if (hit === "unconditional") hit = result;
    }
    if (this.#choices === null) return hit;
    return findBestMatch(this.#choices, name, asked) ?? "longest";
  }

  /** The group that action `longest` gives to a name with this match. */
  groupOf(match: RuleMatch | null): string {
    const choice = this.#choices?.find(({ set }) => set === match?.set);
    if (choice === undefined) throw new Error(`rule ${this.name} chooses no group`);
    return choice.group;
  }

  /** The sets that names match by, in `domains` and `longest`. */
  sets(): DomainSet[] {
    return [...this.filters.flatMap(({ wanted }) => wanted), ...(this.#choices?.map(({ set }) => set) ?? [])];
  }

  /** Whether the rule, which matches the name, lets the name out of a special zone: by a pattern of `domains` or `longest` in that zone. */
  opens({ name, type }: Pick<RuleQuestion, "name" | "type">, zone: SpecialZone, requester: Requester | null): boolean {
    const asked = requester === null ? null : this.#asked({ type }, requester);
    if (this.filters.some((filter) => filter.opens(name, zone, asked))) return true;
    return this.#choices !== null && liesWithin(findBestMatch(this.#choices, name, asked)?.found ?? null, zone);
  }

  /** null = no list of the rule needs it. */
  #asked({ type }: Pick<RuleQuestion, "type">, requester: Requester): Asked | null {
    return this.#hasListRules ? { type, requester, rewrites: this.action?.kind === "answer" } : null;
  }

  #allSets(): DomainSet[] {
    return [...this.sets(), ...this.filters.flatMap(({ excepted }) => excepted)];
  }
}

/** Who asks, and when. */
export interface Circumstances {
  readonly requester: Requester;
  /** In milliseconds since 1970. */
  readonly atMs: number;
}

interface Choice {
  readonly set: DomainSet;
  readonly group: string;
}

export function isHit(result: Hit | Miss): result is Hit {
  return typeof result === "object" || result === "unconditional";
}

/** The pattern by which a rule matched. Call `describeMatch` to get its text. */
export interface RuleMatch {
  readonly set: DomainSet;
  readonly found: Match;
}

/** The list, the line and the text of a pattern. */
export function describeMatch({ set, found }: RuleMatch): DomainEntry {
  return set.describe(found);
}

/**
 * Finds the best match: `full:` beats suffixes, a longer suffix beats a shorter one, keywords and regular expressions come last. Of equal matches the
 * first set wins.
 */
export function findBestMatch(
  choices: readonly { readonly set: DomainSet }[],
  name: Name,
  asked: Asked | null = null,
): RuleMatch | null {
  let best: RuleMatch | null = null;
  for (const { set } of choices) {
    const found = set.match(name, true, asked);
    if (found !== null && (best === null || outranks(found, best.found))) best = { set, found };
  }
  return best;
}

/** Gives a list of domains by its name; null = there is no such list. */
export type DomainLists = Pick<Lists, "domains">;

/** @throws Error for an unknown list; the checks of the configuration report those first. */
export function listNamed(lists: DomainLists, list: string): DomainSet {
  const set = lists.domains(list);
  if (set === null) throw new Error(`there is no list ${list} of domains`);
  return set;
}

/** The list that a text of `domains` names; null for a pattern or an exception. */
export function listNameIn(text: string): string | null {
  const condition = parseDomainCondition(text);
  if ("kind" in condition || condition.excepted || condition.target.kind !== "list") return null;
  return condition.target.list;
}

/** The condition `types` of a rule: these types, or all others. */
interface TypeCondition {
  readonly types: ReadonlySet<number>;
  readonly negated: boolean;
}

function typeCondition({ types, exceptTypes }: RuleOptions): TypeCondition | null {
  if (types.length > 0) return { types: new Set(types), negated: false };
  return exceptTypes.length > 0 ? { types: new Set(exceptTypes), negated: true } : null;
}

function isAmong(type: number, { types, negated }: TypeCondition): boolean {
  return types.has(type) !== negated;
}

/** The condition `domains` of a rule. */
export class DomainFilter {
  /** Empty = only exceptions are written, and every other name matches. */
  readonly wanted: readonly DomainSet[];
  readonly excepted: readonly DomainSet[];

  /** @throws Error for an invalid pattern or an unknown list; `ruleProblems` and the checks of the configuration report those first. */
  constructor(texts: readonly string[], lists: DomainLists) {
    this.wanted = setsOf(texts, lists, false);
    this.excepted = setsOf(texts, lists, true);
  }

  /** The match in the first set that holds the name (patterns of the rule come before lists), or the reason for a miss. */
  test(name: Name, asked: Asked | null = null): RuleMatch | "unconditional" | "domains" | "excepted" {
    const match = findFirstMatch(this.wanted, name, asked);
    if (match === null && this.wanted.length > 0) return "domains";
    const exceptedWhere = asked === null ? null : { ...asked, rewrites: false };
    for (const except of this.excepted) if (except.match(name, true, exceptedWhere) !== null) return "excepted";
    return match ?? "unconditional";
  }

  /** Whether a pattern that holds the name lies at or below the zone, which also holds the name. */
  opens(name: Name, zone: SpecialZone, asked: Asked | null): boolean {
    return this.wanted.some((set) => {
      const match = set.match(name, true, asked);
      // Another pattern of the set may fit better than that of single labels, and lie above the zone.
      return match !== null && (liesWithin(match, zone) || (zone.single && set.takesSingleLabels));
    });
  }
}

/**
 * Whether the pattern of a match lies at or below a zone. Both are suffixes of one name, so their lengths tell. Keywords and regular expressions lie
 * nowhere, and the pattern of single labels in those zones that have no other name.
 */
function liesWithin(match: Match | null, { name, single }: SpecialZone): boolean {
  return match !== null && (match.kind === "single" ? single : match.wireLength >= name.length);
}

function findFirstMatch(sets: readonly DomainSet[], name: Name, asked: Asked | null): RuleMatch | null {
  for (const set of sets) {
    const found = set.match(name, true, asked);
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
