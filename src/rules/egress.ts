import type { Name } from "../dns/name.ts";
import { typeName } from "../dns/types.ts";
import { type DomainSet, type Match, outranks } from "../lists/domain-set.ts";
import { parseDomainCondition } from "../lists/patterns.ts";
import type { GroupOptions, NeverOptions } from "../upstreams/options.ts";
import type { Requester, RuleQuestion } from "./decision.ts";
import type { RuleOptions } from "./options.ts";
import {
  ClientAddresses,
  ClientCondition,
  DomainFilter,
  type DomainLists,
  describeMatch,
  listNamed,
  type RuleMatch,
} from "./rule.ts";

interface NeverParts {
  readonly groups: readonly Pick<GroupOptions, "name" | "never">[];
  readonly rules: readonly Pick<RuleOptions, "domains" | "action">[];
  readonly lists: DomainLists;
}

/**
 * What must not reach a group, whatever the rules decide: they are one's plan, this is the check of it. Immutable.
 *
 * A list forbids only the names that it would win by `longest` among all lists the rules use: a foreign name below a suffix of `list:cn` goes
 * overseas by right. Patterns that are written out, types and clients forbid by themselves.
 */
export class EgressPolicy {
  readonly #guards: ReadonlyMap<string, GroupGuard>;

  /** @throws Error where a pattern is none or a list is not there; `neverProblems` and the configuration say so beforehand. */
  constructor({ groups, rules, lists }: NeverParts) {
    const known = new ClientAddresses();
    const used = listsUsed(groups, rules).map((list) => listNamed(lists, list));
    this.#guards = new Map(
      groups.flatMap(({ name, never }) => (never === null ? [] : [[name, new GroupGuard(never, { lists, used, known })]])),
    );
  }

  /** Why the question must not go to the group; null where it may. `asker` null = nobody in particular. */
  forbids(group: string, asked: Pick<RuleQuestion, "name" | "type">, asker: Requester | null): string | null {
    return this.#guards.get(group)?.forbids(asked, asker) ?? null;
  }
}

interface GuardParts {
  readonly lists: DomainLists;
  /** Of all groups and rules, in the order in which they are named. */
  readonly used: readonly DomainSet[];
  readonly known: ClientAddresses;
}

class GroupGuard {
  readonly #types: ReadonlySet<number>;
  readonly #clients: ClientCondition | null;
  /** The patterns that are written out, with all exceptions; null = there are none. */
  readonly #written: DomainFilter | null;
  readonly #excepted: DomainFilter | null;
  readonly #lists: ReadonlySet<DomainSet>;
  readonly #used: readonly DomainSet[];
  /** Only exceptions are written: everything else is forbidden. */
  readonly #forbidsAll: boolean;

  constructor({ domains, types, clients }: NeverOptions, { lists, used, known }: GuardParts) {
    const [wanted, excepted] = [domains.filter((text) => !text.startsWith("!")), domains.filter((text) => text.startsWith("!"))];
    const written = wanted.filter((text) => listOf(text) === null);
    this.#types = new Set(types);
    this.#clients = clients.length === 0 ? null : new ClientCondition(clients, known);
    this.#written = written.length === 0 ? null : new DomainFilter(written, lists);
    this.#excepted = excepted.length === 0 ? null : new DomainFilter(excepted, lists);
    this.#lists = new Set(wanted.flatMap((text) => listOf(text) ?? []).map((list) => listNamed(lists, list)));
    this.#used = this.#lists.size === 0 ? [] : used;
    this.#forbidsAll = wanted.length === 0 && excepted.length > 0;
  }

  forbids({ name, type }: Pick<RuleQuestion, "name" | "type">, asker: Requester | null): string | null {
    if (this.#types.has(type)) return `type ${typeName(type)}`;
    if (asker !== null && this.#clients?.matches(asker) === true) return `client ${asker.clientId ?? asker.address}`;
    if (this.#excepted?.test(name) === "excepted") return null;
    if (this.#forbidsAll) return "every name that is not excepted";
    const match = this.#match(name);
    if (match === null) return null;
    const { list, pattern } = describeMatch(match);
    return list === null ? pattern : `${pattern} of list ${list}`;
  }

  #match(name: Name): RuleMatch | null {
    const written = this.#written?.test(name);
    if (typeof written === "object") return written;
    let best: { readonly set: DomainSet; readonly found: Match } | null = null;
    for (const set of this.#used) {
      const found = set.match(name);
      if (found !== null && (best === null || outranks(found, best.found))) best = { set, found };
    }
    return best !== null && this.#lists.has(best.set) ? best : null;
  }
}

/** Lists in the order in which the rules name them, then those that only a `never` does; each once. */
function listsUsed(groups: NeverParts["groups"], rules: NeverParts["rules"]): string[] {
  const named = rules.flatMap(({ domains, action }) => [
    ...domains.flatMap((text) => listOf(text) ?? []),
    ...(action?.kind === "longest" ? action.choices.map(({ list }) => list) : []),
  ]);
  const forbidden = groups.flatMap(({ never }) => never?.domains.flatMap((text) => listOf(text) ?? []) ?? []);
  return [...new Set([...named, ...forbidden])];
}

/** The list that a text of `domains` names; null where it is a pattern, or excepts. */
function listOf(text: string): string | null {
  const condition = parseDomainCondition(text);
  if ("kind" in condition || condition.excepted) return null;
  return condition.target.kind === "list" ? condition.target.list : null;
}
