/** What is wrong with the configuration file, or as a warning only doubtful, and where. */
export interface Problem {
  /** The file's path as it was given. */
  readonly file: string;
  /** From 1; 1 also where the problem is the file itself. */
  readonly line: number;
  /** From 1, in UTF-16 code units, as editors count. */
  readonly column: number;
  /** Where in the tree, such as `rules[2].types`; empty for the file as a whole. */
  readonly key: string;
  readonly message: string;
  /** What to do about it, as an order. */
  readonly fix: string;
}

/** Columns of a source line that are shown; of longer lines only the part around the caret. */
const SHOWN_COLUMNS = 150;

/** What the command line shows: each problem with the line of `text` it is about and a caret below the place. Ends in a newline unless empty. */
export function printProblems(problems: readonly Problem[], text: string): string {
  const lines = text.split(/\r?\n/);
  return problems.map((problem) => printProblem(problem, lines[problem.line - 1] ?? "")).join("");
}

function printProblem(problem: Problem, sourceLine: string): string {
  const printed = [`${problem.file}:${problem.line}:${problem.column}: ${problem.message}`];
  if (sourceLine.trim() !== "") {
    const start = Math.max(0, problem.column - Math.ceil(SHOWN_COLUMNS / 2));
    const from = sourceLine.length <= SHOWN_COLUMNS ? 0 : start;
    const shown = sourceLine.slice(from, from + SHOWN_COLUMNS);
    printed.push(`    ${printable(shown)}`, `    ${" ".repeat(displayWidth(shown.slice(0, problem.column - 1 - from)))}^`);
  }
  printed.push(`    fix: ${problem.fix}`);
  return `${printed.join("\n")}\n`;
}

// A tab counts as one column, and no escape sequence of the file reaches the terminal.
function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, " ");
}

/** Columns on a terminal: East Asian wide characters take two, combining ones none. */
function displayWidth(text: string): number {
  let width = 0;
  for (const character of text) {
    if (/\p{Mn}|\p{Cf}/u.test(character)) continue;
    width +=
      /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{3fffd}]/u.test(
        character,
      )
        ? 2
        : 1;
  }
  return width;
}
