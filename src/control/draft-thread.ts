import { type ConfigResult, parseConfig } from "../config/load.ts";
import type { Problem } from "../config/reading.ts";
import { serveThread } from "../lib/worker.ts";
import type { Draft } from "./drafts.ts";

/** Problems of one draft that are told: a text that is no configuration may have one in every line. */
const MAX_PROBLEMS = 100;

serveThread<DraftCalls>({ read: ({ text, path }) => bounded(parseConfig(text, path)) });

function bounded(result: ConfigResult): ConfigResult {
  return result.kind === "ok"
    ? { ...result, warnings: firstOf(result.warnings) }
    : { ...result, problems: firstOf(result.problems) };
}

function firstOf(problems: readonly Problem[]): readonly Problem[] {
  const next = problems[MAX_PROBLEMS];
  if (next === undefined) return problems;
  const further = { ...next, message: `${problems.length - MAX_PROBLEMS} further problems, the first of them here` };
  return [...problems.slice(0, MAX_PROBLEMS), further];
}

/** What the thread of drafts does. */
export type DraftCalls = {
  readonly read: { readonly argument: Draft; readonly result: ConfigResult };
};
