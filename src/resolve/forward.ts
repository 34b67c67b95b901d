import { addSoa, emptyAnswer, negativeAnswer } from "../answers/negative.ts";
import type { TtlEdit } from "../answers/render.ts";
import type { Held } from "../cache/entry.ts";
import { type CacheKey, cacheKey } from "../cache/key.ts";
import { ageSeconds, freshness, isFresh, isStaleAtOnce, lifetimeSeconds, shouldPrefetch } from "../cache/lifetime.ts";
import type { StaleOptions } from "../cache/options.ts";
import { type Answer, outcomeOf } from "../dns/answer.ts";
import type { ExtendedError } from "../dns/edns.ts";
import type { Question } from "../dns/query.ts";
import { EDE, RCODE } from "../dns/types.ts";
import { withinMs } from "../lib/deadline.ts";
import { unreachable } from "../lib/unreachable.ts";
import type { ForwardDecision } from "../rules/decision.ts";
import type { Attempt } from "../upstreams/upstream.ts";
import { isForged } from "./classify.ts";
import { scopeOfReply, subnetToSend } from "./client-subnet.ts";
import { fetchAnswer, verifyHeldNxdomain } from "./fetch.ts";
import type { QueryInProgress } from "./resolve.ts";
import type { FetchRequest, FetchResult, Resolution, Resolver } from "./types.ts";

/** Answers a question from the cache, or from the group it is sent to, or with what was good before where that fails or takes long. */
export function forward(resolver: Resolver, asked: QueryInProgress<ForwardDecision>): Resolution | Promise<Resolution> {
  const resolution = answered(resolver, asked);
  if (asked.query.clientSubnet === null) return resolution;
  const subnetScope = scopeOfReply(resolver, asked);
  if (resolution instanceof Promise) return resolution.then((late) => ({ ...late, subnetScope }));
  return { ...resolution, subnetScope };
}

function answered(resolver: Resolver, asked: QueryInProgress<ForwardDecision>): Resolution | Promise<Resolution> {
  const { decision } = asked;
  const question = upstreamQuestion(resolver, asked);
  const key = cacheKey(question, decision.group);
  const held = heldAnswer(resolver, key);
  if (held === null) return fetchFor(resolver, asked, orderFor(resolver, asked, { question, key }));
  const options = decision.context.settings.stale ? resolver.stale : null;
  const nowMs = resolver.clock.now();
  const state = freshness(held, { limits: decision.context.settings.shaping, stale: options, nowMs });
  if (state.kind === "fresh") {
    const untilMs = nowMs + state.remainingSeconds * 1000;
    // Parts of a second are not counted, and no rule of other limits is behind those.
    if (untilMs >= held.advertisedUntilMs + 1000) resolver.cache.extendAdvertised(key, outcomeOf(held.answer), untilMs);
    if (isToBeRenewed(resolver, asked, { held, nowMs })) {
      resolver.cache.noteRenewal(key);
      fetchAnswer(resolver, orderFor(resolver, asked, { question, key }));
    }
    return fromCache(resolver, asked, { held, remainingSeconds: state.remainingSeconds });
  }
  const order = orderFor(resolver, asked, { question, key });
  if (state.kind === "expired" || options === null) return fetchFor(resolver, asked, order);
  return refresh(resolver, asked, { order, held, options });
}

/** What is held and within its TTL, for a look that no client asked for; null = nothing. */
export function freshlyHeld(resolver: Resolver, asked: QueryInProgress<ForwardDecision>): Held | null {
  const held = resolver.cache.peek(cacheKey(upstreamQuestion(resolver, asked), asked.decision.group));
  return held !== null && isFresh(held, asked.decision.context.settings.shaping, resolver.clock.now()) ? held : null;
}

/** What is held, unless it has come to be known for forged since it came. It is looked into once for each set of forged addresses. */
function heldAnswer({ cache, classifier: measures }: Resolver, key: CacheKey): Held | null {
  const held = cache.get(key);
  if (held === null || held.filterFingerprint === measures.forgedFingerprint) return held;
  if (isForged(held.answer, measures.forged)) {
    cache.delete(key);
    return null;
  }
  cache.noteFiltered(key, measures.forgedFingerprint);
  return held;
}

function orderFor(
  resolver: Resolver,
  { decision, client }: QueryInProgress<ForwardDecision>,
  { question, key }: Pick<FetchRequest, "question" | "key">,
): FetchRequest {
  const deadlineMs = resolver.clock.now() + resolver.deadlineMs;
  const { address: origin, clientId } = client;
  return { question, key, route: decision.group, origin, clientId, limits: decision.context.settings.shaping, deadlineMs };
}

/** What goes to upstreams: with no subnet, unless a rule or group says otherwise. */
function upstreamQuestion(resolver: Resolver, asked: QueryInProgress<ForwardDecision>): Question {
  const clientSubnet = subnetToSend(resolver, asked);
  return clientSubnet === null && asked.query.clientSubnet === null ? asked.query : { ...asked.query, clientSubnet };
}

function isToBeRenewed(
  resolver: Resolver,
  { query, decision }: QueryInProgress<ForwardDecision>,
  { held, nowMs }: { readonly held: Held; readonly nowMs: number },
): boolean {
  const limits = decision.context.settings.shaping;
  const nameLives = () => resolver.cache.holdsPositive(query.name, { class: query.class, route: decision.group }, limits);
  return resolver.prefetch && shouldPrefetch(held, { limits, nowMs, nameLives });
}

async function fetchFor(resolver: Resolver, asked: QueryInProgress<ForwardDecision>, order: FetchRequest): Promise<Resolution> {
  const fetched = await fetchAnswer(resolver, order).result;
  if (fetched.kind === "failed" && fetched.failure === "barred") return looped(resolver, asked, fetched);
  return given(resolver, asked, { order, fetched });
}

function given(
  resolver: Resolver,
  asked: QueryInProgress<ForwardDecision>,
  { order, fetched }: { readonly order: FetchRequest; readonly fetched: FetchResult },
): Resolution {
  // Whoever asked first may have come by a rule of other limits, and it was put with those.
  const untilMs = resolver.clock.now() + lifetimeSeconds(fetched.answer, order.limits) * 1000;
  resolver.cache.extendAdvertised(order.key, outcomeOf(fetched.answer), untilMs);
  return fromUpstream(resolver, asked, fetched);
}

interface Refresh {
  readonly order: FetchRequest;
  /** Positive, expired, and still within its stale life. */
  readonly held: Held;
  readonly options: StaleOptions;
}

// RFC 8767 §5: the client response timer gives the fresh answer a chance; after a failure the stale one is given at once for a while.
async function refresh(
  resolver: Resolver,
  asked: QueryInProgress<ForwardDecision>,
  { order, held, options }: Refresh,
): Promise<Resolution> {
  const nowMs = resolver.clock.now();
  if (isStaleAtOnce(held, options, nowMs)) {
    if (resolver.refreshThrottle.take(order.key, nowMs, options.recheckMs)) fetchAnswer(resolver, order);
    return fromStale(asked, { held, options }, []);
  }
  const fetching = fetchAnswer(resolver, order);
  const fetched = await withinMs(resolver.clock, options.afterMs, fetching.result);
  if (fetched?.kind === "answered" && fetched.tentative !== true) return given(resolver, asked, { order, fetched });
  if (fetched === null) resolver.cache.noteRefreshFailure(order.key);
  return fromStale(asked, { held, options }, fetched?.attempts ?? fetching.attemptsSoFar());
}

/** A fresh answer that is held. */
function fromCache(
  resolver: Resolver,
  { query, decision }: QueryInProgress<ForwardDecision>,
  { held, remainingSeconds }: { readonly held: Held; readonly remainingSeconds: number },
): Resolution {
  const age = ageSeconds(held, resolver.clock.now());
  const hit = { question: query, route: decision.group, limits: decision.context.settings.shaping };
  const { answer, action } = verifyHeldNxdomain(resolver, hit, held.answer);
  // What is made here and held is a guarded NXDOMAIN, or a failure, which speaks for itself.
  const isGuarded = held.synthesized && answer.rcode === RCODE.NOERROR;
  return {
    decision,
    source: "cache",
    route: decision.group,
    action: isGuarded ? "nxdomain:guarded" : action,
    ...prepare(answer, { decision, ageSeconds: age, remainingSeconds }),
    authenticated: resolver.groups.get(decision.group).encrypted,
    extendedErrors: answer.extendedErrors,
    attempts: [],
  };
}

/** What a group has just said, or that it said nothing of use. */
function fromUpstream(resolver: Resolver, { decision }: QueryInProgress<ForwardDecision>, fetched: FetchResult): Resolution {
  const remainingSeconds = lifetimeSeconds(fetched.answer, decision.context.settings.shaping);
  return {
    decision,
    source: fetched.kind === "answered" ? "upstream" : "failure",
    route: decision.group,
    action: actionOf(fetched),
    ...prepare(fetched.answer, { decision, ageSeconds: 0, remainingSeconds }),
    authenticated: resolver.groups.get(decision.group).encrypted,
    extendedErrors: fetched.answer.extendedErrors,
    attempts: fetched.attempts,
  };
}

function actionOf(fetched: FetchResult): string {
  if (fetched.kind === "answered") return fetched.action;
  return fetched.failure === "forbidden" ? "never" : "none";
}

/** What was good before (RFC 8767 §4). AD does not outlive the TTL it was given for. `attempts` is what was tried first, be it still under way. */
function fromStale(
  { decision }: QueryInProgress<ForwardDecision>,
  { held, options }: { readonly held: Held; readonly options: StaleOptions },
  attempts: readonly Attempt[],
): Resolution {
  return {
    decision,
    source: "stale",
    route: decision.group,
    action: "none",
    answer: held.answer,
    ttl: { kind: "stale", ttlSeconds: options.ttlSeconds },
    authenticated: false,
    extendedErrors: [{ code: EDE.STALE, text: "" }],
    attempts,
  };
}

/**
 * The question came from every server it could be sent to: those look here for what they lack, so the name is nowhere, unless it is
 * known to exist in another type or above one of the hosts table.
 */
function looped(
  { decider, cache }: Resolver,
  { query, decision }: QueryInProgress<ForwardDecision>,
  fetched: FetchResult,
): Resolution {
  const { group } = decision;
  const { shaping } = decision.context.settings;
  const exists = decider.hasHost(query.name) || cache.provesExistence(query.name, { class: query.class, route: group }, shaping);
  const rcode = exists ? RCODE.NOERROR : RCODE.NXDOMAIN;
  return {
    decision,
    source: "special",
    route: group,
    action: "loop",
    answer: negativeAnswer(query, { rcode, soaOwner: query.name, ttlSeconds: shaping.negative.minSeconds }),
    ttl: { kind: "keep" },
    authenticated: false,
    extendedErrors: [{ code: EDE.OTHER, text: `loop: the question came from the upstream of ${group}` }],
    attempts: fetched.attempts,
  };
}

/** Nothing came for a question that began after its query had waited for something else. */
export function outOfTime(asked: Pick<QueryInProgress, "query" | "decision">): Resolution {
  return unanswerable(asked, { code: EDE.NO_REACHABLE_AUTHORITY, text: "no answer in time" });
}

/** SERVFAIL for a query that nobody was asked about. */
export function unanswerable(
  { query, decision }: Pick<QueryInProgress, "query" | "decision">,
  extendedError: ExtendedError,
): Resolution {
  return {
    decision,
    source: "failure",
    route: null,
    action: "none",
    answer: emptyAnswer(query, RCODE.SERVFAIL),
    ttl: { kind: "failure" },
    authenticated: false,
    extendedErrors: [extendedError],
    attempts: [],
  };
}

interface Preparation {
  readonly decision: ForwardDecision;
  readonly ageSeconds: number;
  /** Of a negative answer: how long it still holds. */
  readonly remainingSeconds: number;
}

type Prepared = Pick<Resolution, "answer" | "ttl" | "edits">;

/** Among `Resolution.edits`: upstream gave no SOA, and how long the negative answer holds is our word. */
export const SOA_MADE = "made an SOA";

const WITH_MADE_SOA: readonly string[] = [SOA_MADE];

/** The answer with an SOA where it lacks one, and what is to be done to its TTLs. */
function prepare(answer: Answer, { decision, ageSeconds, remainingSeconds }: Preparation): Prepared {
  const outcome = outcomeOf(answer);
  switch (outcome) {
    case "positive":
      return { answer, ttl: { kind: "age", ageSeconds, limits: decision.context.settings.shaping.ttl } };
    case "nodata":
    case "nxdomain":
    case "nodataWithoutSoa": {
      const ttl: TtlEdit = { kind: "negative", remainingSeconds };
      return answer.soa === null ? { answer: addSoa(answer, remainingSeconds), ttl, edits: WITH_MADE_SOA } : { answer, ttl };
    }
    case "failure":
      return { answer, ttl: { kind: "failure" } };
    default:
      return unreachable(outcome);
  }
}
