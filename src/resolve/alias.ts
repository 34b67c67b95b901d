import { emptyAnswer } from "../answers/negative.ts";
import { render } from "../answers/render.ts";
import { type Answer, indexAnswer, outcomeOf } from "../dns/answer.ts";
import { type Name, nameWire } from "../dns/name.ts";
import type { Query } from "../dns/query.ts";
import { moveRecords, writeMessage } from "../dns/rebuild.ts";
import { EDE, TYPE } from "../dns/types.ts";
import { type LocalAnswer, MAX_ALIASES, type ReplyDecision } from "../rules/decision.ts";
import { unanswerable } from "./forward.ts";
import type { Resolution } from "./types.ts";

export type Alias = Extract<LocalAnswer, { readonly kind: "alias" }>;

/** The same query for the alias's target, which is decided by its own rules. */
export function queryForTarget(query: Query, target: Name): Query {
  const typeAndClass = query.questionWire.subarray(-4);
  return { ...query, name: target, questionWire: Buffer.concat([nameWire(target), typeAndClass]) };
}

/** Puts the alias before what was found for its target. A failure of the target is the query's; so is silence. */
export function aliased(
  asked: { readonly query: Query; readonly decision: ReplyDecision },
  alias: Alias,
  target: Resolution,
): Resolution {
  const { query, decision } = asked;
  const common = { ...target, decision, authenticated: false };
  if (target.answer === null) return common;
  if (outcomeOf(target.answer) === "failure")
    return { ...common, answer: emptyAnswer(query, target.answer.rcode), ttl: { kind: "failure" } };
  const answer = withAlias(query, alias, target);
  if (answer === null)
    return unanswerable(asked, { code: EDE.OTHER, text: "with the alias before it the answer is no message any more" });
  // A stale target makes the whole stale: nobody may keep it for its TTLs.
  const ttl = target.ttl.kind === "stale" ? target.ttl : ({ kind: "keep" } as const);
  return { ...common, source: "hosts", answer, ttl, edits: [...(target.edits ?? []), "put the alias before it"] };
}

/** The hosts table's aliases lead in a circle, or nearly. */
export function tooManyAliases(query: Query, decision: ReplyDecision): Resolution {
  return unanswerable({ query, decision }, { code: EDE.OTHER, text: `more than ${MAX_ALIASES} aliases in the hosts table` });
}

/** null where the target's answer leaves no room for the alias, or takes more work to read than one message is worth. */
function withAlias(query: Query, alias: Alias, { answer, ttl }: Resolution): Answer | null {
  if (answer === null) throw new Error("an alias without an answer for its target");
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
