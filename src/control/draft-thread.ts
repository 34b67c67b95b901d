import { type ConfigResult, parseConfig } from "../config/load.ts";
import type { Problem } from "../config/reading.ts";
import { serveThread } from "../lib/worker.ts";
import type { DraftCalls } from "./drafts.ts";

/** Problems that one check reports: a text that is no configuration may have a problem in every line. */
const MAX_PROBLEMS = 100;

/** What the latest call of `read` read. */
let draft: ConfigResult | null = null;

serveThread<DraftCalls>({
  read: ({ text, path }) => {
    draft = limitProblems(parseConfig(text, path));
    return draft;
  },
  check: async (inForce) => {
    if (draft === null) throw new Error("no draft was read");
    // Only a draft that can be read needs the larger half of the program.
    const { checkDraft } = await import("./drafts.ts");
    return checkDraft(draft, inForce);
  },
});

function limitProblems(result: ConfigResult): ConfigResult {
  return result.kind === "ok"
    ? { ...result, warnings: firstProblems(result.warnings) }
    : { ...result, problems: firstProblems(result.problems) };
}

function firstProblems(problems: readonly Problem[]): readonly Problem[] {
  const next = problems[MAX_PROBLEMS];
  if (next === undefined) return problems;
  const further = { ...next, message: `${problems.length - MAX_PROBLEMS} further problems, the first of them here` };
  return [...problems.slice(0, MAX_PROBLEMS), further];
}
