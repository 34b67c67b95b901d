/**
 * Equal work under way is done once: whoever asks for a key that is already being worked on waits for that result.
 * The table is bounded; beyond `limit` work is refused rather than queued.
 */
export class Flights<Key, Work extends Flight> {
  readonly #limit: number;
  readonly #underWay = new Map<Key, Work>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** @returns null where there is no more room. */
  join(key: Key, start: () => Work): Work | null {
    const running = this.#underWay.get(key);
    if (running !== undefined) return running;
    if (this.#underWay.size >= this.#limit) return null;
    const flight = start();
    this.#underWay.set(key, flight);
    const land = () => void this.#underWay.delete(key);
    flight.result.then(land, land);
    return flight;
  }

  get size(): number {
    return this.#underWay.size;
  }
}

/** Work under way. */
export interface Flight {
  readonly result: Promise<unknown>;
}
