import { isIP } from "node:net";
import { domainToASCII } from "node:url";
import { canonicalAddress } from "../dns/address.ts";
import { RCODE, TYPE, typeName, typeNumber } from "../dns/types.ts";
import { boundedRegexp, MAX_WAYS } from "../lib/bounded-regexp.ts";
import type { QueryRecord, RecordSource } from "./record.ts";
import { parseMoment } from "./time.ts";

type ParsedFilter =
  | { readonly kind: "ok"; readonly filter: QueryFilter }
  | { readonly kind: "bad"; readonly problems: readonly FilterProblem[] };

interface FilterProblem {
  readonly parameter: string;
  /** What is wrong with it, and what is wanted. */
  readonly reason: string;
}

/** Values of all parameters together. */
const MAX_VALUES = 100;
const MAX_VALUE_LENGTH = 1000;

/** Regular expressions of all parameters together: each is tried with every name, and may cost as much as a thousand other values. */
const MAX_REGEXPS = 8;

/**
 * Reads the parameters of a search (docs/api.md). One that is given several times means any of its values; `!` before a value means none of those;
 * with both, both must hold. All parameters must hold together.
 */
export function parseFilter(parameters: Iterable<readonly [string, string]>, nowMs: number): ParsedFilter {
  const reading = new FilterReading(nowMs);
  for (const [parameter, value] of parameters) reading.take(parameter, value);
  return reading.result();
}

/** The names of all parameters. */
export const FILTER_PARAMETERS = [
  "name",
  "client",
  "type",
  "rcode",
  "rule",
  "upstream",
  "source",
  "action",
  "answer",
  "minMs",
  "from",
  "to",
] as const satisfies readonly (FilterField | "from" | "to")[];

class FilterReading {
  readonly #nowMs: number;
  readonly #problems: FilterProblem[] = [];
  readonly #moments = new Map<"from" | "to", number>();
  readonly #matchers = new Map<
    string,
    { readonly field: FilterField; readonly negated: boolean; readonly anyOf: FilterMatcher[] }
  >();
  #values = 0;
  #regexps = 0;

  constructor(nowMs: number) {
    this.#nowMs = nowMs;
  }

  take(parameter: string, value: string): void {
    this.#values++;
    if (this.#values > MAX_VALUES) {
      if (this.#values === MAX_VALUES + 1) this.#problem(parameter, `there are more than ${MAX_VALUES} values altogether`);
    } else if (value.length > MAX_VALUE_LENGTH) this.#problem(parameter, `a value has at most ${MAX_VALUE_LENGTH} characters`);
    else if (parameter === "from" || parameter === "to") this.#takeMoment(parameter, value);
    else if (isField(parameter)) this.#takeMatcher(parameter, value);
    else this.#problem(parameter, `there is no such filter; there are ${FILTER_PARAMETERS.join(", ")}`);
  }

  result(): ParsedFilter {
    const fromMs = this.#moments.get("from") ?? null;
    const toMs = this.#moments.get("to") ?? null;
    if (fromMs !== null && toMs !== null && fromMs >= toMs)
      this.#problem("from", "lies at or after `to`, so nothing is between them");
    if (this.#problems.length > 0) return { kind: "bad", problems: this.#problems };
    const conditions: readonly Condition[] = [...this.#matchers.values()];
    return { kind: "ok", filter: { fromMs, toMs, conditions } };
  }

  #takeMoment(parameter: "from" | "to", value: string): void {
    const moment = parseMoment(value, this.#nowMs);
    if (this.#moments.has(parameter)) this.#problem(parameter, "is wanted once at most");
    else if (moment === null)
      this.#problem(
        parameter,
        `${shown(value)} is no time: 2026-11-21T21:03Z, milliseconds since 1970, or 1h for an hour ago are wanted`,
      );
    else this.#moments.set(parameter, moment);
  }

  #takeMatcher(field: FilterField, value: string): void {
    const negated = value.startsWith("!");
    const plain = negated ? value.slice(1).trimStart() : value;
    const matcher = plain === "" ? "is empty: a value is wanted" : MATCHER_OF[field](plain);
    if (typeof matcher === "string") {
      this.#problem(field, matcher);
      return;
    }
    if (matcher.kind === "regexp" && ++this.#regexps > MAX_REGEXPS) {
      if (this.#regexps === MAX_REGEXPS + 1) this.#problem(field, `there are more than ${MAX_REGEXPS} regular expressions`);
      return;
    }
    const key = `${negated ? "!" : ""}${field}`;
    const condition = this.#matchers.get(key) ?? { field, negated, anyOf: [] };
    condition.anyOf.push(matcher);
    this.#matchers.set(key, condition);
  }

  #problem(parameter: string, reason: string): void {
    this.#problems.push({ parameter, reason });
  }
}

function isField(parameter: string): parameter is FilterField {
  return Object.hasOwn(MATCHER_OF, parameter);
}

/** Reads a value without `!`; gives what is wrong with it where it is none. */
type MatcherReader = (value: string) => FilterMatcher | string;

const MATCHER_OF: Readonly<Record<FilterField, MatcherReader>> = {
  name: nameMatcher,
  client: clientMatcher,
  type(value) {
    const text = typeText(value);
    if (isTypeText(text) || /^(?=.*\*)[A-Z0-9*-]{1,32}$/.test(text)) return wordMatcher(text);
    return `${shown(value)} is no type: a mnemonic such as HTTPS, or TYPE65 or 65 are wanted`;
  },
  rcode(value) {
    const text = value.toUpperCase();
    if (isRcodeText(text) || /^(?=.*\*)[A-Z0-9*]{1,32}$/.test(text)) return wordMatcher(text);
    return `${shown(value)} is no response code: a mnemonic such as NXDOMAIN, or ${NOTHING_SENT.toLowerCase()} where nothing was sent, is wanted`;
  },
  rule: wordMatcher,
  upstream: wordMatcher,
  source(value) {
    const text = value.toLowerCase();
    if (text.includes("*") || SOURCES.some((source) => source === text)) return wordMatcher(text);
    return `${shown(value)} is no source: one of ${SOURCES.join(", ")} is wanted`;
  },
  action: (value) => wordMatcher(value.toLowerCase()),
  // A TTL counts down from answer to answer, so one that is written before the type counts for nothing.
  answer: (value) => wordMatcher(canonicalAddress(value) ?? value.toLowerCase().replace(/^(?:\d+|\*) (?=[a-z0-9*]+ )/, "")),
  minMs(value) {
    if (/^\d{1,9}(?:\.\d{1,3})?$/.test(value)) return { kind: "atLeast", number: Number(value) };
    return `${shown(value)} is no number of milliseconds`;
  },
};

const SOURCES: readonly RecordSource[] = ["hosts", "special", "rule", "cache", "stale", "upstream", "failure", "refused"];

function wordMatcher(value: string): FilterMatcher {
  return { kind: value.includes("*") ? "glob" : "equals", text: value };
}

function nameMatcher(value: string): FilterMatcher | string {
  if (value.startsWith("/")) return regexpMatcher(value);
  const [, prefix, text = value] = /^(full:)(.*)$/s.exec(value) ?? [];
  if (text === ".") return { kind: prefix === undefined ? "within" : "equals", text };
  const name = nameText(text);
  if (name === null) return `${shown(value)} is no domain name: a name, a pattern with * or a /regular expression/ is wanted`;
  if (name.includes("*")) return prefix === undefined ? { kind: "glob", text: name } : "* has no meaning after full:";
  return { kind: prefix === undefined ? "within" : "equals", text: name };
}

/** Lower case, in A-labels (RFC 5890), without a final dot; null where it can be no name. */
function nameText(text: string): string | null {
  const ascii = /^[\0-\x7f]*$/.test(text) ? text.toLowerCase() : domainToASCII(text);
  const name = ascii.replace(/(?<!\\)\.$/, "");
  return /^$|^\.|\.\.|[\s\0-\x20\x7f]/.test(name) ? null : name;
}

function regexpMatcher(value: string): FilterMatcher | string {
  const [, source = ""] = /^\/(.+)\/$/s.exec(value) ?? [];
  if (source === "") return "a regular expression stands between two slashes: /^ads[0-9]/";
  const text = withoutIdleEnds(source);
  const bounded = boundedRegexp(text, MAX_WAYS.search);
  return bounded.kind === "refused" ? `${shown(value)} is ${bounded.reason}` : { kind: "regexp", text };
}

/** `.*` at either end changes nothing of what an expression finds, but multiplies the work. */
function withoutIdleEnds(source: string): string {
  const text = source.replace(/^(?:\^?\.\*)+(?=[^?])/, "").replace(/(?<!\\)(?:\.\*)+\$?$/, "");
  return text === "" ? source : text;
}

function clientMatcher(value: string): FilterMatcher | string {
  const address = canonicalAddress(value);
  if (address !== null) return { kind: "equals", text: address };
  if (/^[a-z0-9-]{1,63}$/i.test(value)) return { kind: "equals", text: value.toLowerCase() };
  return (
    prefixMatcher(value) ?? `${shown(value)} is no client: an address, a prefix such as 10.0.7.0/24, or a client id is wanted`
  );
}

function prefixMatcher(value: string): FilterMatcher | null {
  const [, address = "", digits = ""] = /^([^/%]+)\/(\d{1,3})$/.exec(value) ?? [];
  const canonical = canonicalAddress(address);
  if (canonical === null) return null;
  const mapped = isIP(address) !== isIP(canonical);
  const bits = Number(digits) - (mapped ? 96 : 0);
  return bits < 0 || bits > (isIP(canonical) === 4 ? 32 : 128) ? null : { kind: "prefix", text: `${canonical}/${bits}` };
}

function shown(value: string): string {
  return `\`${value.length > 60 ? `${value.slice(0, 60)}…` : value}\``;
}

/** Which records are wanted: within the time, and every condition holds. Made by `parseFilter` of what a user wrote. */
export interface QueryFilter {
  /**
   * Milliseconds since 1970, this one included; null = the oldest there is. Times are those of the ids, when records were made: a query that waited
   * for its answer came a little earlier.
   */
  readonly fromMs: number | null;
  /** This one not included; null = the newest there is. */
  readonly toMs: number | null;
  readonly conditions: readonly Condition[];
}

/** One field, and what it may be. */
export interface Condition {
  readonly field: FilterField;
  /** Whether none of `anyOf` may fit, instead of one. */
  readonly negated: boolean;
  readonly anyOf: readonly FilterMatcher[];
}

export type FilterField = "name" | "client" | "type" | "rcode" | "rule" | "upstream" | "source" | "action" | "answer" | "minMs";

export type FilterMatcher =
  | { readonly kind: "equals"; readonly text: string }
  /** The name and everything below it. */
  | { readonly kind: "within"; readonly text: string }
  /** `*` stands for any number of characters. */
  | { readonly kind: "glob"; readonly text: string }
  /** Bounded: refused by `parseFilter` where it could take more than linear time. */
  | { readonly kind: "regexp"; readonly text: string }
  /** An address within a prefix. */
  | { readonly kind: "prefix"; readonly text: string }
  | { readonly kind: "atLeast"; readonly number: number };

/** Newest first. Between threads each record is JSON text already. */
export interface Page<Entry = QueryRecord> {
  /** As many as were wanted, or fewer, even none, where looking further would have taken too long: `cursor` says whether there may be more. */
  readonly records: readonly Entry[];
  /** Where the next page begins; it stays right while records are added. null = there are no more. */
  readonly cursor: string | null;
}

export interface PageRequest {
  readonly filter: QueryFilter;
  /** 1 to 1,000. */
  readonly limit: number;
  readonly cursor: string | null;
}

/** What a filter names by this was sent no reply: the same word as in the counts of a summary. Records have null there. */
export const NOTHING_SENT = "NONE";

/** Whether records can show such a response code, or it stands for those that show none. */
export function isRcodeText(text: string): boolean {
  return text === NOTHING_SENT || Object.hasOwn(RCODE, text) || /^RCODE\d{1,4}$/.test(text);
}

/** A type as records show it: a mnemonic in upper case where there is one, else TYPE123; of `https`, `TYPE65` and `65` it is `HTTPS`. */
export function typeText(text: string): string {
  const type = typeNumber(text);
  return type === null ? text.toUpperCase() : typeName(type);
}

/** Whether records can show such a type: a misspelt mnemonic would be searched for in vain. */
export function isTypeText(text: string): boolean {
  const [, digits = ""] = /^TYPE(\d{1,5})$/.exec(text) ?? [];
  return digits === "" ? Object.hasOwn(TYPE, text) : Number(digits) <= 0xffff;
}
