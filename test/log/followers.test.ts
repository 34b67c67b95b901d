import { describe, expect, test } from "vitest";
import { LiveFilters } from "../../src/log/followers.ts";
import { EVERYTHING } from "./opened.ts";
import { record } from "./records.ts";

const made = (count: number, first = 1) => Array.from({ length: count }, (_, index) => record({ id: first + index }));

describe("a follower with a limit per second", () => {
  const follower = { id: 1, filter: EVERYTHING, perSecond: 10 };

  test("is told the newest records of a burst, and how many there were besides", () => {
    const { records, parts } = new LiveFilters().eventsFor([follower], made(25), 0);
    expect(records.map(({ id }) => id)).toEqual(Array.from({ length: 10 }, (_, index) => 16 + index));
    expect(parts).toEqual([{ follower: 1, indexes: expect.any(Array), leftOut: 15 }]);
  });

  test("is told more as time passes, and of records left out even where none is told", () => {
    const filters = new LiveFilters();
    filters.eventsFor([follower], made(10), 0);
    expect(filters.eventsFor([follower], made(5, 11), 0)).toEqual({
      records: [],
      parts: [{ follower: 1, indexes: [], leftOut: 5 }],
    });
    expect(filters.eventsFor([follower], made(5, 16), 300).records.map(({ id }) => id)).toEqual([18, 19, 20]);
  });

  test("takes nothing from a follower without one", () => {
    const { parts } = new LiveFilters().eventsFor([follower, { ...follower, id: 2, perSecond: null }], made(25), 0);
    expect(parts.map(({ indexes, leftOut }) => [indexes.length, leftOut])).toEqual([
      [10, 15],
      [25, 0],
    ]);
  });
});
