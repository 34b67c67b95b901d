import { boundedRegexp, MAX_WAYS } from "../lib/bounded-regexp.ts";
import { runSync, type Sliced } from "../lib/cooperative.ts";
import { DomainSet, type EntrySource, type TextPattern } from "./domain-set.ts";
import type { NameTable } from "./name-table.ts";
import { buildNameTable, NameCollector } from "./name-table-build.ts";
import type { BadPattern, Pattern } from "./patterns.ts";
import type { DomainSink } from "./types.ts";

/** Limit for the keywords and regular expressions of one set: a query that no name of the set matches is tried with them. */
const MAX_TEXT_PATTERNS = 2000;

/** All expressions of a set may take as long as four of the most expensive ones: some 20 ms for the worst name. */
const MAX_SET_WAYS = 4 * MAX_WAYS.list;
const MAX_KEYWORD_LENGTH = 253;

/** Builds a DomainSet, one source after another. */
export class DomainSetBuilder {
  readonly #list: string | null;
  readonly #names = new NameCollector();
  readonly #exceptions = new NameCollector();
  readonly #important = new NameCollector();
  readonly #importantExceptions = new NameCollector();
  readonly #sources: EntrySource[] = [];
  readonly #texts: TextPattern[] = [];

  /** In how many ways the engine may try the expressions against one name. */
  #ways = 0;

  constructor(list: string | null) {
    this.#list = list;
  }

  /** Number of entries so far, with doubles and exceptions. */
  get count(): number {
    return this.#names.count + this.#exceptions.count + this.#texts.length;
  }

  /** The next sources have at most so many bytes of names. */
  expectBytes(bytes: number): void {
    this.#names.expectBytes(bytes);
  }

  /** Begins a source. The sink of the source before must not be used any more. */
  source(label: string): DomainSink {
    this.#sources.push({ label, firstEntry: this.#names.count });
    return {
      name: (kind, name, line, important = false) => {
        if (important) this.#important.addText(name, kind, line);
        return this.#names.addText(name, kind, line);
      },
      exception: (kind, name, line, important = false) => {
        if (important) this.#importantExceptions.addText(name, kind, line);
        return this.#exceptions.addText(name, kind, line);
      },
      text: (kind, text, line) => this.#addText({ kind, text, source: label, line }),
    };
  }

  /** Adds a pattern of a rule. Returns why it cannot be used, or null. */
  pattern(pattern: Pattern, line: number): string | null {
    if ("text" in pattern) {
      return this.#addText({ kind: pattern.kind, text: pattern.text, source: "", line });
    }
    this.#names.addName(pattern.name, pattern.kind, line);
    return null;
  }

  /** Builds the set. Nothing may be added after this call. */
  *buildSliced(): Sliced<DomainSet> {
    return new DomainSet({
      list: this.#list,
      sources: this.#sources,
      texts: this.#texts,
      exceptions: yield* tableOf(this.#exceptions),
      important: yield* tableOf(this.#important),
      importantExceptions: yield* tableOf(this.#importantExceptions),
      names: yield* buildNameTable(this.#names.rows()),
    });
  }

  /** As `buildSliced` without pauses, for few entries. */
  build(): DomainSet {
    return runSync(this.buildSliced());
  }

  #addText(entry: Omit<TextPattern, "matches">): string | null {
    if (this.#texts.length >= MAX_TEXT_PATTERNS) return `more than ${MAX_TEXT_PATTERNS} keywords and regular expressions`;
    if (entry.kind === "single") {
      this.#texts.push({ ...entry, matches: (text) => !text.includes(".") });
      return null;
    }
    if (entry.kind === "keyword") {
      const keyword = entry.text.toLowerCase();
      if (keyword === "" || keyword.length > MAX_KEYWORD_LENGTH) return "a keyword that can be in no name";
      this.#texts.push({ ...entry, text: keyword, matches: (text) => text.includes(keyword) });
      return null;
    }
    const bounded = boundedRegexp(entry.text);
    if (bounded.kind === "refused") return bounded.reason;
    const { regexp, ways } = bounded;
    if (this.#ways + ways > MAX_SET_WAYS) return "one regular expression too many: together they would take too long for a name";
    this.#ways += ways;
    this.#texts.push({ ...entry, matches: (text) => regexp.test(text) });
    return null;
  }
}

/** null = without names. */
function* tableOf(names: NameCollector): Sliced<NameTable | null> {
  return names.count === 0 ? null : yield* buildNameTable(names.rows());
}

/** The set of a rule's patterns, or why one of them cannot be used. */
export function domainSetFromPatterns(patterns: readonly Pattern[]): DomainSet | BadPattern {
  const builder = new DomainSetBuilder(null);
  for (const [index, pattern] of patterns.entries()) {
    const reason = builder.pattern(pattern, index + 1);
    if (reason !== null) return { kind: "bad", reason };
  }
  return builder.build();
}
