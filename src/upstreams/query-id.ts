import { randomFillSync } from "node:crypto";

const pool = new Uint16Array(512);
let used = pool.length;

/** An unpredictable query id (RFC 5452 §9.2), from a pool because a call into the generator costs more than the question. */
export function randomId(): number {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  const id = pool[used] ?? 0;
  // An id that went out is not kept where it could be read again.
  pool[used] = 0;
  used += 1;
  return id;
}
