import type { Clock } from "../lib/clock.ts";

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
