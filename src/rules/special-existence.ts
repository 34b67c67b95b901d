import type { Name } from "../dns/name.ts";
import { TYPE } from "../dns/types.ts";
import { addAncestors } from "./below.ts";
import { givesRecords } from "./existence.ts";
import type { Rule } from "./rule.ts";
import type { SpecialZone, SpecialZones } from "./special.ts";

/** Knows which special names exist because rules let them, or names below them, out. */
export class SpecialExistence {
  readonly #rules: readonly Rule[];
  readonly #above = new Set<Name>();

  constructor(rules: readonly Rule[], zones: SpecialZones) {
    this.#rules = rules.filter(givesRecords);
    for (const set of new Set(this.#rules.flatMap((rule) => rule.sets()))) {
      for (const name of set.names()) {
        // Asked for SOA, a single label is no zone of its own.
        const zone = zones.find(name, TYPE.SOA);
        if (zone?.opens) addAncestors(this.#above, name, zone.name);
      }
    }
  }

  /** Whether any rule lets out this name of the zone, for some type or client, or a name below it: then it is no NXDOMAIN (RFC 8020 §2). */
  leavesAtOrBelow(name: Name, zone: SpecialZone): boolean {
    return zone.opens && (this.#above.has(name) || this.#rules.some((rule) => rule.opens(name, zone.name)));
  }
}
