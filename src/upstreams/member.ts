import { canonicalAddress } from "../dns/address.ts";
import type { Answer } from "../dns/answer.ts";
import { keepChain } from "../dns/chain.ts";
import { answersQuestion, type Question } from "../dns/query.ts";
import { rcodeName, TYPE } from "../dns/types.ts";
import type { Clock } from "../lib/clock.ts";
import { TokenBucket } from "../lib/token-bucket.ts";
import { unreachable } from "../lib/unreachable.ts";
import type { ServerOptions } from "./options.ts";
import { saysWhatIs } from "./reply.ts";
import { type ExchangeOptions, type Upstream, UpstreamError, type UpstreamFailure } from "./upstream.ts";

/**
 * Questions that may wait on one member, each with a socket over UDP. At a deadline of 4 s this is 500 new names a second on a dead server, far beyond a
 * household.
 */
export const MAX_MEMBER_IN_FLIGHT = 2000;

/**
 * How long a member comes after the others once it has answered with an HTTP status alone: most of these say that it has too much to do (429, 503). Its
 * Retry-After may ask for more, up to `mostMs`: nobody can send us away for a day.
 */
export const PAUSE = { leastMs: 1000, mostMs: 60_000 } as const;

/** One server of a group, with its health, its speed and its counters. */
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
  #pausedUntilMs = Number.NEGATIVE_INFINITY;
  /** What `upstream.addresses` last said, and all addresses of the server with those. */
  #found: readonly string[] | null = null;
  #addresses: ReadonlySet<string> = new Set();

  constructor(server: ServerOptions, upstream: Upstream, { clock, onHealthChange }: MemberContext) {
    this.server = server;
    this.upstream = upstream;
    this.latency = new Latency(clock);
    this.health = new Health((healthy) => onHealthChange(this, healthy));
    const { maxQps } = server;
    // The bucket holds one second's worth, so a burst after a pause may use all of it. At least one question fits.
    this.#rate = maxQps === null ? null : new TokenBucket({ perSecond: maxQps, burst: Math.max(1, maxQps) }, clock.now());
    this.#clock = clock;
  }

  get label(): string {
    return this.upstream.label;
  }

  get healthy(): boolean {
    return this.health.healthy;
  }

  /** Whether it should be spared for now. It is healthy all the same, and is asked where no other is. */
  get isPaused(): boolean {
    return this.#clock.now() < this.#pausedUntilMs;
  }

  /** The last A or AAAA question that was sent; null before the first. */
  get lastAddressQuestion(): Question | null {
    return this.#lastAddressQuestion;
  }

  /** Whether this is an address of the server, as far as they are known. @param address as `canonicalText` gives it. */
  isAt(address: string): boolean {
    const { host, addresses } = this.server;
    const found = this.upstream.addresses?.() ?? NO_ADDRESSES;
    if (found !== this.#found) this.#addresses = new Set([host, ...addresses, ...found].map(canonicalText));
    this.#found = found;
    return this.#addresses.has(address);
  }

  /** Counts a question that is about to be sent. false = `maxQps` or the limit on questions in flight forbids it. The caller calls `end` for each true. */
  begin(question: Question): boolean {
    if (this.#inFlight >= MAX_MEMBER_IN_FLIGHT || !this.takeToken()) return false;
    this.#inFlight += 1;
    this.#questions += 1;
    if (isAddressType(question.type)) this.#lastAddressQuestion = question;
    return true;
  }

  /** Records how a question ended that `begin` counted. */
  end(question: Question, outcome: AttemptOutcome): void {
    this.#inFlight -= 1;
    if (outcome.kind === "good") {
      this.health.noteReply("client");
      return;
    }
    const reason = failureReason(outcome);
    if (reason !== null) {
      this.#failures += 1;
      this.#lastFailure = { reason, atWallMs: this.#clock.wallMs() };
    }
    if (outcome.kind === "failed" && outcome.failure === "http")
      this.#pausedUntilMs = this.#clock.now() + pauseMs(outcome.retryAfter ?? null, this.#clock.wallMs());
    const symptom = symptomOf(outcome);
    if (symptom === "reply") this.health.noteReply("client");
    else if (symptom === "refused") this.health.noteRefusal();
    else if (symptom === "silence" && isAddressType(question.type)) this.health.noteSilence();
  }

  /** Records a reply to a probe: the member is healthy again, and its old latency no longer counts. */
  revive(elapsedMs: number): void {
    this.latency.restart(elapsedMs);
    this.health.noteReply("probe");
  }

  /** Takes one question from the allowance of `maxQps`; false = there is none left. */
  takeToken(): boolean {
    return this.#rate === null || this.#rate.take(this.#clock.now());
  }

  status(): MemberStatus {
    return {
      label: this.label,
      healthy: this.healthy,
      latencyMs: this.latency.smoothedMs,
      questions: this.#questions,
      failures: this.#failures,
      lastFailure: this.#lastFailure,
      inFlight: this.#inFlight,
    };
  }
}

const NO_ADDRESSES: readonly string[] = [];

/** An address in the one way in which it is written here; a name in lower case. */
export function canonicalText(host: string): string {
  return canonicalAddress(host) ?? host.toLowerCase();
}

interface MemberContext {
  readonly clock: Clock;
  readonly onHealthChange: (member: Member, healthy: boolean) => void;
}

/** One member as the API and the command line show it. */
export interface MemberStatus {
  readonly label: string;
  readonly healthy: boolean;
  /** Smoothed; null before the first answer. */
  readonly latencyMs: number | null;
  /** All questions sent, without probes. */
  readonly questions: number;
  /** Questions that failed, got a bad answer, or got no answer in `attemptMs`. */
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

/** How one attempt at one member ended. */
export type AttemptOutcome =
  | MemberReply
  | { readonly kind: "failed"; readonly failure: UpstreamFailure; readonly retryAfter?: string | null }
  /** We stopped waiting. `silent` = the member had its full `attemptMs` before that. */
  | { readonly kind: "abandoned"; readonly silent: boolean };

/** A complete answer to the right question. */
export type MemberReply =
  /** NOERROR or NXDOMAIN. */
  | { readonly kind: "good"; readonly answer: Answer }
  /** Another rcode, or a forged answer: the member replied, but not usefully. */
  | { readonly kind: "bad"; readonly answer: Answer; readonly isForged: boolean };

/** Asks `upstream`, a member of a group, and classifies the answer. @throws an error that is not an UpstreamError: it is a bug. */
export async function ask(upstream: Upstream, question: Question, options: ExchangeOptions): Promise<AttemptOutcome> {
  const { group, screen } = options;
  try {
    const received = await upstream.exchange(question, options);
    // A truncated answer lacks records. It must not reach a client or the cache.
    if (!answersQuestion(received, question) || received.truncated) return { kind: "failed", failure: "malformed" };
    const answer = keepChain(received);
    if (!saysWhatIs(answer)) return { kind: "bad", answer, isForged: false };
    const screened = screen === undefined || group === undefined ? answer : screen(answer, group);
    return screened === null ? { kind: "bad", answer, isForged: true } : { kind: "good", answer: screened };
  } catch (error) {
    if (error instanceof UpstreamError) return { kind: "failed", failure: error.failure, retryAfter: error.retryAfter };
    throw error;
  }
}

/** How long to spare a server that sent this Retry-After: seconds, or a date (RFC 9110 §10.2.3, §5.6.7). */
export function pauseMs(retryAfter: string | null, nowWallMs: number): number {
  const text = retryAfter?.trim() ?? "";
  const wantedMs = /^\d+$/.test(text) ? Number(text) * 1000 : /[a-z]/i.test(text) ? Date.parse(text) - nowWallMs : Number.NaN;
  return Number.isNaN(wantedMs) ? PAUSE.leastMs : Math.min(PAUSE.mostMs, Math.max(PAUSE.leastMs, wantedMs));
}

type Symptom = "reply" | "silence" | "refused" | "none";

/** What an outcome says about the health of the member; `none` = nothing. */
export function symptomOf(outcome: AttemptOutcome): Symptom {
  if (outcome.kind === "good" || outcome.kind === "bad") return "reply";
  if (outcome.kind === "abandoned") return outcome.silent ? "silence" : "none";
  switch (outcome.failure) {
    case "refused":
      return "refused";
    case "timeout":
    case "network":
    case "tls":
    case "proxy":
    case "bootstrap":
      return "silence";
    // The server replied, but not as a DNS server should; or the question was not sent.
    case "malformed":
    case "http":
    case "aborted":
    case "barred":
    case "forbidden":
    case "crowded":
    case "limited":
    case "exhausted":
    case "closed":
      return "none";
    default:
      return unreachable(outcome.failure);
  }
}

function failureReason(outcome: AttemptOutcome): string | null {
  switch (outcome.kind) {
    case "good":
      return null;
    case "bad":
      return rcodeName(outcome.answer.rcode);
    case "failed":
      return outcome.failure === "aborted" || outcome.failure === "closed" ? null : outcome.failure;
    case "abandoned":
      return outcome.silent ? "timeout" : null;
    default:
      return unreachable(outcome);
  }
}

/** Address questions in a row without a reply that make a member unhealthy. Any line loses one or two. */
export const SILENCES_UNTIL_UNHEALTHY = 3;

/**
 * How often unhealthy members are probed: every `leastMs` while no member of the group is healthy, else ever less often, down to every `silentMs`, so that one
 * that is back is soon known to be. One that answers probes and then falls silent to clients each time is left alone for ever longer, up to `relapsedMs`.
 */
export const PROBE_DELAY = { leastMs: 1000, silentMs: 5000, relapsedMs: 30_000 } as const;

/** Whether a member is reliable. Only whether it replies counts, never what it replies. */
class Health {
  /** How long to wait before the next probe while another member of the group is healthy. */
  probeDelayMs: number = PROBE_DELAY.leastMs;
  healthy = true;
  /** How long the first probe of the next illness waits. */
  #leastDelayMs: number = PROBE_DELAY.leastMs;
  readonly #onChange: (healthy: boolean) => void;
  #silences = 0;

  constructor(onChange: (healthy: boolean) => void) {
    this.#onChange = onChange;
  }

  /**
   * Records a reply, good or bad. Only a reply to a client resets the delay of probes: a member that answers probes and then falls silent again is
   * probed ever less often, so that clients wait for it ever less often.
   */
  noteReply(to: "client" | "probe"): void {
    this.#silences = 0;
    this.#leastDelayMs = to === "client" ? PROBE_DELAY.leastMs : Math.min(2 * this.#leastDelayMs, PROBE_DELAY.relapsedMs);
    this.probeDelayMs = this.#leastDelayMs;
    this.#set(true);
  }

  /** Records an address question without a reply. */
  noteSilence(): void {
    this.#silences += 1;
    if (this.#silences >= SILENCES_UNTIL_UNHEALTHY) this.#set(false);
  }

  /** Records that no process listens on the port. */
  noteRefusal(): void {
    this.#set(false);
  }

  /** Records a probe. The next one waits twice as long, as far as silence lengthens the delay. */
  noteProbe(): void {
    this.probeDelayMs = Math.max(this.probeDelayMs, Math.min(2 * this.probeDelayMs, PROBE_DELAY.silentMs));
  }

  #set(healthy: boolean): void {
    if (this.healthy === healthy) return;
    this.healthy = healthy;
    this.#onChange(healthy);
  }
}

/** The least weight of a new measurement: under steady traffic about twelve measurements make up the value. */
const LEAST_WEIGHT = 1 / 8;

/** After this long without a measurement a new one counts as much as the old value; much later it counts almost alone. */
const HALF_LIFE_MS = 30_000;

/** How long a member takes to answer, smoothed over its last answers. The older the value, the more a new measurement counts. */
export class Latency {
  readonly #clock: Clock;
  /** null = never measured. */
  smoothedMs: number | null = null;
  /** The last measurement alone. */
  lastMs: number | null = null;
  /** When the last measurement was made, on the scale of `Clock.now`. */
  measuredMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  observe(elapsedMs: number): void {
    const nowMs = this.#clock.now();
    const weight = Math.max(LEAST_WEIGHT, 1 - 2 ** ((this.measuredMs - nowMs) / HALF_LIFE_MS));
    this.smoothedMs = this.smoothedMs === null ? elapsedMs : this.smoothedMs + weight * (elapsedMs - this.smoothedMs);
    this.lastMs = elapsedMs;
    this.measuredMs = nowMs;
  }

  /** Starts again from one measurement: older ones no longer count. */
  restart(elapsedMs: number): void {
    this.smoothedMs = null;
    this.observe(elapsedMs);
  }
}
