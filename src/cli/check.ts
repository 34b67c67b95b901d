import type { Config } from "../config/config.ts";
import { loadConfig } from "../config/load.ts";
import { printProblems } from "../config/problem.ts";
import { expectationFaults, openDecisions } from "../decisions.ts";
import { copiesOf } from "../list-keeper.ts";
import { operationsLog } from "../log/operations.ts";
import { notYet } from "../not-yet.ts";
import { neverProblems, ruleProblems } from "../rules/problems.ts";
import { configPath } from "./config-path.ts";
import type { Invocation } from "./run.ts";
import { EXIT, type Terminal } from "./terminal.ts";

/** `fenliu check`: everything that `serve` would complain of, without opening a socket. */
export async function check({ config: given, json }: Invocation, terminal: Terminal): Promise<number> {
  const path = configPath(given, terminal);
  const result = loadConfig(path);
  const refusals = result.kind === "ok" ? await refusalsOf(result.config, terminal) : [];
  const problems = result.kind === "ok" ? [] : result.problems;
  const warnings = result.kind === "ok" ? result.warnings : [];
  const ok = problems.length + refusals.length === 0;
  if (json) {
    terminal.out(`${JSON.stringify({ file: path, ok, problems, warnings, refusals }, null, 2)}\n`);
  } else {
    terminal.err(printProblems([...problems, ...warnings], result.text));
    for (const refusal of refusals) terminal.err(`fenliu: ${refusal}\n`);
    if (ok) terminal.out(`${path ?? "the defaults"}: ${verdictWith(warnings.length)}\n`);
  }
  return ok ? EXIT.ok : EXIT.failed;
}

async function refusalsOf(config: Config, terminal: Terminal): Promise<string[]> {
  const log = operationsLog("warn", (line) => terminal.err(line), true);
  const missing = [...notYet(config), ...ruleProblems(config.rules), ...neverProblems(config.upstreams.groups)];
  if (missing.length > 0) return missing;
  const decisions = await openDecisions(config, { copies: copiesOf(config), log });
  return expectationFaults(decisions, config, log);
}

function verdictWith(warnings: number): string {
  if (warnings === 0) return "nothing wrong";
  return warnings === 1 ? "usable, with one warning" : `usable, with ${warnings} warnings`;
}
