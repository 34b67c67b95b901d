import type { Question } from "../dns/query.ts";
import { rcodeName, TYPE } from "../dns/types.ts";
import type { Clock } from "../lib/clock.ts";
import { TokenBucket } from "../lib/token-bucket.ts";
import { unreachable } from "../lib/unreachable.ts";
import type { ServerOptions } from "./options.ts";
import type { AttemptOutcome } from "./reply.ts";
import type { Upstream } from "./upstream.ts";

/** Questions that may wait on one member. At a deadline of 4 s that is 250 new names a second hanging on a dead server, far beyond a house. */
export const MAX_MEMBER_IN_FLIGHT = 1000;

/** One server of a group, with what has been learnt about it. */
export class Member {
  readonly server: ServerOptions;
  readonly upstream: Upstream;
  readonly latency: Latency;
  readonly health: Health;
  /** Keeps the server below its `maxQps`; null = no limit. */
  readonly #rate: TokenBucket | null;
  readonly #clock: Clock;
  #inFlight = 0;
  #questions = 0;
  #failures = 0;
  #lastFailure: LastFailure | null = null;
  #lastAddressQuestion: Question | null = null;

  constructor(server: ServerOptions, upstream: Upstream, { clock, changed }: MemberContext) {
    this.server = server;
    this.upstream = upstream;
    this.latency = new Latency(clock);
    this.health = new Health((healthy) => changed(this, healthy));
    const { maxQps } = server;
    // One second's worth, so a burst after a pause may use all of it; at least one question fits.
    this.#rate = maxQps === null ? null : new TokenBucket({ perSecond: maxQps, burst: Math.max(1, maxQps) }, clock.now());
    this.#clock = clock;
  }

  get label(): string {
    return this.upstream.label;
  }

  get healthy(): boolean {
    return this.health.healthy;
  }

  get weight(): number {
    return this.server.weight;
  }

  get latencyMs(): number | null {
    return this.latency.smoothedMs;
  }

  get lastMs(): number | null {
    return this.latency.lastMs;
  }

  get measuredMs(): number {
    return this.latency.measuredMs;
  }

  /** The last A or AAAA question that went there; null before the first. */
  get lastAddressQuestion(): Question | null {
    return this.#lastAddressQuestion;
  }

  /** Counts a question that is about to be sent; false where `maxQps` or the limit on questions in flight forbids it. Each true wants one `end`. */
  begin(question: Question): boolean {
    if (this.#inFlight >= MAX_MEMBER_IN_FLIGHT || !this.#takeToken()) return false;
    this.#inFlight += 1;
    this.#questions += 1;
    if (isAddressType(question.type)) this.#lastAddressQuestion = question;
    return true;
  }

  /** Takes down how a question ended that was counted by `begin`. */
  end(question: Question, ending: AttemptOutcome): void {
    this.#inFlight -= 1;
    const reason = failureReason(ending);
    if (reason !== null) {
      this.#failures += 1;
      this.#lastFailure = { reason, atWallMs: this.#clock.wallMs() };
    }
    const symptom = symptomOf(ending);
    if (symptom === "reply") this.health.replied("client");
    else if (symptom === "refused") this.health.refused();
    else if (symptom === "silence" && isAddressType(question.type)) this.health.silent();
  }

  /** A reply to a probe: an unhealthy member is healthy again, and what was known of its speed is out of date. */
  revive(elapsedMs: number): void {
    this.latency.restart(elapsedMs);
    this.health.replied("probe");
  }

  /** Counts a probe against `maxQps`; false where that forbids it. */
  admitsProbe(): boolean {
    return this.#takeToken();
  }

  #takeToken(): boolean {
    return this.#rate === null || this.#rate.take(this.#clock.now());
  }

  status(): MemberStatus {
    return {
      label: this.label,
      healthy: this.healthy,
      latencyMs: this.latencyMs,
      questions: this.#questions,
      failures: this.#failures,
      lastFailure: this.#lastFailure,
      inFlight: this.#inFlight,
    };
  }
}

interface MemberContext {
  readonly clock: Clock;
  readonly changed: (member: Member, healthy: boolean) => void;
}

/** One member as the API and the command line show it. */
export interface MemberStatus {
  readonly label: string;
  readonly healthy: boolean;
  /** Smoothed; null before the first answer. */
  readonly latencyMs: number | null;
  /** All that were sent, but for probes. */
  readonly questions: number;
  /** How many of them failed, got no good answer, or none in `attemptMs`. */
  readonly failures: number;
  readonly lastFailure: LastFailure | null;
  readonly inFlight: number;
}

interface LastFailure {
  /** An `UpstreamFailure`, or the mnemonic of an rcode. */
  readonly reason: string;
  /** Milliseconds since 1970. */
  readonly atWallMs: number;
}

export function isAddressType(type: number): boolean {
  return type === TYPE.A || type === TYPE.AAAA;
}

type Symptom = "reply" | "silence" | "refused" | "none";

/** What an ending says about health: `none` where it is no sign of either. */
export function symptomOf(ending: AttemptOutcome): Symptom {
  if (ending.kind === "good" || ending.kind === "bad") return "reply";
  if (ending.kind === "abandoned") return ending.silent ? "silence" : "none";
  switch (ending.failure) {
    case "refused":
      return "refused";
    case "timeout":
    case "network":
    case "tls":
    case "proxy":
    case "bootstrap":
      return "silence";
    // Something answered, though not as a DNS server should, or the question never left.
    case "malformed":
    case "http":
    case "aborted":
    case "barred":
    case "forbidden":
    case "exhausted":
    case "closed":
      return "none";
    default:
      return unreachable(ending.failure);
  }
}

function failureReason(ending: AttemptOutcome): string | null {
  switch (ending.kind) {
    case "good":
      return null;
    case "bad":
      return rcodeName(ending.answer.rcode);
    case "failed":
      return ending.failure === "aborted" || ending.failure === "closed" ? null : ending.failure;
    case "abandoned":
      return ending.silent ? "timeout" : null;
    default:
      return unreachable(ending);
  }
}

/** Address questions in a row without any reply that make a member unhealthy: one or two are lost on any line. */
export const SILENCES_UNTIL_UNHEALTHY = 3;

/** How often the unhealthy are probed: at `leastMs` while no member of the group is healthy, else ever less often up to `mostMs`. */
export const PROBE_DELAY = { leastMs: 1000, mostMs: 30_000 } as const;

/** Whether one member can be relied on, judged only by whether it replies and never by what it replies. */
class Health {
  readonly #changed: (healthy: boolean) => void;
  #healthy = true;
  #silences = 0;
  #probeDelayMs: number = PROBE_DELAY.leastMs;

  /** `changed` is called after each turn from healthy to unhealthy and back. */
  constructor(changed: (healthy: boolean) => void) {
    this.#changed = changed;
  }

  get healthy(): boolean {
    return this.#healthy;
  }

  /** How long to wait before the next probe if another member of the group is healthy. */
  get probeDelayMs(): number {
    return this.#probeDelayMs;
  }

  /**
   * A reply came, good or bad. Only one to a client's question starts the probing over: a member that answers probes and then falls
   * silent again is probed ever more seldom, so that clients wait for it ever more seldom.
   */
  replied(to: "client" | "probe"): void {
    this.#silences = 0;
    if (to === "client") this.#probeDelayMs = PROBE_DELAY.leastMs;
    this.#turn(true);
  }

  /** An address question got no reply. */
  silent(): void {
    this.#silences += 1;
    if (this.#silences >= SILENCES_UNTIL_UNHEALTHY) this.#turn(false);
  }

  /** Nobody listens there. */
  refused(): void {
    this.#turn(false);
  }

  /** A probe has been sent; the next one waits twice as long. */
  probed(): void {
    this.#probeDelayMs = Math.min(2 * this.#probeDelayMs, PROBE_DELAY.mostMs);
  }

  #turn(healthy: boolean): void {
    if (this.#healthy === healthy) return;
    this.#healthy = healthy;
    this.#changed(healthy);
  }
}

/** The least a new measurement counts: under steady traffic the last dozen or so make up the value. */
const LEAST_WEIGHT = 1 / 8;

/** After this long without a measurement the old value and a new one count the same; much later the new one is nearly all. */
const HALF_LIFE_MS = 30_000;

/** How long a member takes to answer, smoothed over its last answers; the older the value, the more a new measurement counts. */
export class Latency {
  readonly #clock: Clock;
  #smoothedMs: number | null = null;
  #lastMs: number | null = null;
  #measuredMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** null = never measured. */
  get smoothedMs(): number | null {
    return this.#smoothedMs;
  }

  /** The last measurement alone. */
  get lastMs(): number | null {
    return this.#lastMs;
  }

  /** When it was last measured, on the clock's scale. */
  get measuredMs(): number {
    return this.#measuredMs;
  }

  observe(elapsedMs: number): void {
    const nowMs = this.#clock.now();
    const weight = Math.max(LEAST_WEIGHT, 1 - 2 ** ((this.#measuredMs - nowMs) / HALF_LIFE_MS));
    this.#smoothedMs = this.#smoothedMs === null ? elapsedMs : this.#smoothedMs + weight * (elapsedMs - this.#smoothedMs);
    this.#lastMs = elapsedMs;
    this.#measuredMs = nowMs;
  }

  /** Begins anew from one measurement: what was known is no guide any more. */
  restart(elapsedMs: number): void {
    this.#smoothedMs = null;
    this.observe(elapsedMs);
  }
}
