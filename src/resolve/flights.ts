/**
 * Equal work under way is done once: whoever asks for a key that is already being worked on waits for that result.
 * The table is bounded; beyond `limit` work is refused rather than queued.
 */
export class Flights<Key, Result> {
  readonly #limit: number;
  readonly #underWay = new Map<Key, Promise<Result>>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** @returns null where there is no more room. */
  join(key: Key, start: () => Promise<Result>): Promise<Result> | null {
    const running = this.#underWay.get(key);
    if (running !== undefined) return running;
    if (this.#underWay.size >= this.#limit) return null;
    const flight = start().finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, flight);
    return flight;
  }

  get size(): number {
    return this.#underWay.size;
  }
}
