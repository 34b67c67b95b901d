import { LRUCache } from "lru-cache";

/**
 * Values by their keys, at most so many: of more the one that was not used for longest is forgotten. What is not there takes no memory, as it would by
 * the option `max`: a megabyte for 50,000 values, and milliseconds of each start.
 */
export function recentlyUsed<Key extends {}, Value extends {}>(max: number): LRUCache<Key, Value> {
  return new LRUCache({ maxSize: max, sizeCalculation: () => 1 });
}

/** Values by texts, up to twice as many as `size`. Where there are more, the half that was not used lately is forgotten: cheaper for each value, and less exact. */
export class Remembered<Value> {
  readonly #size: number;
  #young = new Map<string, Value>();
  #old = new Map<string, Value>();

  constructor(size: number) {
    this.#size = size;
  }

  get(key: string): Value | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old !== undefined) this.put(key, old);
    return old;
  }

  /** @returns the value. */
  put(key: string, value: Value): Value {
    if (this.#young.size >= this.#size) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, value);
    return value;
  }
}
