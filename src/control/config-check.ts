import type { ConfigCheck, ConfigProblem } from "../admin/control.ts";
import type { Config } from "../config/config.ts";
import { parseConfig } from "../config/load.ts";
import type { Problem } from "../config/problem.ts";
import { expectationFaults, openDecisions } from "../decisions.ts";
import { copiesOf } from "../list-keeper.ts";
import { type OperationsLog, operationsLog } from "../log/operations.ts";
import { notYet } from "../not-yet.ts";
import { neverProblems, ruleProblems } from "../rules/problems.ts";

/** What would be said of this text, were it the file at `path`. Files it names are read, nothing is downloaded. */
export async function checkText(text: string, path: string | null): Promise<ConfigCheck> {
  const result = parseConfig(text, path);
  if (result.kind === "invalid") return { ok: false, problems: result.problems.map(shown), warnings: [] };
  const log = operationsLog("silent", () => {}, false);
  const refusals = await refusalsOf(result.config, log);
  return {
    ok: refusals.length === 0,
    problems: refusals.map((message) => ({ message, line: null, column: null })),
    warnings: result.warnings.map(shown),
  };
}

/** Why a configuration without a problem in its text is not served all the same: what is not there yet, rules that cannot hold, expectations. */
export async function refusalsOf(config: Config, log: OperationsLog): Promise<string[]> {
  const missing = [...notYet(config), ...ruleProblems(config.rules), ...neverProblems(config.upstreams.groups)];
  if (missing.length > 0) return missing;
  const decisions = await openDecisions(config, { copies: copiesOf(config), log });
  return expectationFaults(decisions, config, log);
}

function shown({ message, fix, line, column }: Problem): ConfigProblem {
  return { message: `${message}; ${fix}`, line, column };
}
