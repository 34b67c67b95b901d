import { loadConfig } from "../config/load.ts";
import { printProblems } from "../config/reading.ts";
import type { Config } from "../config/types.ts";
import { expectationFaults, openDecisions, type Shortcomings } from "../decisions.ts";
import { copiesOf } from "../lists/cache.ts";
import type { ListStatus } from "../lists/load.ts";
import { refusalsOf } from "../refusals.ts";
import { type ListConflict, listConflicts } from "../rules/conflicts.ts";
import { configPath, warningsText } from "./config-path.ts";
import { conflictNotes } from "./conflict-notes.ts";
import type { Invocation } from "./run.ts";
import { type Shortcoming, shortcomingNotes } from "./shortcomings.ts";
import { EXIT, type Terminal } from "./terminal.ts";

/** `fenliu check`: everything that `serve` would complain of, and where lists disagree, without opening a socket. */
export async function check({ config: given, json }: Invocation, terminal: Terminal): Promise<number> {
  const path = configPath(given, terminal);
  const result = loadConfig(path);
  const { refusals, conflicts, shortcomings, lists } = result.kind === "ok" ? await examine(result.config) : NOTHING_FOUND;
  const problems = result.kind === "ok" ? [] : result.problems;
  const warnings = result.kind === "ok" ? result.warnings : [];
  const ok = problems.length + refusals.length === 0;
  if (json) {
    terminal.out(`${JSON.stringify({ file: path, ok, problems, warnings, refusals, conflicts, shortcomings }, null, 2)}\n`);
  } else {
    terminal.err(result.kind === "ok" ? warningsText(result) : printProblems(problems, result.text));
    terminal.err(shortcomingNotes(shortcomings, lists));
    terminal.err(conflictNotes(conflicts));
    for (const refusal of refusals) terminal.err(`fenliu: ${refusal}\n`);
    if (ok) terminal.out(`${path ?? "the defaults"}: ${verdictWith(warnings.length + shortcomings.length)}\n`);
  }
  return ok ? EXIT.ok : EXIT.failed;
}

interface Findings {
  /** Why it cannot be served, one sentence each. */
  readonly refusals: readonly string[];
  /** What a person should know, and no fault. */
  readonly conflicts: readonly ListConflict[];
  /** What the files that it names hold and cannot be used. */
  readonly shortcomings: readonly Shortcoming[];
  readonly lists: readonly ListStatus[];
}

const NOTHING_FOUND: Findings = { refusals: [], conflicts: [], shortcomings: [], lists: [] };

async function examine(config: Config): Promise<Findings> {
  const shortcomings: Shortcoming[] = [];
  const log: Shortcomings = { warn: (place, text) => void shortcomings.push({ ...place, text }) };
  const refusals = refusalsOf(config);
  if (refusals.length > 0) return { ...NOTHING_FOUND, refusals };
  const decisions = await openDecisions(config, { copies: copiesOf(config), log });
  return {
    refusals: expectationFaults(decisions, config, log),
    conflicts: listConflicts(config.rules, decisions.lists),
    shortcomings,
    lists: decisions.lists.status(),
  };
}

function verdictWith(warnings: number): string {
  if (warnings === 0) return "nothing wrong";
  return warnings === 1 ? "usable, with one warning" : `usable, with ${warnings} warnings`;
}
