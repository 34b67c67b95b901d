/** Brings a text to this many cells of a terminal with blanks; what is longer stays whole. */
export function padCells(text: string, cells: number): string {
  return text + " ".repeat(Math.max(0, cells - cellsOf(text)));
}

/** How many cells of a terminal a text without control characters takes: Chinese, Japanese, Korean and emoji take two each, marks on the letter before none. */
export function cellsOf(text: string): number {
  let cells = 0;
  for (const character of text) cells += MARK.test(character) ? 0 : WIDE.test(character) ? 2 : 1;
  return cells;
}

const MARK = /\p{Mn}|\p{Me}/u;

// UAX #11, classes W and F, told by script; the half-width forms from U+FF61 on are of such a script and narrow all the same.
const WIDE =
  /(?![\uff61-\uffdc])[\p{Script=Han}\p{Script=Hangul}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Bopomofo}\p{Emoji_Presentation}\u3000-\u303e\uff01-\uff60\uffe0-\uffe6]/u;
