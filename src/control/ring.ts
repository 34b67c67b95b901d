/** The oldest come out first. What does not fit is not taken: nothing that waits is displaced. */
export class Ring<Item> {
  readonly #slots: (Item | null)[];
  readonly #mask: number;
  #first = 0;
  #next = 0;

  /** @param capacity a power of two. */
  constructor(capacity: number) {
    if (capacity < 1 || (capacity & (capacity - 1)) !== 0) throw new Error(`${capacity} is no power of two`);
    this.#slots = new Array<Item | null>(capacity).fill(null);
    this.#mask = capacity - 1;
  }

  /** @returns false where it is full. */
  put(item: Item): boolean {
    if (this.#next - this.#first > this.#mask) return false;
    this.#slots[this.#next & this.#mask] = item;
    this.#next++;
    return true;
  }

  /** null = it is empty. */
  take(): Item | null {
    if (this.#first === this.#next) return null;
    const slot = this.#first & this.#mask;
    const item = this.#slots[slot] ?? null;
    this.#slots[slot] = null;
    this.#first++;
    return item;
  }

  get size(): number {
    return this.#next - this.#first;
  }
}
