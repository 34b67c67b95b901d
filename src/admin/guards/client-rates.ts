import { LRUCache } from "lru-cache";

/** Clients remembered at once; the one not seen for longest is forgotten. */
const MAX_CLIENTS = 10_000;

interface Allowance {
  tokens: number;
  atMs: number;
}

/** How fast each client may ask: so much at once, and then so many a second. */
export class ClientRates {
  readonly #perSecond: number;
  readonly #burst: number;
  readonly #nowMs: () => number;
  readonly #allowances = new LRUCache<string, Allowance>({ max: MAX_CLIENTS });

  constructor(perSecond: number, burst: number, nowMs: () => number) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#nowMs = nowMs;
  }

  /** Takes one request off what the client has left. @returns after how many seconds it may ask again; 0 = it may now. */
  take(client: string): number {
    const allowance = this.#allowanceOf(client);
    if (allowance.tokens < 1) return Math.ceil((1 - allowance.tokens) / this.#perSecond);
    allowance.tokens--;
    return 0;
  }

  /** Takes more off, which may leave the client in debt of as much as a whole burst. */
  charge(client: string, requests: number): void {
    const allowance = this.#allowanceOf(client);
    allowance.tokens = Math.max(-this.#burst, allowance.tokens - requests);
  }

  #allowanceOf(client: string): Allowance {
    const atMs = this.#nowMs();
    const known = this.#allowances.get(client);
    if (known === undefined) {
      const allowance = { tokens: this.#burst, atMs };
      this.#allowances.set(client, allowance);
      return allowance;
    }
    known.tokens = Math.min(this.#burst, known.tokens + ((atMs - known.atMs) / 1000) * this.#perSecond);
    known.atMs = atMs;
    return known;
  }
}
