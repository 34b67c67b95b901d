import { addressFromText, addressText } from "../dns/address.ts";
import { nameFromText, nameText } from "../dns/name.ts";
import { CLASS, typeName } from "../dns/types.ts";
import type { Requester } from "../lib/client.ts";
import { shownUrl } from "../lib/text.ts";
import { unreachable } from "../lib/unreachable.ts";
import { domainSetFromPatterns } from "../lists/domain-set-builder.ts";
import { parseDomainCondition } from "../lists/patterns.ts";
import type { GroupOptions } from "../upstreams/options.ts";
import { type Decider, typeFilter } from "./decider.ts";
import { type Decision, type LocalAnswer, MAX_ALIASES, type RuleQuestion } from "./decision.ts";
import type { Expectation, RuleOptions } from "./options.ts";
import { describeMatch } from "./rule.ts";

/** An expectation that the configuration does not meet. */
interface ExpectationFailure {
  readonly expectation: Expectation;
  /** The difference in one sentence, with the rule and the line of the list that caused it. */
  readonly message: string;
  /** The rules that were tried, up to the one that decided: a change of the others changes nothing. */
  readonly rules: readonly string[];
}

/** Makes the decision for every expectation, without asking an upstream, and returns the failures. */
export function checkExpectations(decider: DecidingAtTimes, expectations: readonly Expectation[]): ExpectationFailure[] {
  return expectations.flatMap((expectation) => failureOf(decider, expectation) ?? []);
}

type DecidingOnly = Pick<Decider, "decide" | "explain">;
type DecidingAtTimes = DecidingOnly & Pick<Decider, "at">;

function failureOf(atAnyTime: DecidingAtTimes, expectation: Expectation): ExpectationFailure | null {
  const { atMs } = expectation;
  const decider = atMs === undefined ? atAnyTime : atAnyTime.at(atMs);
  const place = expectation.line === null ? "" : `expect, line ${expectation.line}: `;
  const name = nameFromText(expectation.name);
  if (name === null) return { expectation, message: `${place}${expectation.name} is no domain name`, rules: [] };
  const { type } = expectation;
  const requester = requesterOf(expectation.client);
  const { decision, question } = decideFollowingAliases(decider, { name, type, class: CLASS.IN }, requester);
  const { rule } = decision.context;
  const differences = [
    ...difference("rule", expectation.rule, rule === null ? [] : [rule]),
    ...difference("upstream", expectation.upstream, groupsOf(decision)),
    ...difference("answer", canonicalAnswer(expectation.answer), answersOf(decision, type)),
  ];
  if (differences.length === 0) return null;
  const client = expectation.client === null ? "" : ` for ${expectation.client}`;
  const moment = atMs === undefined ? "" : ` at ${new Date(atMs).toISOString()}`;
  const { steps } = decider.explain(question, requester);
  return {
    expectation,
    message: `${place}${expectation.name} ${typeName(type)}${client}${moment}: expected ${differences.join(" and ")}; ${reasonOf(decision)}`,
    rules: steps.flatMap((step) => (step.kind === "rule" ? [step.rule] : [])),
  };
}

/** The client of an expectation that names no client. */
const ANY_CLIENT: Requester = { address: "127.0.0.1", clientId: null };

function requesterOf(client: string | null): Requester {
  if (client === null) return ANY_CLIENT;
  return addressFromText(client) === null ? { ...ANY_CLIENT, clientId: client } : { address: client, clientId: null };
}

/** Makes the decision for the name, or for the last of its aliases in the hosts table: that decision says where the answer comes from. */
function decideFollowingAliases(
  decider: DecidingOnly,
  asked: RuleQuestion,
  requester: Requester,
): { readonly decision: Decision; readonly question: RuleQuestion } {
  let question = asked;
  let decision = decider.decide(question, requester);
  for (let steps = 0; steps < MAX_ALIASES && decision.kind === "reply" && decision.answer.kind === "alias"; steps++) {
    question = { ...question, name: decision.answer.target };
    decision = decider.decide(question, requester);
  }
  return { decision, question };
}

function difference(key: string, expected: string | null, got: readonly string[]): string[] {
  if (expected === null || got.includes(expected)) return [];
  return [`${key} ${expected}, got ${got.length === 0 ? `no ${key}` : got.join(", ")}`];
}

/** An address has several spellings. */
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

function answersOf(decision: Decision, type: number): readonly string[] {
  switch (decision.kind) {
    case "forward":
    case "compare":
      return typeFilter(decision.context.settings.shaping, type) === null ? [] : ["nodata"];
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
    case "svcb":
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
  const { rule, match } = decision.context;
  if (rule === null) {
    if (decision.kind !== "reply") return "no rule decides it";
    return `answered from ${decision.source === "special" ? "the special names" : decision.source}`;
  }
  if (match === null) return `rule ${rule} decides`;
  const { list, source, line, pattern } = describeMatch(match);
  const place = list === null ? pattern : `${pattern}, line ${line} of list ${list} (${shownUrl(source)})`;
  return `rule ${rule} decides by ${place}`;
}

/** The faults in the patterns of the rules, one sentence each. A `Decider` accepts rules without faults. */
export function ruleProblems(rules: readonly RuleOptions[]): string[] {
  return rules.flatMap(({ name, domains, alsoDomains }) =>
    [domains, ...alsoDomains].flatMap(domainProblems).map((problem) => `rule ${name}: ${problem}`),
  );
}

/** The faults in the patterns of the groups' `never`, one sentence each. An `EgressPolicy` accepts groups without faults. */
export function neverProblems(groups: readonly Pick<GroupOptions, "name" | "never">[]): string[] {
  return groups.flatMap(({ name, never }) =>
    domainProblems(never?.domains ?? []).map((problem) => `upstreams.${name}.never: ${problem}`),
  );
}

function domainProblems(domains: readonly string[]): string[] {
  const conditions = domains.map(parseDomainCondition);
  const bad = conditions.flatMap((condition) => ("kind" in condition ? [condition.reason] : []));
  if (bad.length > 0) return bad;
  // Patterns that are valid one by one may be too many together.
  const patterns = conditions.flatMap((condition) =>
    "kind" in condition || condition.target.kind === "list" ? [] : [condition.target],
  );
  const set = domainSetFromPatterns(patterns);
  return "kind" in set ? [set.reason] : [];
}
