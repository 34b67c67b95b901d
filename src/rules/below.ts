import { type Name, parentOf } from "../dns/name.ts";
import type { DomainSet } from "../lists/domain-set.ts";

/** Whether a set may hold a name strictly below this one by a pattern that does not hold this one. Errs towards yes. */
export function reachesBelow(set: DomainSet, name: Name): boolean {
  return set.hasTexts || set.reachesBelow(name);
}

/** Adds the names strictly above `name`, up to and with `top`, which holds it. */
export function addAncestors(ancestors: Set<Name>, name: Name, top: Name): void {
  for (let above = name; above !== top; ) {
    above = parentOf(above);
    if (ancestors.has(above)) return;
    ancestors.add(above);
  }
}
