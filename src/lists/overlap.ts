import type { Name } from "../dns/name.ts";
import type { DomainSet, Match } from "./domain-set.ts";

/**
 * How an entry of a set meets one of another: `tie` = both hold the same name with what is below it, or both the name alone; `split` = it
 * is the name alone, and the other holds what is below as well; `inside` = it lies below a shorter suffix of the other.
 */
export type OverlapKind = "tie" | "split" | "inside";

export interface Overlap {
  readonly kind: OverlapKind;
  /** A name that the entry decides. */
  readonly name: Name;
  readonly own: Match;
  readonly other: Match;
}

/** No list holds such a label, so that a name with it before stands for whatever is below. */
const ANY_LABEL = "\x01*";

/**
 * The entries of `set` that meet an entry of `other`, each once, in the order of `set`; its time grows with the entries of `set` alone. Keywords
 * and regular expressions are left out: they give way to every name.
 */
export function* overlaps(set: DomainSet, other: DomainSet): Generator<Overlap, void, undefined> {
  const met = new Set<number>();
  for (const row of set.names()) {
    const name = row.startsWith(ANY_LABEL) ? (row.slice(ANY_LABEL.length) as Name) : row;
    for (const overlap of [overlapAt(set, other, { asked: name, name }), overlapAt(set, other, { asked: below(name), name })]) {
      if (overlap === null || met.has(overlap.own.entry)) continue;
      met.add(overlap.own.entry);
      yield overlap;
    }
  }
}

function below(name: Name): Name {
  return `${ANY_LABEL}${name}` as Name;
}

interface Probe {
  /** The name of the entry, or one below it. */
  readonly asked: Name;
  readonly name: Name;
}

function overlapAt(set: DomainSet, other: DomainSet, { asked, name }: Probe): Overlap | null {
  const theirs = other.matchName(asked);
  if (theirs === null) return null;
  const own = set.matchName(asked);
  if (own === null || own.octets !== name.length) return null;
  // What holds for the name and below it is looked at below it.
  if (own.kind === "suffix" && asked === name) return null;
  const kind = theirs.octets < own.octets ? "inside" : theirs.kind === own.kind ? "tie" : "split";
  return { kind, name: asked, own, other: theirs };
}
