import { domainSetFromPatterns } from "../lists/domain-set-builder.ts";
import { parseDomainCondition } from "../lists/pattern.ts";
import type { GroupOptions } from "../upstreams/options.ts";
import type { RuleOptions } from "./options.ts";

/** What is wrong with the patterns of the rules, one sentence each. A Decider can be made of rules without any. */
export function ruleProblems(rules: readonly RuleOptions[]): string[] {
  return rules.flatMap(({ name, domains }) => domainProblems(domains).map((problem) => `rule ${name}: ${problem}`));
}

/** What is wrong with the patterns of the groups' `never`, likewise. NeverRules can be made of groups without any. */
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
