/** A keyword, a regular expression, or the pattern of single labels. */
export interface TextPattern {
  readonly kind: "keyword" | "regexp" | "single";
  readonly text: string;
  readonly matches: (nameText: string) => boolean;
  readonly source: string;
  readonly line: number;
}

/** Keywords and regular expressions. A name is tried with few of them: only those that its last label and its characters allow. */
export class TextPatterns {
  readonly #anywhere: readonly Candidate[];
  /** By last label: the patterns that need this label, and those that can fit anywhere. */
  readonly #byLabel: ReadonlyMap<string, readonly Candidate[]>;

  readonly size: number;

  constructor(patterns: readonly TextPattern[]) {
    this.size = patterns.length;
    const all = patterns.map(candidateOf);
    this.#anywhere = all.filter(({ lastLabels }) => lastLabels === null);
    const labels = new Set(all.flatMap(({ lastLabels }) => lastLabels ?? []));
    this.#byLabel = new Map([...labels].map((label) => [label, all.filter((each) => each.lastLabels?.includes(label) ?? true)]));
  }

  /** The index of the first pattern that fits a name in presentation format; -1 = none. */
  find(nameText: string): number {
    const candidates = this.#byLabel.get(nameText.slice(nameText.lastIndexOf(".") + 1)) ?? this.#anywhere;
    for (const { literal, matches, index } of candidates) if (nameText.includes(literal) && matches(nameText)) return index;
    return -1;
  }
}

interface Candidate extends RegexpHints {
  readonly matches: TextPattern["matches"];
  readonly index: number;
}

function candidateOf({ kind, text, matches }: TextPattern, index: number): Candidate {
  return { ...(kind === "regexp" ? regexpHints(text) : NO_HINTS), matches, index };
}

/** What a name must contain so that a regular expression can fit. Checking this is cheaper than trying the expression. */
interface RegexpHints {
  /** The last labels that can fit, in lower case; null = any. */
  readonly lastLabels: readonly string[] | null;
  /** A piece of every name that can fit: letters, digits, hyphens and dots, in lower case; may be empty. */
  readonly literal: string;
}

const NO_HINTS: RegexpHints = { lastLabels: null, literal: "" };

/** @param source an expression that `boundedRegexp` has accepted. */
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
  // An even number of backslashes stand for themselves, and the dot after them for any character.
  if (backslashes.length % 2 === 0 || !names.every((name) => LABELS.test(name))) return null;
  return names.map((name) => name.slice(name.lastIndexOf(".") + 1).toLowerCase());
}

/** A character that stands for itself, escaped or not. */
const LITERAL = /^(?:[a-z0-9_-]|\\[.-])/i;
const QUANTIFIER = /^(?:[*+?]|\{\d+(?:,\d*)?\})\??/;
const CLASS = /^\[(?:\\.|[^\]\\])*\]/;

/** Escapes that name a character by its code; no list of domains needs them. */
const CODED = /^\\[xucpPk0-9]/;

/** The runs of characters that every fitting name contains; null = unknown, as for a choice of whole expressions. */
function literalRuns(source: string): readonly string[] | null {
  const runs: string[] = [];
  let run = "";
  for (let position = 0; position < source.length; ) {
    const rest = source.slice(position);
    if (rest[0] === "|" || CODED.test(rest)) return null;
    const atom = LITERAL.exec(rest)?.[0] ?? null;
    const length = atom?.length ?? atomLength(rest);
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

/** Length of a whole group, a class, an escape or a single character. */
function atomLength(rest: string): number {
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
