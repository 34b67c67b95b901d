/** What a name must have for a regular expression to fit it; cheaper to look for than the expression is to try. */
export interface RegexpHints {
  /** What its last label may be, in lower case; null = anything. */
  readonly lastLabels: readonly string[] | null;
  /** Letters, digits, hyphens and dots that stand in it somewhere, in lower case; may be empty. */
  readonly literal: string;
}

const NO_HINTS: RegexpHints = { lastLabels: null, literal: "" };

/** Reads an expression that `boundedRegexp` has accepted. */
export function regexpHints(source: string): RegexpHints {
  const plain = source.startsWith("(?i)") ? source.slice(4) : source;
  const runs = literalRuns(plain);
  if (runs === null) return NO_HINTS;
  return { lastLabels: lastLabels(plain), literal: runs.reduce((best, run) => (run.length > best.length ? run : best), "") };
}

/** Such as `\.com$` and `\.(com|co\.uk)$`. */
const TAIL = /(\\+)\.(?:([a-z0-9-]+)|\((?:\?:)?([a-z0-9.\\|-]+)\))\$$/i;
const LABELS = /^[a-z0-9-]+(?:\\\.[a-z0-9-]+)*$/i;

function lastLabels(source: string): readonly string[] | null {
  const [, backslashes = "", label, choice = ""] = TAIL.exec(source) ?? [];
  const names = (label ?? choice).split("|");
  // An even number of them are backslashes themselves, and the dot is any character.
  if (backslashes.length % 2 === 0 || !names.every((name) => LABELS.test(name))) return null;
  return names.map((name) => name.slice(name.lastIndexOf(".") + 1).toLowerCase());
}

/** A character that stands for itself, escaped or not. */
const LITERAL = /^(?:[a-z0-9_-]|\\[.-])/i;
const QUANTIFIER = /^(?:[*+?]|\{\d+(?:,\d*)?\})\??/;
const CLASS = /^\[(?:\\.|[^\]\\])*\]/;

/** Characters told by a number or a name, which a list of domains has no use for. */
const CODED = /^\\[xucpPk0-9]/;

/** The stretches of characters that every name has that fits; null where nothing can be told, as of a choice of whole expressions. */
function literalRuns(source: string): readonly string[] | null {
  const runs: string[] = [];
  let run = "";
  for (let position = 0; position < source.length; ) {
    const rest = source.slice(position);
    if (rest[0] === "|" || CODED.test(rest)) return null;
    const atom = LITERAL.exec(rest)?.[0] ?? null;
    const length = atom?.length ?? otherLength(rest);
    const repeated = QUANTIFIER.exec(rest.slice(length))?.[0].length ?? 0;
    if (atom !== null && repeated === 0) run += atom.slice(-1).toLowerCase();
    else {
      runs.push(run);
      run = "";
    }
    position += length + repeated;
  }
  return [...runs, run];
}

/** Of a group with all in it, a class, an escape or a single character. */
function otherLength(rest: string): number {
  if (rest[0] === "[") return CLASS.exec(rest)?.[0].length ?? 1;
  if (rest[0] === "\\") return 2;
  if (rest[0] !== "(") return 1;
  let depth = 0;
  for (let position = 0; position < rest.length; ) {
    if (rest[position] === "(") depth++;
    if (rest[position] === ")" && --depth === 0) return position + 1;
    position += rest[position] === "[" ? (CLASS.exec(rest.slice(position))?.[0].length ?? 1) : rest[position] === "\\" ? 2 : 1;
  }
  return rest.length;
}
