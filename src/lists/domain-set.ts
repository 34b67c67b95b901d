import { type Name, nameText } from "../dns/name.ts";
import { MAX_SUBJECT_LENGTH } from "../lib/bounded-regexp.ts";
import { unreachable } from "../lib/unreachable.ts";
import type { AdguardRules, Asked, CompiledRule, Rewritten } from "./adguard-rules.ts";
import type { ClientCondition } from "./clients.ts";
import type { NameTable } from "./name-table.ts";
import { type Pattern, patternText } from "./patterns.ts";
import { type TextPattern, TextPatterns } from "./text-patterns.ts";

/** The entry of a set that fits a name. Only `describe` of the same set understands `entry`. */
export interface Match {
  readonly kind: Pattern["kind"];
  /** Bytes of the entry's name on the wire, with the root label: 1 for the pattern of everything, 0 for a keyword or regular expression. */
  readonly wireLength: number;
  readonly entry: number;
  /** The rule that fits, where it is one of `AdguardRules`; `entry` says nothing then. */
  readonly rule?: CompiledRule;
  /** What that rule, and others of its kind for the name, answer. */
  readonly rewritten?: Rewritten;
}

/** Where a pattern is written, for explaining a decision. */
export interface DomainEntry {
  /** null = a rule. */
  readonly list: string | null;
  /** Path or URL with its category; empty for a pattern written in a rule. */
  readonly source: string;
  /** From 1: the line; in a .dat file the number of the entry within its category; in a rule the place among its patterns. */
  readonly line: number;
  /** A rule of `AdguardRules` as it is written. */
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
  /** null = none. */
  readonly rules: AdguardRules | null;
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
    return this.#parts.names.size + this.#parts.texts.length + (this.#parts.rules?.size ?? 0);
  }

  /**
   * The pattern that fits the name best: exactly this name, else the longest suffix, else the first keyword or regular expression.
   * Returns null if no pattern fits or an exception does. Without `texts`, keywords and regular expressions are not tried.
   * @param asked null = rules that hold for some clients or types alone do not count.
   */
  match(name: Name, texts = true, asked: Asked | null = null): Match | null {
    const { names, exceptions, rules } = this.#parts;
    if (rules !== null) {
      const holding = rules.holding(name, texts, asked);
      if (holding.length > 0) return this.#matchWith(holding, name, { texts, rewrites: asked?.rewrites === true });
    }
    const entry = names.find(name);
    if (entry < 0 && !(texts && this.#texts.size > 0)) return null;
    if (exceptions !== null && exceptions.find(name) >= 0 && !this.#isKept(name)) return null;
    return this.#matchAt(entry, name, texts);
  }

  /** null = the patterns are written in a rule. */
  get list(): string | null {
    return this.#parts.list;
  }

  /** As in `DomainEntry`. */
  lineOf({ kind, entry, rule }: Match): number {
    const { names, texts } = this.#parts;
    if (rule !== undefined) return rule.line;
    return kind === "full" || kind === "suffix" ? names.lineOf(entry) : (texts[entry]?.line ?? 0);
  }

  describe(match: Match): DomainEntry {
    const { list, names, sources, texts } = this.#parts;
    if (match.rule !== undefined) return { list, source: match.rule.source, line: match.rule.line, pattern: match.rule.text };
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
    return this.#texts.size > 0 || this.#parts.rules?.hasTexts === true;
  }

  /** Whether one of the patterns is that of single labels. */
  get takesSingleLabels(): boolean {
    return this.#parts.texts.some(({ kind }) => kind === "single");
  }

  /** Whether a match may depend on the client or the type. */
  get hasRules(): boolean {
    return this.#parts.rules !== null;
  }

  /** The clients that rules of the set tell apart. */
  get clients(): readonly ClientCondition[] {
    return this.#parts.rules?.clients ?? [];
  }

  /**
   * Whether a name pattern stands for a name strictly below this one, or a rule for this name or one below it. Keywords and regular expressions do
   * not count.
   */
  reachesBelow(name: Name): boolean {
    return this.#parts.names.reachesBelow(name) || this.#parts.rules?.reaches(name, false) === true;
  }

  /** Whether an exception stands for a name strictly below this one, or a rule takes this name or one below it out for some questions. */
  exceptsBelow(name: Name): boolean {
    return this.#parts.exceptions?.reachesBelow(name) === true || this.#parts.rules?.reaches(name, true) === true;
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

  /** @param holding rules that hold for the question. Important exceptions come first, then important entries, then exceptions. */
  #matchWith(
    holding: readonly CompiledRule[],
    name: Name,
    { texts, rewrites }: { readonly texts: boolean; readonly rewrites: boolean },
  ): Match | null {
    const { names, exceptions, important, importantExceptions, rules } = this.#parts;
    const rewriting = rewrites ? (rules?.rewrite(name, holding) ?? null) : null;
    if (rewriting !== null) return { ...matchBy(rewriting.rule), rewritten: rewriting.rewritten };
    const has = (table: NameTable | null) => table !== null && table.find(name) >= 0;
    const find = (isException: boolean, isImportant: boolean) =>
      holding.find((rule) => rule.rewrite === null && rule.isException === isException && rule.isImportant === isImportant);
    if (has(importantExceptions) || find(true, true) !== undefined) return null;
    const importantRule = find(false, true);
    const isKept = importantRule !== undefined || has(important);
    if (!isKept && (has(exceptions) || find(true, false) !== undefined)) return null;
    const plain = this.#matchAt(names.find(name), name, texts);
    const rule = importantRule ?? find(false, false);
    return plain ?? (rule === undefined ? null : matchBy(rule));
  }

  /** @param entry of the name table; -1 = a keyword or regular expression may fit. */
  #matchAt(entry: number, name: Name, texts: boolean): Match | null {
    if (entry < 0) return texts ? this.#matchText(nameText(name)) : null;
    const { names } = this.#parts;
    return { kind: names.kindOf(entry) === "full" ? "full" : "suffix", wireLength: names.wireLength(entry), entry };
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

function matchBy(rule: CompiledRule): Match {
  const { pattern } = rule;
  if (pattern.kind === "regexp") return { kind: "regexp", wireLength: 0, entry: -1, rule };
  return { kind: pattern.kind === "full" ? "full" : "suffix", wireLength: pattern.name.length, entry: -1, rule };
}
