import { isIP } from "node:net";
import ipaddr from "ipaddr.js";
import { boundedRegexp, MAX_SUBJECT_LENGTH, MAX_WAYS } from "../lib/bounded-regexp.ts";
import { unreachable } from "../lib/unreachable.ts";
import { type Condition, type FilterField, type FilterMatcher, NOTHING_SENT, type QueryFilter } from "./filter.ts";
import type { QueryRecord } from "./record.ts";
import { wallMsOf } from "./schema.ts";

/** Says for one record after the other whether the filter lets it through. What the filter says is worked out once. */
export function compileFilter(filter: QueryFilter): (record: QueryRecord) => boolean {
  const { fromMs, toMs } = filter;
  const tests = filterTests(filter);
  return (record) => {
    const madeMs = wallMsOf(record.id);
    return (
      (fromMs === null || madeMs >= fromMs) &&
      (toMs === null || madeMs < toMs) &&
      (tests.kind?.(record) ?? true) &&
      (tests.durationUs?.(record.durationUs) ?? true) &&
      (tests.client?.(record) ?? true) &&
      (tests.name?.(record.name) ?? true) &&
      (tests.answers?.(record.answers.map(withoutTtl)) ?? true)
    );
  };
}

/** The conditions of a filter, apart as the store keeps records apart. null = anything goes. */
export interface FilterTests {
  readonly name: Test<string>;
  readonly client: Test<Pick<QueryRecord, "client" | "clientId">>;
  readonly kind: Test<KindFields>;
  /** Of records without their TTLs. */
  readonly answers: Test<readonly string[]>;
  readonly durationUs: Test<number>;
}

type Test<T> = ((value: T) => boolean) | null;

/** What few combinations of values there are. */
export type KindFields = Pick<QueryRecord, "type" | "rcode" | "rule" | "upstream" | "route" | "source" | "action">;

export function filterTests({ conditions }: QueryFilter): FilterTests {
  return {
    name: testOf(conditions, ["name"], textTest),
    client: testOf(conditions, ["client"], (condition) => {
      const test = textTest(condition);
      return ({ client, clientId }) => test(client) || test(clientId);
    }),
    kind: testOf(conditions, ["type", "rcode", "rule", "upstream", "source", "action"], kindTest),
    answers: testOf(conditions, ["answer"], (condition) => {
      const test = answerTest(condition);
      return (answers) => answers.some(test);
    }),
    durationUs: testOf(conditions, ["minMs"], (condition) => {
      const leastUs = leastDurationUs(condition);
      return (durationUs) => durationUs >= leastUs;
    }),
  };
}

/** The least duration that a condition on `minMs` names, in microseconds. */
export function leastDurationUs({ anyOf }: Condition): number {
  return Math.min(
    ...anyOf.map((matcher) => (matcher.kind === "atLeast" ? Math.round(matcher.number * 1000) : Number.POSITIVE_INFINITY)),
  );
}

/** A test of all conditions on these fields, of which `fitting` says whether one fits, its negation left aside. */
function testOf<T>(
  conditions: readonly Condition[],
  fields: readonly FilterField[],
  fitting: (condition: Condition) => (value: T) => boolean,
): Test<T> {
  const tests = conditions.flatMap((condition) => {
    if (!fields.includes(condition.field)) return [];
    const fits = fitting(condition);
    return [condition.negated ? (value: T) => !fits(value) : fits];
  });
  return tests.length === 0 ? null : (value) => tests.every((test) => test(value));
}

function kindTest(condition: Condition): (kind: KindFields) => boolean {
  const test = textTest(condition);
  switch (condition.field) {
    case "upstream":
      return ({ upstream, route }) => test(upstream) || test(route);
    case "type":
      return ({ type }) => test(type);
    case "rcode": {
      const nothing = condition.anyOf.some((matcher) => matcher.kind === "equals" && matcher.text === NOTHING_SENT);
      return ({ rcode }) => (rcode === null ? nothing : test(rcode));
    }
    case "rule":
      return ({ rule }) => test(rule);
    case "source":
      return ({ source }) => test(source);
    case "action":
      return ({ action }) => test(action);
    default:
      throw new Error(`${condition.field} is no field of a kind`);
  }
}

/** Whether a value is one of those that a condition names. What is not there is none of them. */
function textTest({ anyOf }: Condition): (value: string | null) => boolean {
  const prefixes = anyOf.flatMap((matcher) => (matcher.kind === "prefix" ? [matcher.text] : []));
  const tests = anyOf.filter(({ kind }) => kind !== "prefix").map(matcherTest);
  if (prefixes.length > 0) tests.push(prefixesTest(prefixes));
  return (value) => value !== null && tests.some((fits) => fits(value));
}

function matcherTest(matcher: FilterMatcher): (value: string) => boolean {
  switch (matcher.kind) {
    case "equals":
      return (value) => value === matcher.text;
    case "within":
      return withinTest(matcher.text);
    case "glob":
      return globTest(matcher.text);
    case "regexp":
      return regexpTest(matcher.text);
    case "prefix":
      return prefixesTest([matcher.text]);
    case "atLeast":
      throw new Error("a number is no text");
    default:
      return unreachable(matcher);
  }
}

function regexpTest(source: string): (name: string) => boolean {
  const bounded = boundedRegexp(source, MAX_WAYS.search);
  if (bounded.kind === "refused") throw new Error(`${source} is ${bounded.reason}, and was taken for a filter`);
  return (name) => name.length <= MAX_SUBJECT_LENGTH && bounded.matches(name);
}

/** The name and everything below it; the root holds all names, and what has no readable name lies nowhere. */
function withinTest(parent: string): (name: string) => boolean {
  if (parent === ".") return (name) => name !== "";
  const end = `.${parent}`;
  return (name) => name === parent || (name.endsWith(end) && !endsEscaping(name.slice(0, -end.length)));
}

/** Whether what follows the text has lost its special meaning: after `a\` a full stop belongs to the label (RFC 1035 §5.1). */
function endsEscaping(text: string): boolean {
  return (/\\*$/.exec(text)?.[0].length ?? 0) % 2 === 1;
}

/** Clients are shown as addresses, perhaps with a zone, or where the log shortens them, as prefixes. Each is read once, however many there are to try. */
function prefixesTest(prefixes: readonly string[]): (client: string) => boolean {
  const networks = prefixes.map((prefix) => ipaddr.parseCIDR(prefix));
  return (client) => {
    const [, address = "", length] = /^([^/%]*)(?:%[^/]*)?(?:\/(\d+))?$/.exec(client) ?? [];
    if (isIP(address) === 0) return false;
    const parsed = ipaddr.parse(address);
    return networks.some(
      ([network, bits]) =>
        parsed.kind() === network.kind() && parsed.match(network, bits) && (length === undefined || Number(length) >= bits),
    );
  };
}

/** Takes `A 192.0.2.7` by the whole of it and by `192.0.2.7`, and absolute names also without their final dot; letter case counts for nothing. */
function answerTest(condition: Condition): (answer: string) => boolean {
  const test = textTest({ ...condition, anyOf: condition.anyOf.map(lowerCased) });
  return (answer) => {
    const text = answer.toLowerCase();
    const data = text.slice(text.indexOf(" ") + 1);
    return test(text) || test(data) || (data.endsWith(".") && (test(text.slice(0, -1)) || test(data.slice(0, -1))));
  };
}

function lowerCased(matcher: FilterMatcher): FilterMatcher {
  return "text" in matcher ? { ...matcher, text: matcher.text.toLowerCase() } : matcher;
}

/** A record of the answer section as the store keeps it. */
function withoutTtl(answer: string): string {
  return answer.replace(/^(?:0|[1-9]\d{0,9}) /, "");
}

/** Whether a text fits a pattern in which `*` stands for any number of characters; the work is bounded by the product of their lengths. */
function globTest(pattern: string): (text: string) => boolean {
  const pieces = pattern.split("*");
  const [first = ""] = pieces;
  const last = pieces.at(-1) ?? "";
  if (pieces.length === 1) return (text) => text === pattern;
  const middle = pieces.slice(1, -1).filter((piece) => piece !== "");
  return (text) => {
    if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last)) return false;
    // The earliest place of each piece leaves the most room for those after it.
    let from = first.length;
    for (const piece of middle) {
      const at = text.indexOf(piece, from);
      if (at < 0) return false;
      from = at + piece.length;
    }
    return from <= text.length - last.length;
  };
}

/** The longest stretch of a pattern that every fitting text holds; empty where it has none. */
export function globLiteral(pattern: string): string {
  return pattern.split("*").reduce((longest, piece) => (piece.length > longest.length ? piece : longest), "");
}
