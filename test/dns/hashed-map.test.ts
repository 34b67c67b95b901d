import fc from "fast-check";
import { expect, test } from "vitest";
import { HashedMap } from "../../src/dns/hashed-map.ts";

const key = fc.string({ maxLength: 3, unit: fc.constantFrom("a", "b", "\0", "\xff") });
const step = fc.oneof(
  fc.record({ kind: fc.constant("set" as const), key, value: fc.nat() }),
  fc.record({ kind: fc.constant("delete" as const), key }),
);

const ascending = (left: number, right: number) => left - right;

test("behaves like a Map", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), key, (steps, asked) => {
      const hashed = new HashedMap<string, number>();
      const plain = new Map<string, number>();
      for (const each of steps) {
        if (each.kind === "delete") {
          expect(hashed.delete(each.key)).toBe(plain.delete(each.key));
        } else {
          hashed.set(each.key, each.value);
          plain.set(each.key, each.value);
        }
      }
      expect(hashed.size).toBe(plain.size);
      expect(hashed.get(asked)).toBe(plain.get(asked));
      expect(hashed.has(asked)).toBe(plain.has(asked));
      expect([...hashed.keys()].sort()).toEqual([...plain.keys()].sort());
      expect([...hashed.values()].sort(ascending)).toEqual([...plain.values()].sort(ascending));
    }),
  );
});

test("ten thousand names are told apart", () => {
  const map = new HashedMap<string, number>();
  for (let index = 0; index < 10_000; index++) map.set(`\x05n${index}\x07example\0`, index);
  expect(map.size).toBe(10_000);
  for (let index = 0; index < 10_000; index++) expect(map.get(`\x05n${index}\x07example\0`)).toBe(index);
});
