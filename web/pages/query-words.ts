import type { QueryRecord } from "../api/calls.ts";

/** The eight ways a query ends, in the order in which bars are stacked. */
export const OUTCOMES = ["cache", "local", "rule", "near", "far", "stale", "failed", "refused"] as const;
export type Outcome = (typeof OUTCOMES)[number];

export const OUTCOME_TONES: Readonly<Record<Outcome, string>> = {
  cache: "",
  local: "",
  rule: "soft",
  near: "",
  far: "",
  stale: "care",
  failed: "bad",
  refused: "bad",
};

/** Why it went so, in one line: the rule with the list and line, else the action. */
export function whyOf({ rule, list, line, action }: Pick<QueryRecord, "rule" | "list" | "line" | "action">): string {
  const place = list === null ? "" : `·${list}${line === null ? "" : `:${line}`}`;
  const why = rule === null ? "" : `${rule}${place}`;
  return action === "none" || action === "block" ? why : `${action} ${why}`.trim();
}
