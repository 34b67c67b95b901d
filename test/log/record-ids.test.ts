import fc from "fast-check";
import { expect, test } from "vitest";
import { RecordIds } from "../../src/log/record-ids.ts";

test("an id tells the millisecond and how many there were before in it", () => {
  const ids = new RecordIds();
  expect([ids.next(1_795_294_991_482), ids.next(1_795_294_991_482), ids.next(1_795_294_991_483)]).toEqual([
    1_795_294_991_482 * 1024,
    1_795_294_991_482 * 1024 + 1,
    1_795_294_991_483 * 1024,
  ]);
});

test("ids rise, whatever the clock does", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 8_000_000_000_000 }), { minLength: 2 }), (times) => {
      const ids = new RecordIds();
      const given = times.map((wallMs) => ids.next(wallMs));
      expect(given.every((id, index) => id > (given[index - 1] ?? -1) && id >= (times[index] ?? 0) * 1024)).toBe(true);
    }),
  );
});

test("more than 1,024 in a millisecond run into the next", () => {
  const ids = new RecordIds();
  const given = Array.from({ length: 3000 }, () => ids.next(1000));
  expect(new Set(given).size).toBe(3000);
  expect(ids.next(1001)).toBe(1000 * 1024 + 3000);
});
