import type { Clock } from "../../lib/clock.ts";
import { ERROR } from "./codes.ts";
import { ConnectionError } from "./connection-error.ts";

/** Streams that a client may reset, or have us reset, in a burst and per second, before its session is ended (CVE-2023-44487, CVE-2025-8671). */
const RESETS = { burst: 500, perSecond: 50 };

/** What of a client's conduct is held against it, beyond what a frame shows by itself. */
export class Conduct {
  readonly #clock: Clock;
  readonly #maxCutShort: number;
  #resetsLeft: number = RESETS.burst;
  #resetsAtMs: number;
  /** Streams that ended before the client had said everything: what it sends on them may have been under way. */
  readonly #cutShort = new Set<number>();

  /** @param maxStreams that may be open at once. */
  constructor(clock: Clock, maxStreams: number) {
    this.#clock = clock;
    this.#maxCutShort = 2 * maxStreams;
    this.#resetsAtMs = clock.now();
  }

  /** A stream came to its end for what the client did. @throws ConnectionError where that is a flood. */
  countReset(): void {
    const nowMs = this.#clock.now();
    const regained = ((nowMs - this.#resetsAtMs) * RESETS.perSecond) / 1000;
    this.#resetsLeft = Math.min(RESETS.burst, this.#resetsLeft + regained) - 1;
    this.#resetsAtMs = nowMs;
    if (this.#resetsLeft < 0) throw new ConnectionError(ERROR.ENHANCE_YOUR_CALM, "a flood of resets");
  }

  /** What comes on this stream is excused. */
  cutShort(streamId: number): void {
    this.#cutShort.add(streamId);
    const [oldest] = this.#cutShort;
    if (this.#cutShort.size > this.#maxCutShort && oldest !== undefined) this.#cutShort.delete(oldest);
  }

  /** @throws ConnectionError for what comes on a stream that the client itself had ended (§5.1) or skipped (§5.1.1). */
  demandExcuse(streamId: number): void {
    if (!this.#cutShort.has(streamId)) throw new ConnectionError(ERROR.STREAM_CLOSED, "a frame on a stream that has ended");
  }
}
