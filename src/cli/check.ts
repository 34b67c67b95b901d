import type { Config } from "../config/config.ts";
import { loadConfig } from "../config/load.ts";
import { printProblems } from "../config/problem.ts";
import { expectationFaults, openDecisions } from "../decisions.ts";
import { copiesOf } from "../list-keeper.ts";
import { operationsLog } from "../log/operations.ts";
import { refusalsOf } from "../refusals.ts";
import { type ListConflict, listConflicts } from "../rules/conflicts.ts";
import { configPath } from "./config-path.ts";
import { conflictNotes } from "./conflict-notes.ts";
import type { Invocation } from "./run.ts";
import { EXIT, type Terminal } from "./terminal.ts";

/** `fenliu check`: everything that `serve` would complain of, and where lists disagree, without opening a socket. */
export async function check({ config: given, json }: Invocation, terminal: Terminal): Promise<number> {
  const path = configPath(given, terminal);
  const result = loadConfig(path);
  const { refusals, conflicts } = result.kind === "ok" ? await examine(result.config, terminal) : NOTHING_FOUND;
  const problems = result.kind === "ok" ? [] : result.problems;
  const warnings = result.kind === "ok" ? result.warnings : [];
  const ok = problems.length + refusals.length === 0;
  if (json) {
    terminal.out(`${JSON.stringify({ file: path, ok, problems, warnings, refusals, conflicts }, null, 2)}\n`);
  } else {
    terminal.err(printProblems([...problems, ...warnings], result.text));
    terminal.err(conflictNotes(conflicts));
    for (const refusal of refusals) terminal.err(`fenliu: ${refusal}\n`);
    if (ok) terminal.out(`${path ?? "the defaults"}: ${verdictWith(warnings.length)}\n`);
  }
  return ok ? EXIT.ok : EXIT.failed;
}

interface Findings {
  /** Why it cannot be served, one sentence each. */
  readonly refusals: readonly string[];
  /** What a person should know, and no fault. */
  readonly conflicts: readonly ListConflict[];
}

const NOTHING_FOUND: Findings = { refusals: [], conflicts: [] };

async function examine(config: Config, terminal: Terminal): Promise<Findings> {
  const log = operationsLog("warn", (line) => terminal.err(line), true);
  const refusals = refusalsOf(config);
  if (refusals.length > 0) return { ...NOTHING_FOUND, refusals };
  const decisions = await openDecisions(config, { copies: copiesOf(config), log });
  return {
    refusals: expectationFaults(decisions, config, log),
    conflicts: listConflicts(config.rules, decisions.lists),
  };
}

function verdictWith(warnings: number): string {
  if (warnings === 0) return "nothing wrong";
  return warnings === 1 ? "usable, with one warning" : `usable, with ${warnings} warnings`;
}
