/** The text of a caught value: the message of an `Error`, else the value as a string. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Replaces each control or format character, line ends included: servers and clients chose the text, and it must not steer the terminal.
 */
export function printable(text: string, replacement: string | ((character: string) => string) = "\ufffd"): string {
  const replace = typeof replacement === "string" ? () => replacement : replacement;
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, replace);
}

const HIDDEN = "***";

/**
 * A URL that anybody may see: without its password and its query, which may hold a key. Any other text is returned unchanged. A user name without a
 * password is hidden as well: sites that publish lists take it as a token.
 */
export function shownUrl(text: string): string {
  if (!text.includes("://")) return text;
  return text
    .replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/@:]*@/i, `$1${HIDDEN}@`)
    .replace(/^([a-z][a-z0-9+.-]*:\/\/[^/@:]*):[^/]*@/i, `$1:${HIDDEN}@`)
    .replace(/^([a-z][a-z0-9+.-]*:\/\/[^?]*)\?.*$/i, `$1?${HIDDEN}`);
}

/** The candidate of which `word` is most likely a misspelling; null if none is similar enough. */
export function closest(word: string, candidates: Iterable<string>): string | null {
  let best: string | null = null;
  let limit = Math.max(1, Math.floor(word.length / 3)) + 1;
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - word.length) >= limit) continue;
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance >= limit) continue;
    best = candidate;
    limit = distance;
  }
  return best;
}

/** Levenshtein's distance; a swap of two neighbours counts once. */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const replaced = (last[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1);
      let cost = Math.min(replaced, (last[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1);
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1])
        cost = Math.min(cost, (beforeLast[column - 2] ?? 0) + 1);
      current.push(cost);
    }
    beforeLast = last;
    last = current;
  }
  return last[b.length] ?? 0;
}
