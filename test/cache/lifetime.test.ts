import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Held } from "../../src/cache/entry.ts";
import {
  type Aging,
  ageSeconds,
  freshness,
  isFresh,
  type LifetimeLimits,
  lifetimeSeconds,
  negativeLifetimeSeconds,
  positiveLifetimeSeconds,
  shouldPrefetch,
} from "../../src/cache/lifetime.ts";
import type { StaleOptions } from "../../src/cache/options.ts";
import type { Answer } from "../../src/dns/answer.ts";
import { bare, failure, nodata, nxdomain, positive, usualLimits, wideLimits } from "./answers.ts";

const stale: StaleOptions = { keepMs: 86_400_000, afterMs: 1800, ttlSeconds: 30, recheckMs: 30_000 };
const heldAtZero = (answer: Answer, volatile = false): Aging => ({ answer, storedAtMs: 0, volatile });

describe("a positive answer lives", () => {
  const { ttl } = wideLimits;

  test("as long as the lowest TTL of its answer section", () => {
    expect(positiveLifetimeSeconds(positive("a.example", { ttlSeconds: 300 }), ttl)).toBe(300);
    expect(positiveLifetimeSeconds(positive("a.example", { alias: "b.example", aliasTtlSeconds: 20 }), ttl)).toBe(20);
  });

  test("within the limits of the query's rule", () => {
    const answer = positive("a.example", { ttlSeconds: 300 });
    expect(positiveLifetimeSeconds(answer, { minSeconds: 600, maxSeconds: 3600 })).toBe(600);
    expect(positiveLifetimeSeconds(answer, { minSeconds: 0, maxSeconds: 60 })).toBe(60);
  });

  test("not at all with a TTL of 0, unless the rule raises it", () => {
    const answer = positive("a.example", { ttlSeconds: 0 });
    expect(positiveLifetimeSeconds(answer, ttl)).toBe(0);
    expect(positiveLifetimeSeconds(answer, { ...ttl, minSeconds: 5 })).toBe(5);
  });

  test("not at all if the TTL has its highest bit set (RFC 2181 §8)", () => {
    expect(positiveLifetimeSeconds(positive("a.example", { ttlSeconds: 0x8000_0000 }), ttl)).toBe(0);
  });
});

describe("a negative answer lives", () => {
  const { negative } = wideLimits;

  test("as long as the lesser of the SOA's TTL and MINIMUM (RFC 2308 §5)", () => {
    for (const answer of [nodata("a.example"), nxdomain("a.example")]) {
      const soa = answer.soa ?? expect.fail("no SOA");
      expect(negativeLifetimeSeconds({ ...answer, soa: { ...soa, ttlSeconds: 40, minimumSeconds: 90 } }, negative)).toBe(40);
      expect(negativeLifetimeSeconds({ ...answer, soa: { ...soa, ttlSeconds: 90, minimumSeconds: 40 } }, negative)).toBe(40);
    }
  });

  test("no longer than the aliases before it", () => {
    const shape = { alias: "b.example", aliasTtlSeconds: 7 };
    expect(negativeLifetimeSeconds(nodata("a.example", shape), negative)).toBe(7);
    expect(negativeLifetimeSeconds(nxdomain("a.example", shape), negative)).toBe(7);
    expect(negativeLifetimeSeconds(bare("a.example", shape), negative)).toBe(7);
  });

  test("within the limits of the query's rule", () => {
    expect(negativeLifetimeSeconds(nodata("a.example", { ttlSeconds: 3600 }), usualLimits.negative)).toBe(60);
    expect(negativeLifetimeSeconds(nodata("a.example", { ttlSeconds: 0 }), usualLimits.negative)).toBe(1);
    expect(negativeLifetimeSeconds(nodata("a.example", { ttlSeconds: 0 }), { ...negative, minSeconds: 0 })).toBe(0);
  });

  test("for a few seconds without SOA", () => {
    expect(negativeLifetimeSeconds(bare("a.example"), negative)).toBe(10);
    expect(negativeLifetimeSeconds({ ...nxdomain("a.example"), soa: null }, negative)).toBe(10);
  });

  test("for `negative.failure` if it is a failure", () => {
    expect(negativeLifetimeSeconds(failure("a.example"), negative)).toBe(5);
  });
});

describe("freshness", () => {
  const terms = (nowMs: number, keep: StaleOptions | null = stale) => ({ limits: usualLimits, stale: keep, nowMs });

  test("counts full seconds down to the last and ends with the TTL", () => {
    const held = heldAtZero(positive("a.example", { ttlSeconds: 2 }));
    expect(freshness(held, terms(0))).toEqual({ kind: "fresh", remainingSeconds: 2 });
    expect(freshness(held, terms(999))).toEqual({ kind: "fresh", remainingSeconds: 2 });
    expect(freshness(held, terms(1999))).toEqual({ kind: "fresh", remainingSeconds: 1 });
    expect(freshness(held, terms(2000)).kind).toBe("stale");
  });

  test("an expired positive answer may be sent until the stale limit (RFC 8767)", () => {
    const held = heldAtZero(positive("a.example", { ttlSeconds: 2 }));
    expect(freshness(held, terms(2000))).toEqual({ kind: "stale", usableUntilMs: 2000 + stale.keepMs });
    expect(freshness(held, terms(1999 + stale.keepMs)).kind).toBe("stale");
    expect(freshness(held, terms(2000 + stale.keepMs)).kind).toBe("expired");
  });

  test("negative answers, volatile answers and answers under a rule without stale answers are never stale", () => {
    const later = terms(61_000);
    for (const answer of [nodata("a.example"), nxdomain("a.example"), bare("a.example"), failure("a.example")]) {
      expect(freshness(heldAtZero(answer), later)).toEqual({ kind: "expired" });
    }
    const answer = positive("a.example", { ttlSeconds: 2 });
    expect(freshness(heldAtZero(answer, true), later)).toEqual({ kind: "expired" });
    expect(freshness(heldAtZero(answer), terms(61_000, null))).toEqual({ kind: "expired" });
  });

  test("the limits of each rule apply to one cached answer at lookup", () => {
    const held = heldAtZero(positive("a.example", { ttlSeconds: 300 }));
    const short: LifetimeLimits = { ...usualLimits, ttl: { minSeconds: 0, maxSeconds: 10 } };
    expect(freshness(held, terms(20_000)).kind).toBe("fresh");
    expect(freshness(held, { ...terms(20_000), limits: short }).kind).toBe("stale");
  });

  test("remaining seconds and age add up to the lifetime, and a lifetime never exceeds the limits", () => {
    const seconds = fc.integer({ min: 0, max: 200_000 });
    const shapes = fc.record({ ttlSeconds: seconds, aliasTtlSeconds: seconds });
    const makers = fc.constantFrom(positive, nodata, nxdomain, bare, failure);
    const limits = fc.tuple(seconds, seconds, seconds, seconds).map(([min, max, negativeMin, negativeMax]) => ({
      ttl: { minSeconds: Math.min(min, max), maxSeconds: Math.max(min, max) },
      negative: {
        ...wideLimits.negative,
        minSeconds: Math.min(negativeMin, negativeMax),
        maxSeconds: Math.max(negativeMin, negativeMax),
      },
    }));
    fc.assert(
      fc.property(makers, shapes, limits, fc.nat(300_000_000), (make, shape, under, nowMs) => {
        const held = heldAtZero(make("a.example", { ...shape, alias: "b.example" }));
        const life = lifetimeSeconds(held.answer, under);
        expect(life).toBeLessThanOrEqual(
          Math.max(under.ttl.maxSeconds, under.negative.maxSeconds, under.negative.failureSeconds),
        );
        const found = freshness(held, { limits: under, stale, nowMs });
        expect(found.kind === "fresh").toBe(isFresh(held, under, nowMs));
        if (found.kind !== "fresh") return;
        expect(found.remainingSeconds).toBeGreaterThan(0);
        expect(found.remainingSeconds + ageSeconds(held, nowMs)).toBe(life);
      }),
    );
  });
});

const heldAnswer = (answer: Answer, changed: Partial<Held> = {}): Omit<Held, "entry"> => ({
  answer,
  storedAtMs: 0,
  advertisedUntilMs: 0,
  hits: 2,
  volatile: false,
  synthesized: false,
  lastRefreshFailureAtMs: null,
  renewalAtMs: null,
  filterFingerprint: null,
  ...changed,
});
const termsAt = (nowMs: number, nameLives = false) => ({ limits: usualLimits, nowMs, nameLives: () => nameLives });

describe("an answer is renewed early", () => {
  const answer = positive("a.example", { ttlSeconds: 100 });

  test("in the last tenth of its life, not before and not after", () => {
    expect(shouldPrefetch(heldAnswer(answer), termsAt(89_999))).toBe(false);
    expect(shouldPrefetch(heldAnswer(answer), termsAt(90_000))).toBe(true);
    expect(shouldPrefetch(heldAnswer(answer), termsAt(99_999))).toBe(true);
    expect(shouldPrefetch(heldAnswer(answer), termsAt(100_000))).toBe(false);
  });

  test("after two hits", () => {
    expect(shouldPrefetch(heldAnswer(answer, { hits: 1 }), termsAt(95_000))).toBe(false);
    expect(shouldPrefetch(heldAnswer(answer, { hits: 7 }), termsAt(95_000))).toBe(true);
  });

  test("never if it is volatile", () => {
    expect(shouldPrefetch(heldAnswer(answer, { volatile: true }), termsAt(95_000))).toBe(false);
  });

  test("not again immediately after a renewal that changed nothing", () => {
    expect(shouldPrefetch(heldAnswer(answer, { renewalAtMs: 91_000 }), termsAt(95_999))).toBe(false);
    expect(shouldPrefetch(heldAnswer(answer, { renewalAtMs: 91_000 }), termsAt(96_000))).toBe(true);
  });

  test("as a NODATA only if another type of the name has a fresh positive answer", () => {
    const empty = heldAnswer(nodata("a.example", { ttlSeconds: 60 }));
    expect(shouldPrefetch(empty, termsAt(55_000, false))).toBe(false);
    expect(shouldPrefetch(empty, termsAt(55_000, true))).toBe(true);
  });

  test("never as NXDOMAIN or failure", () => {
    expect(shouldPrefetch(heldAnswer(nxdomain("a.example")), termsAt(55_000, true))).toBe(false);
    expect(shouldPrefetch(heldAnswer(failure("a.example")), termsAt(4_600, true))).toBe(false);
  });
});
