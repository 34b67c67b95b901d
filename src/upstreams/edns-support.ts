import type { Answer } from "../dns/answer.ts";
import { RCODE } from "../dns/types.ts";
import type { Clock } from "../lib/clock.ts";

/** How long a server found to be without EDNS is asked without it; after that it may have been replaced or mended. */
const PLAIN_MS = 3_600_000;

/** Whether one server understands EDNS. What it refuses with OPT it is asked once more without (RFC 6891 §7). */
export class EdnsSupport {
  readonly #clock: Clock;
  #plainUntilMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async ask(ask: (edns: boolean) => Promise<Answer>): Promise<Answer> {
    if (this.#clock.now() < this.#plainUntilMs) return ask(false);
    const answer = await ask(true);
    if (!isRefusal(answer)) return answer;
    const plain = await ask(false);
    if (!isRefusal(plain)) this.#plainUntilMs = this.#clock.now() + PLAIN_MS;
    return plain;
  }
}

function isRefusal({ rcode }: Answer): boolean {
  return rcode === RCODE.FORMERR || rcode === RCODE.NOTIMP;
}
