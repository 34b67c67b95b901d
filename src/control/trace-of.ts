import { nameText } from "../dns/name.ts";
import type { TraceStep } from "../log/trace.ts";
import type { Step } from "../rules/trace.ts";

/** What was looked at on the way to a decision, as the log keeps it and explanations show it. */
export function traceOf(steps: readonly Step[]): TraceStep[] {
  return steps.map((step) => (step.kind === "special" ? { kind: "special", zone: nameText(step.zone) } : step));
}
