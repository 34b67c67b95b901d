import type { Decisions } from "../decisions.ts";
import type { Question } from "../dns/query.ts";
import { unreachable } from "../lib/unreachable.ts";
import type { ExplainedDecision } from "../log/record.ts";
import { preferenceFor } from "../resolve/families.ts";
import { BINDING_TYPES } from "../resolve/filters.ts";
import { type Asker, type Compare, type Decision, type Forward, typeFilter } from "../rules/decision.ts";
import { localAnswerText } from "./local-answer-text.ts";

/** What the configuration alone says of a question: what is not known without a cache, verdicts and upstreams is left open. */
export type Outlook = Omit<ExplainedDecision, "settings">;

export interface Decided<D extends Decision = Decision> {
  readonly question: Question;
  readonly asker: Asker;
  readonly decision: D;
}

/**
 * `action` is what is done if there is anything to do it to: `ipv6:prefer-ipv4` where AAAA is withheld from names that have A,
 * `type65:strip-ech` where a parameter goes that a record may have.
 */
export function outlookOf(decisions: Pick<Decisions, "decider" | "never">, { decision, ...decided }: Decided): Outlook {
  switch (decision.kind) {
    case "reply": {
      const answer = localAnswerText(decided.question, decision.answer);
      return { ...HERE, kind: "reply", rule: decision.rule, answer, action: decision.action };
    }
    case "drop":
      return { ...HERE, kind: "drop", rule: decision.rule, answer: "drop", action: decision.action };
    case "forward":
    case "compare":
      return sentOutlook(decisions, { ...decided, decision });
    default:
      return unreachable(decision);
  }
}

const HERE = { route: null, near: null, far: null } as const;

function sentOutlook(decisions: Pick<Decisions, "decider" | "never">, decided: Decided<Forward | Compare>): Outlook {
  const { question, asker, decision } = decided;
  const sides = decision.kind === "compare" ? decision.compare : { near: null, far: null };
  const common = { kind: decision.kind, rule: decision.rule, near: sides.near, far: sides.far };
  const filter = typeFilter(decision.shaping, question.type);
  if (filter !== null) return { ...common, route: null, answer: "nodata", action: filter };
  const route = decision.kind === "forward" ? decision.group : null;
  const forbidden = route !== null && decisions.never.forbids(route, question, asker) !== null;
  const preference = preferenceFor(decisions, { query: question, client: asker, decision });
  const action = forbidden ? "never" : (preference?.action ?? strippingOf(decision, question));
  return { ...common, route, answer: null, action };
}

function strippingOf({ shaping }: Forward | Compare, { type }: Question): string {
  return BINDING_TYPES.has(type) && Array.isArray(shaping.https) ? `type${type}:${shaping.https.join(",")}` : "none";
}

/** The groups that a decision sends to; none where it is answered here. */
export function groupsOf(decision: Decision): readonly string[] {
  if (decision.kind === "forward") return [decision.group];
  return decision.kind === "compare" ? [decision.compare.near, decision.compare.far] : [];
}
