import type { Name } from "../dns/name.ts";
import type { DomainSet } from "../lists/domain-set.ts";
import { type ClientAddresses, ClientCondition } from "./clients.ts";
import type { Asked, Asker } from "./decision.ts";
import { Longest } from "./longest.ts";
import type { RuleAction, RuleModifiers, RuleOptions } from "./options.ts";
import { DomainFilter, type DomainLists, liesWithin, type RuleMatch } from "./patterns.ts";

/** Why a rule does not match: the first condition that fails. */
export type Miss = "types" | "clients" | "domains" | "excepted" | "longest";

/** What a matching rule matched by. */
export type Hit = RuleMatch | "unconditional";

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
  test({ name, type }: Pick<Asked, "name" | "type">, asker: Asker): Hit | Miss {
    if (this.types?.has(type) === false) return "types";
    if (!this.admits(asker)) return "clients";
    return this.testName(name);
  }

  admits(asker: Asker): boolean {
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
