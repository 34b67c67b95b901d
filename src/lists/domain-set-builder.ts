import { boundedRegexp, MAX_WAYS } from "../lib/bounded-regexp.ts";
import { runSync, type Sliced } from "../lib/cooperative.ts";
import { AdguardRules, type CompiledRule } from "./adguard-rules.ts";
import { ClientAddresses, ClientCondition } from "./clients.ts";
import { DomainSet, type EntrySource } from "./domain-set.ts";
import type { NameTable } from "./name-table.ts";
import { buildNameTable, NameCollector } from "./name-table-build.ts";
import type { BadPattern, Pattern } from "./patterns.ts";
import type { TextPattern } from "./text-patterns.ts";
import type { AdguardRule, DomainSink } from "./types.ts";

/** Limit for the keywords and regular expressions of one set: a query that no name of the set matches is tried with them. */
const MAX_TEXT_PATTERNS = 2000;

/** All expressions of a set may take as long as four of the most expensive ones: some 20 ms for the worst name. */
const MAX_SET_WAYS = 4 * MAX_WAYS.list;
const MAX_KEYWORD_LENGTH = 253;

/** Limit for the rules of one set that are more than a name: each takes some hundred bytes. */
const MAX_RULES = 20_000;

/** Builds a DomainSet, one source after another. */
export class DomainSetBuilder {
  readonly #list: string | null;
  readonly #names = new NameCollector();
  readonly #exceptions = new NameCollector();
  readonly #important = new NameCollector();
  readonly #importantExceptions = new NameCollector();
  readonly #sources: EntrySource[] = [];
  readonly #texts: TextPattern[] = [];
  readonly #rules: CompiledRule[] = [];
  /** By what is written, so that rules for the same clients share a condition. */
  readonly #clients = new Map<string, ClientCondition>();
  readonly #addresses = new ClientAddresses();

  /** In how many ways the engine may try the expressions against one name. */
  #ways = 0;

  constructor(list: string | null) {
    this.#list = list;
  }

  /** Number of entries so far, with doubles and exceptions. */
  get count(): number {
    return this.#names.count + this.#exceptions.count + this.#texts.length + this.#rules.length;
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
      rule: (rule, line) => this.#addRule(rule, { source: label, line }),
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
      rules: this.#rules.length === 0 ? null : new AdguardRules(this.#rules),
      names: yield* buildNameTable(this.#names),
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
    const matches = this.#compile(entry.text);
    if (typeof matches === "string") return matches;
    this.#texts.push({ ...entry, matches });
    return null;
  }

  #addRule(rule: AdguardRule, place: Pick<CompiledRule, "source" | "line">): string | null {
    if (this.#rules.length >= MAX_RULES) return `more than ${MAX_RULES} rules that are more than a name`;
    const matches = rule.pattern.kind === "regexp" ? this.#compile(rule.pattern.source) : null;
    if (typeof matches === "string") return matches;
    this.#rules.push({ ...rule, ...place, matches, clientCondition: this.#conditionOf(rule.clients) });
    return null;
  }

  #conditionOf(clients: readonly string[]): ClientCondition | null {
    if (clients.length === 0) return null;
    const key = clients.join("|");
    const known = this.#clients.get(key) ?? new ClientCondition(clients, this.#addresses);
    this.#clients.set(key, known);
    return known;
  }

  /** Returns why the expression cannot be used, or its test. */
  #compile(source: string): TextPattern["matches"] | string {
    const bounded = boundedRegexp(source, Math.min(MAX_WAYS.list, MAX_SET_WAYS - this.#ways));
    if (bounded.kind === "refused") {
      const alone = boundedRegexp(source);
      if (alone.kind === "refused") return alone.reason;
      return "one regular expression too many: together they would take too long for a name";
    }
    this.#ways += bounded.ways;
    return bounded.matches;
  }
}

/** null = without names. */
function* tableOf(names: NameCollector): Sliced<NameTable | null> {
  return names.count === 0 ? null : yield* buildNameTable(names);
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
