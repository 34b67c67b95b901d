import type { Held } from "../cache/entry.ts";
import { type CacheKey, cacheKey } from "../cache/key.ts";
import { freshness, isFresh, isStaleAtOnce, lifetimeSeconds, shouldPrefetch } from "../cache/lifetime.ts";
import type { StaleOptions } from "../cache/options.ts";
import { outcomeOf } from "../dns/answer.ts";
import type { Question } from "../dns/query.ts";
import { withinMs } from "../lib/deadline.ts";
import type { Forward } from "../rules/decision.ts";
import { scopeOfReply, subnetToSend } from "./client-subnet.ts";
import { fetchAnswer } from "./fetch.ts";
import { isForged } from "./judge.ts";
import type { Fetched, Order } from "./order.ts";
import { fromCache, fromStale, fromUpstream, looped } from "./outcomes.ts";
import type { Resolution } from "./resolution.ts";
import type { Asked } from "./resolve.ts";
import type { Resolver } from "./resolver.ts";

/** Answers a question from the cache, or from the group it is sent to, or with what was good before where that fails or takes long. */
export function forward(resolver: Resolver, asked: Asked<Forward>): Resolution | Promise<Resolution> {
  const resolution = answered(resolver, asked);
  if (asked.query.clientSubnet === null) return resolution;
  const subnetScope = scopeOfReply(resolver, asked);
  if (resolution instanceof Promise) return resolution.then((late) => ({ ...late, subnetScope }));
  return { ...resolution, subnetScope };
}

function answered(resolver: Resolver, asked: Asked<Forward>): Resolution | Promise<Resolution> {
  const { decision } = asked;
  const question = upstreamQuestion(resolver, asked);
  const key = cacheKey(question, decision.group);
  const held = heldAnswer(resolver, key);
  if (held === null) return fetchFor(resolver, asked, orderFor(resolver, asked, { question, key }));
  const options = decision.stale ? resolver.stale : null;
  const nowMs = resolver.clock.now();
  const state = freshness(held, { limits: decision.shaping, stale: options, nowMs });
  if (state.kind === "fresh") {
    const untilMs = nowMs + state.remainingSeconds * 1000;
    // Parts of a second are not counted, and no rule of other limits is behind those.
    if (untilMs >= held.promisedUntilMs + 1000) resolver.cache.notePromise(key, outcomeOf(held.answer), untilMs);
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
export function freshlyHeld(resolver: Resolver, asked: Asked<Forward>): Held | null {
  const held = resolver.cache.peek(cacheKey(upstreamQuestion(resolver, asked), asked.decision.group));
  return held !== null && isFresh(held, asked.decision.shaping, resolver.clock.now()) ? held : null;
}

/** What is held, unless it has come to be known for forged since it came. It is looked into once for each set of forged addresses. */
function heldAnswer({ cache, measures }: Resolver, key: CacheKey): Held | null {
  const held = cache.get(key);
  if (held === null || held.judgedBy === measures.forgedFingerprint) return held;
  if (isForged(held.answer, measures.forged)) {
    cache.delete(key);
    return null;
  }
  cache.noteJudged(key, measures.forgedFingerprint);
  return held;
}

function orderFor(
  resolver: Resolver,
  { decision, client }: Asked<Forward>,
  { question, key }: Pick<Order, "question" | "key">,
): Order {
  const deadlineMs = resolver.clock.now() + resolver.deadlineMs;
  const { address: origin, clientId } = client;
  return { question, key, route: decision.group, origin, clientId, limits: decision.shaping, deadlineMs };
}

/** What goes to upstreams: with no subnet, unless a rule or group says otherwise. */
function upstreamQuestion(resolver: Resolver, asked: Asked<Forward>): Question {
  const clientSubnet = subnetToSend(resolver, asked);
  return clientSubnet === null && asked.query.clientSubnet === null ? asked.query : { ...asked.query, clientSubnet };
}

function isToBeRenewed(
  resolver: Resolver,
  { query, decision }: Asked<Forward>,
  { held, nowMs }: { readonly held: Held; readonly nowMs: number },
): boolean {
  const limits = decision.shaping;
  const nameLives = () => resolver.cache.holdsPositive(query.name, { class: query.class, route: decision.group }, limits);
  return resolver.prefetch && shouldPrefetch(held, { limits, nowMs, nameLives });
}

async function fetchFor(resolver: Resolver, asked: Asked<Forward>, order: Order): Promise<Resolution> {
  const fetched = await fetchAnswer(resolver, order).result;
  if (fetched.kind === "failed" && fetched.failure === "barred") return looped(resolver, asked, fetched);
  return given(resolver, asked, { order, fetched });
}

function given(
  resolver: Resolver,
  asked: Asked<Forward>,
  { order, fetched }: { readonly order: Order; readonly fetched: Fetched },
): Resolution {
  // Whoever asked first may have come by a rule of other limits, and it was put with those.
  const untilMs = resolver.clock.now() + lifetimeSeconds(fetched.answer, order.limits) * 1000;
  resolver.cache.notePromise(order.key, outcomeOf(fetched.answer), untilMs);
  return fromUpstream(resolver, asked, fetched);
}

interface Refresh {
  readonly order: Order;
  /** Positive, expired, and still within its stale life. */
  readonly held: Held;
  readonly options: StaleOptions;
}

// RFC 8767 §5: the client response timer gives the fresh answer a chance; after a failure the stale one is given at once for a while.
async function refresh(resolver: Resolver, asked: Asked<Forward>, { order, held, options }: Refresh): Promise<Resolution> {
  const nowMs = resolver.clock.now();
  if (isStaleAtOnce(held, options, nowMs)) {
    if (resolver.rechecks.take(order.key, nowMs)) fetchAnswer(resolver, order);
    return fromStale(asked, { held, options }, []);
  }
  const fetching = fetchAnswer(resolver, order);
  const fetched = await withinMs(resolver.clock, options.afterMs, fetching.result);
  if (fetched?.kind === "answered" && fetched.isGuess !== true) return given(resolver, asked, { order, fetched });
  if (fetched === null) resolver.cache.noteTrouble(order.key);
  return fromStale(asked, { held, options }, fetched?.attempts ?? fetching.attemptsSoFar());
}
