import fc from "fast-check";
import { expect, test } from "vitest";
import { Latency } from "../../../src/upstreams/member.ts";
import { fakeClock } from "../../support/fake-clock.ts";

test("under steady traffic one measurement counts an eighth", async () => {
  const clock = fakeClock();
  const latency = new Latency(clock);
  latency.observe(100);
  await clock.advance(100);
  latency.observe(180);
  expect(latency.smoothedMs).toBe(110);
  expect(latency.lastMs).toBe(180);
});

test("after half a minute without a measurement a new one counts half, after minutes nearly all", async () => {
  const clock = fakeClock();
  const latency = new Latency(clock);
  latency.observe(100);
  await clock.advance(30_000);
  latency.observe(200);
  expect(latency.smoothedMs).toBe(150);
  await clock.advance(300_000);
  latency.observe(20);
  expect(latency.smoothedMs).toBeLessThan(21);
});

test("the smoothed value never leaves the range of what was measured", async () => {
  const measurement = fc.record({ waitMs: fc.integer({ min: 0, max: 100_000 }), elapsedMs: fc.integer({ min: 0, max: 5000 }) });
  await fc.assert(
    fc.asyncProperty(fc.array(measurement, { minLength: 1, maxLength: 20 }), async (measurements) => {
      const clock = fakeClock();
      const latency = new Latency(clock);
      for (const { waitMs, elapsedMs } of measurements) {
        await clock.advance(waitMs);
        latency.observe(elapsedMs);
      }
      const all = measurements.map(({ elapsedMs }) => elapsedMs);
      expect(latency.smoothedMs).toBeGreaterThanOrEqual(Math.min(...all) - 1e-6);
      expect(latency.smoothedMs).toBeLessThanOrEqual(Math.max(...all) + 1e-6);
    }),
  );
});
