import type { Config } from "./config/config.ts";
import { notYet } from "./not-yet.ts";
import { neverProblems, ruleProblems } from "./rules/problems.ts";

/** Why a configuration whose text is in order cannot be served all the same, one sentence each, before any list or file is read. */
export function refusalsOf(config: Config): string[] {
  return [...notYet(config), ...decisionRefusalsOf(config)];
}

/** Those that keep decisions from being made of it. */
export function decisionRefusalsOf({ rules, upstreams }: Pick<Config, "rules" | "upstreams">): string[] {
  return [...ruleProblems(rules), ...neverProblems(upstreams.groups)];
}
