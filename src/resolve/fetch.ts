import { LRUCache } from "lru-cache";
import { emptyAnswer, toNodata } from "../answers/negative.ts";
import { cacheKey } from "../cache/key.ts";
import { isFresh } from "../cache/lifetime.ts";
import { type Answer, type AnswerOutcome, addressesOf, outcomeOf, recordsOf } from "../dns/answer.ts";
import type { ExtendedError } from "../dns/edns.ts";
import type { Name } from "../dns/name.ts";
import type { Question } from "../dns/query.ts";
import { EDE, RCODE, rcodeName, TYPE } from "../dns/types.ts";
import { QueryDeadline, withinMs } from "../lib/deadline.ts";
import type { Group } from "../upstreams/group.ts";
import { requesterOf } from "../upstreams/route-guard.ts";
import { type Attempt, type ExchangeOptions, UpstreamError, type UpstreamFailure } from "../upstreams/upstream.ts";
import { isForged, voidError } from "./classify.ts";
import type { FetchRequest, FetchResult, PendingFetch, Resolver } from "./types.ts";

/**
 * Asks the group, checks what it says about the name's existence, and keeps the answer. Whoever asks the same meanwhile waits for this
 * result, unless the question comes from where it might have been sent, or must not go to the group at all. Settled by the deadline of
 * whoever asked first.
 */
export function fetchAnswer(resolver: Resolver, order: FetchRequest): PendingFetch {
  const group = resolver.groups.get(order.route);
  if (order.origin !== null && group.bars(order.origin)) return askUpstream(resolver, order, group);
  if (group.leaks.reason(order.question, requesterOf(order)) !== null) return askUpstream(resolver, order, group);
  const joined = resolver.singleFlight.join(order.key, () => askUpstream(resolver, order, group));
  if (joined !== null) return joined;
  const result = failedBy(order, new UpstreamError("exhausted", order.route, "too many questions are under way"), []);
  return { result: Promise.resolve(result), attemptsSoFar: () => [] };
}

function askUpstream(resolver: Resolver, order: FetchRequest, group: Group): PendingFetch {
  let attemptsSoFar: PendingFetch["attemptsSoFar"] = () => [];
  const onBegun = (begun: PendingFetch["attemptsSoFar"]): void => {
    attemptsSoFar = begun;
  };
  return { result: askGroup(resolver, order, { group, onBegun }), attemptsSoFar: () => attemptsSoFar() };
}

async function askGroup(
  resolver: Resolver,
  order: FetchRequest,
  { group, onBegun }: { readonly group: Group } & Required<Pick<ExchangeOptions, "onBegun">>,
): Promise<FetchResult> {
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
      refuses: (given) => isForged(given, resolver.classifier.forged),
      holdSuspects: resolver.classifier.farGroups.has(order.route),
    });
    if (isForged(answer, resolver.classifier.forged))
      return storeResult(resolver, order, { ...failed(order, "void", [voidError(order.route)]), attempts });
    if (outcomeOf(answer) === "failure") return storeResult(resolver, order, { ...refusedBy(order, answer), attempts });
    const believed = await verifyNxdomain(resolver, { order, answer }, fetchAnswer);
    return storeResult(resolver, order, { kind: "answered", ...believed, attempts });
  } catch (error) {
    if (!(error instanceof UpstreamError)) throw error;
    const result = failedBy(order, error, attempts);
    // Neither a loop nor a refusal of ours says anything about the name, and others may ask the same by right.
    return error.failure === "barred" || error.failure === "forbidden" ? result : storeResult(resolver, order, result);
  } finally {
    deadline.lift();
  }
}

// A name with addresses that suddenly has none would make a house lose a site; AAAA is often empty by right.
function doubtsEmpty(resolver: Resolver, { question, route, limits }: FetchRequest): boolean {
  if (question.type === TYPE.A) return true;
  if (question.type !== TYPE.AAAA) return false;
  const held = resolver.cache.peek(cacheKey({ ...question, type: TYPE.A }, route));
  return held === null || outcomeOf(held.answer) !== "positive" || !isFresh(held, limits, resolver.clock.now());
}

function storeResult(resolver: Resolver, { key, route, limits }: FetchRequest, fetched: FetchResult): FetchResult {
  const group = resolver.groups.get(route);
  // A reload has given the name of the route to other servers: this answer is for the query that asked, and for nobody else.
  if (group.isRetired) return fetched;
  const made = fetched.kind === "failed" || fetched.action !== "none";
  const volatile = group.options.volatile || hasVolatileAddress(resolver, fetched.answer);
  // By the sets of the resolver that asked: those of now may be others, if a reload came meanwhile.
  const judgedBy = resolver.classifier.forgedFingerprint;
  const isGuess = fetched.kind === "answered" && fetched.tentative === true;
  resolver.cache.put(key, fetched.answer, {
    limits,
    synthesized: made,
    volatile,
    filterFingerprint: judgedBy,
    tentative: isGuess,
  });
  return fetched;
}

function hasVolatileAddress(resolver: Resolver, answer: Answer): boolean {
  return addressesOf(answer).some((address) => resolver.volatileAddresses.has(address));
}

// What an upstream refuses it refuses us; to the client that is a failure like any other.
function refusedBy(order: FetchRequest, answer: Answer): FetchResult {
  const said = answer.extendedErrors.length > 0 ? answer.extendedErrors : null;
  const text = `${order.route} answered ${rcodeName(answer.rcode)}`;
  return failed(order, "rcode", said ?? [{ code: EDE.NO_REACHABLE_AUTHORITY, text }]);
}

function failedBy(order: FetchRequest, { failure, message: text }: UpstreamError, attempts: readonly Attempt[]): FetchResult {
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
  { question }: FetchRequest,
  failure: UpstreamFailure | "rcode" | "void",
  extendedErrors: readonly ExtendedError[],
): FetchResult {
  return { kind: "failed", answer: { ...emptyAnswer(question, RCODE.SERVFAIL), extendedErrors }, failure, attempts: [] };
}

/** An answer, and whether it was changed before it was believed. */
interface VerifiedAnswer {
  readonly answer: Answer;
  readonly action: "none" | "nxdomain:guarded";
  /** Set where nobody knows whether the name exists: what was good before is better. */
  readonly tentative?: true;
}

/** What came back for an order, before it is believed. */
interface UnverifiedAnswer {
  readonly order: FetchRequest;
  readonly answer: Answer;
}

/** Asks upstream, or joins whoever does. */
type FetchAnswer = (resolver: Resolver, order: FetchRequest) => PendingFetch;

/** Types for which servers and filters are known to invent NXDOMAIN for names that have addresses. */
const DOUBTED_TYPES: ReadonlySet<number> = new Set([TYPE.AAAA, TYPE.SVCB, TYPE.HTTPS]);

/**
 * NXDOMAIN speaks for every type of a name (RFC 8020), so it passes only where the name is not known to
 * exist, and for the types where it is often a lie only after A of the name has been asked. In a chain of aliases all this
 * concerns the last name (RFC 2308 §2.1, RFC 6604 §3).
 */
async function verifyNxdomain(resolver: Resolver, suspect: UnverifiedAnswer, fetchAnswer: FetchAnswer): Promise<VerifiedAnswer> {
  const { order, answer } = suspect;
  if (outcomeOf(answer) !== "nxdomain" || isVerifiable(resolver, order.question, answer)) return { answer, action: "none" };
  const proof = proofOfExistence(resolver, order, answer.chainEnd);
  if (proof !== null) return guarded(answer, proof);
  if (!DOUBTED_TYPES.has(order.question.type)) return { answer, action: "none" };
  const addresses = await outcomeOfAddresses(resolver, suspect, fetchAnswer);
  switch (addresses) {
    case "nxdomain":
      return { answer, action: "none" };
    case "failure":
      return { ...guarded(answer, "A of the name could not be had", order.limits.negative.minSeconds), tentative: true };
    default:
      return guarded(answer, "A says that the name exists");
  }
}

/** What an NXDOMAIN was held for, and the limits of the rule at hand. */
type Hit = Pick<FetchRequest, "question" | "route" | "limits">;

/**
 * The same for an NXDOMAIN that is held: what the hosts table has may have changed since it came, and of the many aliases that may end at one name
 * the cache remembers a bounded number, so proof for that name does not end all of their denials.
 */
export function verifyHeldNxdomain(resolver: Pick<Resolver, "decider" | "cache">, hit: Hit, answer: Answer): VerifiedAnswer {
  if (outcomeOf(answer) !== "nxdomain" || isVerifiable(resolver, hit.question, answer)) return { answer, action: "none" };
  const proof = proofOfExistence(resolver, hit, answer.chainEnd);
  return proof === null ? { answer, action: "none" } : guarded(answer, proof);
}

/** How the name is known to exist, without asking anybody; null = it is not. */
function proofOfExistence({ decider, cache }: Pick<Resolver, "decider" | "cache">, hit: Hit, name: Name): string | null {
  if (decider.hasHost(name)) return "the hosts table has the name";
  const place = { class: hit.question.class, route: hit.route };
  return cache.provesExistence(name, place, hit.limits) ? "other types of the name exist" : null;
}

/** Denial that whoever asked can verify is left for them to judge, but of names of the hosts table: it would speak of their addresses too. */
function isVerifiable({ decider }: Pick<Resolver, "decider">, { dnssecOk }: Question, answer: Answer): boolean {
  if (!dnssecOk || !answer.signed || decider.hasHost(answer.chainEnd)) return false;
  return recordsOf(answer).some(({ type }) => type === TYPE.NSEC || type === TYPE.NSEC3);
}

/** What A of the chain's last name comes to on the same route, held or asked. */
async function outcomeOfAddresses(
  resolver: Resolver,
  { order, answer }: UnverifiedAnswer,
  fetchAnswer: FetchAnswer,
): Promise<AnswerOutcome> {
  const question = { ...order.question, name: nameToAsk(resolver, order, answer), type: TYPE.A };
  const key = cacheKey(question, order.route);
  const nowMs = resolver.clock.now();
  const held = resolver.cache.peek(key);
  if (held !== null && isFresh(held, order.limits, nowMs)) return outcomeOf(held.answer);
  const fetched = await withinMs(
    resolver.clock,
    order.deadlineMs - nowMs,
    fetchAnswer(resolver, { ...order, question, key }).result,
  );
  return fetched === null || fetched.kind === "failed" ? "failure" : outcomeOf(fetched.answer);
}

// Where the chain leads to a name that must not be sent there, its beginning is asked again: A of that leads to the same end.
function nameToAsk({ groups }: Resolver, order: FetchRequest, { chainEnd }: Answer): Name {
  const atEnd = { ...order.question, name: chainEnd, type: TYPE.A };
  return groups.get(order.route).leaks.reason(atEnd, requesterOf(order)) === null ? chainEnd : order.question.name;
}

function guarded(nxdomain: Answer, reason: string, ttlSeconds: number | null = null): VerifiedAnswer {
  const answer = toNodata(nxdomain, ttlSeconds);
  return {
    answer: { ...answer, extendedErrors: [{ code: EDE.OTHER, text: `NXDOMAIN not believed: ${reason}` }] },
    action: "nxdomain:guarded",
  };
}

/**
 * Equal work under way is done once: whoever asks for a key that is already being worked on waits for that result.
 * The table is bounded; beyond `limit` work is refused rather than queued.
 */
export class SingleFlight<Key, Work extends Flight> {
  readonly #limit: number;
  readonly #underWay = new Map<Key, Work>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** @returns null where there is no more room. */
  join(key: Key, start: () => Work): Work | null {
    const running = this.#underWay.get(key);
    if (running !== undefined) return running;
    if (this.#underWay.size >= this.#limit) return null;
    const flight = start();
    this.#underWay.set(key, flight);
    const land = () => void this.#underWay.delete(key);
    flight.result.then(land, land);
    return flight;
  }

  get size(): number {
    return this.#underWay.size;
  }
}

/** Work under way. */
export interface Flight {
  readonly result: Promise<unknown>;
}

/** Keys remembered at most; one that was forgotten may be tried again sooner. */
const MAX_TRIES = 16_384;

/**
 * When the refresh of a troubled answer was last tried in the background. While its upstream is down a stale answer is given at once,
 * and no more than one question in `recheckMs` goes out for it (RFC 8767 §5).
 */
export class RefreshThrottle {
  readonly #triedAtMs = new LRUCache<string, number>({ max: MAX_TRIES });

  /** Whether the last try is `recheckMs` ago; if so, this counts as the next try. */
  take(key: string, nowMs: number, recheckMs: number): boolean {
    if (nowMs < (this.#triedAtMs.get(key) ?? Number.NEGATIVE_INFINITY) + recheckMs) return false;
    this.#triedAtMs.set(key, nowMs);
    return true;
  }

  /** An upstream is back: everything may be tried. */
  clear(): void {
    this.#triedAtMs.clear();
  }
}
