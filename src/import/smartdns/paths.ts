import { type Names, namesIn, namesOf } from "../model.ts";

/** The name of a pattern, and the names in which it lies, the longest first. */
export function pathOf(pattern: string): readonly string[] {
  const labels = pattern.replace(/^(full:|\*\.)/, "").split(".");
  return [...labels.map((_, index) => labels.slice(index).join(".")), "."];
}

export function byPath<T extends { readonly names: Names }>(all: readonly T[]): ReadonlyMap<string, readonly T[]> {
  const index = new Map<string, T[]>();
  for (const one of all)
    for (const [name = ""] of one.names.patterns.map(pathOf)) index.set(name, [...(index.get(name) ?? []), one]);
  return index;
}

/** What stands at the names in which these lie, or at the same. */
export function meet<T>({ patterns }: Names, index: ReadonlyMap<string, readonly T[]>): ReadonlySet<T> {
  return new Set(patterns.flatMap(pathOf).flatMap((name) => index.get(name) ?? []));
}

/** Single patterns, and the lists of a set together: a later line replaces an earlier one for the same. */
export function* eachOf({ patterns, lists }: Names): Generator<[string, Names]> {
  for (const pattern of patterns) yield [pattern, namesOf([pattern])];
  if (lists.length > 0) yield [`set ${lists[0]?.tag ?? ""}`, namesIn(lists)];
}
