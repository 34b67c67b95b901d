import { describe, expect, test } from "vitest";
import type { Held } from "../../src/cache/entry.ts";
import { shouldPrefetch } from "../../src/cache/lifetime.ts";
import type { Answer } from "../../src/dns/answer.ts";
import { failure, nodata, nxdomain, positive, usualLimits } from "./answers.ts";

const held = (answer: Answer, changed: Partial<Held> = {}): Held => ({
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
const at = (nowMs: number, nameLives = false) => ({ limits: usualLimits, nowMs, nameLives: () => nameLives });

describe("an answer is renewed early", () => {
  const answer = positive("a.example", { ttlSeconds: 100 });

  test("in the last tenth of its life, not before and not after", () => {
    expect(shouldPrefetch(held(answer), at(89_999))).toBe(false);
    expect(shouldPrefetch(held(answer), at(90_000))).toBe(true);
    expect(shouldPrefetch(held(answer), at(99_999))).toBe(true);
    expect(shouldPrefetch(held(answer), at(100_000))).toBe(false);
  });

  test("once it was asked for twice", () => {
    expect(shouldPrefetch(held(answer, { hits: 1 }), at(95_000))).toBe(false);
    expect(shouldPrefetch(held(answer, { hits: 7 }), at(95_000))).toBe(true);
  });

  test("never where it is volatile", () => {
    expect(shouldPrefetch(held(answer, { volatile: true }), at(95_000))).toBe(false);
  });

  test("not again at once after a renewal that changed nothing", () => {
    expect(shouldPrefetch(held(answer, { renewalAtMs: 91_000 }), at(95_999))).toBe(false);
    expect(shouldPrefetch(held(answer, { renewalAtMs: 91_000 }), at(96_000))).toBe(true);
  });

  test("as a NODATA only where the name has a live positive type", () => {
    const empty = held(nodata("a.example", { ttlSeconds: 60 }));
    expect(shouldPrefetch(empty, at(55_000, false))).toBe(false);
    expect(shouldPrefetch(empty, at(55_000, true))).toBe(true);
  });

  test("never as NXDOMAIN or failure", () => {
    expect(shouldPrefetch(held(nxdomain("a.example")), at(55_000, true))).toBe(false);
    expect(shouldPrefetch(held(failure("a.example")), at(4_600, true))).toBe(false);
  });
});
