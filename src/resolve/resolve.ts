/**
 * The spine: from a query to the answer that will be sent. `server/pipeline.ts` calls `resolve` for every query that may be answered; `control/` uses
 * single stages to explain a query.
 *
 * Reading order: `types.ts` (what the stages share), this file, `forward.ts` (cache, stale answers), `fetch.ts` (asking a group once, verifying
 * NXDOMAIN). Then, as needed: `compare.ts` (near and far group) with `classify.ts` and `verdicts.ts`; `filters.ts` (service bindings, rebinding),
 * `families.ts` (`prefer-ipv4`), `alias.ts` and `local-answer.ts` (answers without an upstream), `client-subnet.ts` (ECS).
 */
import { nodataAnswer } from "../answers/negative.ts";
import type { Query } from "../dns/query.ts";
import { EDE } from "../dns/types.ts";
import type { Client } from "../lib/client.ts";
import { unreachable } from "../lib/unreachable.ts";
import { preferenceFor, typeFilter } from "../rules/decider.ts";
import { type FilterAction, MAX_ALIASES, type ReplyDecision } from "../rules/decision.ts";
import { type Alias, answerTooManyAliases, prependAlias, queryForTarget } from "./alias.ts";
import { scopeOfReply } from "./client-subnet.ts";
import { compare } from "./compare.ts";
import { preferFamily, queryOfType } from "./families.ts";
import { BINDING_TYPES, editServiceBindings, guardRebinding, replaceChosen } from "./filters.ts";
import { forward } from "./forward.ts";
import { localAnswer, resolveLocally } from "./local-answer.ts";
import type { QueryInProgress, Resolution, Resolver, UpstreamQuery } from "./types.ts";

/**
 * Resolves a query. Returns a promise only when an upstream has to answer first; the promise settles by `untilMs` and rejects only for a bug.
 */
export function resolve(
  resolver: Resolver,
  query: Query,
  asked: Pick<Step, "client" | "mayWait" | "untilMs">,
): Resolution | Promise<Resolution> {
  return decideAndAnswer(resolver, { query, ...asked, aliases: 0, ignoresPreference: false });
}

interface Step {
  readonly query: Query;
  readonly client: Client;
  /** See `QueryInProgress`. */
  readonly mayWait: boolean;
  readonly untilMs: number;
  /** How many aliases of the hosts table led to this query. */
  readonly aliases: number;
  /** Set for the query of a preferred address family, whose own type is never withheld. */
  readonly ignoresPreference: boolean;
}

function decideAndAnswer(resolver: Resolver, step: Step): Resolution | Promise<Resolution> {
  const { query, client, mayWait, untilMs } = step;
  const decision = resolver.decider.decide(query, client);
  switch (decision.kind) {
    case "reply":
      return decision.answer.kind === "alias"
        ? followAlias(resolver, { query, client, mayWait, untilMs, decision }, { alias: decision.answer, aliases: step.aliases })
        : answerLocally(query, decision);
    case "forward":
    case "compare": {
      const inProgress = { query, client, mayWait, untilMs, decision };
      const preference = step.ignoresPreference ? null : preferenceFor(resolver, inProgress);
      if (preference === null) return answerFromUpstream(resolver, inProgress);
      const preferred = { ...step, query: queryOfType(query, preference.preferred), ignoresPreference: true };
      return preferFamily(resolver, inProgress, {
        preferred: decideAndAnswer(resolver, preferred),
        ask: () => answerFromUpstream(resolver, inProgress),
        withhold: () => answerFiltered(inProgress, preference.action),
      });
    }
    case "drop":
      return resolveLocally(decision, { source: "rule", action: "drop", answer: null, extendedErrors: [] });
    default:
      return unreachable(decision);
  }
}

function followAlias(
  resolver: Resolver,
  inProgress: QueryInProgress<ReplyDecision>,
  { alias, aliases }: { readonly alias: Alias; readonly aliases: number },
): Resolution | Promise<Resolution> {
  const { query, client, mayWait, untilMs } = inProgress;
  if (aliases >= MAX_ALIASES) return answerTooManyAliases(inProgress);
  const asked = { query: queryForTarget(query, alias.target), client, mayWait, untilMs };
  const next = { ...asked, aliases: aliases + 1, ignoresPreference: false };
  const target = decideAndAnswer(resolver, next);
  if (target instanceof Promise) return target.then((late) => prependAlias(inProgress, alias, late));
  return prependAlias(inProgress, alias, target);
}

function answerFromUpstream(resolver: Resolver, inProgress: UpstreamQuery): Resolution | Promise<Resolution> {
  const { query, decision } = inProgress;
  const filter = typeFilter(decision.context.settings.shaping, query.type);
  if (filter !== null) return answerFiltered(inProgress, filter);
  const resolution =
    decision.kind === "forward"
      ? forward(resolver, inProgress, resolver.groups.get(decision.group))
      : compare(resolver, inProgress, decision.compare);
  if (resolution instanceof Promise) return resolution.then((late) => finishAnswer(resolver, inProgress, late));
  return finishAnswer(resolver, inProgress, resolution);
}

/** Applies what depends on the client to an answer of a group. Cached answers stay as the upstream sent them. */
function finishAnswer(resolver: Resolver, inProgress: UpstreamQuery, resolution: Resolution): Resolution {
  const { query } = inProgress;
  const { route, answer } = resolution;
  // Without a route there is only a SERVFAIL.
  if (route === null || answer === null) return resolution;
  const group = resolver.groups.get(route);
  let finished = resolution;
  if (query.clientSubnet !== null) finished = { ...finished, subnetScope: scopeOfReply(inProgress, group) };
  if (BINDING_TYPES.has(query.type)) finished = editServiceBindings(resolver, { inProgress, group }, finished);
  if (answer.answered) finished = guardRebinding(resolver, { inProgress, group }, finished);
  return replaceChosen(resolver, inProgress, finished);
}

function answerLocally(query: Query, decision: ReplyDecision): Resolution {
  const { rule } = decision.context;
  return resolveLocally(decision, {
    source: decision.source,
    action: decision.action,
    answer: localAnswer(query, decision.answer),
    extendedErrors: decision.action === "block" ? [{ code: EDE.BLOCKED, text: rule === null ? "" : `rule ${rule}` }] : [],
  });
}

// RFC 2308 §5, RFC 8020: NXDOMAIN would deny every type of the name, so a type that is switched off gets NODATA.
function answerFiltered({ query, decision }: QueryInProgress, action: FilterAction): Resolution {
  return resolveLocally(decision, {
    source: "rule",
    action,
    answer: nodataAnswer(query, decision.context.settings.shaping.negative.blockSeconds),
    extendedErrors: [{ code: EDE.FILTERED, text: action }],
  });
}
