import { expect, test } from "vitest";
import { limitsWith } from "../../src/listen/limits.ts";

test("limits not named keep their defaults", () => {
  expect(limitsWith({ connections: 5 })).toEqual({ ...limitsWith(), connections: 5 });
});

test.each([{ connections: 0 }, { httpIdleMs: 60_000 }, { tcpIdleMs: Number.NaN }])(
  "%j is outside its range and refused",
  (overrides) => {
    expect(() => limitsWith(overrides)).toThrow(RangeError);
  },
);
