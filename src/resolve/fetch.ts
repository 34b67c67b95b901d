import { setImmediate as nextTurn } from "node:timers/promises";
import { emptyAnswer, toNodata } from "../answers/negative.ts";
import { cacheKey } from "../cache/key.ts";
import { isFresh } from "../cache/lifetime.ts";
import { type Answer, type AnswerOutcome, outcomeOf, recordsOf, someAddress } from "../dns/answer.ts";
import type { ExtendedError } from "../dns/edns.ts";
import type { Name } from "../dns/name.ts";
import { EDE, RCODE, rcodeName, TYPE } from "../dns/types.ts";
import { awaitWithin } from "../lib/deadline.ts";
import { recentlyUsed } from "../lib/recently-used.ts";
import type { Dispatch } from "../upstreams/dispatch.ts";
import type { GroupAdmission } from "../upstreams/group.ts";
import type { MemberReply } from "../upstreams/member.ts";
import { type Attempt, OWN_FAILURES, UpstreamError, type UpstreamFailure } from "../upstreams/upstream.ts";
import { voidAnswer } from "./classify.ts";
import type { FetchRequest, FetchResult, PendingFetch, Resolver } from "./types.ts";

/**
 * Asks the group, verifies an NXDOMAIN, and caches the answer. Equal questions share one fetch, unless the client must not reach every member that
 * the other question may reach. Settles by the deadline of the first request.
 */
export function fetchAnswer(resolver: Resolver, request: FetchRequest): PendingFetch {
  const { group, question, client: requester, key } = request;
  const admission = group.admit(question, { requester, egress: resolver.egress });
  if (admission instanceof UpstreamError) return failAtOnce(request, admission);
  if (!admission.isShareable) return startFetch(resolver, request, admission);
  const joined = resolver.singleFlight.join(key, () => startFetch(resolver, request, admission));
  if (joined === null) return failAtOnce(request, new UpstreamError("crowded", group.label, "too many questions are under way"));
  const { work, place } = joined;
  if (place < CALLERS_AT_ONCE) return work;
  return { ...work, result: work.result.then((result) => afterTurns(Math.floor(place / CALLERS_AT_ONCE), result)) };
}

/** How many callers of one fetch go on in the same moment. Their replies take some 2 ms, on a slow machine 10; more would keep other clients waiting. */
const CALLERS_AT_ONCE = 64;

/** Gives the value after everything else has had so many turns. */
async function afterTurns<T>(turns: number, value: T): Promise<T> {
  for (let turn = 0; turn < turns; turn++) await nextTurn();
  return value;
}

function failAtOnce(request: FetchRequest, error: UpstreamError): PendingFetch {
  return { result: Promise.resolve(failWith(request, error, [])), attempts: () => [] };
}

function startFetch(resolver: Resolver, request: FetchRequest, admission: GroupAdmission): PendingFetch {
  const { group, question, client: requester } = request;
  const { egress, classifier } = resolver;
  try {
    const dispatch = group.dispatch(
      question,
      {
        requester,
        egress,
        doubtsEmpty: doubtsEmpty(resolver, request),
        screen: classifier.screen,
        holdSuspects: classifier.farGroups.has(group.label),
      },
      admission,
    );
    return { result: awaitAnswer(resolver, request, dispatch), attempts: () => dispatch.attempts() };
  } catch (error) {
    if (!(error instanceof UpstreamError)) throw error;
    return failAtOnce(request, error);
  }
}

function awaitAnswer(resolver: Resolver, request: FetchRequest, dispatch: Dispatch): Promise<FetchResult> {
  const { group, deadlineMs } = request;
  const timeUp = (): void => dispatch.cancel(new UpstreamError("aborted", group.label, "no answer in time"));
  const timer = resolver.clock.setTimer(timeUp, Math.max(0, deadlineMs - resolver.clock.now()));
  return dispatch.result.then(
    (reply) => {
      timer.cancel();
      return takeReply(resolver, request, { reply, attempts: dispatch.attempts() });
    },
    (error: unknown) => {
      timer.cancel();
      if (!(error instanceof UpstreamError)) throw error;
      const failure = failWith(request, error, dispatch.attempts());
      return OWN_FAILURES.has(error.failure) ? failure : storeResult(resolver, request, failure);
    },
  );
}

function takeReply(
  resolver: Resolver,
  request: FetchRequest,
  { reply, attempts }: { readonly reply: MemberReply; readonly attempts: readonly Attempt[] },
): FetchResult | Promise<FetchResult> {
  const { answer } = reply;
  if (reply.kind === "good") {
    if (answer.rcode === RCODE.NXDOMAIN) return storeVerified(resolver, request, { answer, attempts });
    return storeResult(resolver, request, { kind: "answered", answer, action: "none", tentative: false, attempts });
  }
  const failure: FetchResult = reply.isForged
    ? {
        kind: "failed",
        answer: voidAnswer(request.question, request.group.label, answer, resolver.classifier.forged),
        failure: "void",
        attempts,
      }
    : { ...failed(request, "rcode", refusalErrors(request, answer)), attempts };
  return storeResult(resolver, request, failure);
}

async function storeVerified(
  resolver: Resolver,
  request: FetchRequest,
  { answer, attempts }: { readonly answer: Answer; readonly attempts: readonly Attempt[] },
): Promise<FetchResult> {
  const verified = await verifyNxdomain(resolver, request, answer);
  return storeResult(resolver, request, { kind: "answered", ...verified, attempts: [...attempts, ...verified.attempts] });
}

// A name with addresses that suddenly has none would cost users a site. AAAA is often empty for good reason, so it is doubted only without a fresh A.
function doubtsEmpty(resolver: Resolver, { question, group, limits }: FetchRequest): boolean {
  if (question.type === TYPE.A) return true;
  if (question.type !== TYPE.AAAA) return false;
  const held = resolver.cache.peek(cacheKey({ ...question, type: TYPE.A }, group.label));
  return held === null || outcomeOf(held.answer) !== "positive" || !isFresh(held, limits, resolver.clock.now());
}

function storeResult(resolver: Resolver, { key, group, limits }: FetchRequest, fetched: FetchResult): FetchResult {
  const { cache, classifier, volatileAddresses } = resolver;
  // A reload has given the name of the group to other servers: this answer is for the query that asked, and for no other query.
  if (group.isRetired) return fetched;
  cache.put(key, fetched.answer, {
    limits,
    synthesized: fetched.kind === "failed" || fetched.action !== "none",
    volatile: group.options.volatile || someAddress(fetched.answer, (address) => volatileAddresses.has(address)),
    // The fingerprint of the resolver that asked: a reload may have changed the sets meanwhile.
    filterFingerprint: classifier.fingerprintFor(group.label),
    tentative: fetched.kind === "failed" || fetched.tentative,
  });
  return fetched;
}

// A refusal is about us, not about the client, so the client gets SERVFAIL with the reasons of the upstream.
function refusalErrors({ group }: FetchRequest, answer: Answer): readonly ExtendedError[] {
  if (answer.extendedErrors.length > 0) return answer.extendedErrors;
  return [{ code: EDE.NO_REACHABLE_AUTHORITY, text: `${group.label} answered ${rcodeName(answer.rcode)}` }];
}

function failWith(request: FetchRequest, { failure, message: text }: UpstreamError, attempts: readonly Attempt[]): FetchResult {
  return { ...failed(request, failure, [{ code: codeOf(failure, attempts), text }]), attempts };
}

/** Failures of the network or the configuration; the others are silence of a server. */
const NETWORK_FAILURES: ReadonlySet<UpstreamFailure | null> = new Set(["refused", "network", "tls", "proxy", "bootstrap"]);

/** RFC 8914 §4.23, §4.24: code 23 when no server could be reached at all, 22 for all other failures. */
function codeOf(failure: UpstreamFailure, attempts: readonly Attempt[]): number {
  if (OWN_FAILURES.has(failure)) return EDE.OTHER;
  const isUnreachable = attempts.length > 0 && attempts.every((attempt) => NETWORK_FAILURES.has(attempt.failure));
  return isUnreachable ? EDE.NETWORK_ERROR : EDE.NO_REACHABLE_AUTHORITY;
}

function failed(
  { question }: FetchRequest,
  failure: UpstreamFailure | "rcode",
  extendedErrors: readonly ExtendedError[],
): FetchResult {
  return { kind: "failed", answer: { ...emptyAnswer(question, RCODE.SERVFAIL), extendedErrors }, failure, attempts: [] };
}

/** `attempts` only those that were made to verify it. */
type VerifiedAnswer = Omit<FetchResult & { readonly kind: "answered" }, "kind">;

/** Types for which some servers and filters invent NXDOMAIN for names that have addresses. */
const DOUBTED_TYPES: ReadonlySet<number> = new Set([TYPE.AAAA, TYPE.SVCB, TYPE.HTTPS]);

/**
 * Turns an NXDOMAIN into NODATA where the name is known to exist: NXDOMAIN speaks for every type of the name (RFC 8020). For the types where
 * NXDOMAIN is often a lie, A of the name is asked first. In a chain of aliases the last name counts (RFC 2308 §2.1, RFC 6604 §3).
 */
function verifyNxdomain(resolver: Resolver, request: FetchRequest, answer: Answer): VerifiedAnswer | Promise<VerifiedAnswer> {
  const asItIs: VerifiedAnswer = { answer, action: "none", tentative: false, attempts: [] };
  if (isLeftToClient(resolver, request, answer)) return asItIs;
  const disproof = findDisproof(resolver, request, answer.chainEnd);
  if (disproof !== null) return { ...asItIs, answer: guardNxdomain(answer, disproof), action: "nxdomain:guarded" };
  return DOUBTED_TYPES.has(request.question.type) ? verifyByAddresses(resolver, request, answer) : asItIs;
}

async function verifyByAddresses(resolver: Resolver, request: FetchRequest, answer: Answer): Promise<VerifiedAnswer> {
  const { outcome, attempts } = await outcomeOfAddresses(resolver, request, answer);
  if (outcome === "nxdomain") return { answer, action: "none", tentative: false, attempts };
  const tentative = outcome === "failure";
  const guarded = tentative
    ? guardNxdomain(answer, "A of the name could not be had", request.limits.negative.minSeconds)
    : guardNxdomain(answer, "A says that the name exists");
  return { answer: guarded, action: "nxdomain:guarded", tentative, attempts };
}

/** Fetches or looks up A of the last name of the chain, on the same route. */
async function outcomeOfAddresses(
  resolver: Resolver,
  request: FetchRequest,
  { chainEnd }: Answer,
): Promise<{ readonly outcome: AnswerOutcome; readonly attempts: readonly Attempt[] }> {
  const { group, client, limits, deadlineMs } = request;
  const atEnd = { ...request.question, name: chainEnd, type: TYPE.A };
  // If the last name must not go to this group, the first name is asked again: A of the first name leads to the same end.
  const mayGo = resolver.egress.forbids(group.label, atEnd, client) === null;
  const question = mayGo ? atEnd : { ...atEnd, name: request.question.name };
  const key = cacheKey(question, group.label);
  const nowMs = resolver.clock.now();
  const held = resolver.cache.peek(key);
  if (held !== null && isFresh(held, limits, nowMs)) return { outcome: outcomeOf(held.answer), attempts: [] };
  const fetch = fetchAnswer(resolver, { ...request, question, key });
  const fetched = await awaitWithin(resolver.clock, deadlineMs - nowMs, fetch.result);
  const outcome = fetched === null || fetched.kind === "failed" ? "failure" : outcomeOf(fetched.answer);
  return { outcome, attempts: fetch.attempts() };
}

type NxdomainSubject = Pick<FetchRequest, "question" | "group" | "limits">;

/**
 * Why a cached NXDOMAIN is wrong; null = it may be sent. The hosts table may have changed since the NXDOMAIN came, and of the many aliases that end at one
 * name the cache remembers only some, so a proof for that name does not drop all of their denials.
 */
export function disproveCachedNxdomain(resolver: Resolver, subject: NxdomainSubject, answer: Answer): string | null {
  return isLeftToClient(resolver, subject, answer) ? null : findDisproof(resolver, subject, answer.chainEnd);
}

/** How the name is known to exist without asking an upstream; null = it is not known to exist. */
function findDisproof({ decider, cache }: Resolver, { question, group, limits }: NxdomainSubject, name: Name): string | null {
  if (decider.hasHost(name)) return "the hosts table has the name";
  if (decider.isSpecialApex(name)) return "it is the name of a special zone";
  const scope = { class: question.class, route: group.label };
  return cache.provesExistence(name, scope, limits) ? "other types of the name exist" : null;
}

/** A client that can verify the signed denial may judge it. Not so for hosts names: the denial would take their addresses too. */
function isLeftToClient({ decider }: Resolver, { question }: NxdomainSubject, answer: Answer): boolean {
  if (!question.dnssecOk || !answer.signed || decider.hasHost(answer.chainEnd)) return false;
  return recordsOf(answer).some(({ type }) => type === TYPE.NSEC || type === TYPE.NSEC3);
}

/** NODATA in place of an NXDOMAIN that is not believed. */
export function guardNxdomain(nxdomain: Answer, reason: string, ttlSeconds: number | null = null): Answer {
  const extendedErrors = [{ code: EDE.OTHER, text: `NXDOMAIN not believed: ${reason}` }];
  return { ...toNodata(nxdomain, ttlSeconds), extendedErrors };
}

/** Joins equal work: a caller with the key of running work gets that work. At the limits, further work and further callers are refused, not queued. */
export class SingleFlight<Key, Work extends { readonly result: Promise<unknown> }> {
  readonly #limits: { readonly running: number; readonly callers: number };
  readonly #running = new Map<Key, { readonly work: Work; callers: number }>();

  /** @param limits how much work may run, and how many callers may wait for the same work. */
  constructor(limits: { readonly running: number; readonly callers: number }) {
    this.#limits = limits;
  }

  /** Returns the running work, or starts it, and how many callers came before; null = a limit is reached. */
  join(key: Key, start: () => Work): { readonly work: Work; readonly place: number } | null {
    const running = this.#running.get(key);
    if (running !== undefined) {
      if (running.callers >= this.#limits.callers) return null;
      return { work: running.work, place: running.callers++ };
    }
    if (this.#running.size >= this.#limits.running) return null;
    const work = start();
    this.#running.set(key, { work, callers: 1 });
    const remove = () => void this.#running.delete(key);
    work.result.then(remove, remove);
    return { work, place: 0 };
  }

  get size(): number {
    return this.#running.size;
  }
}

/** Keys remembered at most. A forgotten key may be tried again sooner. */
const MAX_KEYS = 16_384;

/**
 * Limits how often a stale answer is refreshed whose last refresh failed. While the upstream is down, stale answers are sent at once, and one
 * question in `recheckMs` goes out for each (RFC 8767 §5).
 */
export class RefreshThrottle {
  readonly #triedAtMs = recentlyUsed<string, number>(MAX_KEYS);

  /** Whether the last try is `recheckMs` ago; if so, this counts as the next try. */
  take(key: string, nowMs: number, recheckMs: number): boolean {
    if (nowMs < (this.#triedAtMs.get(key) ?? Number.NEGATIVE_INFINITY) + recheckMs) return false;
    this.#triedAtMs.set(key, nowMs);
    return true;
  }

  /** Lets every key be tried again: an upstream has recovered. */
  clear(): void {
    this.#triedAtMs.clear();
  }
}
