import { ROOT } from "../dns/name.ts";
import type { Question } from "../dns/query.ts";
import { CLASS, TYPE } from "../dns/types.ts";
import type { Requester } from "../lib/client.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import { type AttemptOutcome, ask, type Member, PROBE_DELAY, symptomOf } from "./member.ts";
import { type Upstream, UpstreamError } from "./upstream.ts";

/** Long enough for a handshake through a proxy on another continent. At one probe a second, at most three are pending to a member. */
const PROBE_LIMIT_MS = 3000;

/** Every server knows the answer, and the question tells nothing about any client. */
export const ROOT_SERVERS: Question = {
  name: ROOT,
  type: TYPE.NS,
  class: CLASS.IN,
  dnssecOk: false,
  checkingDisabled: false,
  clientSubnet: null,
};

/** By how much a delay between two probes differs from what it is on average, at most: those that lost a server together do not come back together. */
export const PROBE_JITTER = 0.2;

/** Probes unhealthy members until they reply: about every second while no member of the group is healthy, else ever less often. */
export class Probes {
  readonly #members: readonly Member[];
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #queries: BackgroundQueries;
  readonly #next = new Map<Member, { readonly timer: Timer; readonly sent: number }>();
  #stopped = false;

  /** @param members all members of the group. */
  constructor(members: readonly Member[], { clock, random }: ProbesContext, queries: BackgroundQueries) {
    this.#members = members;
    this.#clock = clock;
    this.#random = random;
    this.#queries = queries;
  }

  /** Starts or stops the probes of a member. To be called after each change of its health. */
  noteHealth(member: Member, healthy: boolean): void {
    if (this.#stopped) return;
    if (healthy) {
      this.#next.get(member)?.timer.cancel();
      this.#next.delete(member);
    } else if (this.#isAnyHealthy()) {
      this.#schedule(member, 0);
    } else {
      for (const unhealthy of this.#members) this.#schedule(unhealthy, this.#next.get(unhealthy)?.sent ?? 0);
    }
  }

  stop(): void {
    this.#stopped = true;
    for (const { timer } of this.#next.values()) timer.cancel();
    this.#next.clear();
  }

  #isAnyHealthy(): boolean {
    return this.#members.some(({ healthy }) => healthy);
  }

  #schedule(member: Member, sent: number): void {
    this.#next.get(member)?.timer.cancel();
    const onAverageMs = this.#isAnyHealthy() ? member.health.probeDelayMs : PROBE_DELAY.leastMs;
    const delayMs = onAverageMs * (1 + PROBE_JITTER * (2 * this.#random() - 1));
    this.#next.set(member, { timer: this.#clock.setTimer(() => this.#probe(member, sent), delayMs), sent });
  }

  #probe(member: Member, sent: number): void {
    if (this.#isAnyHealthy()) member.health.noteProbe();
    this.#schedule(member, sent + 1);
    if (member.takeToken()) void this.#send(member, sent);
  }

  // Every other probe repeats the last address question. Those between ask for the root, because that question may be the reason for the silence.
  async #send(member: Member, sent: number): Promise<void> {
    const question = sent % 2 === 0 ? (member.lastAddressQuestion ?? ROOT_SERVERS) : ROOT_SERVERS;
    const { outcome, elapsedMs } = await this.#queries.query(member.upstream, question, {
      requester: null,
      limitMs: PROBE_LIMIT_MS,
    });
    if (!member.healthy && symptomOf(outcome) === "reply") member.revive(elapsedMs);
  }
}

interface ProbesContext {
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

interface BackgroundQuery {
  readonly outcome: AttemptOutcome;
  readonly elapsedMs: number;
}

interface BackgroundQueryOptions {
  readonly requester: Requester | null;
  readonly limitMs: number;
}

/** The group's own questions, for which no client waits: probes of unhealthy members and measurements of healthy ones. The callers limit their number. */
export class BackgroundQueries {
  readonly #clock: Clock;
  readonly #permits: (question: Question) => boolean;
  readonly #cancels = new Set<() => void>();

  /** @param permits whether a question may be sent; else it fails. */
  constructor(clock: Clock, permits: (question: Question) => boolean) {
    this.#clock = clock;
    this.#permits = permits;
  }

  /** Asks once. Ends after `limitMs` at the latest, and never rejects. */
  query(upstream: Upstream, question: Question, { requester, limitMs }: BackgroundQueryOptions): Promise<BackgroundQuery> {
    if (!this.#permits(question)) return Promise.resolve({ outcome: { kind: "failed", failure: "forbidden" }, elapsedMs: 0 });
    const startedMs = this.#clock.now();
    const stop = new AbortController();
    const { promise, resolve } = Promise.withResolvers<BackgroundQuery>();
    const finish = (outcome: AttemptOutcome): void => {
      if (!this.#cancels.delete(cancel)) return;
      timer.cancel();
      if (outcome.kind === "abandoned") stop.abort(new UpstreamError("aborted", upstream.label, "no longer needed"));
      resolve({ outcome, elapsedMs: this.#clock.now() - startedMs });
    };
    const cancel = (): void => finish({ kind: "abandoned", silent: false });
    const timer = this.#clock.setTimer(() => finish({ kind: "abandoned", silent: true }), limitMs);
    this.#cancels.add(cancel);
    // A bug that throws here throws for clients' questions too, and is reported there.
    ask(upstream, question, { signal: stop.signal, attempts: [], requester }).then(finish, cancel);
    return promise;
  }

  /** Ends all pending questions. */
  cancelAll(): void {
    for (const cancel of this.#cancels) cancel();
  }
}
