import { parseDomainCondition } from "../lists/pattern.ts";
import type { RuleOptions } from "./options.ts";

/** What is wrong with the patterns of the rules, one sentence each; a Decider can be made of rules without any. */
export function ruleProblems(rules: readonly RuleOptions[]): string[] {
  return rules.flatMap(({ name, domains }) =>
    domains.flatMap((text) => {
      const condition = parseDomainCondition(text);
      return "kind" in condition ? [`rule ${name}: ${condition.reason}`] : [];
    }),
  );
}
