import { isWithin, type Name, parentOf, ROOT } from "../dns/name.ts";
import type { DomainSet } from "../lists/domain-set.ts";

/** Whether a set may hold a name strictly below this one by a pattern that does not hold this one. Errs towards yes. */
export function reachesBelow(set: DomainSet, name: Name): boolean {
  return set.hasTexts || ancestorsIn(set).ofNames.has(name);
}

/** Whether an exception of the set stands strictly below the name. */
export function exceptsBelow(set: DomainSet, name: Name): boolean {
  return ancestorsIn(set).ofExceptions.has(name);
}

/** The names that have a pattern of the set below them, the patterns that lie within none of the zones left out, up to the zone. */
export function ancestorsWithin(set: DomainSet, zoneOf: (name: Name) => Name | null): ReadonlySet<Name> {
  const ancestors = new Set<Name>();
  for (const name of set.names()) {
    const zone = zoneOf(name);
    if (zone !== null) addAncestors(ancestors, name, zone);
  }
  return ancestors;
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

/** The names strictly above `name`, up to and with `top`. */
function addAncestors(ancestors: Set<Name>, name: Name, top: Name): void {
  if (name === top) return;
  for (let above = parentOf(name); isWithin(above, top) && !ancestors.has(above); above = parentOf(above)) {
    ancestors.add(above);
    if (above === top) return;
  }
}
