import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Ring } from "../../src/control/journal.ts";

describe("a ring", () => {
  test("behaves as a queue of its capacity that takes nothing more when it is full", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 5 }), fc.array(fc.option(fc.nat()), { maxLength: 200 }), (power, steps) => {
        const capacity = 2 ** power;
        const ring = new Ring<{ readonly value: number }>(capacity);
        const model: { readonly value: number }[] = [];
        for (const step of steps) {
          if (step === null) {
            expect(ring.take()).toBe(model.shift() ?? null);
          } else {
            const item = { value: step };
            const fits = model.length < capacity;
            if (fits) model.push(item);
            expect(ring.put(item)).toBe(fits);
          }
          expect(ring.size).toBe(model.length);
        }
      }),
    );
  });

  test.each([0, 3, -4])("has a power of two for its capacity, not %d", (capacity) => {
    expect(() => new Ring(capacity)).toThrow("no power of two");
  });
});
