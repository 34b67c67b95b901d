import type { ConfigCheck, ConfigProblem } from "../admin/control.ts";
import type { Config } from "../config/config.ts";
import { parseConfig } from "../config/load.ts";
import type { Problem } from "../config/problem.ts";
import { expectationFaults, openDecisions } from "../decisions.ts";
import { copiesOf } from "../list-keeper.ts";
import { operationsLog } from "../log/operations.ts";
import { refusalsOf } from "../refusals.ts";

/** What would be said of this text, were it the file at `path`. Files it names are read, nothing is downloaded. */
export async function checkText(text: string, path: string | null): Promise<ConfigCheck> {
  const result = parseConfig(text, path);
  if (result.kind === "invalid") return { ok: false, problems: result.problems.map(shown), warnings: [] };
  const refusals = await faultsOf(result.config);
  return {
    ok: refusals.length === 0,
    problems: refusals.map((message) => ({ message, line: null, column: null })),
    warnings: result.warnings.map(shown),
  };
}

async function faultsOf(config: Config): Promise<string[]> {
  const refusals = refusalsOf(config);
  if (refusals.length > 0) return refusals;
  const log = operationsLog("silent", () => {}, false);
  const decisions = await openDecisions(config, { copies: copiesOf(config), log });
  return expectationFaults(decisions, config, log);
}

function shown({ message, fix, line, column }: Problem): ConfigProblem {
  return { message: `${message}; ${fix}`, line, column };
}
