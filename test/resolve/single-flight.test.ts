import { expect, test } from "vitest";
import { RefreshThrottle, SingleFlight } from "../../src/resolve/fetch.ts";

interface Work {
  readonly result: Promise<number>;
}

test("equal work runs once at a time, and runs again after it has ended or failed", async () => {
  const flights = new SingleFlight<string, Work>({ running: 10, callers: 10 });
  const landings: PromiseWithResolvers<number>[] = [];
  const start = (): Work => {
    const landing = Promise.withResolvers<number>();
    landings.push(landing);
    return { result: landing.promise };
  };
  const first = flights.join("a", start)?.work;
  expect(flights.join("a", start)).toEqual({ work: first, place: 1 });
  expect(landings).toHaveLength(1);
  landings[0]?.reject(new Error("lost"));
  await expect(first?.result).rejects.toThrow("lost");
  expect(flights.size).toBe(0);
  const second = flights.join("a", start)?.work;
  landings[1]?.resolve(2);
  expect(await second?.result).toBe(2);
});

test("at the limit new work is refused, and running work can still be joined by a few", async () => {
  const flights = new SingleFlight<number, Work>({ running: 2, callers: 3 });
  const never = () => ({ result: new Promise<number>(() => {}) });
  const first = flights.join(1, never)?.work;
  flights.join(2, never);
  expect(flights.join(3, never)).toBeNull();
  expect([flights.join(1, never), flights.join(1, never)]).toEqual([
    { work: first, place: 1 },
    { work: first, place: 2 },
  ]);
  expect(flights.join(1, never)).toBeNull();
});

test("each key may be refreshed once per `recheckMs`, and at once after a recovery", () => {
  const rechecks = new RefreshThrottle();
  const take = (key: string, nowMs: number) => rechecks.take(key, nowMs, 1000);
  expect([take("a", 0), take("a", 999), take("b", 999), take("a", 1000)]).toEqual([true, false, true, true]);
  rechecks.clear();
  expect(take("a", 1001)).toBe(true);
});
