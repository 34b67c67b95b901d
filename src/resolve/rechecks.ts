import { LRUCache } from "lru-cache";

/** Keys remembered at most; one that was forgotten may be tried again sooner. */
const MAX_TRIES = 16_384;

/**
 * When the refresh of a troubled answer was last tried in the background. While its upstream is down a stale answer is given at once,
 * and no more than one question in `recheckMs` goes out for it (RFC 8767 §5).
 */
export class Rechecks {
  readonly #recheckMs: number;
  readonly #triedAtMs = new LRUCache<string, number>({ max: MAX_TRIES });

  constructor(recheckMs: number) {
    this.#recheckMs = recheckMs;
  }

  /** Whether it is time to try; if so, this counts as the try. */
  take(key: string, nowMs: number): boolean {
    if (nowMs < (this.#triedAtMs.get(key) ?? Number.NEGATIVE_INFINITY) + this.#recheckMs) return false;
    this.#triedAtMs.set(key, nowMs);
    return true;
  }

  /** An upstream is back: everything may be tried. */
  clear(): void {
    this.#triedAtMs.clear();
  }
}
