import type { Question } from "../dns/query.ts";
import { rcodeName, TYPE } from "../dns/types.ts";
import type { Clock } from "../lib/clock.ts";
import { unreachable } from "../lib/unreachable.ts";
import type { Ending } from "./ending.ts";
import { Health } from "./health.ts";
import { Latency } from "./latency.ts";
import type { ServerOptions } from "./options.ts";
import { Rate } from "./rate.ts";
import type { Upstream } from "./upstream.ts";

/** Questions that may wait on one member. At a deadline of 4 s that is 250 new names a second hanging on a dead server, far beyond a house. */
export const MAX_MEMBER_IN_FLIGHT = 1000;

/** One server of a group, with what has been learnt about it. */
export class Member {
  readonly server: ServerOptions;
  readonly upstream: Upstream;
  readonly latency: Latency;
  readonly health: Health;
  readonly #rate: Rate;
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
    this.health = new Health((well) => changed(this, well));
    this.#rate = new Rate(server.maxQps, clock);
    this.#clock = clock;
  }

  get label(): string {
    return this.upstream.label;
  }

  get well(): boolean {
    return this.health.well;
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
    if (this.#inFlight >= MAX_MEMBER_IN_FLIGHT || !this.#rate.take()) return false;
    this.#inFlight += 1;
    this.#questions += 1;
    if (isAddressType(question.type)) this.#lastAddressQuestion = question;
    return true;
  }

  /** Takes down how a question ended that was counted by `begin`. */
  end(question: Question, ending: Ending): void {
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

  /** A reply to a probe: an ill member is well again, and what was known of its speed is out of date. */
  revive(elapsedMs: number): void {
    this.latency.restart(elapsedMs);
    this.health.replied("probe");
  }

  /** Counts a probe against `maxQps`; false where that forbids it. */
  admitsProbe(): boolean {
    return this.#rate.take();
  }

  status(): MemberStatus {
    return {
      label: this.label,
      well: this.well,
      latencyMs: this.latencyMs,
      questions: this.#questions,
      failures: this.#failures,
      lastFailure: this.#lastFailure,
      inFlight: this.#inFlight,
    };
  }
}

export interface MemberContext {
  readonly clock: Clock;
  readonly changed: (member: Member, well: boolean) => void;
}

/** One member as the API and the command line show it. */
export interface MemberStatus {
  readonly label: string;
  readonly well: boolean;
  /** Smoothed; null before the first answer. */
  readonly latencyMs: number | null;
  /** All that were sent, but for probes. */
  readonly questions: number;
  /** How many of them failed, got no good answer, or none in `attemptMs`. */
  readonly failures: number;
  readonly lastFailure: LastFailure | null;
  readonly inFlight: number;
}

export interface LastFailure {
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
export function symptomOf(ending: Ending): Symptom {
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

function failureReason(ending: Ending): string | null {
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
