import { type Name, nameText } from "../dns/name.ts";
import { MAX_SUBJECT_LENGTH } from "../lib/bounded-regexp.ts";
import { unreachable } from "../lib/unreachable.ts";
import type { NameTable } from "./name-table.ts";
import { type Pattern, patternText } from "./patterns.ts";

/** The entry of a set that fits a name. Only `describe` of the same set understands `entry`. */
export interface Match {
  readonly kind: Pattern["kind"];
  /** Bytes of the entry's name on the wire, with the root label: 1 for the pattern of everything, 0 for a keyword or regular expression. */
  readonly wireLength: number;
  readonly entry: number;
}

/** Where a pattern is written, for explaining a decision. */
export interface DomainEntry {
  /** null = a rule. */
  readonly list: string | null;
  /** Path or URL with its category; empty for a pattern written in a rule. */
  readonly source: string;
  /** From 1: the line; in a .dat file the number of the entry within its category; in a rule the place among its patterns. */
  readonly line: number;
  readonly pattern: string;
}

/** The entries of one source: from the number `firstEntry` up to the first entry of the next source. */
export interface EntrySource {
  readonly label: string;
  readonly firstEntry: number;
}

interface DomainSetParts {
  readonly list: string | null;
  readonly names: NameTable;
  readonly sources: readonly EntrySource[];
  readonly texts: readonly TextPattern[];
  /** Names that the set does not hold, whatever its other entries say; null = none. */
  readonly exceptions: NameTable | null;
  /** Names that exceptions do not take out, unless these are important too; null = none. */
  readonly important: NameTable | null;
  readonly importantExceptions: NameTable | null;
}

/** An immutable set of domain names, made of patterns: names in a NameTable, and a few keywords and regular expressions. */
export class DomainSet {
  readonly #parts: DomainSetParts;
  readonly #texts: TextPatterns;

  constructor(parts: DomainSetParts) {
    this.#parts = parts;
    this.#texts = new TextPatterns(parts.texts);
  }

  /** Number of different patterns, without exceptions. */
  get size(): number {
    return this.#parts.names.size + this.#parts.texts.length;
  }

  /**
   * The pattern that fits the name best: exactly this name, else the longest suffix, else the first keyword or regular expression.
   * Returns null if no pattern fits or an exception does. Without `texts`, keywords and regular expressions are not tried.
   */
  match(name: Name, texts = true): Match | null {
    const { names, exceptions } = this.#parts;
    const entry = names.find(name);
    if (entry < 0 && !(texts && this.hasTexts)) return null;
    if (exceptions !== null && exceptions.find(name) >= 0 && !this.#isKept(name)) return null;
    if (entry < 0) return this.#matchText(nameText(name));
    return { kind: names.kindOf(entry) === "full" ? "full" : "suffix", wireLength: names.wireLength(entry), entry };
  }

  /** null = the patterns are written in a rule. */
  get list(): string | null {
    return this.#parts.list;
  }

  /** As in `DomainEntry`. */
  lineOf({ kind, entry }: Match): number {
    const { names, texts } = this.#parts;
    return kind === "full" || kind === "suffix" ? names.lineOf(entry) : (texts[entry]?.line ?? 0);
  }

  describe(match: Match): DomainEntry {
    const { list, names, sources, texts } = this.#parts;
    switch (match.kind) {
      case "full":
      case "suffix":
        return {
          list,
          source: sources.findLast(({ firstEntry }) => firstEntry <= names.numberOf(match.entry))?.label ?? "",
          line: this.lineOf(match),
          pattern:
            (names.kindOf(match.entry) === "below" ? "*." : "") +
            patternText({ kind: match.kind, name: names.nameOf(match.entry) }),
        };
      case "keyword":
      case "regexp":
      case "single": {
        const text = texts[match.entry];
        if (text === undefined) throw new Error("a match of another set");
        return { list, source: text.source, line: text.line, pattern: `${text.kind}:${text.text}` };
      }
      default:
        return unreachable(match.kind);
    }
  }

  /** Whether the set has keywords or regular expressions, which may fit names anywhere. */
  get hasTexts(): boolean {
    return this.#parts.texts.length > 0;
  }

  /** Whether a name pattern stands for a name strictly below this one. Keywords and regular expressions do not count. */
  reachesBelow(name: Name): boolean {
    return this.#parts.names.reachesBelow(name);
  }

  /** Whether an exception stands for a name strictly below this one. */
  exceptsBelow(name: Name): boolean {
    return this.#parts.exceptions?.reachesBelow(name) === true;
  }

  /** The names of the patterns in the order of reading; `*.x` for a pattern that means only what is below x. */
  *names(): Generator<Name, void, undefined> {
    const table = this.#parts.names;
    for (const entry of table.entries()) {
      const name = table.nameOf(entry);
      yield table.kindOf(entry) === "below" ? (`\x01*${name}` as Name) : name;
    }
  }

  /** Whether an important entry holds the name that an exception takes out. */
  #isKept(name: Name): boolean {
    const { important, importantExceptions } = this.#parts;
    return (
      important !== null && important.find(name) >= 0 && !(importantExceptions !== null && importantExceptions.find(name) >= 0)
    );
  }

  #matchText(text: string): Match | null {
    const entry = text.length > MAX_SUBJECT_LENGTH ? -1 : this.#texts.find(text);
    const kind = this.#parts.texts[entry]?.kind;
    return kind === undefined ? null : { kind, wireLength: 0, entry };
  }
}

/**
 * Whether `left` fits a name strictly better than `right`, a match of another set: an exact name beats suffixes, the longer suffix wins,
 * and keywords and regular expressions come after every suffix, equal among each other.
 */
export function outranks(left: Match, right: Match): boolean {
  return left.wireLength !== right.wireLength
    ? left.wireLength > right.wireLength
    : left.kind === "full" && right.kind === "suffix";
}

/** A keyword, a regular expression, or the pattern of single labels. */
export interface TextPattern {
  readonly kind: "keyword" | "regexp" | "single";
  readonly text: string;
  readonly matches: (nameText: string) => boolean;
  readonly source: string;
  readonly line: number;
}

/** Keywords and regular expressions. A name is tried with few of them: only those that its last label and its characters allow. */
class TextPatterns {
  readonly #anywhere: readonly Candidate[];
  /** By last label: the patterns that need this label, and those that can fit anywhere. */
  readonly #byLabel: ReadonlyMap<string, readonly Candidate[]>;

  constructor(patterns: readonly TextPattern[]) {
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
