import type { NegativeLimits, Shaping, TtlLimits } from "../answers/options.ts";
import { type Answer, outcomeOf } from "../dns/answer.ts";
import { unreachable } from "../lib/unreachable.ts";
import type { Held } from "./entry.ts";
import type { StaleOptions } from "./options.ts";

/** The limits of the rule at hand. */
export type LifetimeLimits = Pick<Shaping, "ttl" | "negative">;

/** What is known of an answer without its bytes. */
export type AnswerIndex = Omit<Answer, "wire" | "ttlOffsets">;

/** An answer that ages. */
export interface Aging {
  readonly answer: AnswerIndex;
  /** When it came, on the scale of `Clock.now`. */
  readonly storedAtMs: number;
  /** Never stale, prefetched or persisted. */
  readonly volatile: boolean;
}

/** Under what an answer is judged: the rule's limits, the stale options where the rule allows stale answers, and the time of `Clock.now`. */
interface Terms {
  readonly limits: LifetimeLimits;
  readonly stale: StaleOptions | null;
  readonly nowMs: number;
}

export type Freshness =
  /** Within its TTL: 1 second or more is left. */
  | { readonly kind: "fresh"; readonly remainingSeconds: number }
  /** Past its TTL, and good until then if nothing better can be had (RFC 8767). */
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

/** Whether it is within its TTL. */
export function isFresh(held: Aging, limits: LifetimeLimits, nowMs: number): boolean {
  return nowMs - held.storedAtMs < lifetimeSeconds(held.answer, limits) * 1000;
}

/** Full seconds since it came: what is taken off its TTLs. */
export function ageSeconds(held: Pick<Aging, "storedAtMs">, nowMs: number): number {
  return Math.max(0, Math.floor((nowMs - held.storedAtMs) / 1000));
}

/** How long an expired answer may still be given. Only positives, and none that changes by the hour (RFC 8767 §4). */
export function staleKeepMs(held: Aging, stale: StaleOptions | null): number {
  return stale === null || held.volatile || outcomeOf(held.answer) !== "positive" ? 0 : stale.keepMs;
}

/** Whether a refresh failed or was slow so lately that the stale answer is given without waiting for another (RFC 8767 §5). */
export function isStaleAtOnce(
  { lastRefreshFailureAtMs }: Pick<Held, "lastRefreshFailureAtMs">,
  { recheckMs }: StaleOptions,
  nowMs: number,
): boolean {
  return lastRefreshFailureAtMs !== null && nowMs < lastRefreshFailureAtMs + recheckMs;
}

/** For how long an answer of any kind is fresh, in seconds; 0 = not to be held. */
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
 * How long an answer without the records holds: the lesser of the SOA's TTL and MINIMUM (RFC 2308 §5), and no longer than the
 * aliases that led there, all within the limits.
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

// RFC 2308 §5 would not have these held at all; a few seconds keep a broken server from being asked for every query.
function bareLifetimeSeconds(aliasSeconds: number, limits: NegativeLimits): number {
  return Math.min(limits.bareSeconds, within(aliasSeconds, limits));
}

function within(seconds: number, limits: NegativeLimits): number {
  return Math.min(limits.maxSeconds, Math.max(limits.minSeconds, seconds));
}

/** When a held answer is renewed before it expires: after so many hits, in the last part of its life. */
const PREFETCH = { minHits: 2, lastPart: 0.1 } as const;

/** What the decision needs besides the held answer. */
interface PrefetchTerms {
  readonly limits: LifetimeLimits;
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
