import { describe, expect, test } from "vitest";
import { AnswerCache } from "../../src/cache/answer-cache.ts";
import { type CacheKey, cacheKey } from "../../src/cache/key.ts";
import type { CacheOptions } from "../../src/cache/options.ts";
import { outcomeOf } from "../../src/dns/answer.ts";
import { CLASS, TYPE } from "../../src/dns/types.ts";
import { fakeClock } from "../support/fake-clock.ts";
import { bare, failure, name, nodata, nxdomain, positive, question, usualLimits } from "./answers.ts";

const options: CacheOptions = {
  sizeBytes: 1 << 20,
  stale: { keepMs: 86_400_000, afterMs: 1800, ttlSeconds: 30, recheckMs: 30_000 },
  prefetch: true,
  file: null,
  volatile: [],
};
const limits = usualLimits;
const place = { class: CLASS.IN, route: "domestic" };

function newCache() {
  const clock = fakeClock();
  const cache = new AnswerCache(options, clock);
  const outcomeAt = (key: CacheKey) => {
    const held = cache.peek(key);
    return held === null ? null : outcomeOf(held.answer);
  };
  return { cache, clock, outcomeAt };
}

const key = (text: string, type: number = TYPE.A, route = "domestic") => cacheKey(question(text, type), route);
const signedKey = (text: string, type: number = TYPE.A) => cacheKey(question(text, type, { dnssecOk: true }), "domestic");

describe("an NXDOMAIN", () => {
  test("answers every type of its name (RFC 2308 §5)", () => {
    const { cache, outcomeAt } = newCache();
    expect(cache.put(key("gone.example"), nxdomain("gone.example"), { limits })).toBe("taken");
    expect(outcomeAt(key("gone.example"))).toBe("nxdomain");
    expect(outcomeAt(key("gone.example", TYPE.HTTPS))).toBe("nxdomain");
  });

  test("answers for no name below it, on no other route, and not for another DO bit", () => {
    const { cache, outcomeAt } = newCache();
    cache.put(key("gone.example"), nxdomain("gone.example"), { limits });
    expect(outcomeAt(key("below.gone.example"))).toBeNull();
    expect(outcomeAt(key("gone.example", TYPE.A, "overseas"))).toBeNull();
    expect(outcomeAt(signedKey("gone.example"))).toBeNull();
  });

  test("at the end of an alias is cached for the queried name and type only, because the alias itself exists", () => {
    const { cache, outcomeAt } = newCache();
    cache.put(key("www.example"), nxdomain("www.example", { alias: "end.example" }), { limits });
    expect(outcomeAt(key("www.example"))).toBe("nxdomain");
    expect(outcomeAt(key("www.example", TYPE.CNAME))).toBeNull();
    expect(outcomeAt(key("end.example"))).toBeNull();
  });

  test("is refused while a positive answer of another type is within its TTL, with or without DO", async () => {
    const { cache, clock } = newCache();
    cache.put(key("page.example"), positive("page.example", { ttlSeconds: 30 }), { limits });
    const coming = nxdomain("page.example", { type: TYPE.AAAA });
    expect(cache.put(key("page.example", TYPE.AAAA), coming, { limits })).toBe("exists");
    expect(cache.put(signedKey("page.example", TYPE.AAAA), coming, { limits })).toBe("exists");
    await clock.advance(30_000);
    expect(cache.put(key("page.example", TYPE.AAAA), coming, { limits })).toBe("taken");
  });

  test("is refused while upstream's NODATA is fresh, but not for a synthesized NODATA", async () => {
    const { cache, clock } = newCache();
    const coming = nxdomain("page.example");
    cache.put(key("page.example", TYPE.HTTPS), nodata("page.example", { type: TYPE.HTTPS, ttlSeconds: 20 }), { limits });
    expect(cache.put(key("page.example"), coming, { limits })).toBe("exists");
    await clock.advance(20_000);
    cache.put(key("page.example", TYPE.AAAA), nodata("page.example", { type: TYPE.AAAA }), { limits, synthesized: true });
    expect(cache.put(key("page.example"), coming, { limits })).toBe("taken");
  });

  test("is not refused because of answers of another route", () => {
    const { cache } = newCache();
    cache.put(key("page.example", TYPE.A, "overseas"), positive("page.example"), { limits });
    expect(cache.put(key("page.example", TYPE.AAAA), nxdomain("page.example"), { limits })).toBe("taken");
  });

  test("at the end of an alias is refused while another alias proves that the target exists", () => {
    const { cache } = newCache();
    cache.put(key("one.example"), positive("one.example", { alias: "end.example" }), { limits });
    const coming = nxdomain("two.example", { type: TYPE.AAAA, alias: "end.example" });
    expect(cache.put(key("two.example", TYPE.AAAA), coming, { limits })).toBe("exists");
    expect(cache.put(key("end.example", TYPE.AAAA), nxdomain("end.example"), { limits })).toBe("exists");
  });

  test("is dropped by a positive answer for any type of its name, with or without DO", () => {
    for (const proof of [key("page.example", TYPE.AAAA), signedKey("page.example", TYPE.AAAA)]) {
      const { cache, outcomeAt } = newCache();
      cache.put(key("page.example"), nxdomain("page.example"), { limits });
      cache.put(proof, positive("page.example", { type: TYPE.AAAA, data: new Uint8Array(16) }), { limits });
      expect(outcomeAt(key("page.example"))).toBeNull();
      expect(outcomeAt(proof)).toBe("positive");
    }
  });

  test("is dropped even by a positive answer with TTL 0, which itself is not stored", () => {
    const { cache, outcomeAt } = newCache();
    cache.put(key("page.example"), nxdomain("page.example"), { limits });
    expect(
      cache.put(key("page.example", TYPE.TXT), positive("page.example", { type: TYPE.TXT, ttlSeconds: 0 }), { limits }),
    ).toBe("momentary");
    expect(outcomeAt(key("page.example"))).toBeNull();
  });

  test("is dropped by upstream's NODATA, not by a synthesized NODATA, an empty answer or a failure", () => {
    const { cache, outcomeAt } = newCache();
    cache.put(key("page.example"), nxdomain("page.example"), { limits });
    cache.put(key("page.example", TYPE.TXT), nodata("page.example", { type: TYPE.TXT }), { limits, synthesized: true });
    cache.put(key("page.example", TYPE.MX), bare("page.example", { type: TYPE.MX }), { limits });
    cache.put(key("page.example", TYPE.SRV), failure("page.example", { type: TYPE.SRV }), { limits });
    expect(outcomeAt(key("page.example"))).toBe("nxdomain");
    cache.put(key("page.example", TYPE.HTTPS), nodata("page.example", { type: TYPE.HTTPS }), { limits });
    expect(outcomeAt(key("page.example"))).toBeNull();
  });

  test("of a name where aliases end is dropped by an answer whose aliases end there", () => {
    const { cache, outcomeAt } = newCache();
    cache.put(key("end.example"), nxdomain("end.example"), { limits });
    cache.put(key("two.example"), nxdomain("two.example", { alias: "end.example" }), { limits });
    cache.put(key("one.example"), positive("one.example", { alias: "end.example" }), { limits });
    expect(outcomeAt(key("end.example"))).toBeNull();
    expect(outcomeAt(key("two.example"))).toBeNull();
  });

  test("makes stale answers of every type of its name, and of aliases to the name, unusable", async () => {
    const { cache, clock, outcomeAt } = newCache();
    cache.put(key("page.example"), positive("page.example", { ttlSeconds: 30 }), { limits });
    cache.put(signedKey("page.example"), positive("page.example", { ttlSeconds: 30 }), { limits });
    cache.put(key("alias.example"), positive("alias.example", { alias: "page.example", ttlSeconds: 30 }), { limits });
    cache.put(key("page.example", TYPE.A, "overseas"), positive("page.example", { ttlSeconds: 30 }), { limits });
    await clock.advance(30_000);
    expect(outcomeAt(key("page.example"))).toBe("positive");
    cache.put(key("page.example", TYPE.AAAA), nxdomain("page.example", { type: TYPE.AAAA }), { limits });
    expect(outcomeAt(key("page.example"))).toBe("nxdomain");
    expect(outcomeAt(signedKey("page.example"))).toBeNull();
    expect(outcomeAt(key("alias.example"))).toBeNull();
    expect(outcomeAt(key("page.example", TYPE.A, "overseas"))).toBe("positive");
  });
});

describe("a positive answer", () => {
  test("is replaced by a negative answer only after its TTL", async () => {
    const { cache, clock, outcomeAt } = newCache();
    for (const negative of [nodata("page.example"), bare("page.example"), nxdomain("page.example")]) {
      expect(cache.put(key("page.example"), positive("page.example", { ttlSeconds: 30 }), { limits })).toBe("taken");
      expect(cache.put(key("page.example"), negative, { limits })).toBe("positive");
      await clock.advance(29_999);
      expect(cache.put(key("page.example"), negative, { limits })).toBe("positive");
      expect(outcomeAt(key("page.example"))).toBe("positive");
      await clock.advance(1);
      expect(cache.put(key("page.example"), negative, { limits })).toBe("taken");
      expect(outcomeAt(key("page.example"))).toBe(outcomeOf(negative));
      cache.flush(name("."), true);
    }
  });

  test("is never replaced by a failure; the failure is noted on the positive answer", async () => {
    const { cache, clock } = newCache();
    cache.put(key("page.example"), positive("page.example", { ttlSeconds: 30 }), { limits });
    await clock.advance(40_000);
    expect(cache.peek(key("page.example"))?.lastRefreshFailureAtMs).toBeNull();
    expect(cache.put(key("page.example"), failure("page.example"), { limits })).toBe("positive");
    expect(cache.peek(key("page.example"))?.lastRefreshFailureAtMs).toBe(40_000);
    cache.put(key("page.example"), positive("page.example"), { limits });
    expect(cache.peek(key("page.example"))?.lastRefreshFailureAtMs).toBeNull();
  });

  test("replaces every other answer of its key", () => {
    for (const first of [positive("page.example"), nodata("page.example"), bare("page.example"), failure("page.example")]) {
      const { cache, outcomeAt } = newCache();
      cache.put(key("page.example"), first, { limits });
      cache.put(key("page.example"), positive("page.example", { data: Uint8Array.of(192, 0, 2, 99) }), { limits });
      expect(outcomeAt(key("page.example"))).toBe("positive");
      expect(cache.peek(key("page.example"))?.answer.wire.at(-1)).toBe(99);
      expect(cache.stats().positive.entries + cache.stats().negative.entries).toBe(1);
    }
  });

  test("with a TTL of 0 is not stored, and drops the answers that it supersedes", () => {
    const { cache, outcomeAt } = newCache();
    cache.put(key("page.example"), positive("page.example"), { limits });
    expect(cache.put(key("page.example"), positive("page.example", { ttlSeconds: 0 }), { limits })).toBe("momentary");
    expect(outcomeAt(key("page.example"))).toBeNull();
    const raised = { ...limits, ttl: { minSeconds: 5, maxSeconds: 60 } };
    expect(cache.put(key("page.example"), positive("page.example", { ttlSeconds: 0 }), { limits: raised })).toBe("taken");
  });

  test.each([
    { title: "the rule that it came by", first: "wide", promised: false, taken: false },
    { title: "the rule at hand", first: "short", promised: false, taken: true },
    { title: "another rule that gave it meanwhile", first: "short", promised: true, taken: false },
  ] as const)("is within its TTL as long as the limits say of $title", async ({ first, promised, taken }) => {
    const { cache, clock } = newCache();
    const short = { ...limits, ttl: { minSeconds: 0, maxSeconds: 10 } };
    const answer = positive("page.example", { ttlSeconds: 300 });
    cache.put(key("page.example"), answer, { limits: first === "wide" ? limits : short });
    await clock.advance(5000);
    if (promised) cache.extendAdvertised(key("page.example"), "positive", 300_000);
    await clock.advance(5000);
    expect(cache.put(key("page.example"), nodata("page.example"), { limits: short })).toBe(taken ? "taken" : "positive");
  });
});

test("an answer in place of another is within its TTL as long as any client was told of the one before", async () => {
  const { cache, clock } = newCache();
  const short = { ...limits, ttl: { minSeconds: 0, maxSeconds: 3 } };
  cache.put(key("page.example"), positive("page.example", { ttlSeconds: 60 }), { limits });
  await clock.advance(4000);
  expect(cache.put(key("page.example"), positive("page.example", { ttlSeconds: 60 }), { limits: short })).toBe("taken");
  await clock.advance(4000);
  expect(cache.put(key("page.example"), nodata("page.example"), { limits: short })).toBe("positive");
});

describe("a failure", () => {
  test("replaces no fresh negative answer, neither of the type nor of the name", async () => {
    const { cache, clock, outcomeAt } = newCache();
    cache.put(key("page.example"), nodata("page.example", { ttlSeconds: 20 }), { limits });
    cache.put(key("gone.example"), nxdomain("gone.example", { ttlSeconds: 20 }), { limits });
    expect(cache.put(key("page.example"), failure("page.example"), { limits })).toBe("negative");
    expect(cache.peek(key("page.example"))?.lastRefreshFailureAtMs).toBe(clock.now());
    expect(cache.put(key("gone.example", TYPE.MX), failure("gone.example", { type: TYPE.MX }), { limits })).toBe("negative");
    await clock.advance(20_000);
    expect(cache.put(key("page.example"), failure("page.example"), { limits })).toBe("taken");
    expect(outcomeAt(key("page.example"))).toBe("failure");
  });

  test("is held by key, for `negative.failure`, and is dropped when its route recovers", async () => {
    const { cache, clock, outcomeAt } = newCache();
    cache.put(key("page.example"), failure("page.example"), { limits });
    expect(outcomeAt(key("page.example", TYPE.AAAA))).toBeNull();
    await clock.advance(4_999);
    expect(outcomeAt(key("page.example"))).toBe("failure");
    await clock.advance(1);
    expect(outcomeAt(key("page.example"))).toBeNull();

    cache.put(key("page.example"), failure("page.example"), { limits });
    cache.put(key("page.example", TYPE.A, "overseas"), failure("page.example"), { limits });
    cache.put(key("held.example"), positive("held.example"), { limits });
    cache.noteRefreshFailure(key("held.example"));
    cache.forgetFailures("domestic");
    expect(outcomeAt(key("page.example"))).toBeNull();
    expect(outcomeAt(key("page.example", TYPE.A, "overseas"))).toBe("failure");
    expect(cache.peek(key("held.example"))?.lastRefreshFailureAtMs).toBeNull();
  });
});

describe("existence is proven", () => {
  test("by a positive answer within its TTL, and never by a stale one", async () => {
    const { cache, clock } = newCache();
    expect(cache.provesExistence(name("page.example"), place, limits)).toBe(false);
    cache.put(key("page.example"), positive("page.example", { ttlSeconds: 30 }), { limits });
    expect(cache.provesExistence(name("page.example"), place, limits)).toBe(true);
    expect(cache.provesExistence(name("example"), place, limits)).toBe(false);
    expect(cache.provesExistence(name("page.example"), { ...place, route: "overseas" }, limits)).toBe(false);
    await clock.advance(30_000);
    expect(cache.provesExistence(name("page.example"), place, limits)).toBe(false);
    expect(cache.holdsPositive(name("page.example"), place, limits)).toBe(false);
  });

  test("by upstream's NODATA while it is fresh, and by no other negative", async () => {
    const { cache, clock } = newCache();
    cache.put(key("made.example"), nodata("made.example"), { limits, synthesized: true });
    cache.put(key("bare.example"), bare("bare.example"), { limits });
    cache.put(key("ill.example"), failure("ill.example"), { limits });
    cache.put(key("gone.example"), nxdomain("gone.example"), { limits });
    for (const text of ["made", "bare", "ill", "gone"]) {
      expect(cache.provesExistence(name(`${text}.example`), place, limits)).toBe(false);
    }
    cache.put(key("page.example"), nodata("page.example", { ttlSeconds: 20 }), { limits });
    expect(cache.provesExistence(name("page.example"), place, limits)).toBe(true);
    expect(cache.holdsPositive(name("page.example"), place, limits)).toBe(false);
    await clock.advance(20_000);
    expect(cache.provesExistence(name("page.example"), place, limits)).toBe(false);
  });

  test("for the target of an alias as for the alias", () => {
    const { cache } = newCache();
    cache.put(key("www.example"), positive("www.example", { alias: "end.example" }), { limits });
    expect(cache.provesExistence(name("www.example"), place, limits)).toBe(true);
    expect(cache.provesExistence(name("end.example"), place, limits)).toBe(true);
    expect(cache.holdsPositive(name("end.example"), place, limits)).toBe(false);
  });
});
