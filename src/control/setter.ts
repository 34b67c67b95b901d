import type { TraceStep } from "../log/record.ts";
import type { RuleOptions } from "../rules/options.ts";

/** The modifier that an action comes from; null where it comes from none. */
function modifierOf(action: string): "ipv4" | "ipv6" | "https" | null {
  const [kind] = action.split(":");
  if (kind === "ipv4" || kind === "ipv6") return kind;
  return kind === "type64" || kind === "type65" ? "https" : null;
}

/** Who says what the action does: `rule quiet`, or section `answers` where no rule did. Of one modifier the first setting wins. */
export function setterOf(action: string, rules: readonly RuleOptions[], trace: readonly TraceStep[]): string | null {
  const modifier = modifierOf(action);
  if (modifier === null) return null;
  const matching = trace.flatMap((step) => (step.kind === "rule" && HITS.has(step.outcome) ? [step.rule] : []));
  const setter = matching.find((name) => rules.find((rule) => rule.name === name)?.modifiers[modifier] !== undefined);
  return setter === undefined ? "section `answers`" : `rule ${setter}`;
}

const HITS: ReadonlySet<string> = new Set(["decides", "modifies", "closed"]);
