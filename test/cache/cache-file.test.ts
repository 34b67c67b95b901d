import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { AnswerCache } from "../../src/cache/answer-cache.ts";
import { loadCache, saveCache } from "../../src/cache/cache-file.ts";
import { cacheKey } from "../../src/cache/key.ts";
import { AddressSet } from "../../src/dns/address.ts";
import { TYPE } from "../../src/dns/types.ts";
import { type FakeClock, fakeClock } from "../support/fake-clock.ts";
import { failure, nodata, nxdomain, plain, positive, question, usualLimits } from "./answers.ts";

const limits = usualLimits;
const keepMs = 3_600_000;
const startMs = Date.UTC(2026, 0, 1);

let folder = "";
let path = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fenliu-cache-"));
  path = join(folder, "data", "cache.db");
});
afterEach(() => rm(folder, { recursive: true }));

function newCache(clock: FakeClock): AnswerCache {
  const stale = { keepMs, afterMs: 1800, ttlSeconds: 30, recheckMs: 30_000 };
  return new AnswerCache({ sizeBytes: 1 << 20, stale, prefetch: true, file: path, volatile: [] }, clock);
}

const routes = new Map([
  ["海外", "one"],
  ["domestic", "two"],
]);
const loadingAt = (clock: FakeClock) => ({ limits, clock, routes, volatileAddresses: AddressSet.of("198.18.0.0/15") });

const key = (text: string, type: number = TYPE.A, route = "海外") => cacheKey(question(text, type), route);

describe("the cache file", () => {
  test("restores positive answers with their age", async () => {
    const clock = fakeClock(startMs);
    const cache = newCache(clock);
    cache.put(key("page.example"), positive("page.example", { alias: "end.example" }), { limits });
    await clock.advance(10_000);
    const mail = positive("mail.example", { type: TYPE.TXT, data: new Uint8Array(700).fill(65) });
    cache.put(key("mail.example", TYPE.TXT), mail, { limits });
    expect(await saveCache(cache, path, routes)).toBe(2);

    const later = fakeClock(startMs + 60_000);
    const restored = newCache(later);
    expect(await loadCache(restored, path, loadingAt(later))).toEqual({ restored: 2, dropped: 0, problem: null });
    expect(restored.peek(key("page.example"))).toMatchObject({
      answer: plain(positive("page.example", { alias: "end.example" })),
      storedAtMs: later.now() - 60_000,
    });
    expect(restored.peek(key("mail.example", TYPE.TXT))).toMatchObject({ answer: plain(mail), storedAtMs: later.now() - 50_000 });
    expect(restored.peek(key("page.example", TYPE.A, "domestic"))).toBeNull();
  });

  test("restores no filter fingerprints: the filters may have changed", async () => {
    const clock = fakeClock();
    const cache = newCache(clock);
    cache.put(key("page.example"), positive("page.example"), { limits, filterFingerprint: "one" });
    await saveCache(cache, path, routes);
    const restored = newCache(clock);
    await loadCache(restored, path, loadingAt(clock));
    expect(restored.peek(key("page.example"))).toMatchObject({ filterFingerprint: null });
  });

  test("leaves out volatile, negative and synthesized answers", async () => {
    const clock = fakeClock();
    const cache = newCache(clock);
    cache.put(key("a.example"), positive("a.example"), { limits, volatile: true });
    cache.put(key("b.example"), positive("b.example"), { limits, synthesized: true });
    cache.put(key("c.example"), nodata("c.example"), { limits });
    cache.put(key("d.example"), nxdomain("d.example"), { limits });
    cache.put(key("e.example"), failure("e.example"), { limits });
    expect(await saveCache(cache, path, routes)).toBe(0);
  });

  test("restores no answer of a route that has other servers now, or no longer exists", async () => {
    const clock = fakeClock();
    const cache = newCache(clock);
    for (const route of routes.keys()) cache.put(key("page.example", TYPE.A, route), positive("page.example"), { limits });
    await saveCache(cache, path, routes);
    for (const [now, held] of [
      [{ 海外: "one", domestic: "three" }, ["海外"]],
      [{ domestic: "two", 海外: "" }, ["domestic"]],
      [{ other: "one" }, []],
    ] as const) {
      const restored = newCache(clock);
      const load = await loadCache(restored, path, { ...loadingAt(clock), routes: new Map(Object.entries(now)) });
      expect(load).toEqual({ restored: held.length, dropped: 2 - held.length, problem: null });
      expect([...restored.entries()].map(({ parts }) => parts.route)).toEqual(held);
    }
  });

  test("restores no answer whose address has become volatile", async () => {
    const clock = fakeClock();
    const cache = newCache(clock);
    cache.put(key("page.example"), positive("page.example", { data: Uint8Array.of(192, 0, 2, 7) }), { limits });
    await saveCache(cache, path, routes);
    const volatileAddresses = AddressSet.of("192.0.2.0/24");
    expect(await loadCache(newCache(clock), path, { ...loadingAt(clock), volatileAddresses })).toMatchObject({
      restored: 0,
      dropped: 1,
    });
  });

  test("drops answers that are too old, and those from the future", async () => {
    const clock = fakeClock(startMs);
    const cache = newCache(clock);
    cache.put(key("page.example"), positive("page.example", { ttlSeconds: 300 }), { limits });
    await saveCache(cache, path, routes);
    for (const nowMs of [startMs + 300_000 + keepMs, startMs - 1]) {
      const other = fakeClock(nowMs);
      expect(await loadCache(newCache(other), path, loadingAt(other))).toEqual({
        restored: 0,
        dropped: 1,
        problem: null,
      });
    }
    const stillStale = fakeClock(startMs + 299_999 + keepMs);
    expect(await loadCache(newCache(stillStale), path, loadingAt(stillStale))).toMatchObject({ restored: 1 });
  });

  test("may be missing", async () => {
    const clock = fakeClock();
    expect(await loadCache(newCache(clock), path, loadingAt(clock))).toEqual({ restored: 0, dropped: 0, problem: null });
  });

  test("of another version, or not a file, is reported and not read", async () => {
    const clock = fakeClock();
    await mkdir(path, { recursive: true });
    expect(await loadCache(newCache(clock), path, loadingAt(clock))).toMatchObject({ restored: 0, problem: expect.any(String) });
    const other = join(folder, "other.db");
    await writeFile(other, "fenliu answers 1\nand so on");
    expect(await loadCache(newCache(clock), other, loadingAt(clock))).toMatchObject({
      restored: 0,
      problem: "it is not a cache file of this version",
    });
  });

  test("with any byte changed, or cut anywhere, restores only answers that were in it", async () => {
    const clock = fakeClock();
    const cache = newCache(clock);
    const names = ["a.example", "b.example", "c.example"];
    for (const each of names) cache.put(key(each), positive(each), { limits });
    await saveCache(cache, path, routes);
    const whole = await readFile(path);
    const damage = fc.oneof(
      fc.record({ at: fc.nat(whole.length - 1), mask: fc.integer({ min: 1, max: 255 }) }).map(({ at, mask }) => {
        const damaged = Buffer.from(whole);
        damaged[at] = (damaged[at] ?? 0) ^ mask;
        return damaged;
      }),
      fc.nat(whole.length - 1).map((end) => whole.subarray(0, end)),
      fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.concat([whole, bytes])),
    );
    await fc.assert(
      fc.asyncProperty(damage, async (damaged) => {
        await writeFile(path, damaged);
        const restored = newCache(clock);
        const load = await loadCache(restored, path, loadingAt(clock));
        const held = [...restored.entries()];
        expect(held.length).toBe(load.restored);
        if (load.restored < names.length && damaged.length >= whole.length) expect(load.problem).not.toBeNull();
        for (const { key: at, held: found } of held) {
          expect(found.answer).toEqual(cache.peek(at)?.answer);
          expect(found.storedAtMs).toBe(cache.peek(at)?.storedAtMs);
        }
      }),
    );
  });

  test("is readable for its owner alone, and no temporary file is left", async () => {
    const cache = newCache(fakeClock());
    await saveCache(cache, path, routes);
    expect((await stat(path)).mode & 0o077).toBe(0);
    expect(await readdir(join(folder, "data"))).toEqual(["cache.db"]);
  });

  test("stays as it was if it cannot be replaced", async () => {
    await mkdir(join(path, "in the way"), { recursive: true });
    await expect(saveCache(newCache(fakeClock()), path, routes)).rejects.toThrow();
    expect(await readdir(join(folder, "data"))).toEqual(["cache.db"]);
  });

  test("is written in many chunks, while answers are put and dropped", async () => {
    const clock = fakeClock();
    const stale = { keepMs, afterMs: 1800, ttlSeconds: 30, recheckMs: 30_000 };
    const options = { sizeBytes: 1 << 24, stale, prefetch: true, file: path, volatile: [] };
    const cache = new AnswerCache(options, clock);
    for (let index = 0; index < 4000; index++) cache.put(key(`h${index}.example`), positive(`h${index}.example`), { limits });
    const saving = saveCache(cache, path, routes);
    for (let index = 0; index < 100; index++) {
      await new Promise((resolve) => setImmediate(resolve));
      cache.delete(key(`h${index * 37}.example`));
    }
    const count = await saving;
    const restored = new AnswerCache(options, clock);
    expect(await loadCache(restored, path, loadingAt(clock))).toEqual({ restored: count, dropped: 0, problem: null });
    expect(count).toBeGreaterThanOrEqual(3900);
  });
});
