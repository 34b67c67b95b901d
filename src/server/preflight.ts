import { isDeepStrictEqual } from "node:util";
import { unsupportedKeys } from "../config/file.ts";
import type { Config } from "../config/types.ts";
import { shownUrl } from "../lib/text.ts";
import { checkExpectations, neverProblems, ruleProblems } from "../rules/checks.ts";
import type { RuleOptions } from "../rules/options.ts";
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
 * Checks the loaded lists for mistakes of the configuration, and runs the expectations of section `expect`. An expectation that fails is only reported
 * if a list that could mend it waits for its first download: the server must start so that the list can be fetched.
 * @returns a sentence for each mistake and each expectation that fails.
 */
export function checkPolicy({ decider, lists }: Policy, { expect, rules }: Config, diagnostics: Diagnostics): string[] {
  const waiting = new Set<string>();
  const faults: string[] = [];
  for (const { name, sources } of lists.status()) {
    for (const { source, servedFrom, mistake } of sources) {
      if (servedFrom === "nothing") waiting.add(name);
      if (mistake !== null) faults.push(`list ${name}: ${shownUrl(source)}: ${mistake}`);
    }
  }
  const open = new Set(rules.filter((rule) => listsOf(rule).some((list) => waiting.has(list))).map(({ name }) => name));
  for (const { message, rules: tried } of checkExpectations(decider, expect)) {
    if (tried.some((rule) => open.has(rule))) diagnostics.warn({}, `${message}; a list has not been downloaded yet`);
    else faults.push(message);
  }
  return faults;
}

/** The lists of domains that a rule names. */
function listsOf({ domains, action }: RuleOptions): string[] {
  const named = domains.flatMap((pattern) => /^!?list:(.+)$/.exec(pattern)?.[1] ?? []);
  return action?.kind === "longest" ? [...named, ...action.choices.map(({ list }) => list)] : named;
}
