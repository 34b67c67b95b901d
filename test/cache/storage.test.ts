import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { AnswerCache } from "../../src/cache/answer-cache.ts";
import { entryBytes } from "../../src/cache/entry.ts";
import { nxdomainKey } from "../../src/cache/key.ts";
import { lifetimeSeconds } from "../../src/cache/lifetime.ts";
import type { Answer } from "../../src/dns/answer.ts";
import { TYPE } from "../../src/dns/types.ts";
import { isThorough } from "../support/properties.ts";
import { failure, name, nodata, nxdomain, plain, positive, usualLimits } from "./answers.ts";
import { key, newCache, stale } from "./caches.ts";

const limits = usualLimits;

/** Names of one length, so that their entries weigh the same. */
const host = (index: number) => `h${String(index).padStart(6, "0")}.example`;
const weight = entryBytes(key(host(0)), positive(host(0)));
/** A cache whose positive segment has room for this number of entries. */
const sizeFor = (entries: number) => Math.ceil((entries * weight * 8) / 7);

describe("a cached answer", () => {
  const answers: readonly [string, Answer][] = [
    ["a positive", positive("page.example")],
    ["one behind an alias", positive("page.example", { alias: "end.example" })],
    ["a NODATA", nodata("page.example")],
    ["an NXDOMAIN", nxdomain("page.example")],
    [
      "a failure with its reasons",
      { ...failure("page.example"), rcode: 23, extendedErrors: [{ code: 22, text: "nobody there" }] },
    ],
    ["a long one", positive("page.example", { type: TYPE.TXT, data: new Uint8Array(60_000).map((_, index) => index & 255) })],
  ];
  test.each(answers)("comes back unchanged: %s", (_, answer) => {
    const { cache } = newCache(1 << 20);
    const at = key("page.example", answer.type);
    expect(cache.put(at, answer, { limits })).toBe("taken");
    const { entry, ...held } = cache.get(at) ?? expect.unreachable();
    expect(cache.isHeld(entry)).toBe(true);
    expect(held).toEqual({
      answer: plain(answer),
      storedAtMs: 0,
      advertisedUntilMs: lifetimeSeconds(answer, limits) * 1000,
      hits: 1,
      volatile: false,
      synthesized: false,
      lastRefreshFailureAtMs: null,
      renewalAtMs: null,
      filterFingerprint: null,
    });
  });

  test("stays valid for the caller after the entry is dropped and its memory is reused", () => {
    const { cache } = newCache(1 << 20);
    cache.put(key("page.example"), positive("page.example"), { limits });
    const held = cache.get(key("page.example"));
    cache.delete(key("page.example"));
    for (let index = 0; index < 50; index++) cache.put(key(host(index)), positive(host(index)), { limits });
    expect(held?.answer).toEqual(plain(positive("page.example")));
  });

  test("does not change when the caller of `put` changes the bytes", () => {
    const { cache } = newCache(1 << 20);
    const answer = positive("page.example");
    cache.put(key("page.example"), answer, { limits });
    answer.wire.fill(0);
    expect(cache.get(key("page.example"))?.answer).toEqual(plain(positive("page.example")));
  });

  test("is not stored if the answer is truncated, or larger than its share", () => {
    const { cache } = newCache(8192);
    expect(cache.put(key("page.example"), { ...positive("page.example"), truncated: true }, { limits })).toBe("truncated");
    const large = positive("page.example", { type: TYPE.TXT, data: new Uint8Array(9000) });
    expect(cache.put(key("page.example", TYPE.TXT), large, { limits })).toBe("large");
    expect(newCache(0).cache.put(key("page.example"), positive("page.example"), { limits })).toBe("large");
  });

  test("is dropped once it is useless: a positive answer after its stale time, a negative or volatile answer after its TTL", async () => {
    const { cache, clock } = newCache(1 << 20);
    cache.put(key("a.example"), positive("a.example", { ttlSeconds: 10 }), { limits });
    cache.put(key("b.example"), positive("b.example", { ttlSeconds: 10 }), { limits, volatile: true });
    cache.put(key("c.example"), nodata("c.example", { ttlSeconds: 10 }), { limits });
    await clock.advance(9_999);
    expect(["a", "b", "c"].filter((text) => cache.peek(key(`${text}.example`)) !== null)).toEqual(["a", "b", "c"]);
    await clock.advance(1);
    expect(["a", "b", "c"].filter((text) => cache.peek(key(`${text}.example`)) !== null)).toEqual(["a"]);
    await clock.advance(stale.keepMs);
    expect(cache.peek(key("a.example"))).toBeNull();
    expect(cache.stats()).toMatchObject({ positive: { entries: 0, bytes: 0 }, negative: { entries: 0, bytes: 0 } });
  });

  test("cannot be stored under the key of another name: that throws", () => {
    const { cache } = newCache(1 << 20);
    expect(() => cache.put(key("page.example"), positive("other.example"), { limits })).toThrow("another name");
  });
});

describe("the budget", () => {
  test("a flood of NXDOMAINs of random names displaces no positive answer", () => {
    // Either is many times what the negative answers have room for.
    const floodSize = isThorough ? 100_000 : 15_000;
    const { cache } = newCache(1 << 20);
    const names = Array.from({ length: 500 }, (_, index) => host(index));
    for (const each of names) cache.put(key(each), positive(each), { limits });
    for (let index = 0; index < floodSize; index++) {
      const flood = `x${index}.flood.example`;
      cache.put(key(flood), nxdomain(flood), { limits });
    }
    expect(names.filter((each) => cache.peek(key(each)) === null)).toEqual([]);
    const { positive: positives, negative } = cache.stats();
    expect(positives).toMatchObject({ entries: 500, evictions: 0 });
    expect(negative.entries).toBeGreaterThan(50);
    expect(negative.entries + negative.evictions).toBe(floodSize);
  });

  test("is never exceeded, whatever is put", () => {
    const puts = fc.array(
      fc.record({
        index: fc.nat(30),
        make: fc.constantFrom(positive, nodata, nxdomain, failure),
        bytes: fc.integer({ min: 1, max: 900 }),
        aliased: fc.boolean(),
      }),
      { maxLength: 80, size: "max" },
    );
    fc.assert(
      fc.property(puts, fc.integer({ min: 0, max: 20_000 }), (script, sizeBytes) => {
        const { cache } = newCache(sizeBytes);
        for (const { index, make, bytes, aliased } of script) {
          const shape = { type: TYPE.TXT, data: new Uint8Array(bytes), ...(aliased ? { alias: "end.example" } : {}) };
          cache.put(key(host(index), TYPE.TXT), make(host(index), shape), { limits });
          const stats = cache.stats();
          expect(stats.positive.bytes).toBeLessThanOrEqual(stats.positive.budgetBytes);
          expect(stats.negative.bytes).toBeLessThanOrEqual(stats.negative.budgetBytes);
          expect(stats.positive.budgetBytes + stats.negative.budgetBytes).toBe(sizeBytes);
          const held = [...cache.entries()];
          expect(held.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(stats.positive.bytes + stats.negative.bytes);
          expect(held.length).toBe(stats.positive.entries + stats.negative.entries);
        }
      }),
    );
  });

  test("many types or many client subnets of one name use few entries", () => {
    const { cache } = newCache(1 << 24);
    cache.put(key("page.example"), positive("page.example"), { limits });
    for (let type = 300; type < 1300; type++) cache.put(key("page.example", type), nodata("page.example", { type }), { limits });
    expect(cache.stats().negative.entries).toBe(256);
    expect(cache.peek(key("page.example", 1299))).not.toBeNull();
    expect(cache.peek(key("page.example"))).not.toBeNull();
  });

  test("may be changed: entries that no longer fit are evicted, and the others stay", () => {
    const { cache } = newCache(sizeFor(20));
    for (let index = 0; index < 20; index++) cache.put(key(host(index)), positive(host(index)), { limits });
    cache.configure({ sizeBytes: sizeFor(40), stale, prefetch: true, file: null, volatile: [] });
    expect(cache.stats().positive).toMatchObject({ entries: 20, evictions: 0 });
    cache.configure({ sizeBytes: sizeFor(5), stale, prefetch: true, file: null, volatile: [] });
    expect(cache.stats().positive).toMatchObject({ entries: 5, evictions: 15 });
    expect(cache.get(key(host(19)))?.answer).toEqual(plain(positive(host(19))));
  });

  test("thousands of names may be aliases of one", () => {
    const { cache } = newCache(1 << 22);
    for (let index = 0; index < 2000; index++) {
      cache.put(key(host(index)), positive(host(index), { alias: "end.example" }), { limits });
    }
    expect(cache.stats().positive.entries).toBe(2000);
    for (let index = 0; index < 2000; index++) cache.delete(key(host(index)));
    expect(cache.stats().positive).toMatchObject({ entries: 0, bytes: 0 });
    expect(cache.inspect(name("end.example"))).toEqual([]);
  });
});

describe("eviction", () => {
  test("follows SIEVE: the hand spares each entry with a hit once, and evicts the first entry without a hit", () => {
    const room = 8;
    const step = fc.record({ index: fc.nat(20), action: fc.constantFrom("put", "put", "get", "get", "delete") });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200, size: "max" }), (script) => {
        const { cache } = newCache(sizeFor(room));
        const model = new SieveModel(room);
        for (const { index, action } of script) {
          const text = host(index);
          if (action === "delete") {
            cache.delete(key(text));
            model.remove(text);
          } else if (action === "put" && !model.has(text)) {
            cache.put(key(text), positive(text), { limits });
            model.add(text);
          } else {
            expect(cache.get(key(text)) !== null).toBe(model.hit(text));
          }
          expect(hostsIn(cache)).toEqual(model.names());
        }
      }),
    );
  });

  test("finds useless entries anywhere in the queue", async () => {
    const step = fc.record({ index: fc.nat(40), ttlSeconds: fc.constantFrom(1, 5, 1000), waitMs: fc.constantFrom(0, 500, 3000) });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 150, size: "max" }), async (script) => {
        const room = 6;
        const { cache, clock } = newCache(sizeFor(room), { stale: null });
        for (const { index, ttlSeconds, waitMs } of script) {
          await clock.advance(waitMs);
          // With fewer entries than one step of eviction inspects, no useful entry is evicted before a useless one.
          const useful = hostsIn(cache);
          cache.put(key(host(index)), positive(host(index), { ttlSeconds }), { limits });
          const kept = hostsIn(cache);
          if (useful.length < room) expect(kept).toEqual([...new Set([...useful, host(index)])].sort());
          else expect(kept.length).toBe(room);
        }
      }),
      { numRuns: 40 },
    );
  });

  test("takes useless entries before useful ones", async () => {
    const { cache, clock } = newCache(sizeFor(4), { stale: null });
    cache.put(key(host(0)), positive(host(0), { ttlSeconds: 100 }), { limits });
    cache.put(key(host(1)), positive(host(1), { ttlSeconds: 100 }), { limits });
    cache.put(key(host(2)), positive(host(2), { ttlSeconds: 5 }), { limits });
    cache.put(key(host(3)), positive(host(3), { ttlSeconds: 100 }), { limits });
    cache.get(key(host(2)));
    await clock.advance(5_000);
    cache.put(key(host(4)), positive(host(4)), { limits });
    expect(hostsIn(cache)).toEqual([host(0), host(1), host(3), host(4)]);
    expect(cache.stats().positive.evictions).toBe(0);
  });

  test("a renewed answer is spared if the old answer had hits", () => {
    const { cache } = newCache(sizeFor(2));
    cache.put(key(host(0)), positive(host(0)), { limits });
    cache.get(key(host(0)));
    cache.put(key(host(0)), positive(host(0)), { limits });
    cache.put(key(host(1)), positive(host(1)), { limits });
    cache.put(key(host(2)), positive(host(2)), { limits });
    expect(hostsIn(cache)).toEqual([host(0), host(2)]);
  });

  test("a renewed NXDOMAIN is spared if the old NXDOMAIN had hits, for whatever type", () => {
    const { cache } = newCache(2 * 8 * entryBytes(nxdomainKey(key(host(0))), nxdomain(host(0))));
    cache.put(key(host(0)), nxdomain(host(0)), { limits });
    cache.get(key(host(0)));
    cache.put(key(host(0), TYPE.AAAA), nxdomain(host(0), { type: TYPE.AAAA }), { limits });
    cache.put(key(host(1)), nxdomain(host(1)), { limits });
    cache.put(key(host(2)), nxdomain(host(2)), { limits });
    expect(hostsIn(cache)).toEqual([host(0), host(2)]);
  });
});

describe("lookups and flushes", () => {
  test("`get` counts a hit, `peek` does not", () => {
    const { cache } = newCache(1 << 20);
    cache.put(key("page.example"), positive("page.example"), { limits });
    cache.peek(key("page.example"));
    cache.peek(key("none.example"));
    cache.get(key("none.example"));
    expect(cache.get(key("page.example"))?.hits).toBe(1);
    expect(cache.get(key("page.example"))?.hits).toBe(2);
    expect(cache.stats()).toMatchObject({ hits: 2, misses: 1, positive: { hits: 2 }, negative: { hits: 0 } });
  });

  test("`inspect` shows the answers of a name on every route, with their true age", async () => {
    const { cache, clock } = newCache(1 << 20);
    const bornMs = clock.wallMs();
    cache.put(key("page.example"), positive("page.example"), { limits, volatile: true });
    cache.put(key("www.page.example"), positive("www.page.example", { alias: "page.example" }), { limits });
    await clock.advance(5_000);
    cache.put(key("page.example", TYPE.A, "overseas"), nxdomain("page.example"), { limits });
    const shown = cache.inspect(name("page.example"));
    expect(shown.map(({ parts: { type, route }, outcome, storedWallMs }) => ({ type, route, outcome, storedWallMs }))).toEqual([
      { type: TYPE.A, route: "domestic", outcome: "positive", storedWallMs: bornMs },
      { type: null, route: "overseas", outcome: "nxdomain", storedWallMs: bornMs + 5_000 },
    ]);
    expect(shown.map(({ held }) => held.volatile)).toEqual([true, false]);
  });

  test("`flush` drops a name on every route and in every type, and names below it only on request", () => {
    const { cache } = newCache(1 << 20);
    const fill = () => {
      for (const text of ["page.example", "www.page.example", "otherpage.example"]) {
        for (const type of [TYPE.A, TYPE.TXT]) cache.put(key(text, type), positive(text, { type }), { limits });
      }
      cache.put(key("page.example", TYPE.A, "overseas"), nxdomain("page.example"), { limits });
    };
    fill();
    expect(cache.flush(name("page.example"), false)).toBe(3);
    expect(cache.peek(key("www.page.example"))).not.toBeNull();
    fill();
    expect(cache.flush(name("page.example"), true)).toBe(5);
    expect(cache.peek(key("otherpage.example"))).not.toBeNull();
    expect(cache.flush(name("page.example"), true)).toBe(0);
  });

  test("all answers of one route can be dropped; answers of other routes stay", () => {
    const { cache } = newCache(1 << 20);
    for (const route of ["domestic", "overseas"]) {
      cache.put(key("page.example", TYPE.A, route), positive("page.example"), { limits });
      cache.put(key("page.example", TYPE.TXT, route), nodata("page.example", { type: TYPE.TXT }), { limits });
      cache.put(key("gone.example", TYPE.A, route), nxdomain("gone.example"), { limits });
      cache.put(key("ill.example", TYPE.A, route), failure("ill.example"), { limits });
    }
    cache.dropRoute("overseas");
    expect([...cache.entries()].map(({ parts }) => parts.route)).toEqual(Array(4).fill("domestic"));
  });

  test("a flush of all names empties the cache, and the cache keeps working", () => {
    const { cache } = newCache(sizeFor(20));
    for (let index = 0; index < 30; index++) cache.put(key(host(index)), positive(host(index)), { limits });
    expect(cache.flush(name("."), true)).toBe(20);
    expect([...cache.entries()]).toEqual([]);
    expect(cache.stats().positive).toMatchObject({ entries: 0, bytes: 0 });
    for (let index = 0; index < 30; index++) cache.put(key(host(index)), positive(host(index)), { limits });
    expect(cache.stats().positive.entries).toBe(20);
    expect(cache.get(key(host(29)))?.answer).toEqual(plain(positive(host(29))));
  });
});

describe("the filter fingerprint of an answer", () => {
  test("is the one given to `put`, or a later noted one, until another answer replaces the answer", () => {
    const { cache } = newCache(1 << 20);
    cache.put(key("page.example"), positive("page.example"), { limits, filterFingerprint: "one" });
    expect(cache.get(key("page.example"))?.filterFingerprint).toBe("one");
    cache.noteFiltered(key("page.example"), "two");
    expect(cache.peek(key("page.example"))?.filterFingerprint).toBe("two");
    cache.put(key("page.example"), positive("page.example"), { limits });
    expect(cache.peek(key("page.example"))?.filterFingerprint).toBeNull();
    cache.noteFiltered(key("other.example"), "two");
    expect(cache.peek(key("other.example"))).toBeNull();
  });

  test("is the same for all types if the answer is an NXDOMAIN", () => {
    const { cache } = newCache(1 << 20);
    cache.put(key("page.example"), nxdomain("page.example"), { limits });
    expect(cache.get(key("page.example", TYPE.MX))?.filterFingerprint).toBeNull();
    cache.noteFiltered(key("page.example", TYPE.MX), "one");
    expect(cache.get(key("page.example", TYPE.TXT))?.filterFingerprint).toBe("one");
  });

  test("is not noted on the NXDOMAIN of the name if the answer expires during the filtering", async () => {
    const { cache, clock } = newCache(1 << 20);
    cache.put(key("page.example"), nxdomain("page.example", { ttlSeconds: 60 }), { limits });
    cache.put(key("page.example", TYPE.MX), nodata("page.example", { type: TYPE.MX, ttlSeconds: 1 }), {
      limits,
      synthesized: true,
    });
    expect(cache.get(key("page.example", TYPE.MX))?.synthesized).toBe(true);
    await clock.advance(1000);
    cache.noteFiltered(key("page.example", TYPE.MX), "one");
    expect(cache.get(key("page.example", TYPE.MX))).toMatchObject({ synthesized: false, filterFingerprint: null });
  });
});

describe("an answer from a file", () => {
  test("keeps its age", async () => {
    const { cache, clock } = newCache(1 << 20);
    await clock.advance(1_000);
    expect(cache.put(key("page.example"), positive("page.example", { ttlSeconds: 100 }), { limits, ageMs: 40_000 })).toBe(
      "taken",
    );
    expect(cache.get(key("page.example"))?.storedAtMs).toBe(-39_000);
    expect(cache.inspect(name("page.example"))[0]?.storedWallMs).toBe(clock.wallMs() - 40_000);
  });

  test("is refused if it is too old, or if the cache has a later answer", () => {
    const { cache } = newCache(1 << 20);
    const ageMs = 300_000 + stale.keepMs;
    expect(cache.put(key("page.example"), positive("page.example", { ttlSeconds: 300 }), { limits, ageMs })).toBe("momentary");
    cache.put(key("page.example"), nodata("page.example"), { limits });
    expect(cache.put(key("page.example"), positive("page.example"), { limits, ageMs: 1 })).toBe("older");
  });
});

function hostsIn(cache: AnswerCache): string[] {
  return [...cache.entries()]
    .map(({ held }) => held.answer.name.slice(1, 8))
    .map((label) => `${label}.example`)
    .sort();
}

/** SIEVE as in its paper, over an array: the oldest entry first, the hand an index. */
class SieveModel {
  readonly #room: number;
  #queue: { readonly name: string; visited: boolean }[] = [];
  #hand = 0;

  constructor(room: number) {
    this.#room = room;
  }

  has(text: string): boolean {
    return this.#queue.some((each) => each.name === text);
  }

  hit(text: string): boolean {
    const found = this.#queue.find((each) => each.name === text);
    if (found !== undefined) found.visited = true;
    return found !== undefined;
  }

  add(text: string): void {
    if (this.#queue.length === this.#room) this.#evict();
    this.#queue.push({ name: text, visited: false });
  }

  remove(text: string): void {
    const place = this.#queue.findIndex((each) => each.name === text);
    if (place >= 0) this.#take(place);
  }

  names(): string[] {
    return this.#queue.map((each) => each.name).sort();
  }

  #evict(): void {
    for (;;) {
      const each = this.#queue[this.#hand];
      if (each === undefined) return;
      if (!each.visited) break;
      each.visited = false;
      this.#hand = (this.#hand + 1) % this.#queue.length;
    }
    this.#take(this.#hand);
  }

  #take(place: number): void {
    this.#queue.splice(place, 1);
    if (place < this.#hand) this.#hand--;
    if (this.#hand === this.#queue.length) this.#hand = 0;
  }
}
