import { addSoa, negativeAnswer } from "../answers/negative.ts";
import type { Held } from "../cache/entry.ts";
import { type CacheKey, cacheKey } from "../cache/key.ts";
import { ageSeconds, freshness, isFresh, isStaleAtOnce, lifetimeSeconds, shouldPrefetch } from "../cache/lifetime.ts";
import type { StaleOptions } from "../cache/options.ts";
import { type Answer, outcomeOf } from "../dns/answer.ts";
import type { Question } from "../dns/query.ts";
import { EDE, RCODE } from "../dns/types.ts";
import { awaitWithin } from "../lib/deadline.ts";
import type { Group } from "../upstreams/group.ts";
import type { Attempt } from "../upstreams/upstream.ts";
import { isVoid } from "./classify.ts";
import { subnetToSend } from "./client-subnet.ts";
import { disproveCachedNxdomain, fetchAnswer, guardNxdomain } from "./fetch.ts";
import { answerServfail, resolveLocally } from "./local-answer.ts";
import type { FetchRequest, FetchResult, Resolution, Resolver, UpstreamQuery } from "./types.ts";

/** Answers from the cache, else from the group, else with a stale answer when the group fails or is slow. */
export function forward(resolver: Resolver, inProgress: UpstreamQuery, group: Group): Resolution | Promise<Resolution> {
  const { shaping, stale } = inProgress.decision.context.settings;
  const question = upstreamQuestion(inProgress, group);
  const key = cacheKey(question, group.label);
  const held = findHeld(resolver, key, group);
  if (held === null) {
    if (!inProgress.mayWait) return shed(inProgress, group);
    return fetchAndAnswer(resolver, inProgress, fetchRequest(inProgress, { question, key, group }));
  }
  const options = stale ? resolver.stale : null;
  const nowMs = resolver.clock.now();
  const state = freshness(held, { limits: shaping, stale: options, nowMs });
  if (state.kind === "fresh") {
    const untilMs = nowMs + state.remainingSeconds * 1000;
    // Skip the write if the new expiry is less than a second later than the old one: no client was told a longer TTL.
    if (untilMs >= held.advertisedUntilMs + 1000) resolver.cache.extendAdvertised(key, outcomeOf(held.answer), untilMs);
    const fresh = answerFresh(resolver, inProgress, { held, nowMs, remainingSeconds: state.remainingSeconds, question, group });
    if (!resolver.prefetch || !inProgress.mayWait || !isPrefetchDue(resolver, inProgress, { held, nowMs, group })) return fresh;
    resolver.cache.noteRenewal(key);
    return { ...fresh, renewal: fetchAnswer(resolver, fetchRequest(inProgress, { question, key, group })).result };
  }
  const isExpired = state.kind === "expired" || options === null;
  if (!inProgress.mayWait)
    return isExpired ? shed(inProgress, group) : answerStale(inProgress, { held, options, group }, NO_ATTEMPTS);
  const request = fetchRequest(inProgress, { question, key, group });
  if (isExpired) return fetchAndAnswer(resolver, inProgress, request);
  return refresh(resolver, inProgress, { request, held, options });
}

/** A cached answer within its TTL, for a lookup that no client asked for; null = there is none. */
export function peekFresh(resolver: Resolver, inProgress: UpstreamQuery, group: Group): Held | null {
  const held = resolver.cache.peek(cacheKey(upstreamQuestion(inProgress, group), group.label));
  const { shaping } = inProgress.decision.context.settings;
  return held !== null && isFresh(held, shaping, resolver.clock.now()) ? held : null;
}

/** The question as it goes upstream: without a client subnet, unless a rule or the group wants one. */
function upstreamQuestion(inProgress: UpstreamQuery, group: Group): Question {
  const { query } = inProgress;
  const clientSubnet = subnetToSend(inProgress, group);
  return clientSubnet === null && query.clientSubnet === null ? query : { ...query, clientSubnet };
}

/** Looks the key up. An answer with an address that has become known as forged, or that its group no longer takes, is dropped; each answer is checked once for each set of such addresses. */
function findHeld({ cache, classifier }: Resolver, key: CacheKey, { label }: Group): Held | null {
  const held = cache.get(key);
  if (held === null) return null;
  const fingerprint = classifier.fingerprintFor(label);
  if (held.filterFingerprint === fingerprint) return held;
  if (classifier.screen(held.answer, label) !== held.answer) {
    cache.delete(key);
    return null;
  }
  cache.noteFiltered(key, fingerprint);
  return held;
}

function fetchRequest(
  { decision, client, untilMs }: UpstreamQuery,
  { question, key, group }: Pick<FetchRequest, "question" | "key" | "group">,
): FetchRequest {
  return { question, key, group, client, limits: decision.context.settings.shaping, deadlineMs: untilMs };
}

function isPrefetchDue(
  { cache }: Resolver,
  { query, decision }: UpstreamQuery,
  { held, nowMs, group }: { readonly held: Held; readonly nowMs: number; readonly group: Group },
): boolean {
  const limits = decision.context.settings.shaping;
  const nameLives = () => cache.holdsPositive(query.name, { class: query.class, route: group.label }, limits);
  return shouldPrefetch(held, { limits, nowMs, nameLives });
}

/** Too many queries wait already, of this client or in all. Nothing is cached: the refusal says nothing about the name. */
function shed(inProgress: UpstreamQuery, group: Group): Resolution {
  const error = { code: EDE.OTHER, text: "too many queries wait for an answer" };
  return { ...answerServfail(inProgress, error), route: group.label, action: "shed" };
}

function fetchAndAnswer(resolver: Resolver, inProgress: UpstreamQuery, request: FetchRequest): Promise<Resolution> {
  return fetchAnswer(resolver, request).result.then((fetched) => answerFetched(resolver, inProgress, { request, fetched }));
}

interface Refresh {
  readonly request: FetchRequest;
  /** Positive, expired, and within its stale life. */
  readonly held: Held;
  readonly options: StaleOptions;
}

// RFC 8767 §5: the client response timer gives the fresh answer a chance. After a failed refresh the stale answer is sent at once for a while.
async function refresh(resolver: Resolver, inProgress: UpstreamQuery, { request, held, options }: Refresh): Promise<Resolution> {
  const stale = { held, options, group: request.group };
  const nowMs = resolver.clock.now();
  if (isStaleAtOnce(held, options, nowMs)) {
    const isDue = resolver.refreshThrottle.take(request.key, nowMs, options.recheckMs);
    const atOnce = answerStale(inProgress, stale, []);
    return isDue ? { ...atOnce, renewal: fetchAnswer(resolver, request).result } : atOnce;
  }
  const fetch = fetchAnswer(resolver, request);
  const fetched = await awaitWithin(resolver.clock, options.afterMs, fetch.result);
  if (fetched?.kind === "answered" && !fetched.tentative) return answerFetched(resolver, inProgress, { request, fetched });
  if (fetched === null) resolver.cache.noteRefreshFailure(request.key);
  return { ...answerStale(inProgress, stale, fetched?.attempts ?? fetch.attempts()), renewal: fetch.result };
}

interface FreshAnswer {
  readonly held: Held;
  readonly nowMs: number;
  readonly remainingSeconds: number;
  readonly question: Question;
  readonly group: Group;
}

function answerFresh(resolver: Resolver, inProgress: UpstreamQuery, fresh: FreshAnswer): Resolution {
  const { held, nowMs, remainingSeconds, question, group } = fresh;
  let { answer } = held;
  let action = actionOfCached(held);
  if (answer.rcode === RCODE.NXDOMAIN) {
    const limits = inProgress.decision.context.settings.shaping;
    const disproof = disproveCachedNxdomain(resolver, { question, group, limits }, answer);
    if (disproof !== null) {
      answer = guardNxdomain(answer, disproof);
      action = "nxdomain:guarded";
    }
  }
  const source = "cache";
  return answerFromGroup(inProgress, group, {
    source,
    action,
    answer,
    ageSeconds: ageSeconds(held, nowMs),
    remainingSeconds,
    attempts: NO_ATTEMPTS,
    held: question.clientSubnet === null ? held : null,
  });
}

/** The action that led to a cached answer. */
export function actionOfCached({ answer, synthesized }: Pick<Held, "answer" | "synthesized">): string {
  // A synthesized entry with NOERROR stands in place of a forged answer or of an NXDOMAIN; a synthesized failure has its own rcode.
  if (!synthesized || answer.rcode !== RCODE.NOERROR) return "none";
  return isVoid(answer) ? VOID_NODATA : "nxdomain:guarded";
}

/** The action where NODATA stands in place of a forged answer to HTTPS or SVCB. */
const VOID_NODATA = "void:nodata";

const NO_ATTEMPTS: readonly Attempt[] = [];

function answerFetched(
  resolver: Resolver,
  inProgress: UpstreamQuery,
  { request, fetched }: { readonly request: FetchRequest; readonly fetched: FetchResult },
): Resolution {
  const { group, key } = request;
  const { answer, attempts } = fetched;
  if (fetched.kind === "failed" && fetched.failure === "barred") return answerLoop(resolver, inProgress, group);
  if (fetched.kind === "failed" && fetched.failure === "crowded") return shed(inProgress, group);
  // The fetch may be shared, and the limits of the rule that began it may differ from ours.
  const remainingSeconds = lifetimeSeconds(answer, inProgress.decision.context.settings.shaping);
  resolver.cache.extendAdvertised(key, outcomeOf(answer), resolver.clock.now() + remainingSeconds * 1000);
  const isAnswered = fetched.kind === "answered";
  const action = isAnswered ? fetched.action : actionOfFailure(fetched);
  const source = isAnswered ? "upstream" : "failure";
  return answerFromGroup(inProgress, group, { source, action, answer, ageSeconds: 0, remainingSeconds, attempts });
}

function actionOfFailure({ answer, failure }: FetchResult & { readonly kind: "failed" }): string {
  if (failure === "forbidden") return "never";
  return failure === "void" && answer.rcode === RCODE.NOERROR ? VOID_NODATA : "none";
}

interface GroupAnswer extends Pick<Resolution, "source" | "action" | "attempts" | "held"> {
  readonly answer: Answer;
  readonly ageSeconds: number;
  /** How long a negative answer is still valid. */
  readonly remainingSeconds: number;
}

/** Among `Resolution.edits`: the upstream sent no SOA, so the lifetime of the negative answer is ours. */
export const SOA_MADE = "made an SOA";

const WITH_SOA_MADE: readonly string[] = [SOA_MADE];

function droppedEdit(count: number): string {
  return `left out ${count} ${count === 1 ? "record that does" : "records that do"} not belong to the name`;
}

/** Adds an SOA to a negative answer that lacks one, and says what to do to the TTLs. */
function answerFromGroup({ decision }: UpstreamQuery, group: Group, from: GroupAnswer): Resolution {
  const { answer, source, action, attempts, remainingSeconds } = from;
  const outcome = outcomeOf(answer);
  const received: Resolution = {
    decision,
    source,
    route: group.label,
    action,
    answer,
    ttl:
      outcome === "positive"
        ? { kind: "age", ageSeconds: from.ageSeconds, limits: decision.context.settings.shaping.ttl }
        : outcome === "failure"
          ? { kind: "failure" }
          : { kind: "negative", remainingSeconds },
    authenticated: group.encrypted,
    extendedErrors: answer.extendedErrors,
    attempts,
    held: from.held ?? null,
  };
  const resolution = answer.dropped === undefined ? received : { ...received, edits: [droppedEdit(answer.dropped.length)] };
  if (outcome === "positive" || outcome === "failure" || answer.soa !== null) return resolution;
  const edits = resolution.edits === undefined ? WITH_SOA_MADE : [...resolution.edits, SOA_MADE];
  return { ...resolution, answer: addSoa(answer, remainingSeconds), edits };
}

/** A stale answer (RFC 8767 §4). AD does not outlive the TTL of the answer. `attempts` is what was tried first and may still be pending. */
function answerStale(
  { decision }: UpstreamQuery,
  { held, options, group }: Pick<Refresh, "held" | "options"> & { readonly group: Group },
  attempts: readonly Attempt[],
): Resolution {
  return {
    decision,
    source: "stale",
    route: group.label,
    action: "none",
    answer: held.answer,
    ttl: { kind: "stale", ttlSeconds: options.ttlSeconds },
    authenticated: false,
    extendedErrors: [{ code: EDE.STALE, text: "" }],
    attempts,
  };
}

/**
 * The question came from every server that it could go to. Those servers ask us for names that they lack, so the name does not exist, unless it is
 * known to exist in another type or above a hosts name.
 */
function answerLoop({ decider, cache }: Resolver, { query, decision }: UpstreamQuery, group: Group): Resolution {
  const { shaping } = decision.context.settings;
  const scope = { class: query.class, route: group.label };
  const exists = decider.hasHost(query.name) || cache.provesExistence(query.name, scope, shaping);
  const rcode = exists ? RCODE.NOERROR : RCODE.NXDOMAIN;
  const answer = negativeAnswer(query, { rcode, soaOwner: query.name, ttlSeconds: shaping.negative.minSeconds });
  const extendedErrors = [{ code: EDE.OTHER, text: `loop: the question came from the upstream of ${group.label}` }];
  return { ...resolveLocally(decision, { source: "special", action: "loop", answer, extendedErrors }), route: group.label };
}
