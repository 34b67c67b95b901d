import { isDeepStrictEqual } from "node:util";
import { unsupportedKeys } from "../config/file.ts";
import type { Config } from "../config/types.ts";
import { checkExpectations, neverProblems, ruleProblems } from "../rules/checks.ts";
import type { Diagnostics, Policy } from "./policy.ts";

/**
 * Checks a configuration whose text has no problems, before any list or file is read.
 * @returns a sentence for each reason why it cannot be served.
 */
export function checkServable(config: Config): string[] {
  return [...unsupportedKeys(config), ...checkDecisions(config)];
}

/** The part of `checkServable` that concerns decisions: enough for a draft that only explains queries. */
export function checkDecisions({ rules, upstreams }: Pick<Config, "rules" | "upstreams">): string[] {
  return [...ruleProblems(rules), ...neverProblems(upstreams.groups)];
}

/** Why a reload cannot replace `current` by `next`, which a start could serve; null = it can. */
export function checkReloadable(next: Config, current: Config): string | null {
  const startOnly = ({ listen, tls, trustedProxies }: Config) => ({ listen, tls, trustedProxies });
  if (isDeepStrictEqual(startOnly(next), startOnly(current))) return null;
  return "listen, tls and trustedProxies are read at the start only: restart Fenliu to change them";
}

/**
 * Runs the expectations of section `expect`. While a list waits for its first download, a failed expectation is only reported: the server must
 * start so that the list can be fetched.
 * @returns a sentence for each expectation that fails.
 */
export function checkExpected({ decider, lists }: Policy, { expect }: Config, diagnostics: Diagnostics): string[] {
  const failures = checkExpectations(decider, expect).map(({ message }) => message);
  const isWaiting = lists.status().some(({ sources }) => sources.some(({ servedFrom }) => servedFrom === "nothing"));
  if (!isWaiting) return failures;
  for (const failure of failures) diagnostics.warn({}, `${failure}; a list has not been downloaded yet`);
  return [];
}
