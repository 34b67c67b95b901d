import type { Name } from "../dns/name.ts";
import { typeName } from "../dns/types.ts";
import type { Requester } from "../lib/client.ts";
import { ClientAddresses, ClientCondition } from "../lists/clients.ts";
import type { DomainSet } from "../lists/domain-set.ts";
import type { GroupOptions, NeverOptions } from "../upstreams/options.ts";
import type { RuleQuestion } from "./decision.ts";
import type { RuleOptions } from "./options.ts";
import { DomainFilter, type DomainLists, describeMatch, findBestMatch, listNamed, listNameIn, type RuleMatch } from "./rule.ts";

interface EgressParts {
  readonly groups: readonly Pick<GroupOptions, "name" | "never">[];
  readonly rules: readonly Pick<RuleOptions, "domains" | "alsoDomains" | "action">[];
  readonly lists: DomainLists;
}

/**
 * What must not reach a group (`never`), whatever the rules decide: the rules are the plan, and this policy checks the plan. Immutable.
 *
 * A list in `never` forbids only the names that the list would win by `longest` among all lists in use: a foreign name below a suffix of
 * `list:cn` may go overseas. Patterns, types and clients in `never` forbid without such a comparison.
 */
export class EgressPolicy {
  readonly #groups: ReadonlyMap<string, GroupPolicy>;

  /** @throws Error for an invalid pattern or an unknown list; `neverProblems` and the checks of the configuration report those first. */
  constructor({ groups, rules, lists }: EgressParts) {
    const addresses = new ClientAddresses();
    const used = listsInUse(groups, rules).map((list) => ({ set: listNamed(lists, list) }));
    this.#groups = new Map(
      groups.flatMap(({ name, never }) => (never === null ? [] : [[name, new GroupPolicy(never, { lists, used, addresses })]])),
    );
  }

  /** Why the question must not go to the group; null = it may. `requester` null = Fenliu itself asks. */
  forbids(group: string, question: Pick<RuleQuestion, "name" | "type">, requester: Requester | null): string | null {
    return this.#groups.get(group)?.forbids(question, requester) ?? null;
  }
}

interface GroupPolicyParts {
  readonly lists: DomainLists;
  /** The lists of all groups and rules, in the order in which the configuration names them. */
  readonly used: readonly { readonly set: DomainSet }[];
  readonly addresses: ClientAddresses;
}

class GroupPolicy {
  readonly #types: ReadonlySet<number>;
  readonly #clients: ClientCondition | null;
  /** The patterns; null = there are none. */
  readonly #patterns: DomainFilter | null;
  readonly #exceptions: DomainFilter | null;
  readonly #lists: ReadonlySet<DomainSet>;
  readonly #used: GroupPolicyParts["used"];
  /** `domains` has only exceptions, so everything else is forbidden. */
  readonly #forbidsAll: boolean;

  constructor({ domains, types, clients }: NeverOptions, { lists, used, addresses }: GroupPolicyParts) {
    const exceptions = domains.filter((text) => text.startsWith("!"));
    const wanted = domains.filter((text) => !text.startsWith("!"));
    const patterns = wanted.filter((text) => listNameIn(text) === null);
    this.#types = new Set(types);
    this.#clients = clients.length === 0 ? null : new ClientCondition(clients, addresses);
    this.#patterns = patterns.length === 0 ? null : new DomainFilter(patterns, lists);
    this.#exceptions = exceptions.length === 0 ? null : new DomainFilter(exceptions, lists);
    this.#lists = new Set(wanted.flatMap((text) => listNameIn(text) ?? []).map((list) => listNamed(lists, list)));
    this.#used = this.#lists.size === 0 ? [] : used;
    this.#forbidsAll = wanted.length === 0 && exceptions.length > 0;
  }

  forbids({ name, type }: Pick<RuleQuestion, "name" | "type">, requester: Requester | null): string | null {
    if (this.#types.has(type)) return `type ${typeName(type)}`;
    if (requester !== null && this.#clients?.matches(requester) === true)
      return `client ${requester.clientId ?? requester.address}`;
    if (this.#exceptions?.test(name) === "excepted") return null;
    if (this.#forbidsAll) return "every name that is not excepted";
    const match = this.#match(name);
    if (match === null) return null;
    const { list, pattern } = describeMatch(match);
    return list === null ? pattern : `${pattern} of list ${list}`;
  }

  #match(name: Name): RuleMatch | null {
    const byPattern = this.#patterns?.test(name);
    if (typeof byPattern === "object") return byPattern;
    const best = findBestMatch(this.#used, name);
    return best !== null && this.#lists.has(best.set) ? best : null;
  }
}

/** The lists in the order in which the rules name them, then those that only a `never` names; each once. */
function listsInUse(groups: EgressParts["groups"], rules: EgressParts["rules"]): string[] {
  const byRules = rules.flatMap(({ domains, alsoDomains, action }) => [
    ...[domains, ...alsoDomains].flat().flatMap((text) => listNameIn(text) ?? []),
    ...(action?.kind === "longest" ? action.choices.map(({ list }) => list) : []),
  ]);
  const byNever = groups.flatMap(({ never }) => never?.domains.flatMap((text) => listNameIn(text) ?? []) ?? []);
  return [...new Set([...byRules, ...byNever])];
}
