import { isDeepStrictEqual } from "node:util";
import { unsupportedKeys } from "../config/file.ts";
import type { Config } from "../config/types.ts";
import { neverProblems, ruleProblems } from "../rules/checks.ts";

/** Why a configuration whose text is in order cannot be served all the same, one sentence each, before any list or file is read. */
export function refusalsOf(config: Config): string[] {
  return [...unsupportedKeys(config), ...decisionRefusalsOf(config)];
}

/** Why a configuration that could be started with cannot take the place of the one in force; null = it can. */
export function reloadRefusalOf(next: Config, inForce: Config): string | null {
  const listening = ({ listen, tls, trustedProxies }: Config) => ({ listen, tls, trustedProxies });
  if (isDeepStrictEqual(listening(next), listening(inForce))) return null;
  return "listen, tls and trustedProxies are read at the start only: restart Fenliu to change them";
}

/** Those that keep decisions from being made of it. */
export function decisionRefusalsOf({ rules, upstreams }: Pick<Config, "rules" | "upstreams">): string[] {
  return [...ruleProblems(rules), ...neverProblems(upstreams.groups)];
}
