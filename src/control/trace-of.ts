import { nameText } from "../dns/name.ts";
import { shownUrl } from "../lib/text.ts";
import type { TraceStep } from "../log/record.ts";
import type { Step } from "../rules/decider.ts";

/** What was looked at on the way to a decision, as the log keeps it and explanations show it. */
export function traceOf(steps: readonly Step[]): TraceStep[] {
  return steps.map((step) => {
    if (step.kind === "special") return { kind: "special", zone: nameText(step.zone) };
    if (step.kind !== "rule" || step.match === null) return step;
    return { ...step, match: { ...step.match, source: shownUrl(step.match.source) } };
  });
}
