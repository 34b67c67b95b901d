import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SerialQueue } from "../../src/lib/serial-queue.ts";
import { TokenBucket, TokenBuckets } from "../../src/lib/token-bucket.ts";

test("tasks run one at a time in their order, also after one that fails", async () => {
  const queue = new SerialQueue();
  const order: string[] = [];
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  const first = queue.add(async () => {
    await gate;
    order.push("first");
    return 1;
  });
  const failing = queue.add(async () => {
    order.push("second");
    throw new Error("a fault");
  });
  const last = queue.add(async () => void order.push("third"));
  const failed = expect(failing).rejects.toThrow("a fault");
  expect([queue.pending, order]).toEqual([3, []]);
  open();
  await queue.idle();
  expect(await first).toBe(1);
  await failed;
  await last;
  expect([queue.pending, order]).toEqual([0, ["first", "second", "third"]]);
});

describe("a token bucket", () => {
  test("lets no stretch of time see more than one burst and what its length adds, whatever the pauses", () => {
    const tries = fc.array(fc.integer({ min: 0, max: 400 }), { minLength: 1, maxLength: 60 });
    const limits = fc.record({ perSecond: fc.integer({ min: 1, max: 20 }), burst: fc.integer({ min: 1, max: 20 }) });
    fc.assert(
      fc.property(limits, tries, (limit, pausesMs) => {
        let nowMs = 0;
        const bucket = new TokenBucket(limit, nowMs);
        const takenMs: number[] = [];
        for (const pauseMs of pausesMs) {
          nowMs += pauseMs;
          for (let tried = 0; tried < 3; tried++) if (bucket.take(nowMs)) takenMs.push(nowMs);
        }
        for (const [start, fromMs] of takenMs.entries()) {
          for (let end = start; end < takenMs.length; end++) {
            const seconds = ((takenMs[end] ?? 0) - fromMs) / 1000;
            expect(end - start + 1).toBeLessThanOrEqual(limit.burst + seconds * limit.perSecond + 1e-6);
          }
        }
      }),
    );
  });

  test("says how long it takes until the next event may pass", () => {
    const bucket = new TokenBucket({ perSecond: 2, burst: 1 }, 0);
    expect([bucket.waitMs(0), bucket.take(0), Math.round(bucket.waitMs(0)), Math.round(bucket.waitMs(400))]).toEqual([
      0,
      true,
      500,
      100,
    ]);
    expect([bucket.take(499), bucket.take(500)]).toEqual([false, true]);
  });

  test("goes into debt by one burst at most", () => {
    const bucket = new TokenBucket({ perSecond: 1, burst: 3 }, 0);
    bucket.charge(1000, 0);
    expect([bucket.waitMs(0), bucket.take(3999), bucket.take(4000)]).toEqual([4000, false, true]);
  });
});

test("each key has a bucket of its own, and the key not used for longest is forgotten", () => {
  const buckets = new TokenBuckets({ perSecond: 1, burst: 1 }, 2);
  const take = (key: string) => buckets.of(key, 0).take(0);
  expect([take("a"), take("a"), take("b"), take("c"), take("c"), take("a")]).toEqual([true, false, true, true, false, true]);
});
