import { isIP } from "node:net";
import ipaddr from "ipaddr.js";
import { boundedRegexp, MAX_SUBJECT_LENGTH, MAX_WAYS } from "../../bounded-regexp.ts";
import { unreachable } from "../../unreachable.ts";
import type { QueryRecord } from "../record.ts";
import type { Condition, Matcher, QueryFilter } from "../search.ts";
import { wallMsOf } from "../store/schema.ts";
import { globTest } from "./glob.ts";

/** Says for one record after the other whether the filter lets it through. What the filter says is worked out once. */
export function compileFilter({ fromMs, toMs, conditions }: QueryFilter): (record: QueryRecord) => boolean {
  const tests = conditions.map(recordTest);
  return (record) => {
    const madeMs = wallMsOf(record.id);
    return (fromMs === null || madeMs >= fromMs) && (toMs === null || madeMs < toMs) && tests.every((test) => test(record));
  };
}

/** Whether a value is one of those that a condition names, its negation left aside. What is not there is none of them. */
export type TextTest = (value: string | null) => boolean;

/** The test of a condition on a field that is a text. */
export function textTest({ field, anyOf }: Condition): TextTest {
  const tests = anyOf.map((matcher) => matcherTest(field === "answer" ? lowerCased(matcher) : matcher));
  const test: TextTest = (value) => value !== null && tests.some((fits) => fits(value));
  return field === "answer" ? answerLineTest(test) : test;
}

/** The least duration that a condition on `minMs` names, in microseconds. */
export function leastDurationUs({ anyOf }: Condition): number {
  return Math.min(...anyOf.map((matcher) => (matcher.kind === "atLeast" ? matcher.number * 1000 : Number.POSITIVE_INFINITY)));
}

/** A record of the answer section without its TTL, as the store keeps it: by this, and by its data alone, answers are found. */
export function withoutTtl(answer: string): string {
  return answer.replace(/^(?:0|[1-9]\d{0,9}) /, "");
}

type RecordTest = (record: QueryRecord) => boolean;

function recordTest(condition: Condition): RecordTest {
  const fits = fittingTest(condition);
  return condition.negated ? (record) => !fits(record) : fits;
}

function fittingTest(condition: Condition): RecordTest {
  const { field } = condition;
  if (field === "minMs") {
    const leastUs = leastDurationUs(condition);
    return ({ durationUs }) => durationUs >= leastUs;
  }
  const test = textTest(condition);
  switch (field) {
    case "client":
      return ({ client, clientId }) => test(client) || test(clientId);
    case "upstream":
      return ({ upstream, route }) => test(upstream) || test(route);
    case "answer":
      return ({ answers }) => answers.some((answer) => test(withoutTtl(answer)));
    case "name":
    case "type":
    case "rcode":
    case "rule":
    case "source":
    case "action":
      return (record) => test(record[field]);
    default:
      return unreachable(field);
  }
}

function matcherTest(matcher: Matcher): (value: string) => boolean {
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
      return prefixTest(matcher.text);
    case "atLeast":
      throw new Error("a number is no text");
    default:
      return unreachable(matcher);
  }
}

function regexpTest(source: string): (name: string) => boolean {
  const bounded = boundedRegexp(source, MAX_WAYS.search);
  if (bounded.kind === "refused") throw new Error(`${source} is ${bounded.reason}, and was taken for a filter`);
  return (name) => name.length <= MAX_SUBJECT_LENGTH && bounded.regexp.test(name);
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

/** Clients are shown as addresses, perhaps with a zone, or where the log shortens them, as prefixes. */
function prefixTest(prefix: string): (client: string) => boolean {
  const [network, bits] = ipaddr.parseCIDR(prefix);
  return (client) => {
    const [, address = "", length] = /^([^/%]*)(?:%[^/]*)?(?:\/(\d+))?$/.exec(client) ?? [];
    if (isIP(address) === 0) return false;
    const parsed = ipaddr.parse(address);
    return parsed.kind() === network.kind() && parsed.match(network, bits) && (length === undefined || Number(length) >= bits);
  };
}

function lowerCased(matcher: Matcher): Matcher {
  return "text" in matcher ? { ...matcher, text: matcher.text.toLowerCase() } : matcher;
}

/** Takes `A 192.0.2.7` by the whole of it and by `192.0.2.7`, and absolute names also without their final dot; letter case counts for nothing. */
function answerLineTest(test: TextTest): TextTest {
  return (line) => {
    if (line === null) return false;
    const text = line.toLowerCase();
    const data = text.slice(text.indexOf(" ") + 1);
    return test(text) || test(data) || (data.endsWith(".") && (test(text.slice(0, -1)) || test(data.slice(0, -1))));
  };
}
