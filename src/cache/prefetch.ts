import { outcomeOf } from "../dns/answer.ts";
import type { Held } from "./held.ts";
import { type Limits, lifetimeSeconds } from "./lifetime.ts";

/** When a held answer is renewed before it expires: after so many hits, in the last part of its life. */
const PREFETCH = { minHits: 2, lastPart: 0.1 } as const;

/** What the decision needs besides the held answer. */
export interface PrefetchTerms {
  readonly limits: Limits;
  readonly nowMs: number;
  /** Whether a positive answer of any type of the name is within its TTL; called for NODATA alone. */
  readonly nameLives: () => boolean;
}

/** Whether a hit on `held` should set off its renewal: positives, and NODATA of a name that has another type, as browsers ask both. */
export function shouldPrefetch(held: Held, { limits, nowMs, nameLives }: PrefetchTerms): boolean {
  if (held.volatile || held.hits < PREFETCH.minHits) return false;
  // One that failed, or brought what may not take its place, is not tried again at once (RFC 9520 §3.2).
  if (held.renewalAtMs !== null && nowMs - held.renewalAtMs < limits.negative.failureSeconds * 1000) return false;
  const lifeMs = lifetimeSeconds(held.answer, limits) * 1000;
  const elapsedMs = nowMs - held.storedAtMs;
  if (elapsedMs < lifeMs * (1 - PREFETCH.lastPart) || elapsedMs >= lifeMs) return false;
  const outcome = outcomeOf(held.answer);
  return outcome === "positive" || (outcome === "nodata" && nameLives());
}
