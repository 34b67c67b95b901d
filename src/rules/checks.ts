import { addressFromText, addressText } from "../dns/address.ts";
import { nameFromText, nameText } from "../dns/name.ts";
import { CLASS, typeName } from "../dns/types.ts";
import { shownUrl } from "../lib/text.ts";
import { unreachable } from "../lib/unreachable.ts";
import { domainSetFromPatterns } from "../lists/domain-set-builder.ts";
import { parseDomainCondition } from "../lists/patterns.ts";
import type { GroupOptions } from "../upstreams/options.ts";
import type { Decider } from "./decider.ts";
import { type Decision, type LocalAnswer, type Requester, type RuleQuestion, typeFilter } from "./decision.ts";
import type { Expectation, RuleOptions } from "./options.ts";
import { describeMatch } from "./rule.ts";

/** What the configuration decides otherwise than it is expected to. */
interface ExpectationFailure {
  readonly expectation: Expectation;
  /** The whole difference in one sentence, with the rule and the line of the list that brought it about. */
  readonly message: string;
}

/** Decides every expected question, without asking anybody; gives what came out differently. */
export function checkExpectations(decider: Pick<Decider, "decide">, expectations: readonly Expectation[]): ExpectationFailure[] {
  return expectations.flatMap((expectation) => {
    const message = failureOf(decider, expectation);
    return message === null ? [] : [{ expectation, message }];
  });
}

function failureOf(decider: Pick<Decider, "decide">, expectation: Expectation): string | null {
  const name = nameFromText(expectation.name);
  if (name === null) return `${expectation.name} is no domain name`;
  const { type } = expectation;
  const decision = decideToTheEnd(decider, { name, type, class: CLASS.IN }, askerOf(expectation.client));
  const got = { rule: decision.rule, upstream: groupsOf(decision), answer: answerOf(decision, type) };
  const differences = [
    ...difference("rule", expectation.rule, got.rule === null ? [] : [got.rule]),
    ...difference("upstream", expectation.upstream, got.upstream),
    ...difference("answer", canonicalAnswer(expectation.answer), got.answer),
  ];
  if (differences.length === 0) return null;
  const client = expectation.client === null ? "" : ` for ${expectation.client}`;
  return `${expectation.name} ${typeName(type)}${client}: expected ${differences.join(" and ")}; ${reasonOf(decision)}`;
}

/** Who asks where an expectation says nothing of clients. */
const SOMEBODY: Requester = { address: "127.0.0.1", clientId: null };

function askerOf(client: string | null): Requester {
  if (client === null) return SOMEBODY;
  return addressFromText(client) === null ? { ...SOMEBODY, clientId: client } : { address: client, clientId: null };
}

/** Aliases of the static table followed at most; a ring of them ends here. */
const MAX_ALIASES = 8;

/** The decision for the name itself, or for the last of its aliases: that one says where the answer comes from. */
function decideToTheEnd(decider: Pick<Decider, "decide">, asked: RuleQuestion, asker: Requester): Decision {
  let decision = decider.decide(asked, asker);
  for (let steps = 0; steps < MAX_ALIASES && decision.kind === "reply" && decision.answer.kind === "alias"; steps++) {
    decision = decider.decide({ ...asked, name: decision.answer.target }, asker);
  }
  return decision;
}

function difference(key: string, expected: string | null, got: readonly string[]): string[] {
  if (expected === null || got.includes(expected)) return [];
  return [`${key} ${expected}, got ${got.length === 0 ? `no ${key}` : got.join(", ")}`];
}

/** An address can be spelled in several ways. */
function canonicalAnswer(expected: string | null): string | null {
  const address = expected === null ? null : addressFromText(expected);
  return address === null ? expected : addressText(address);
}

function groupsOf(decision: Decision): readonly string[] {
  switch (decision.kind) {
    case "forward":
      return [decision.group];
    case "compare":
      return [decision.compare.near, decision.compare.far];
    case "reply":
    case "drop":
      return [];
    default:
      return unreachable(decision);
  }
}

function answerOf(decision: Decision, type: number): readonly string[] {
  switch (decision.kind) {
    case "forward":
    case "compare":
      return typeFilter(decision.shaping, type) === null ? [] : ["nodata"];
    case "drop":
      return ["drop"];
    case "reply":
      return answerTexts(decision.answer);
    default:
      return unreachable(decision);
  }
}

function answerTexts(answer: LocalAnswer): readonly string[] {
  switch (answer.kind) {
    case "addresses": {
      const isZero = answer.addresses.every((address) => address.every((byte) => byte === 0));
      return [...(isZero ? ["zero"] : []), ...answer.addresses.map(addressText)];
    }
    case "alias":
    case "pointer":
      return [nameText(answer.target)];
    case "https":
    case "nodata":
    case "nxdomain":
    case "refused":
    case "minimal-any":
      return [answer.kind];
    default:
      return unreachable(answer);
  }
}

function reasonOf(decision: Decision): string {
  if (decision.rule === null)
    return decision.kind === "reply" ? `answered from ${sourceOf(decision.source)}` : "no rule decides it";
  if (decision.match === null) return `rule ${decision.rule} decides`;
  const { list, source, line, pattern } = describeMatch(decision.match);
  const place = list === null ? pattern : `${pattern}, line ${line} of list ${list} (${shownUrl(source)})`;
  return `rule ${decision.rule} decides by ${place}`;
}

function sourceOf(source: "hosts" | "special" | "rule"): string {
  return source === "special" ? "the special names" : source;
}

/** What is wrong with the patterns of the rules, one sentence each. A Decider can be made of rules without any. */
export function ruleProblems(rules: readonly RuleOptions[]): string[] {
  return rules.flatMap(({ name, domains }) => domainProblems(domains).map((problem) => `rule ${name}: ${problem}`));
}

/** What is wrong with the patterns of the groups' `never`, likewise. EgressPolicy can be made of groups without any. */
export function neverProblems(groups: readonly Pick<GroupOptions, "name" | "never">[]): string[] {
  return groups.flatMap(({ name, never }) =>
    domainProblems(never?.domains ?? []).map((problem) => `upstreams.${name}.never: ${problem}`),
  );
}

function domainProblems(domains: readonly string[]): string[] {
  const conditions = domains.map(parseDomainCondition);
  const bad = conditions.flatMap((condition) => ("kind" in condition ? [condition.reason] : []));
  if (bad.length > 0) return bad;
  // What can be read one by one may still be too much together.
  const patterns = conditions.flatMap((condition) =>
    "kind" in condition || condition.target.kind === "list" ? [] : [condition.target],
  );
  const set = domainSetFromPatterns(patterns);
  return "kind" in set ? [set.reason] : [];
}
