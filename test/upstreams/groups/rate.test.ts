import fc from "fast-check";
import { expect, test } from "vitest";
import { Rate } from "../../../src/upstreams/member.ts";
import { fakeClock } from "../../support/fake-clock.ts";
import { runs } from "../../support/properties.ts";

test("whatever the pauses, no stretch of time sees more questions than one second's worth and what its length adds", async () => {
  const tries = fc.array(fc.integer({ min: 0, max: 400 }), { minLength: 1, maxLength: 60 });
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 20 }), tries, async (perSecond, pausesMs) => {
      const clock = fakeClock();
      const rate = new Rate(perSecond, clock);
      const takenMs: number[] = [];
      for (const pauseMs of pausesMs) {
        await clock.advance(pauseMs);
        for (let tried = 0; tried < 3; tried++) if (rate.take()) takenMs.push(clock.now());
      }
      for (const [start, fromMs] of takenMs.entries()) {
        for (let end = start; end < takenMs.length; end++) {
          const seconds = ((takenMs[end] ?? 0) - fromMs) / 1000;
          expect(end - start + 1).toBeLessThanOrEqual(perSecond + seconds * perSecond + 1e-6);
        }
      }
    }),
    { numRuns: runs(50) },
  );
});

test("without maxQps there is no limit", () => {
  const rate = new Rate(null, fakeClock());
  expect(Array.from({ length: 10_000 }, () => rate.take()).every(Boolean)).toBe(true);
});
