import type { Count } from "../summary.ts";

/** How often each of many texts was counted. */
export class Tally {
  readonly #counts = new Map<string, number>();

  add(key: string, count: number): void {
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + count);
  }

  /** The most frequent, most first; where two are equally frequent, in the order of their texts. */
  top(limit: number): Count[] {
    const counts = [...this.#counts].filter(([, count]) => count > 0);
    const sorted = counts.sort(([keyA, a], [keyB, b]) => b - a || (keyA < keyB ? -1 : 1));
    return sorted.slice(0, limit).map(([key, count]) => ({ key, count }));
  }

  /** All of them. */
  record(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.top(this.#counts.size).map(({ key, count }) => [key, count]));
  }
}
