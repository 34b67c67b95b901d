import { type Answer, outcomeOf } from "../dns/answer.ts";
import { TYPE } from "../dns/types.ts";
import type { Clock } from "../lib/clock.ts";

/** How long an answer that looks forged is held back: about the way to a server abroad and back. */
export const OUTWAIT_MS = 400;

/** For how long a server whose answers come without OPT, and are followed by no other, is taken for one that has no EDNS. */
const PLAIN_MS = 3_600_000;

/**
 * Tells answers that may be forged on the way from those of one server. Whoever injects forged answers sees the question pass and is quicker
 * than the server, but knows nothing of EDNS, while a server that does answers OPT with OPT (RFC 6891 §6.1.1).
 */
export class ForgeryWatch {
  readonly #clock: Clock;
  #speaksEdns = false;
  #plainUntilMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether to wait for another answer to a question that went out with OPT. Only addresses are worth forging. */
  suspects(answer: Answer, hasOpt: boolean): boolean {
    if (hasOpt) this.#speaksEdns = true;
    if (hasOpt || outcomeOf(answer) !== "positive" || (answer.type !== TYPE.A && answer.type !== TYPE.AAAA)) return false;
    return this.#speaksEdns || this.#clock.now() >= this.#plainUntilMs;
  }

  /** Nothing better came: the answer is the server's own, as far as anybody can tell. */
  acquit(): void {
    if (!this.#speaksEdns) this.#plainUntilMs = this.#clock.now() + PLAIN_MS;
  }
}
