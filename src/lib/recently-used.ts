import { LRUCache } from "lru-cache";

/**
 * Values by their keys, at most so many: of more the one that was not used for longest is forgotten. What is not there takes no memory, as it would by
 * the option `max`: a megabyte for 50,000 values, and milliseconds of each start.
 */
export function recentlyUsed<Key extends {}, Value extends {}>(max: number): LRUCache<Key, Value> {
  return new LRUCache({ maxSize: max, sizeCalculation: () => 1 });
}
