import { type QueryOutcome, queryOutcome } from "../../src/log/outcome.ts";
import type { QueryRecord, UpstreamGroup } from "../api/calls.ts";
import type { Filter } from "../routes.ts";
import { words } from "../words/words.ts";

/** Where each group is, for `queryOutcome`. */
type Sides = Readonly<Record<string, UpstreamGroup["side"]>>;

export function sidesOf(groups: readonly UpstreamGroup[]): Sides {
  return Object.fromEntries(groups.map(({ name, side }) => [name, side]));
}

const TONES: Readonly<Record<QueryOutcome, string>> = {
  cache: "",
  local: "",
  rule: "soft",
  near: "",
  far: "",
  stale: "care",
  failed: "bad",
  refused: "bad",
};

/** The class of the colour of a record's end. */
export function toneOf(record: QueryRecord, sides: Sides): string {
  return TONES[queryOutcome(record, sides)];
}

/** What the client was told, in a word. Where a rule blocks, what stands in the reply would read as if all were well. */
export function endOf({ action, rcode }: Pick<QueryRecord, "action" | "rcode">): string {
  return action === "block" ? words().queries.blocked : (rcode ?? words().queries.silence);
}

/** The filters that find the queries of an outcome; null = there is no group of that side. */
export function filtersOfOutcome(outcome: QueryOutcome, groups: readonly UpstreamGroup[]): readonly Filter[] | null {
  switch (outcome) {
    case "local":
      return ["hosts", "special"].map((value) => ({ key: "source", value }));
    case "failed":
      return [{ key: "rcode", value: "SERVFAIL" }];
    case "near":
    case "far": {
      const own = groups.filter(({ side }) => side === outcome).map(({ name }) => ({ key: "upstream" as const, value: name }));
      return own.length === 0 ? null : [{ key: "source", value: "upstream" }, ...own];
    }
    default:
      return [{ key: "source", value: outcome }];
  }
}

/** Why it went so, in one line: the rule with the list and line, else the action. */
export function whyOf({ rule, list, line, action }: Pick<QueryRecord, "rule" | "list" | "line" | "action">): string {
  const place = list === null ? "" : `·${list}${line === null ? "" : `:${line}`}`;
  const why = rule === null ? "" : `${rule}${place}`;
  return action === "none" || action === "block" ? why : `${action} ${why}`.trim();
}
