/** A run of text, or one character that a browser would not show as itself. */
export type Piece = { readonly kind: "text"; readonly text: string } | { readonly kind: "hidden"; readonly text: string };

/** Controls, format characters (bidi marks among them), halves of surrogate pairs, unassigned and private characters, line breaks, odd spaces. */
const HIDDEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Cn}\p{Co}\p{Zl}\p{Zp}]|(?! )\p{Zs}/u;

/** Splits text so that what cannot be seen, or would reorder what is around it, stands as `⟨U+202E⟩`. */
export function visiblePieces(text: string): readonly Piece[] {
  const pieces: Piece[] = [];
  let run = "";
  for (const character of text) {
    if (!HIDDEN.test(character)) {
      run += character;
      continue;
    }
    if (run !== "") pieces.push({ kind: "text", text: run });
    run = "";
    const code = (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0");
    pieces.push({ kind: "hidden", text: `⟨U+${code}⟩` });
  }
  if (run !== "") pieces.push({ kind: "text", text: run });
  return pieces;
}

/** The same as one text, for labels and titles. */
export function visibleText(text: string): string {
  return visiblePieces(text)
    .map((piece) => piece.text)
    .join("");
}

const HEAD = 24;
const TAIL = 40;

/** The beginning and the end of a long text: names differ at their ends. null = it is short enough. */
export function shortened(text: string, max: number): readonly [head: string, tail: string] | null {
  const characters = Array.from(text);
  if (characters.length <= max) return null;
  const head = Math.min(HEAD, Math.floor(max / 3));
  return [characters.slice(0, head).join(""), characters.slice(-Math.min(TAIL, max - head - 1)).join("")];
}
