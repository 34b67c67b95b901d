import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RecordIds } from "../../src/log/schema.ts";

test("an id holds the millisecond and twice the number of records before it in that millisecond", () => {
  const ids = new RecordIds();
  expect([ids.next(1_795_294_991_482), ids.next(1_795_294_991_482), ids.next(1_795_294_991_483)]).toEqual([
    1_795_294_991_482 * 1024,
    1_795_294_991_482 * 1024 + 2,
    1_795_294_991_483 * 1024,
  ]);
});

test("ids beyond 512 in a millisecond use the next millisecond", () => {
  const ids = new RecordIds();
  const given = Array.from({ length: 3000 }, () => ids.next(1000));
  expect(new Set(given).size).toBe(3000);
  expect(ids.next(1001)).toBe(1000 * 1024 + 6000);
});

test("two threads never give the same id", () => {
  const even = new RecordIds(0);
  const odd = new RecordIds(1);
  const given = Array.from({ length: 3000 }, (_, index) => [
    even.next(1000 + (index >> 6)),
    odd.next(1000 + (index >> 5)),
  ]).flat();
  expect(new Set(given).size).toBe(given.length);
});

describe("ids under any clock", () => {
  const anyTimes = fc.array(fc.integer({ min: 0, max: 8_000_000_000_000 }), { minLength: 2 });

  test("an id holds the time of its record to within a minute, and never an earlier time", () => {
    fc.assert(
      fc.property(anyTimes, (times) => {
        const ids = new RecordIds();
        for (const wallMs of times) {
          const aheadMs = ids.next(wallMs) / 1024 - wallMs;
          expect(aheadMs).toBeGreaterThanOrEqual(0);
          expect(aheadMs).toBeLessThanOrEqual(60_001);
        }
      }),
    );
  });

  test("ids rise unless the clock is set back by more than a minute", () => {
    fc.assert(
      fc.property(fc.nat(1e12), fc.array(fc.integer({ min: -29_000, max: 30_000 }), { minLength: 2 }), (startMs, steps) => {
        const ids = new RecordIds();
        const given = steps.map((stepMs, index) => ids.next(startMs + 60_000 + index * 10 + stepMs));
        expect(given.every((id, index) => id > (given[index - 1] ?? -1))).toBe(true);
      }),
    );
  });

  test("no id is given twice, even if the same hour repeats", () => {
    const hours = fc.array(fc.array(fc.nat(200), { minLength: 1, maxLength: 60 }), { minLength: 2, maxLength: 8 });
    fc.assert(
      fc.property(hours, (turns) => {
        const ids = new RecordIds();
        const given = turns.flatMap((moments) => [
          ...moments.sort((a, b) => a - b).map((ms) => ids.next(1e12 + ms)),
          // So far ahead that each turn sets the clock back.
          ids.next(1e12 + 3_600_000),
        ]);
        expect(new Set(given).size).toBe(given.length);
      }),
    );
  });
});
