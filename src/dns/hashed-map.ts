import { randomBytes } from "node:crypto";

/**
 * A map for keys that are new strings at every look-up, like names and cache keys. For a `Map` V8 first enters such a string into its table of unique
 * strings, which costs more than the look-up. This map hashes the characters (all below 256) and compares the few entries of the same hash. The hash starts
 * with a random number, so that nobody outside can choose names that collide.
 */
export class HashedMap<Key extends string, Value> {
  readonly #buckets = new Map<number, Slot<Key, Value>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(key: Key): Value | undefined {
    for (let slot = this.#buckets.get(hashOf(key)); slot !== undefined; slot = slot.next) {
      if (slot.key === key) return slot.value;
    }
    return undefined;
  }

  has(key: Key): boolean {
    return this.get(key) !== undefined;
  }

  set(key: Key, value: Value): void {
    const hash = hashOf(key);
    const first = this.#buckets.get(hash);
    for (let slot = first; slot !== undefined; slot = slot.next) {
      if (slot.key !== key) continue;
      slot.value = value;
      return;
    }
    this.#buckets.set(hash, { key, value, next: first });
    this.#size++;
  }

  delete(key: Key): boolean {
    const hash = hashOf(key);
    let previous: Slot<Key, Value> | undefined;
    for (let slot = this.#buckets.get(hash); slot !== undefined; slot = slot.next) {
      if (slot.key === key) {
        if (previous !== undefined) previous.next = slot.next;
        else if (slot.next !== undefined) this.#buckets.set(hash, slot.next);
        else this.#buckets.delete(hash);
        this.#size--;
        return true;
      }
      previous = slot;
    }
    return false;
  }

  /** The map may change during the iteration. */
  *values(): Generator<Value, void, undefined> {
    for (const first of this.#buckets.values()) {
      for (let slot: Slot<Key, Value> | undefined = first; slot !== undefined; slot = slot.next) yield slot.value;
    }
  }

  *keys(): Generator<Key, void, undefined> {
    for (const first of this.#buckets.values()) {
      for (let slot: Slot<Key, Value> | undefined = first; slot !== undefined; slot = slot.next) yield slot.key;
    }
  }
}

interface Slot<Key, Value> {
  readonly key: Key;
  value: Value;
  next: Slot<Key, Value> | undefined;
}

const SEED = randomBytes(4).readInt32LE();

function hashOf(key: string): number {
  let hash = SEED;
  for (let index = 0; index < key.length; index++) {
    hash = Math.imul(hash ^ key.charCodeAt(index), 0x5bd1e995);
    hash ^= hash >>> 15;
  }
  return hash;
}
