import { type Answer, outcomeOf } from "../dns/answer.ts";
import type { Question } from "../dns/query.ts";
import { RCODE } from "../dns/types.ts";
import type { Requester } from "../lib/client.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import { unreachable } from "../lib/unreachable.ts";
import { type AttemptOutcome, ask, type Latency, type Member, type MemberReply } from "./member.ts";
import type { ServerOptions, Strategy } from "./options.ts";
import { Stopper } from "./pending.ts";
import { moreTelling } from "./reply.ts";
import { type Attempt, type ExchangeOptions, type StopSignal, UpstreamError, type UpstreamFailure } from "./upstream.ts";

/**
 * How many times `attemptMs` a healthy member may be silent before it counts as failed, once all members have been asked. A slow member has not
 * failed, but a fallback without `after` must get its turn before the client's deadline, and a client must not wait for a dead member to confirm a failure.
 * An unhealthy member gets `attemptMs` once.
 */
export const PATIENCE = 2;

/** How long to wait for pending answers after a doubtful one: a group that asks all members at once asks none twice. */
export const DOUBT_MS = 300;

/**
 * How many questions may be sent to one more member although the first one has not failed: one of ten recent ones, and so many in a row after quiet times.
 * Else a day on which every answer is slow would double the load on the servers and make them slower still.
 */
export const HEDGES = { share: 0.1, inARow: 30 } as const;

/** Counts the questions of a group, and those for which a silent member was joined by the next one. */
export class HedgeBudget {
  #left: number = HEDGES.inARow;

  noteQuestion(): void {
    this.#left = Math.min(this.#left + HEDGES.share, HEDGES.inARow);
  }

  /** Takes one question from what may be sent twice; false = there is none left. */
  take(): boolean {
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }
}

/** What a group gives to each of its dispatches. */
export interface DispatchContext {
  /** The name of the group. */
  readonly label: string;
  readonly attemptMs: number;
  readonly fallback: Fallback | null;
  /** When the fallback is asked too, counted from the question; null = only after every member has failed. */
  readonly fallbackAfterMs: number | null;
  /** Whether the fallback may have the client's subnet too: both groups have equal `ecs`. */
  readonly fallbackTakesSubnet: boolean;
  readonly hedges: HedgeBudget;
  readonly clock: Clock;
  /** Called once for each dispatch, when it is settled: perhaps before its constructor returns. */
  readonly onEnd: (dispatch: Dispatch, requester: Requester | null) => void;
}

/** The fallback group. */
interface Fallback {
  /** @throws UpstreamError when the group must not be asked. */
  start(question: Question, options: DispatchOptions): Dispatch;
}

/** `signal` absent = only `cancel` ends the dispatch. */
export type DispatchOptions = Omit<ExchangeOptions, "signal" | "attempts"> & { readonly signal?: StopSignal };

/** One attempt at a member, or at the fallback (`member` null). */
interface PendingAttempt {
  readonly member: Member | null;
  readonly startedMs: number;
  /** The trace of this attempt alone, so that the trace of the query has the order in which members were asked. */
  readonly attempts: Attempt[];
  /** The fallback's own dispatch. */
  nested: Dispatch | null;
  /** Runs until the next member is asked because this one is silent; null from then on. */
  timer: Timer | null;
  /** Whether the member has been silent for `attemptMs`. */
  isSilent: boolean;
  outcome: AttemptOutcome | null;
  elapsedMs: number;
}

/**
 * One question on its way through the members of a group. Each member that is asked brings in one more: at once when it fails, after `attemptMs`
 * when it is silent, or where the budget for that is used up when it counts as failed (`PATIENCE`). Its own answer still counts after that. The first
 * good answer ends the dispatch.
 */
export class Dispatch {
  /**
   * The first good answer, or else the most telling bad one.
   * Rejects with UpstreamError `exhausted` when no answer came, `limited` where a limit of ours had a part in that, and with the reason of `cancel`; with another error for a bug.
   */
  readonly result: Promise<MemberReply>;
  readonly #settleResult: Pick<PromiseWithResolvers<MemberReply>, "resolve" | "reject">;
  readonly #context: DispatchContext;
  readonly #question: Question;
  readonly #options: DispatchOptions;
  readonly #stop = new Stopper();
  readonly #started: PendingAttempt[] = [];
  readonly #waiting: Member[];
  #fallback: Fallback | null;
  /** The member of a group of one without a fallback, while it may be asked once more. */
  #second: Member | null;
  /** Whether a limit of ours kept the question from a member. */
  #isLimited = false;
  #patience: Timer | null = null;
  /** Runs until the fallback is asked before the members have failed. */
  #head: Timer | null = null;
  #bad: (MemberReply & { readonly kind: "bad" }) | null = null;
  /** An empty answer without SOA that no second member has confirmed yet. */
  #doubtful: PendingAttempt | null = null;
  #doubt: Timer | null = null;
  /** The complete trace; null = the dispatch is not settled. */
  #trace: readonly Attempt[] | null = null;

  /** Asks the first members of the plan. */
  constructor(
    context: DispatchContext,
    { question, plan }: { readonly question: Question; readonly plan: Plan<Member> },
    options: DispatchOptions,
  ) {
    const { promise, resolve, reject } = Promise.withResolvers<MemberReply>();
    this.result = promise;
    this.#settleResult = { resolve, reject };
    this.#context = context;
    this.#question = question;
    this.#options = options;
    this.#fallback = context.fallback;
    this.#waiting = [...plan.order];
    this.#second = plan.order.length === 1 && context.fallback === null ? (plan.order[0] ?? null) : null;
    options.signal?.addEventListener("abort", this.#giveUp);
    for (let asked = 0; asked < plan.together; asked++) this.#askNext();
    if (context.fallback !== null && context.fallbackAfterMs !== null)
      this.#head = context.clock.setTimer(() => this.#askFallbackToo(), context.fallbackAfterMs);
    this.#review();
  }

  /**
   * The attempts at servers, in the order in which they were asked. A pending attempt has no rcode, and no failure unless the server has been silent
   * for `attemptMs`.
   */
  attempts(): readonly Attempt[] {
    return this.#trace ?? this.#started.flatMap((attempt) => this.#traceOf(attempt));
  }

  get isSettled(): boolean {
    return this.#trace !== null;
  }

  /** Ends the dispatch with this failure. Has no effect on a settled dispatch. */
  cancel(error: UpstreamError): void {
    if (this.#trace !== null) return;
    this.#settle();
    this.#settleResult.reject(error);
  }

  readonly #giveUp = (): void => {
    this.cancel(new UpstreamError("aborted", this.#context.label, "no answer in time"));
  };

  #askNext(): void {
    for (let member = this.#waiting.shift(); member !== undefined; member = this.#waiting.shift()) {
      if (!member.begin(this.#question)) {
        this.#isLimited = true;
        continue;
      }
      const attempt = this.#start(member);
      attempt.timer = this.#context.clock.setTimer(() => this.#noteSilence(attempt, member), this.#context.attemptMs);
      const group = this.#context.label;
      const options = { ...this.#options, signal: this.#stop, attempts: attempt.attempts, group };
      this.#await(attempt, ask(member.upstream, this.#question, options));
      return;
    }
  }

  /** Asks the next member beside the silent one, or waits until the silent one counts as failed. */
  #noteSilence(attempt: PendingAttempt, member: Member): void {
    const { clock, attemptMs, hedges } = this.#context;
    const join = (): void => {
      attempt.timer = null;
      this.#askNext();
      this.#review();
    };
    attempt.isSilent = true;
    if (this.#waiting.length === 0 || !member.healthy || hedges.take()) join();
    else attempt.timer = clock.setTimer(join, attemptMs * (PATIENCE - 1));
  }

  /** The members have had their head start. An answer that awaits confirmation is one, so the fallback stays out then. */
  #askFallbackToo(): void {
    if (this.#fallback !== null && this.#doubtful === null) this.#askFallback(this.#fallback);
  }

  #askFallback(fallback: Fallback): void {
    this.#fallback = null;
    this.#head?.cancel();
    const attempt = this.#start(null);
    const question = this.#context.fallbackTakesSubnet ? this.#question : { ...this.#question, clientSubnet: null };
    try {
      attempt.nested = fallback.start(question, { ...this.#options, doubtsEmpty: false, signal: this.#stop });
      this.#await(attempt, attempt.nested.result);
    } catch (error) {
      this.#fail(attempt, error);
    }
  }

  #start(member: Member | null): PendingAttempt {
    const startedMs = this.#context.clock.now();
    const attempt = { member, startedMs, attempts: [], nested: null, timer: null, isSilent: false, outcome: null, elapsedMs: 0 };
    this.#started.push(attempt);
    return attempt;
  }

  #await(attempt: PendingAttempt, outcome: Promise<AttemptOutcome>): void {
    outcome.then(
      (ended) => this.#end(attempt, ended),
      (error: unknown) => this.#fail(attempt, error),
    );
  }

  #end(attempt: PendingAttempt, outcome: AttemptOutcome): void {
    if (this.#trace !== null) return;
    this.#close(attempt, outcome);
    if (outcome.kind === "good") {
      if (this.#doubtful === null && this.#isDoubtful(outcome.answer)) this.#confirm(attempt);
      else this.#succeed(attempt, outcome);
      return;
    }
    if (outcome.kind === "bad") {
      if (moreTelling(this.#bad?.answer ?? null, outcome.answer) === outcome.answer) this.#bad = outcome;
    }
    // Nobody else can be asked, and many a SERVFAIL or broken connection passes at once.
    const again = isWorthAnother(outcome) ? this.#second : null;
    if (again !== null) {
      this.#second = null;
      this.#waiting.push(again);
    }
    if (attempt.timer !== null || again !== null) this.#askNext();
    this.#review();
  }

  #fail(attempt: PendingAttempt, error: unknown): void {
    if (this.#trace !== null) return;
    if (error instanceof UpstreamError) {
      this.#end(attempt, { kind: "failed", failure: error.failure });
      return;
    }
    // A bug says nothing about the member, and neither does the failure `closed`.
    this.#close(attempt, { kind: "failed", failure: "closed" });
    this.#settle();
    this.#settleResult.reject(error);
  }

  #succeed(attempt: PendingAttempt, reply: MemberReply): void {
    this.#settle();
    if (attempt.member !== null) this.#recordLatencies(attempt, attempt.member);
    this.#settleResult.resolve(reply);
  }

  #isDoubtful(answer: Answer): boolean {
    return this.#options.doubtsEmpty === true && outcomeOf(answer) === "nodataWithoutSoa";
  }

  /** Waits for a second opinion: of the next member for `attemptMs`, or, where all have been asked, of the pending ones for a moment. */
  #confirm(attempt: PendingAttempt): void {
    this.#doubtful = attempt;
    const limitMs = this.#waiting.length > 0 ? this.#context.attemptMs : DOUBT_MS;
    this.#askNext();
    if (this.#isAnyPending()) this.#doubt = this.#context.clock.setTimer(() => this.#accept(attempt), limitMs);
    else this.#accept(attempt);
  }

  #isAnyPending(): boolean {
    return this.#started.some(({ outcome }) => outcome === null);
  }

  /** Accepts the doubtful answer: no other member has a better one. */
  #accept(attempt: PendingAttempt): void {
    if (attempt.outcome?.kind === "good") this.#succeed(attempt, attempt.outcome);
  }

  #close(attempt: PendingAttempt, outcome: AttemptOutcome): void {
    attempt.timer?.cancel();
    attempt.outcome = outcome;
    attempt.elapsedMs = this.#context.clock.now() - attempt.startedMs;
    attempt.member?.end(this.#question, outcome);
  }

  /**
   * Checks, once every member has been asked, whether it is the fallback's turn or the dispatch is over. Without a fallback and without an answer
   * it goes on until a silent member answers or the caller gives up.
   */
  #review(): void {
    if (this.#trace !== null) return;
    if (this.#doubtful !== null) {
      if (!this.#isAnyPending()) this.#accept(this.#doubtful);
      return;
    }
    if (this.#waiting.length > 0) return;
    const nowMs = this.#context.clock.now();
    let failedMs = nowMs;
    for (const attempt of this.#started) {
      if (attempt.outcome !== null) continue;
      // It fails after its timer at the earliest, which leads here again.
      if (attempt.timer !== null) return;
      failedMs = Math.max(failedMs, this.#failedMs(attempt));
    }
    this.#patience?.cancel();
    if (failedMs > nowMs) {
      if (Number.isFinite(failedMs)) this.#patience = this.#context.clock.setTimer(() => this.#review(), failedMs - nowMs);
    } else if (this.#fallback !== null) this.#askFallback(this.#fallback);
    else if (this.#bad !== null || !this.#isAnyPending()) this.#exhaust();
  }

  /** When a silent member counts as failed. The fallback never does: it has its own limits. */
  #failedMs({ member, startedMs }: PendingAttempt): number {
    if (member === null) return Number.POSITIVE_INFINITY;
    return startedMs + this.#context.attemptMs * (member.healthy ? PATIENCE : 1);
  }

  #exhaust(): void {
    this.#settle();
    if (this.#bad !== null) {
      this.#settleResult.resolve(this.#bad);
      return;
    }
    const isLimited = this.#isLimited || this.#started.some(({ outcome }) => isOurLimit(outcome));
    this.#settleResult.reject(new UpstreamError(isLimited ? "limited" : "exhausted", this.#context.label, this.#failures()));
  }

  #failures(): string {
    if (this.#started.length === 0) return "every member is at its limit";
    return this.#started
      .map(({ member, outcome }) => `${member?.label ?? "fallback"} ${outcome?.kind === "failed" ? outcome.failure : "silent"}`)
      .join(", ");
  }

  /** Ends the pending attempts and completes the trace. */
  #settle(): void {
    this.#options.signal?.removeEventListener("abort", this.#giveUp);
    this.#patience?.cancel();
    this.#head?.cancel();
    this.#doubt?.cancel();
    this.#trace = [];
    let isAnyAbandoned = false;
    for (const attempt of this.#started) {
      if (attempt.outcome !== null) continue;
      this.#close(attempt, { kind: "abandoned", silent: attempt.isSilent });
      isAnyAbandoned = true;
    }
    // The abort completes the traces of servers and of the fallback, so it comes before the traces are read.
    if (isAnyAbandoned) this.#stop.abort();
    this.#trace = this.#started.flatMap((attempt) => this.#traceOf(attempt));
    this.#context.onEnd(this, this.#options.requester);
  }

  #traceOf({ member, attempts, nested, startedMs, isSilent, outcome, elapsedMs }: PendingAttempt): readonly Attempt[] {
    if (member === null) return nested?.attempts() ?? [];
    if (outcome !== null && outcome.kind !== "abandoned") return attempts;
    const { label, clock } = this.#context;
    const unanswered = (failure: UpstreamFailure | null, ms: number): Attempt => {
      const transport = transportOf(member.server);
      return { group: label, server: member.label, transport, startedMs, elapsedMs: ms, rcode: null, failure };
    };
    if (outcome === null) return [...attempts, unanswered(isSilent ? "timeout" : null, clock.now() - startedMs)];
    // A silent server is shown as silent, whether or not another one was faster.
    const failure = outcome.silent ? "timeout" : "aborted";
    const last = attempts.at(-1);
    if (last?.failure === "aborted") return [...attempts.slice(0, -1), { ...last, failure }];
    return [...attempts, unanswered(failure, elapsedMs)];
  }

  /** Records what the first good answer says about the speed of all: a member that failed meanwhile is not faster than `attemptMs`. */
  #recordLatencies(winner: PendingAttempt, member: Member): void {
    member.latency.observe(winner.elapsedMs);
    for (const { member: other, outcome, elapsedMs } of this.#started) {
      if (outcome?.kind === "bad" || outcome?.kind === "failed")
        other?.latency.observe(Math.max(elapsedMs, this.#context.attemptMs));
      else if (outcome?.kind === "abandoned" && outcome.silent) other?.latency.observe(elapsedMs);
    }
  }
}

/** Whether the same member may do better a moment later. Silence had its time, and a refusal is meant. */
function isWorthAnother(outcome: AttemptOutcome): boolean {
  if (outcome.kind === "bad") return outcome.answer.rcode === RCODE.SERVFAIL && !outcome.isForged;
  return (
    outcome.kind === "failed" && (outcome.failure === "http" || outcome.failure === "network" || outcome.failure === "malformed")
  );
}

function isOurLimit(outcome: AttemptOutcome | null): boolean {
  if (outcome?.kind !== "failed") return false;
  return outcome.failure === "barred" || outcome.failure === "crowded" || outcome.failure === "limited";
}

function transportOf({ protocol }: ServerOptions): Attempt["transport"] {
  return protocol === "system" ? "udp" : protocol;
}

/** The order in which a group asks its members one question. */
export interface Plan<Candidate> {
  /** Every candidate, once. */
  readonly order: readonly Candidate[];
  /** How many of them are asked at once. The others join when these fail or stay silent. At least 1. */
  readonly together: number;
  /** A candidate that is asked only to measure its latency; null = none. */
  readonly measure: Candidate | null;
}

/** What a strategy needs to know of a member. */
interface Candidate {
  readonly healthy: boolean;
  readonly isPaused: boolean;
  readonly latency: Pick<Latency, "smoothedMs" | "lastMs" | "measuredMs">;
  readonly server: Pick<ServerOptions, "weight">;
}

/**
 * Plans one question: healthy members first, as the strategy orders them, then paused ones, then unhealthy ones, each in the order of the file. Where no
 * member is healthy all are asked at once, so that a recovered member answers without delay.
 */
export function planFor<Of extends Candidate>(strategy: Strategy, candidates: readonly Of[], random: () => number): Plan<Of> {
  if (candidates.length === 1) return { order: candidates, together: 1, measure: null };
  if (candidates.every(({ healthy, isPaused }) => healthy && !isPaused)) return planForHealthy(strategy, candidates, random);
  const healthy = candidates.filter((candidate) => candidate.healthy);
  const unhealthy = candidates.filter((candidate) => !candidate.healthy);
  if (healthy.length === 0) return { order: unhealthy, together: unhealthy.length, measure: null };
  const free = healthy.filter((candidate) => !candidate.isPaused);
  const preferred = free.length > 0 ? free : healthy;
  const paused = healthy.filter((candidate) => !preferred.includes(candidate));
  const { order, together, measure } = planForHealthy(strategy, preferred, random);
  return { order: [...order, ...paused, ...unhealthy], together, measure };
}

function planForHealthy<Of extends Candidate>(strategy: Strategy, healthy: readonly Of[], random: () => number): Plan<Of> {
  switch (strategy) {
    case "fastest":
      return planFastest(healthy, random);
    case "race":
      return { order: healthy, together: healthy.length, measure: null };
    case "failover":
      return { order: healthy, together: 1, measure: null };
    case "spread":
      return { order: shuffle(healthy, random), together: 1, measure: null };
    default:
      return unreachable(strategy);
  }
}

/** One question in so many is also sent to a member that is not the fastest, to see whether it has become faster. */
export const MEASURED_SHARE = 50;

// Before any measurement all members are asked, then the fastest alone. A measurement costs the client no time, because the client does not wait for it.
function planFastest<Of extends Candidate>(healthy: readonly Of[], random: () => number): Plan<Of> {
  const order = healthy.toSorted((a, b) => expectedMs(a) - expectedMs(b));
  const [best, ...others] = order;
  if (best === undefined || best.latency.smoothedMs === null) return { order, together: order.length, measure: null };
  return { order, together: 1, measure: chooseMeasured(expectedMs(best), others, random) };
}

// A member that was never measured, or was faster than the best at its last measurement, is measured with the next question. So a recovered member
// proves itself within some dozen questions, and one that was fast by chance is dropped at once. Else now and then the one measured longest ago.
function chooseMeasured<Of extends Candidate>(bestMs: number, others: readonly Of[], random: () => number): Of | null {
  const promising = others.find(({ latency }) => latency.lastMs === null || latency.lastMs < bestMs);
  if (promising !== undefined) return promising;
  const [longestAgo] = others.toSorted((a, b) => a.latency.measuredMs - b.latency.measuredMs);
  return longestAgo !== undefined && random() * MEASURED_SHARE < 1 ? longestAgo : null;
}

// Infinity minus infinity is NaN, so an unmeasured member gets the largest finite number.
function expectedMs({ latency }: Candidate): number {
  return latency.smoothedMs ?? Number.MAX_VALUE;
}

// Each member draws an exponential waiting time whose rate is its weight. So its chance to be first is its share of the weights, and the same holds
// for the order of the others.
function shuffle<Of extends Candidate>(healthy: readonly Of[], random: () => number): Of[] {
  return healthy
    .map((candidate) => ({ candidate, waitsFor: -Math.log(1 - random()) / candidate.server.weight }))
    .sort((a, b) => a.waitsFor - b.waitsFor)
    .map(({ candidate }) => candidate);
}
