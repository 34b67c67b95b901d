/** Patterns of the model, which has `*.x` for what is below x, as rules and lists write them. */

/** A name alone and what is below it are one pattern. */
export function joinBelow(patterns: readonly string[]): readonly string[] {
  const all = new Set(patterns);
  const isBoth = (name: string) => all.has(`full:${name}`) && all.has(`*.${name}`);
  const joined = patterns.map((pattern) => {
    const name = pattern.replace(/^(full:|\*\.)/, "");
    return name !== pattern && isBoth(name) ? name : pattern;
  });
  return [...new Set(joined)];
}

/** As a rule writes them. @param isPlain whether they are an exception or stand beside lists: x cannot be taken out of what is below x then. */
export function expandBelow(patterns: readonly string[], isPlain: boolean): readonly string[] {
  return patterns.flatMap((pattern) => {
    if (!pattern.startsWith("*.")) return [pattern];
    const name = pattern.slice(2);
    return isPlain || holdsApex(patterns, pattern) ? [`regexp:\\.${name.replaceAll(".", "\\.")}$`] : [name, `!full:${name}`];
  });
}

/** Whether one of the patterns holds x of `*.x`. */
function holdsApex(patterns: readonly string[], below: string): boolean {
  const name = below.replace(/^\*\./, "");
  return patterns.some(
    (pattern) =>
      pattern !== below &&
      (/^(keyword|regexp):/.test(pattern) || isBelow(name, pattern) || pattern === name || pattern === `full:${name}`),
  );
}

export function adguardLine(pattern: string): string {
  if (pattern.startsWith("full:")) return `|${pattern.slice(5)}^`;
  if (pattern.startsWith("regexp:")) return `/${pattern.slice(7)}/`;
  if (pattern.startsWith("keyword:")) return `/${pattern.slice(8).replaceAll(".", "\\.")}/`;
  return `||${pattern}^`;
}

export function isBelow(inner: string, outer: string): boolean {
  const bare = (pattern: string) => pattern.replace(/^(full:|\*\.)/, "");
  return !outer.startsWith("full:") && bare(inner).endsWith(`.${bare(outer)}`);
}
