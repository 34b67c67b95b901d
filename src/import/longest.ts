/** Rules are tried in order, and some sources go by the longest name: puts patterns into an order that comes to the same. */

interface Choice<T> {
  readonly choice: T;
  /** `x` with what is below it, `full:x`, `*.x` what is below alone; others count as the shortest. */
  readonly patterns: readonly string[];
}

/**
 * Groups of patterns of one choice each: all that lie below a pattern of another choice come before it. Within a group, and among those that are equally
 * deep, the order does not matter.
 */
export function longestFirst<T>(choices: readonly Choice<T>[]): readonly Choice<T>[] {
  const owners = new Map<string, number>();
  for (const [index, { patterns }] of choices.entries())
    for (const pattern of patterns) if (!owners.has(pattern)) owners.set(pattern, index);
  const depths = new Map<string, number>();
  const depthOf = (pattern: string): number => {
    const known = depths.get(pattern);
    if (known !== undefined) return known;
    const outer = outerOf(pattern, owners);
    const depth = outer === null ? 0 : depthOf(outer) + (owners.get(outer) === owners.get(pattern) ? 0 : 1);
    depths.set(pattern, depth);
    return depth;
  };
  const deepest = Math.max(0, ...[...owners.keys()].map(depthOf));
  const groups: Choice<T>[] = [];
  for (let depth = deepest; depth >= 0; depth--)
    for (const [index, { choice, patterns }] of choices.entries()) {
      const own = patterns.filter((pattern) => owners.get(pattern) === index && depthOf(pattern) === depth);
      if (own.length > 0) groups.push({ choice, patterns: own });
    }
  return groups;
}

/** The next shorter pattern that holds all of this one's names; null = there is none. */
function outerOf(pattern: string, owners: ReadonlyMap<string, number>): string | null {
  if (/^(keyword|regexp):/.test(pattern)) return owners.has(".") ? "." : null;
  const bare = pattern.replace(/^(full:|\*\.)/, "");
  if (bare !== pattern && owners.has(bare)) return bare;
  for (let dot = bare.indexOf("."); dot >= 0; dot = bare.indexOf(".", dot + 1)) {
    const outer = bare.slice(dot + 1);
    if (outer === "") continue;
    if (owners.has(`*.${outer}`)) return `*.${outer}`;
    if (owners.has(outer)) return outer;
  }
  return pattern !== "." && owners.has(".") ? "." : null;
}
