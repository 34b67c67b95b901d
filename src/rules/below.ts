import { type Name, parentOf, ROOT } from "../dns/name.ts";
import type { DomainSet } from "../lists/domain-set.ts";

/** Whether a set may hold a name strictly below this one by a pattern that does not hold this one. Errs towards yes. */
export function reachesBelow(set: DomainSet, name: Name): boolean {
  return set.hasTexts || ancestorsIn(set).ofNames.has(name);
}

/** Whether an exception of the set stands strictly below the name. */
export function exceptsBelow(set: DomainSet, name: Name): boolean {
  return ancestorsIn(set).ofExceptions.has(name);
}

interface Ancestors {
  readonly ofNames: ReadonlySet<Name>;
  readonly ofExceptions: ReadonlySet<Name>;
}

// A set never changes, and it is dropped as a whole.
const known = new WeakMap<DomainSet, Ancestors>();

function ancestorsIn(set: DomainSet): Ancestors {
  const before = known.get(set);
  if (before !== undefined) return before;
  const ancestors = { ofNames: new Set<Name>(), ofExceptions: new Set<Name>() };
  for (const name of set.names()) addAncestors(ancestors.ofNames, name, ROOT);
  for (const name of set.exceptionNames()) addAncestors(ancestors.ofExceptions, name, ROOT);
  known.set(set, ancestors);
  return ancestors;
}

/** Adds the names strictly above `name`, up to and with `top`, which holds it. */
export function addAncestors(ancestors: Set<Name>, name: Name, top: Name): void {
  for (let above = name; above !== top; ) {
    above = parentOf(above);
    if (ancestors.has(above)) return;
    ancestors.add(above);
  }
}
