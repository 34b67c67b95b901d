import { bareAnswer } from "../answers/negative.ts";
import { cacheKey } from "../cache/key.ts";
import { isFresh } from "../cache/lifetime.ts";
import { type Answer, addressesOf, outcomeOf } from "../dns/answer.ts";
import type { ExtendedError } from "../dns/edns.ts";
import { EDE, RCODE, rcodeName, TYPE } from "../dns/types.ts";
import { QueryDeadline } from "../lib/deadline.ts";
import type { Group } from "../upstreams/group.ts";
import { askerOf } from "../upstreams/route-guard.ts";
import { type Attempt, type Errand, UpstreamError, type UpstreamFailure } from "../upstreams/upstream.ts";
import { believe } from "./guard.ts";
import { isForged, voidError } from "./judge.ts";
import type { Fetched, Fetching, Order } from "./order.ts";
import type { Resolver } from "./resolver.ts";

/**
 * Asks the group, checks what it says about the name's existence, and keeps the answer. Whoever asks the same meanwhile waits for this
 * result, unless the question comes from where it might have been sent, or must not go to the group at all. Settled by the deadline of
 * whoever asked first.
 */
export function fetchAnswer(resolver: Resolver, order: Order): Fetching {
  const group = resolver.groups.get(order.route);
  if (order.origin !== null && group.bars(order.origin)) return ask(resolver, order, group);
  if (group.leaks.reason(order.question, askerOf(order)) !== null) return ask(resolver, order, group);
  const joined = resolver.flights.join(order.key, () => ask(resolver, order, group));
  if (joined !== null) return joined;
  const result = failedBy(order, new UpstreamError("exhausted", order.route, "too many questions are under way"), []);
  return { result: Promise.resolve(result), attemptsSoFar: () => [] };
}

function ask(resolver: Resolver, order: Order, group: Group): Fetching {
  let attemptsSoFar: Fetching["attemptsSoFar"] = () => [];
  const onBegun = (begun: Fetching["attemptsSoFar"]): void => {
    attemptsSoFar = begun;
  };
  return { result: askGroup(resolver, order, { group, onBegun }), attemptsSoFar: () => attemptsSoFar() };
}

async function askGroup(
  resolver: Resolver,
  order: Order,
  { group, onBegun }: { readonly group: Group } & Required<Pick<Errand, "onBegun">>,
): Promise<Fetched> {
  const { question, origin, clientId } = order;
  const attempts: Attempt[] = [];
  const deadline = new QueryDeadline(resolver.clock, order.deadlineMs);
  try {
    const answer = await group.exchange(question, {
      signal: deadline.signal,
      attempts,
      onBegun,
      origin,
      clientId,
      doubtsEmpty: doubtsEmpty(resolver, order),
      refuses: (given) => isForged(given, resolver.measures.forged),
      outwaitsForgeries: resolver.measures.farGroups.has(order.route),
    });
    if (isForged(answer, resolver.measures.forged))
      return keep(resolver, order, { ...failed(order, "void", [voidError(order.route)]), attempts });
    if (outcomeOf(answer) === "failure") return keep(resolver, order, { ...refusedBy(order, answer), attempts });
    const believed = await believe(resolver, { order, answer }, fetchAnswer);
    return keep(resolver, order, { kind: "answered", ...believed, attempts });
  } catch (error) {
    if (!(error instanceof UpstreamError)) throw error;
    const result = failedBy(order, error, attempts);
    // Neither a loop nor a refusal of ours says anything about the name, and others may ask the same by right.
    return error.failure === "barred" || error.failure === "forbidden" ? result : keep(resolver, order, result);
  } finally {
    deadline.lift();
  }
}

// A name with addresses that suddenly has none would make a house lose a site; AAAA is often empty by right.
function doubtsEmpty(resolver: Resolver, { question, route, limits }: Order): boolean {
  if (question.type === TYPE.A) return true;
  if (question.type !== TYPE.AAAA) return false;
  const held = resolver.cache.peek(cacheKey({ ...question, type: TYPE.A }, route));
  return held === null || outcomeOf(held.answer) !== "positive" || !isFresh(held, limits, resolver.clock.now());
}

function keep(resolver: Resolver, { key, route, limits }: Order, fetched: Fetched): Fetched {
  const made = fetched.kind === "failed" || fetched.action !== "none";
  const volatile = resolver.groups.get(route).options.volatile || hasVolatileAddress(resolver, fetched.answer);
  // By the sets of the resolver that asked: those of now may be others, if a reload came meanwhile.
  const judgedBy = resolver.measures.forgedFingerprint;
  const isGuess = fetched.kind === "answered" && fetched.isGuess === true;
  resolver.cache.put(key, fetched.answer, { limits, made, volatile, judgedBy, isGuess });
  return fetched;
}

function hasVolatileAddress(resolver: Resolver, answer: Answer): boolean {
  return addressesOf(answer).some((address) => resolver.volatileAddresses.has(address));
}

// What an upstream refuses it refuses us; to the client that is a failure like any other.
function refusedBy(order: Order, answer: Answer): Fetched {
  const said = answer.extendedErrors.length > 0 ? answer.extendedErrors : null;
  const text = `${order.route} answered ${rcodeName(answer.rcode)}`;
  return failed(order, "rcode", said ?? [{ code: EDE.NO_REACHABLE_AUTHORITY, text }]);
}

function failedBy(order: Order, { failure, message: text }: UpstreamError, attempts: readonly Attempt[]): Fetched {
  return { ...failed(order, failure, [{ code: codeOf(failure, attempts), text }]), attempts };
}

/** Ways to fail that are the network's or the configuration's, rather than a server's silence. */
const NETWORK_FAILURES: ReadonlySet<UpstreamFailure | null> = new Set(["refused", "network", "tls", "proxy", "bootstrap"]);

/** RFC 8914 §4.23, §4.24: 23 where every server asked could not so much as be reached, 22 for all else that brought no answer. */
function codeOf(failure: UpstreamFailure, attempts: readonly Attempt[]): number {
  if (failure === "forbidden") return EDE.OTHER;
  const isUnreachable = attempts.length > 0 && attempts.every((attempt) => NETWORK_FAILURES.has(attempt.failure));
  return isUnreachable ? EDE.NETWORK_ERROR : EDE.NO_REACHABLE_AUTHORITY;
}

function failed(
  { question }: Order,
  failure: UpstreamFailure | "rcode" | "void",
  extendedErrors: readonly ExtendedError[],
): Fetched {
  return { kind: "failed", answer: { ...bareAnswer(question, RCODE.SERVFAIL), extendedErrors }, failure, attempts: [] };
}
