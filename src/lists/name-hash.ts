import { randomBytes } from "node:crypto";
import type { Name } from "../dns/name.ts";

/**
 * Hashes of names grow label by label from the root: the hash of a name is one step from that of its parent. They begin at a random number, so that
 * nobody can write a list whose names all collide.
 */
export const ROOT_HASH = randomBytes(4).readInt32LE();

/** A prime with its bits spread evenly; two octets a step, because each step waits for the multiplication before it. */
const PRIME = 0x9e37_79b1 | 0;

/** The hash of the name that begins with the label at `start`, from that of its parent. */
export function hashBelow(parentHash: number, name: Name, start: number): number {
  const end = start + 1 + name.charCodeAt(start);
  let hash = parentHash;
  let position = start;
  for (; position + 1 < end; position += 2)
    hash = Math.imul(hash ^ (name.charCodeAt(position) | (name.charCodeAt(position + 1) << 8)), PRIME);
  return position < end ? Math.imul(hash ^ name.charCodeAt(position), PRIME) : hash;
}

/** The same where the label stands in octets. */
export function octetsHashBelow(parentHash: number, octets: Uint8Array, start: number): number {
  const end = start + 1 + (octets[start] ?? 0);
  let hash = parentHash;
  let position = start;
  for (; position + 1 < end; position += 2)
    hash = Math.imul(hash ^ ((octets[position] ?? 0) | ((octets[position + 1] ?? 0) << 8)), PRIME);
  return position < end ? Math.imul(hash ^ (octets[position] ?? 0), PRIME) : hash;
}

/** Makes every bit of a hash count for the highest ones of the result. */
export function spread(hash: number): number {
  return Math.imul(hash ^ (hash >>> 15), 0x85eb_ca6b);
}
