import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { localMoment } from "../../src/log/time.ts";

/** Saturday, 21:30 wherever the tests run. */
const nowMs = at(2026, 11, 21, 21, 30);

function at(year: number, month: number, day: number, hours = 0, minutes = 0, seconds = 0, ms = 0): number {
  return new Date(year, month - 1, day, hours, minutes, seconds, ms).getTime();
}

describe("a time of day", () => {
  test.each([
    ["21:03", at(2026, 11, 21, 21, 3)],
    ["9:05", at(2026, 11, 21, 9, 5)],
    ["21:03:11", at(2026, 11, 21, 21, 3, 11)],
    ["22:00", at(2026, 11, 20, 22)],
    ["11-21 21:03:11.482", at(2026, 11, 21, 21, 3, 11, 482)],
    ["12-31 23:00", at(2025, 12, 31, 23)],
    ["02-03", at(2026, 2, 3)],
    ["2026-11-21", at(2026, 11, 21)],
    ["2026-11-21T21:03", at(2026, 11, 21, 21, 3)],
    ["2026-11-21 21:03:11.482", at(2026, 11, 21, 21, 3, 11, 482)],
    ["2026-11-22T08:00", at(2026, 11, 22, 8)],
  ])("%s is the latest such time of day, or the time on the named day", (text, moment) => {
    expect(localMoment(text, { nowMs, afterMs: null })).toBe(moment);
  });

  test.each([
    ["22:00", at(2026, 11, 20, 21), at(2026, 11, 20, 22)],
    ["01:00", at(2026, 11, 20, 23), at(2026, 11, 21, 1)],
    ["22:00", at(2026, 11, 21, 7), at(2026, 11, 21, 22)],
    ["01-02 00:10", at(2025, 12, 31), at(2026, 1, 2, 0, 10)],
  ])("%s as the end of a period comes after its beginning", (text, afterMs, moment) => {
    expect(localMoment(text, { nowMs, afterMs })).toBe(moment);
  });

  test.each([
    "",
    "21",
    "2103",
    "24:00",
    "21:60",
    "21:03Z",
    "2026-11-21T21:03Z",
    "2026-11-21T21:03+08:00",
    "1h",
    "2026-02-30",
    "11-21 ",
    "2026",
  ])("`%s` is no time of day", (text) => {
    expect(localMoment(text, { nowMs, afterMs: null })).toBeNull();
  });

  test("a time that a record shows can be given as a filter, on days without a clock change", () => {
    const noon = fc.integer({ min: 0, max: 300 }).map((days) => at(2026, 11, 21 - days, 12, 34, 56, 789));
    fc.assert(
      fc.property(noon, (moment) => {
        const date = new Date(moment);
        const shown = `${String(date.getMonth() + 1).padStart(2, "0")}-${String(date.getDate()).padStart(2, "0")} 12:34:56.789`;
        expect(localMoment(shown, { nowMs, afterMs: null })).toBe(moment);
      }),
    );
  });
});
