import type { Name } from "../dns/name.ts";
import { TYPE } from "../dns/types.ts";
import type { DomainSet } from "../lists/domain-set.ts";
import { ancestorsWithin } from "./below.ts";
import { givesRecords } from "./existence.ts";
import type { Rule } from "./rule.ts";
import type { SpecialZone, SpecialZones } from "./special.ts";

/** Knows which special names exist because rules let them, or names below them, out. */
export class SpecialExistence {
  readonly #rules: readonly Rule[];
  readonly #zones: SpecialZones;
  /** By set: the special names with a pattern of the set below them. A set never changes, and it is dropped as a whole. */
  readonly #above = new WeakMap<DomainSet, ReadonlySet<Name>>();

  /** Goes through the lists once, so that no query has to; again when a list was replaced. */
  constructor(rules: readonly Rule[], zones: SpecialZones) {
    this.#rules = rules.filter(givesRecords);
    this.#zones = zones;
    for (const rule of this.#rules) for (const set of rule.sets()) this.#namesAbove(set);
  }

  /** Whether any rule lets out this name of the zone, for some type or client, or a name below it: then it is no NXDOMAIN (RFC 8020 §2). */
  leavesAtOrBelow(name: Name, zone: SpecialZone): boolean {
    return this.#rules.some((rule) => rule.opens(name, zone.name) || rule.sets().some((set) => this.#namesAbove(set).has(name)));
  }

  #namesAbove(set: DomainSet): ReadonlySet<Name> {
    const known = this.#above.get(set);
    if (known !== undefined) return known;
    // Asked for SOA, a single label is no zone of its own.
    const above = ancestorsWithin(set, (name) => this.#zones.find(name, TYPE.SOA)?.name ?? null);
    this.#above.set(set, above);
    return above;
  }
}
