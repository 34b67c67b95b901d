/** Whether a text fits a pattern in which `*` stands for any number of characters; the work is bounded by the product of their lengths. */
export function globTest(pattern: string): (text: string) => boolean {
  const pieces = pattern.split("*");
  const [first = ""] = pieces;
  const last = pieces.at(-1) ?? "";
  if (pieces.length === 1) return (text) => text === pattern;
  const middle = pieces.slice(1, -1).filter((piece) => piece !== "");
  return (text) => {
    if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last)) return false;
    // The earliest place of each piece leaves the most room for those after it.
    let from = first.length;
    for (const piece of middle) {
      const at = text.indexOf(piece, from);
      if (at < 0) return false;
      from = at + piece.length;
    }
    return from <= text.length - last.length;
  };
}

/** The longest stretch of a pattern that every fitting text holds; empty where it has none. */
export function globLiteral(pattern: string): string {
  return pattern.split("*").reduce((longest, piece) => (piece.length > longest.length ? piece : longest), "");
}
