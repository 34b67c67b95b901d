import { type Name, nameText } from "../dns/name.ts";
import { MAX_SUBJECT_LENGTH } from "../lib/bounded-regexp.ts";
import { unreachable } from "../lib/unreachable.ts";
import type { NameTable } from "./name-table.ts";
import { type Pattern, patternText } from "./patterns.ts";

/** How a name is in a set. Only `DomainSet.describe` of the same set knows what `entry` means. */
export interface Match {
  readonly kind: Pattern["kind"];
  /** Bytes on the wire of the name that matched, the root label included: 1 for the pattern of everything, 0 for a keyword or regular expression. */
  readonly octets: number;
  readonly entry: number;
}

/** Where a pattern stands, for explaining a decision. */
export interface DomainEntry {
  /** null = written in a rule. */
  readonly list: string | null;
  /** Path or URL with its category; empty for a pattern written in a rule. */
  readonly source: string;
  /** From 1: the line, in a .dat file the number of the entry within its category, in a rule the place among its patterns. */
  readonly line: number;
  readonly pattern: string;
}

/** A stretch of entries, from the number `firstEntry` up to the next source's. */
export interface EntrySource {
  readonly label: string;
  readonly firstEntry: number;
}

interface DomainSetParts {
  readonly list: string | null;
  readonly names: NameTable;
  readonly sources: readonly EntrySource[];
  readonly texts: readonly TextPattern[];
  /** Names that are never in the set, whatever else says so; null = none. */
  readonly exceptions: NameTable | null;
}

/** An immutable set of domain names, given by patterns. */
export class DomainSet {
  readonly #parts: DomainSetParts;
  readonly #texts: TextPatterns;

  constructor(parts: DomainSetParts) {
    this.#parts = parts;
    this.#texts = new TextPatterns(parts.texts);
  }

  /** How many different patterns there are, exceptions not counted. */
  get size(): number {
    return this.#parts.names.size + this.#parts.texts.length;
  }

  /**
   * The pattern that fits the name best: exactly this name, else its longest suffix, else the first keyword or regular expression that fits.
   * null where none does or an exception holds.
   */
  match(name: Name): Match | null {
    const { names, exceptions } = this.#parts;
    const entry = names.find(name);
    if (entry < 0 && this.#parts.texts.length === 0) return null;
    if (exceptions !== null && exceptions.find(name) >= 0) return null;
    if (entry >= 0) return { kind: names.kindOf(entry) === "full" ? "full" : "suffix", octets: names.wireLength(entry), entry };
    return this.#matchText(nameText(name));
  }

  /** As `match`, but for keywords and regular expressions: whoever looks at many names is spared trying them on each. */
  matchName(name: Name): Match | null {
    const { names, exceptions } = this.#parts;
    const entry = names.find(name);
    if (entry < 0 || (exceptions !== null && exceptions.find(name) >= 0)) return null;
    return { kind: names.kindOf(entry) === "full" ? "full" : "suffix", octets: names.wireLength(entry), entry };
  }

  describe(match: Match): DomainEntry {
    const { list, names, sources, texts } = this.#parts;
    switch (match.kind) {
      case "full":
      case "suffix":
        return {
          list,
          source: sources.findLast(({ firstEntry }) => firstEntry <= names.numberOf(match.entry))?.label ?? "",
          line: names.lineOf(match.entry),
          pattern:
            (names.kindOf(match.entry) === "below" ? "*." : "") +
            patternText({ kind: match.kind, name: names.nameOf(match.entry) }),
        };
      case "keyword":
      case "regexp": {
        const text = texts[match.entry];
        if (text === undefined) throw new Error("a match of another set");
        return { list, source: text.source, line: text.line, pattern: patternText(text) };
      }
      default:
        return unreachable(match.kind);
    }
  }

  /** Whether it has keywords or regular expressions, which may fit names anywhere. */
  get hasTexts(): boolean {
    return this.#parts.texts.length > 0;
  }

  /** Whether a pattern stands for a name strictly below this one, or for what is below this one alone. Keywords and regular expressions aside. */
  reachesBelow(name: Name): boolean {
    return this.#parts.names.reachesBelow(name);
  }

  /** The same of its exceptions. */
  exceptsBelow(name: Name): boolean {
    return this.#parts.exceptions?.reachesBelow(name) === true;
  }

  /** The names that its patterns stand for, in the order in which they were first read; `*.x` where only what is below x is meant. */
  *names(): Generator<Name, void, undefined> {
    const table = this.#parts.names;
    for (const entry of table.entries()) {
      const name = table.nameOf(entry);
      yield table.kindOf(entry) === "below" ? (`\x01*${name}` as Name) : name;
    }
  }

  #matchText(text: string): Match | null {
    const entry = text.length > MAX_SUBJECT_LENGTH ? -1 : this.#texts.find(text);
    const kind = this.#parts.texts[entry]?.kind;
    return kind === undefined ? null : { kind, octets: 0, entry };
  }
}

/**
 * Whether `left` fits a name strictly better than `right`, for choosing among sets: an exact name beats suffixes, the longer suffix wins, keywords
 * and regular expressions (equal among each other) come after every suffix.
 */
export function outranks(left: Match, right: Match): boolean {
  return left.octets !== right.octets ? left.octets > right.octets : left.kind === "full" && right.kind === "suffix";
}

/** A keyword or regular expression. */
export interface TextPattern {
  readonly kind: "keyword" | "regexp";
  readonly text: string;
  readonly matches: (nameText: string) => boolean;
  readonly source: string;
  readonly line: number;
}

/** Keywords and regular expressions, of which each name is tried with few: those that its last label and its letters allow. */
class TextPatterns {
  readonly #anywhere: readonly Candidate[];
  /** By last label: those that can fit only there, with those that can fit anywhere. */
  readonly #byLabel: ReadonlyMap<string, readonly Candidate[]>;

  constructor(patterns: readonly TextPattern[]) {
    const all = patterns.map(candidateOf);
    this.#anywhere = all.filter(({ lastLabels }) => lastLabels === null);
    const labels = new Set(all.flatMap(({ lastLabels }) => lastLabels ?? []));
    this.#byLabel = new Map([...labels].map((label) => [label, all.filter((each) => each.lastLabels?.includes(label) ?? true)]));
  }

  /** The place of the first that fits a name in presentation format; -1 = none. */
  find(nameText: string): number {
    const candidates = this.#byLabel.get(nameText.slice(nameText.lastIndexOf(".") + 1)) ?? this.#anywhere;
    for (const { literal, matches, place } of candidates) if (nameText.includes(literal) && matches(nameText)) return place;
    return -1;
  }
}

interface Candidate extends RegexpHints {
  readonly matches: TextPattern["matches"];
  readonly place: number;
}

function candidateOf({ kind, text, matches }: TextPattern, place: number): Candidate {
  const hints = kind === "regexp" ? regexpHints(text) : { lastLabels: null, literal: "" };
  return { ...hints, matches, place };
}

/** What a name must have for a regular expression to fit it; cheaper to look for than the expression is to try. */
interface RegexpHints {
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
