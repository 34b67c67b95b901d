import { type Answer, outcomeOf } from "../dns/answer.ts";
import type { Question } from "../dns/query.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import { unreachable } from "../lib/unreachable.ts";
import type { Member } from "./member.ts";
import type { ServerOptions, Strategy } from "./options.ts";
import { type AttemptOutcome, ask, moreTelling } from "./reply.ts";
import { type Attempt, type ExchangeOptions, type Upstream, UpstreamError, type UpstreamFailure } from "./upstream.ts";

/**
 * How many times `attemptMs` a healthy member may be silent before it counts as failed, once all have been asked: slow is not failed, yet the
 * fallback must have its turn within the client's deadline, and a name that cannot be resolved must not wait for a dead member to say so too.
 * A member known to be unhealthy gets `attemptMs` once.
 */
export const PATIENCE = 2;

/** How long answers under way are awaited once one has come that is doubted: a group that asks all at once asks nobody twice. */
export const DOUBT_MS = 300;

interface DispatchContext {
  /** The group's name. */
  readonly label: string;
  readonly attemptMs: number;
  readonly fallback: Upstream | null;
  /** Whether the fallback may have the client's subnet as well: the two groups are set alike. */
  readonly fallbackTakesSubnet: boolean;
  readonly clock: Clock;
}

/** One asking of a member, or of the fallback (`member` null). */
interface Ask {
  readonly member: Member | null;
  readonly startedMs: number;
  /** The member's own list, so that the trace of the query has the order in which members were asked, not that in which they ended. */
  readonly attempts: Attempt[];
  /** The same while it is under way, where it is a group. */
  attemptsSoFar: () => readonly Attempt[];
  /** Runs out after `attemptMs`; null from then on, when the follower has been called in. */
  timer: Timer | null;
  ending: AttemptOutcome | null;
  elapsedMs: number;
}

/**
 * One question on its way through the members of a group. Every member that is asked calls in one follower: at once when it fails, after
 * `attemptMs` when it is silent. Its own answer still counts after that; the first good one ends all.
 */
export class Dispatch {
  readonly #context: DispatchContext;
  readonly #question: Question;
  readonly #errand: ExchangeOptions;
  readonly #stop = new AbortController();
  readonly #asks: Ask[] = [];
  readonly #result = Promise.withResolvers<Answer>();
  readonly #waiting: Member[] = [];
  #fallback: Upstream | null;
  #patience: Timer | null = null;
  #bad: Answer | null = null;
  /** An empty answer without SOA that no second member has confirmed yet. */
  #doubted: Ask | null = null;
  #doubt: Timer | null = null;
  #settled = false;

  constructor(context: DispatchContext, question: Question, errand: ExchangeOptions) {
    this.#context = context;
    this.#question = question;
    this.#errand = errand;
    this.#fallback = context.fallback;
  }

  /**
   * The first good answer; if there is none, the most telling of the others. To be called once, with a signal that has not aborted.
   * @throws UpstreamError `exhausted` when no answer came at all, `aborted` as soon as the errand's signal aborts.
   */
  run(plan: Plan<Member>): Promise<Answer> {
    this.#errand.signal.addEventListener("abort", this.#giveUp);
    this.#errand.onBegun?.(() => this.#asks.flatMap((asked) => this.#traceSoFar(asked)));
    this.#waiting.push(...plan.order);
    for (let asked = 0; asked < plan.together; asked++) this.#callNext();
    this.#review();
    return this.#result.promise;
  }

  /** Ends it at once with this failure; without effect when it has ended. */
  cancel(error: UpstreamError): void {
    if (this.#settled) return;
    this.#settle();
    this.#result.reject(error);
  }

  readonly #giveUp = (): void => {
    this.cancel(new UpstreamError("aborted", this.#context.label, "no answer in time"));
  };

  #callNext(): void {
    for (let member = this.#waiting.shift(); member !== undefined; member = this.#waiting.shift()) {
      if (!member.begin(this.#question)) continue;
      const asked = this.#ask(member.upstream, member);
      asked.timer = this.#context.clock.setTimer(() => {
        asked.timer = null;
        this.#callNext();
        this.#review();
      }, this.#context.attemptMs);
      return;
    }
  }

  #ask(upstream: Upstream, member: Member | null): Ask {
    const asked: Ask = {
      member,
      startedMs: this.#context.clock.now(),
      attempts: [],
      attemptsSoFar: () => [],
      timer: null,
      ending: null,
      elapsedMs: 0,
    };
    this.#asks.push(asked);
    const onBegun = (attemptsSoFar: Ask["attemptsSoFar"]): void => {
      asked.attemptsSoFar = attemptsSoFar;
    };
    const errand = { ...this.#errand, doubtsEmpty: false, signal: this.#stop.signal, attempts: asked.attempts, onBegun };
    const question = member === null && !this.#context.fallbackTakesSubnet ? withoutSubnet(this.#question) : this.#question;
    ask(upstream, question, errand).then(
      (ending) => this.#ended(asked, ending),
      (bug) => this.#failLoudly(asked, bug),
    );
    return asked;
  }

  #ended(asked: Ask, ending: AttemptOutcome): void {
    if (this.#settled) return;
    this.#close(asked, ending);
    if (ending.kind === "good") {
      if (this.#doubted === null && this.#isDoubted(ending.answer)) this.#confirm(asked);
      else this.#succeed(asked, ending.answer);
      return;
    }
    if (ending.kind === "bad") this.#bad = moreTelling(this.#bad, ending.answer);
    if (asked.timer !== null) this.#callNext();
    this.#review();
  }

  #succeed(asked: Ask, answer: Answer): void {
    this.#settle();
    if (asked.member !== null) this.#compare(asked, asked.member);
    this.#result.resolve(answer);
  }

  #isDoubted(answer: Answer): boolean {
    return this.#errand.doubtsEmpty === true && outcomeOf(answer) === "nodataWithoutSoa";
  }

  /** Waits for a second opinion: of the next member for as long as any member gets; where all are asked, of those under way for a moment. */
  #confirm(asked: Ask): void {
    this.#doubted = asked;
    const limitMs = this.#waiting.length > 0 ? this.#context.attemptMs : DOUBT_MS;
    this.#callNext();
    if (this.#isUnderWay()) this.#doubt = this.#context.clock.setTimer(() => this.#believe(asked), limitMs);
    else this.#believe(asked);
  }

  #isUnderWay(): boolean {
    return this.#asks.some(({ ending }) => ending === null);
  }

  /** Nobody else has said anything better. */
  #believe(asked: Ask): void {
    if (asked.ending?.kind === "good") this.#succeed(asked, asked.ending.answer);
  }

  // The failure that is noted here is one that says nothing about the member.
  #failLoudly(asked: Ask, bug: unknown): void {
    if (this.#settled) return;
    this.#close(asked, { kind: "failed", failure: "closed" });
    this.#settle();
    this.#result.reject(bug);
  }

  #close(asked: Ask, ending: AttemptOutcome): void {
    asked.timer?.cancel();
    asked.ending = ending;
    asked.elapsedMs = this.#context.clock.now() - asked.startedMs;
    asked.member?.end(this.#question, ending);
  }

  /**
   * Once every member has been asked: whether it is the fallback's turn, or all is over. Where neither a fallback nor an answer is at hand,
   * the silent are waited for until the caller gives up.
   */
  #review(): void {
    if (this.#settled) return;
    if (this.#doubted !== null) {
      if (!this.#isUnderWay()) this.#believe(this.#doubted);
      return;
    }
    if (this.#waiting.length > 0) return;
    const nowMs = this.#context.clock.now();
    const pending = this.#asks.filter(({ ending }) => ending === null);
    const failedMs = Math.max(nowMs, ...pending.map((asked) => this.#failedMs(asked)));
    this.#patience?.cancel();
    if (failedMs > nowMs) this.#wait(failedMs - nowMs);
    else if (this.#fallback !== null) this.#askFallback(this.#fallback);
    else if (this.#bad !== null || pending.length === 0) this.#exhaust();
  }

  /** When a silent member counts as failed; the fallback never does, it has limits of its own. */
  #failedMs({ member, startedMs }: Ask): number {
    if (member === null) return Number.POSITIVE_INFINITY;
    return startedMs + this.#context.attemptMs * (member.healthy ? PATIENCE : 1);
  }

  #wait(delayMs: number): void {
    if (Number.isFinite(delayMs)) this.#patience = this.#context.clock.setTimer(() => this.#review(), delayMs);
  }

  #askFallback(fallback: Upstream): void {
    this.#fallback = null;
    this.#ask(fallback, null);
  }

  #exhaust(): void {
    this.#settle();
    if (this.#bad !== null) this.#result.resolve(this.#bad);
    else this.#result.reject(new UpstreamError("exhausted", this.#context.label, this.#failures()));
  }

  #failures(): string {
    if (this.#asks.length === 0) return "every member is at its limit";
    return this.#asks
      .map(({ member, ending }) => `${member?.label ?? "fallback"} ${ending?.kind === "failed" ? ending.failure : "silent"}`)
      .join(", ");
  }

  /** Ends what is still under way and completes the trace. */
  #settle(): void {
    this.#settled = true;
    this.#errand.signal.removeEventListener("abort", this.#giveUp);
    this.#patience?.cancel();
    this.#doubt?.cancel();
    const pending = this.#asks.filter(({ ending }) => ending === null);
    for (const asked of pending) this.#close(asked, { kind: "abandoned", silent: asked.timer === null });
    // Groups among them complete their traces as they are aborted, so this comes before the traces are taken.
    if (pending.length > 0) this.#stop.abort(new UpstreamError("aborted", this.#context.label, "no longer needed"));
    for (const asked of this.#asks) this.#errand.attempts.push(...this.#trace(asked));
  }

  #trace({ member, attempts, ending, elapsedMs }: Ask): Attempt[] {
    const trace = this.#named(attempts);
    if (member === null || ending?.kind !== "abandoned") return trace;
    // A silent server is told as that, whether another was quicker or nobody was.
    const failure = ending.silent ? "timeout" : "aborted";
    const last = trace.at(-1);
    if (last?.failure === "aborted") return [...trace.slice(0, -1), { ...last, failure }];
    return [...trace, this.#unanswered(member, elapsedMs, failure)];
  }

  #traceSoFar(asked: Ask): readonly Attempt[] {
    const { member, attempts, attemptsSoFar, startedMs, timer, ending } = asked;
    if (ending !== null) return this.#trace(asked);
    if (member === null) return attemptsSoFar();
    const elapsedMs = this.#context.clock.now() - startedMs;
    return [...this.#named(attempts), this.#unanswered(member, elapsedMs, timer === null ? "timeout" : null)];
  }

  #named(attempts: readonly Attempt[]): Attempt[] {
    return attempts.map((attempt) => ({ ...attempt, group: attempt.group ?? this.#context.label }));
  }

  #unanswered({ server, label }: Member, elapsedMs: number, failure: UpstreamFailure | null): Attempt {
    return { group: this.#context.label, server: label, transport: transportOf(server), elapsedMs, rcode: null, failure };
  }

  /** Takes down what the winner's good answer says about everybody's speed: who failed where another did not is no quicker than `attemptMs`. */
  #compare(winner: Ask, member: Member): void {
    member.latency.observe(winner.elapsedMs);
    for (const { member: other, ending, elapsedMs } of this.#asks) {
      if (ending?.kind === "bad" || ending?.kind === "failed") {
        other?.latency.observe(Math.max(elapsedMs, this.#context.attemptMs));
      } else if (ending?.kind === "abandoned" && ending.silent) {
        other?.latency.observe(elapsedMs);
      }
    }
  }
}

function withoutSubnet(question: Question): Question {
  return question.clientSubnet === null ? question : { ...question, clientSubnet: null };
}

function transportOf({ protocol }: ServerOptions): Attempt["transport"] {
  return protocol === "system" ? "udp" : protocol;
}

/** In which order a group's members are asked one question. */
interface Plan<Candidate> {
  /** Every candidate, once. */
  readonly order: readonly Candidate[];
  /** How many of them are asked at once; the others join as these fail or stay silent. At least 1. */
  readonly together: number;
  /** One that is asked besides, for its latency alone; null = none. */
  readonly measure: Candidate | null;
}

/** What a strategy looks at. */
interface Standing {
  readonly healthy: boolean;
  /** Smoothed; null = never measured. */
  readonly latencyMs: number | null;
  /** The last measurement alone. */
  readonly lastMs: number | null;
  /** When that was made. */
  readonly measuredMs: number;
  readonly weight: number;
}

/**
 * Plans one question: the healthy first, as the strategy orders them, then the unhealthy in the order of the file. Where nobody is healthy all are asked
 * at once: whoever has recovered then answers without delay.
 */
export function planFor<Candidate extends Standing>(
  strategy: Strategy,
  candidates: readonly Candidate[],
  random: () => number,
): Plan<Candidate> {
  const healthy = candidates.filter((candidate) => candidate.healthy);
  const unhealthy = candidates.filter((candidate) => !candidate.healthy);
  if (healthy.length === 0) return { order: unhealthy, together: unhealthy.length, measure: null };
  const { order, together, measure } = planForHealthy(strategy, healthy, random);
  return { order: [...order, ...unhealthy], together, measure };
}

function planForHealthy<Candidate extends Standing>(
  strategy: Strategy,
  healthy: readonly Candidate[],
  random: () => number,
): Plan<Candidate> {
  switch (strategy) {
    case "fastest":
      return fastest(healthy, random);
    case "race":
      return { order: healthy, together: healthy.length, measure: null };
    case "failover":
      return { order: healthy, together: 1, measure: null };
    case "spread":
      return { order: shuffled(healthy, random), together: 1, measure: null };
    default:
      return unreachable(strategy);
  }
}

/** One question in so many is also put to a member that is not the quickest, to see whether it has become so. */
export const MEASURED_SHARE = 50;

// Before anything is known all are asked; then the quickest alone. Measuring costs the client no time: it waits for the quickest all the same.
function fastest<Candidate extends Standing>(healthy: readonly Candidate[], random: () => number): Plan<Candidate> {
  const order = healthy.toSorted((a, b) => expectedMs(a) - expectedMs(b));
  const [best, ...others] = order;
  if (best === undefined || best.latencyMs === null) return { order, together: order.length, measure: null };
  return { order, together: 1, measure: toMeasure(expectedMs(best), others, random) };
}

// Whoever was never measured, or was quicker than the best when last measured, has its turn with the next question: so a recovered member
// proves itself within some dozen questions, and one that was quick by chance is dropped at once. Else the one measured longest ago, now and then.
function toMeasure<Candidate extends Standing>(
  bestMs: number,
  others: readonly Candidate[],
  random: () => number,
): Candidate | null {
  const promising = others.find(({ lastMs }) => lastMs === null || lastMs < bestMs);
  if (promising !== undefined) return promising;
  const [longestAgo] = others.toSorted((a, b) => a.measuredMs - b.measuredMs);
  return longestAgo !== undefined && random() * MEASURED_SHARE < 1 ? longestAgo : null;
}

// The difference of two infinities is no number, so the unmeasured count as slower than any measurement can be.
function expectedMs({ latencyMs }: Standing): number {
  return latencyMs ?? Number.MAX_VALUE;
}

// Each draws an exponential waiting time with its weight as the rate: the chance of being first is its share of the weights,
// and the same holds for the followers among themselves.
function shuffled<Candidate extends Standing>(healthy: readonly Candidate[], random: () => number): Candidate[] {
  return healthy
    .map((candidate) => ({ candidate, drawn: -Math.log(1 - random()) / candidate.weight }))
    .sort((a, b) => a.drawn - b.drawn)
    .map(({ candidate }) => candidate);
}
