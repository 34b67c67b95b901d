import { ROOT } from "../dns/name.ts";
import type { Question } from "../dns/query.ts";
import { CLASS, TYPE } from "../dns/types.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import { type Member, PROBE_DELAY, symptomOf } from "./member.ts";
import { type AttemptOutcome, ask } from "./reply.ts";
import { type Upstream, UpstreamError } from "./upstream.ts";

/** Long enough for a handshake through a proxy on another continent. With one probe a second, three at most are under way to a member. */
const PROBE_LIMIT_MS = 3000;

const ROOT_SERVERS: Question = {
  name: ROOT,
  type: TYPE.NS,
  class: CLASS.IN,
  dnssecOk: false,
  checkingDisabled: false,
  clientSubnet: null,
};

/** Asks unhealthy members until they reply: each second while nobody in the group is healthy, else ever more seldom. */
export class Probes {
  readonly #members: readonly Member[];
  readonly #clock: Clock;
  readonly #soundings: BackgroundQueries;
  readonly #next = new Map<Member, { readonly timer: Timer; readonly sent: number }>();
  #stopped = false;

  /** `members` are all of the group. */
  constructor(members: readonly Member[], clock: Clock, soundings: BackgroundQueries) {
    this.#members = members;
    this.#clock = clock;
    this.#soundings = soundings;
  }

  /** To be told of each turn of a member from healthy to unhealthy and back. */
  turned(member: Member, healthy: boolean): void {
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
    const delayMs = this.#isAnyHealthy() ? member.health.probeDelayMs : PROBE_DELAY.leastMs;
    this.#next.set(member, { timer: this.#clock.setTimer(() => this.#probe(member, sent), delayMs), sent });
  }

  #probe(member: Member, sent: number): void {
    if (this.#isAnyHealthy()) member.health.probed();
    this.#schedule(member, sent + 1);
    if (member.admitsProbe()) void this.#sound(member, sent);
  }

  // Every other probe asks what went unanswered last; those between ask for the root, because that name may be the very reason for the silence.
  async #sound(member: Member, sent: number): Promise<void> {
    const question = sent % 2 === 0 ? (member.lastAddressQuestion ?? ROOT_SERVERS) : ROOT_SERVERS;
    const { ending, elapsedMs } = await this.#soundings.query(member.upstream, question, {
      origin: null,
      limitMs: PROBE_LIMIT_MS,
    });
    if (!member.healthy && symptomOf(ending) === "reply") member.revive(elapsedMs);
  }
}

interface BackgroundQuery {
  readonly ending: AttemptOutcome;
  readonly elapsedMs: number;
}

interface BackgroundQueryOptions {
  readonly origin: string | null;
  readonly limitMs: number;
}

/** Questions of the group's own, which no client waits for: probes of unhealthy members and measurements of healthy ones. Whoever asks bounds their number. */
export class BackgroundQueries {
  readonly #clock: Clock;
  readonly #permits: (question: Question) => boolean;
  readonly #cancels = new Set<() => void>();

  /** What `permits` does not let pass is not sent, and has failed. */
  constructor(clock: Clock, permits: (question: Question) => boolean) {
    this.#clock = clock;
    this.#permits = permits;
  }

  /** Asks once. Ends by `limitMs`, whatever the upstream does, and never rejects. */
  query(upstream: Upstream, question: Question, { origin, limitMs }: BackgroundQueryOptions): Promise<BackgroundQuery> {
    if (!this.#permits(question)) return Promise.resolve({ ending: { kind: "failed", failure: "forbidden" }, elapsedMs: 0 });
    const startedMs = this.#clock.now();
    const stop = new AbortController();
    const { promise, resolve } = Promise.withResolvers<BackgroundQuery>();
    const finish = (ending: AttemptOutcome): void => {
      if (!this.#cancels.delete(cancel)) return;
      timer.cancel();
      if (ending.kind === "abandoned") stop.abort(new UpstreamError("aborted", upstream.label, "no longer needed"));
      resolve({ ending, elapsedMs: this.#clock.now() - startedMs });
    };
    const cancel = (): void => finish({ kind: "abandoned", silent: false });
    const timer = this.#clock.setTimer(() => finish({ kind: "abandoned", silent: true }), limitMs);
    this.#cancels.add(cancel);
    // A bug that throws here throws for clients' questions too, and is reported there.
    ask(upstream, question, { signal: stop.signal, attempts: [], origin }).then(finish, cancel);
    return promise;
  }

  /** Ends all that are under way. */
  cancelAll(): void {
    for (const cancel of this.#cancels) cancel();
  }
}
