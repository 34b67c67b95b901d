import type { NegativeLimits, Shaping, TtlLimits } from "../answers/options.ts";
import { type Answer, outcomeOf } from "../dns/answer.ts";
import { unreachable } from "../lib/unreachable.ts";
import type { Held } from "./entry.ts";
import type { StaleOptions } from "./options.ts";

/** The limits of the query's rule. */
export type LifetimeLimits = Pick<Shaping, "ttl" | "negative">;

/** An answer without its bytes. */
export type AnswerIndex = Omit<Answer, "wire" | "ttlOffsets">;

/** An answer that ages. */
export interface Aging {
  readonly answer: AnswerIndex;
  /** When the answer came, on the scale of `Clock.now`. */
  readonly storedAtMs: number;
  /** Never stale, prefetched or persisted. */
  readonly volatile: boolean;
}

/** The limits of the rule, the stale options (null = the rule allows no stale answers), and the time of `Clock.now`. */
interface Terms {
  readonly limits: LifetimeLimits;
  readonly stale: StaleOptions | null;
  readonly nowMs: number;
}

export type Freshness =
  /** Within its TTL: at least 1 second is left. */
  | { readonly kind: "fresh"; readonly remainingSeconds: number }
  /** Past its TTL; may be given until `usableUntilMs` if there is nothing better (RFC 8767). */
  | { readonly kind: "stale"; readonly usableUntilMs: number }
  | { readonly kind: "expired" };

const EXPIRED: Freshness = { kind: "expired" };

export function freshness(held: Aging, { limits, stale, nowMs }: Terms): Freshness {
  const lifeSeconds = lifetimeSeconds(held.answer, limits);
  if (nowMs - held.storedAtMs < lifeSeconds * 1000) {
    return { kind: "fresh", remainingSeconds: lifeSeconds - ageSeconds(held, nowMs) };
  }
  const keptMs = staleKeepMs(held, stale);
  const usableUntilMs = held.storedAtMs + lifeSeconds * 1000 + keptMs;
  return keptMs > 0 && nowMs < usableUntilMs ? { kind: "stale", usableUntilMs } : EXPIRED;
}

/** Whether the answer is within its TTL. */
export function isFresh(held: Aging, limits: LifetimeLimits, nowMs: number): boolean {
  return nowMs - held.storedAtMs < lifetimeSeconds(held.answer, limits) * 1000;
}

/** Full seconds since the answer came: what its TTLs are lowered by. */
export function ageSeconds(held: Pick<Aging, "storedAtMs">, nowMs: number): number {
  return Math.max(0, Math.floor((nowMs - held.storedAtMs) / 1000));
}

/** How long an expired answer may still be given. Zero for negatives (RFC 8767 §4) and for volatile answers. */
export function staleKeepMs(held: Aging, stale: StaleOptions | null): number {
  return stale === null || held.volatile || outcomeOf(held.answer) !== "positive" ? 0 : stale.keepMs;
}

/** Whether a refresh failed or was slow so recently that the stale answer is given without another try first (RFC 8767 §5). */
export function isStaleAtOnce(
  { lastRefreshFailureAtMs }: Pick<Held, "lastRefreshFailureAtMs">,
  { recheckMs }: StaleOptions,
  nowMs: number,
): boolean {
  return lastRefreshFailureAtMs !== null && nowMs < lastRefreshFailureAtMs + recheckMs;
}

/** How long an answer of any kind is fresh, in seconds; 0 = it must not be cached. */
export function lifetimeSeconds(answer: AnswerIndex, limits: LifetimeLimits): number {
  return outcomeOf(answer) === "positive"
    ? positiveLifetimeSeconds(answer, limits.ttl)
    : negativeLifetimeSeconds(answer, limits.negative);
}

/** The lowest TTL of the answer section, within the limits. A TTL of 0 stays 0 unless `minSeconds` raises it. */
export function positiveLifetimeSeconds(answer: AnswerIndex, limits: TtlLimits): number {
  return Math.min(limits.maxSeconds, Math.max(limits.minSeconds, answer.lowestTtlSeconds ?? 0));
}

/**
 * How long a negative answer is fresh: the lesser of the SOA's TTL and MINIMUM (RFC 2308 §5), at most the TTLs of the aliases before it, within the
 * limits.
 */
export function negativeLifetimeSeconds(answer: AnswerIndex, limits: NegativeLimits): number {
  const outcome = outcomeOf(answer);
  const aliasSeconds = answer.lowestTtlSeconds ?? limits.maxSeconds;
  switch (outcome) {
    case "nodata":
    case "nxdomain":
      if (answer.soa === null) return bareLifetimeSeconds(aliasSeconds, limits);
      return within(Math.min(answer.soa.ttlSeconds, answer.soa.minimumSeconds, aliasSeconds), limits);
    case "nodataWithoutSoa":
      return bareLifetimeSeconds(aliasSeconds, limits);
    case "failure":
      return limits.failureSeconds;
    case "positive":
      throw new Error("a positive answer has no negative lifetime");
    default:
      return unreachable(outcome);
  }
}

// RFC 2308 §5 forbids caching an answer without SOA. A few seconds keep a broken server from being asked again for every query.
function bareLifetimeSeconds(aliasSeconds: number, limits: NegativeLimits): number {
  return Math.min(limits.bareSeconds, within(aliasSeconds, limits));
}

function within(seconds: number, limits: NegativeLimits): number {
  return Math.min(limits.maxSeconds, Math.max(limits.minSeconds, seconds));
}

/** An answer is renewed before it expires if it had `minHits` hits and is in the last part of its life. */
const PREFETCH = { minHits: 2, lastPart: 0.1 } as const;

interface PrefetchTerms {
  readonly limits: LifetimeLimits;
  readonly nowMs: number;
  /** Whether any type of the name has a positive answer within its TTL; called for NODATA only. */
  readonly nameLives: () => boolean;
}

/** Whether a hit should start a renewal: for positives, and for NODATA of a name with another type, because browsers ask for both. */
export function shouldPrefetch(held: Omit<Held, "entry">, { limits, nowMs, nameLives }: PrefetchTerms): boolean {
  if (held.volatile || held.hits < PREFETCH.minHits) return false;
  // A renewal that failed, or whose answer was refused, is not tried again at once (RFC 9520 §3.2).
  if (held.renewalAtMs !== null && nowMs - held.renewalAtMs < limits.negative.failureSeconds * 1000) return false;
  const lifeMs = lifetimeSeconds(held.answer, limits) * 1000;
  const elapsedMs = nowMs - held.storedAtMs;
  if (elapsedMs < lifeMs * (1 - PREFETCH.lastPart) || elapsedMs >= lifeMs) return false;
  const outcome = outcomeOf(held.answer);
  return outcome === "positive" || (outcome === "nodata" && nameLives());
}

/** For how many milliseconds after its coming the answer can be given without any further step: until it may be renewed, else until it expires. */
export function undisturbedMs(held: Aging, limits: LifetimeLimits, prefetch: boolean): number {
  const lifeMs = lifetimeSeconds(held.answer, limits) * 1000;
  return prefetch && !held.volatile ? lifeMs * (1 - PREFETCH.lastPart) : lifeMs;
}
