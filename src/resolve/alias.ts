import { emptyAnswer } from "../answers/negative.ts";
import { render } from "../answers/render.ts";
import { type Answer, indexAnswer, outcomeOf } from "../dns/answer.ts";
import { type Name, nameWire } from "../dns/name.ts";
import type { Query } from "../dns/query.ts";
import { moveRecords, writeMessage } from "../dns/rebuild.ts";
import { EDE, TYPE } from "../dns/types.ts";
import { type LocalAnswer, MAX_ALIASES, type ReplyDecision } from "../rules/decision.ts";
import { answerServfail } from "./local-answer.ts";
import type { QueryInProgress, Resolution } from "./types.ts";

export type Alias = Extract<LocalAnswer, { readonly kind: "alias" }>;

/** The same query for the target of an alias. The target has a decision of its own. */
export function queryForTarget(query: Query, target: Name): Query {
  const typeAndClass = query.questionWire.subarray(-4);
  return { ...query, name: target, questionWire: Buffer.concat([nameWire(target), typeAndClass]) };
}

/** Puts the alias before the answer for its target. A failure of the target is a failure of the query, and so is silence. */
export function prependAlias(
  inProgress: Pick<QueryInProgress<ReplyDecision>, "query" | "decision">,
  alias: Alias,
  target: Resolution,
): Resolution {
  const { query, decision } = inProgress;
  const common = { ...target, decision, authenticated: false };
  if (target.answer === null) return common;
  if (outcomeOf(target.answer) === "failure")
    return { ...common, answer: emptyAnswer(query, target.answer.rcode), ttl: { kind: "failure" } };
  const answer = encodeWithAlias({ query, alias }, target.answer, target.ttl);
  if (answer === null)
    return answerServfail(inProgress, { code: EDE.OTHER, text: "with the alias before it the answer is no message any more" });
  // A stale target makes the whole answer stale: its TTLs must not be used.
  const ttl = target.ttl.kind === "stale" ? target.ttl : ({ kind: "keep" } as const);
  return { ...common, source: decision.source, answer, ttl, edits: [...(target.edits ?? []), "put the alias before it"] };
}

/** SERVFAIL: the aliases of the hosts table and of rules form a circle, or a chain that is too long. */
export function answerTooManyAliases(inProgress: QueryInProgress<ReplyDecision>): Resolution {
  return answerServfail(inProgress, { code: EDE.OTHER, text: `more than ${MAX_ALIASES} aliases one after the other` });
}

/** Returns null if the message would be too long, or is too costly to read. */
function encodeWithAlias(
  { query, alias }: { readonly query: Query; readonly alias: Alias },
  answer: Answer,
  ttl: Resolution["ttl"],
): Answer | null {
  const sending = { ttl, authenticated: false, extendedErrors: [], limitBytes: 0xffff, encrypted: false };
  const rendered = render({ ...sending, query: queryForTarget(query, alias.target), answer });
  const target = indexAnswer(rendered.wire);
  if (target === null) return null;
  const { name, type, class: klass } = query;
  const cname = { section: "answer", owner: name, type: TYPE.CNAME, class: klass } as const;
  const wire = writeMessage({ header: target.wire, name, type, class: klass }, [
    { ...cname, ttlSeconds: alias.ttlSeconds, data: [alias.target] },
    ...moveRecords(target),
  ]);
  return wire === null ? null : indexAnswer(wire);
}
