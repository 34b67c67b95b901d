import { type Name, nameText } from "../dns/name.ts";
import { MAX_SUBJECT_LENGTH } from "../lib/bounded-regexp.ts";
import { unreachable } from "../lib/unreachable.ts";
import type { NameTable } from "./name-table.ts";
import { type Pattern, patternText } from "./pattern.ts";
import { type TextPattern, TextPatterns } from "./text-patterns.ts";

/** How a name is in a set. Only `DomainSet.describe` of the same set knows what `entry` means. */
export interface Match {
  readonly kind: Pattern["kind"];
  /** Octets on the wire of the name that matched, the root label included: 1 for the pattern of everything, 0 for a keyword or regular expression. */
  readonly octets: number;
  readonly entry: number;
}

/** Where a pattern stands, for explaining a decision. */
export interface Entry {
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

export interface DomainSetParts {
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

  describe(match: Match): Entry {
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
