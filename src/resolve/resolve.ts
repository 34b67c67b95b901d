import { nodataAnswer } from "../answers/negative.ts";
import type { Query } from "../dns/query.ts";
import { EDE } from "../dns/types.ts";
import type { Client } from "../lib/client.ts";
import { unreachable } from "../lib/unreachable.ts";
import {
  type CompareDecision,
  type Decision,
  type DropDecision,
  type FilterAction,
  type ForwardDecision,
  MAX_ALIASES,
  type ReplyDecision,
  typeFilter,
} from "../rules/decision.ts";
import { type Alias, aliased, queryForTarget, tooManyAliases } from "./alias.ts";
import { compare } from "./compare.ts";
import { choose, type Preference, preferenceFor, queryOfType } from "./families.ts";
import { BINDING_TYPES, withBindingsEdited, withoutRebinding } from "./filters.ts";
import { forward } from "./forward.ts";
import { localAnswer } from "./local-answer.ts";
import type { Resolution, Resolver } from "./types.ts";

/** A query on its way, with what every stage may need to know of it. */
export interface QueryInProgress<D extends Decision = Decision> {
  readonly query: Query;
  readonly client: Client;
  readonly decision: D;
}

/**
 * The spine: what becomes of a query, from the decision to the answer that will be sent. Synchronous where nobody has to be asked.
 * Never rejects for anything the network does; a promise is settled by the resolver's deadline.
 */
export function resolve(resolver: Resolver, query: Query, client: Client): Resolution | Promise<Resolution> {
  return walk(resolver, { query, client }, 0);
}

type Walker = Pick<QueryInProgress, "query" | "client"> & {
  /** Set where another query's fate hangs on this one: it is given whatever is preferred to its own type. */
  readonly isPreferred?: boolean;
};

function walk(resolver: Resolver, walker: Walker, aliases: number): Resolution | Promise<Resolution> {
  const { query, client } = walker;
  const decision = resolver.decider.decide(query, client);
  switch (decision.kind) {
    case "reply":
      return decision.answer.kind === "alias"
        ? follow(resolver, { query, client, decision }, { alias: decision.answer, aliases })
        : replied(query, decision);
    case "forward":
    case "compare": {
      const asked = { query, client, decision };
      const preference = walker.isPreferred === true ? null : preferenceFor(resolver, asked);
      return preference === null ? sent(resolver, asked) : preferring(resolver, asked, { preference, aliases });
    }
    case "drop":
      return unanswered(decision);
    default:
      return unreachable(decision);
  }
}

function follow(
  resolver: Resolver,
  asked: QueryInProgress<ReplyDecision>,
  { alias, aliases }: { readonly alias: Alias; readonly aliases: number },
): Resolution | Promise<Resolution> {
  if (aliases >= MAX_ALIASES) return tooManyAliases(asked.query, asked.decision);
  const target = walk(resolver, { query: queryForTarget(asked.query, alias.target), client: asked.client }, aliases + 1);
  return target instanceof Promise ? target.then((found) => aliased(asked, alias, found)) : aliased(asked, alias, target);
}

function preferring(
  resolver: Resolver,
  asked: QueryInProgress<ForwardDecision | CompareDecision>,
  { preference, aliases }: { readonly preference: Preference; readonly aliases: number },
): Resolution | Promise<Resolution> {
  const other = { query: queryOfType(asked.query, preference.preferred), client: asked.client, isPreferred: true };
  return choose(resolver, {
    asked,
    preferred: () => walk(resolver, other, aliases),
    given: () => sent(resolver, asked),
    withheld: () => filtered(asked, preference.action),
  });
}

function sent(
  resolver: Resolver,
  { decision, ...rest }: QueryInProgress<ForwardDecision | CompareDecision>,
): Resolution | Promise<Resolution> {
  const asked = { ...rest, decision };
  const resolution =
    decision.kind === "forward" ? forwarded(resolver, { ...rest, decision }) : compared(resolver, { ...rest, decision });
  if (resolution instanceof Promise) return resolution.then((late) => withoutRebinding(resolver, asked, late));
  return withoutRebinding(resolver, asked, resolution);
}

function forwarded(resolver: Resolver, asked: QueryInProgress<ForwardDecision>): Resolution | Promise<Resolution> {
  const filter = typeFilter(asked.decision.context.settings.shaping, asked.query.type);
  if (filter !== null) return filtered(asked, filter);
  const resolution = forward(resolver, asked);
  if (!BINDING_TYPES.has(asked.query.type)) return resolution;
  if (resolution instanceof Promise) return resolution.then((late) => withBindingsEdited(resolver, asked, late));
  return withBindingsEdited(resolver, asked, resolution);
}

function compared(resolver: Resolver, asked: QueryInProgress<CompareDecision>): Resolution | Promise<Resolution> {
  const filter = typeFilter(asked.decision.context.settings.shaping, asked.query.type);
  return filter === null ? compare(resolver, asked) : filtered(asked, filter);
}

function replied(query: Query, decision: ReplyDecision): Resolution {
  const blocked = decision.action === "block";
  return {
    ...made(decision),
    source: decision.source,
    action: decision.action,
    answer: localAnswer(query, decision.answer),
    extendedErrors: blocked
      ? [{ code: EDE.BLOCKED, text: decision.context.rule === null ? "" : `rule ${decision.context.rule}` }]
      : [],
  };
}

// RFC 2308 §5, RFC 8020: NXDOMAIN would speak for every type of the name, so a type that is switched off is NODATA.
function filtered({ query, decision }: QueryInProgress, filter: FilterAction): Resolution {
  return {
    ...made(decision),
    source: "rule",
    action: filter,
    answer: nodataAnswer(query, decision.context.settings.shaping.negative.blockSeconds),
    extendedErrors: [{ code: EDE.FILTERED, text: filter }],
  };
}

function unanswered(decision: DropDecision): Resolution {
  return { ...made(decision), source: "rule", action: "drop", answer: null, extendedErrors: [] };
}

/** The parts common to everything that is answered here. */
function made(decision: Decision) {
  return { decision, route: null, ttl: { kind: "keep" }, authenticated: false, attempts: [] } as const;
}
