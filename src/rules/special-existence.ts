import type { Name } from "../dns/name.ts";
import { TYPE } from "../dns/types.ts";
import type { DomainSet } from "../lists/domain-set.ts";
import { givesRecords } from "./existence.ts";
import type { Rule } from "./rule.ts";
import type { SpecialZone, SpecialZones } from "./special.ts";

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
