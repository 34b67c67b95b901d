import { DatabaseSync } from "node:sqlite";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeRow, storedRowOf } from "../../../src/log/rows.ts";
import { bucketMiddleUs, latencyBucket, reversedBelow, reversedName } from "../../../src/log/schema.ts";
import { anyLabels, anyName, anyRecord } from "../records.ts";
import { rowOf } from "../rows.ts";

describe("a record and its row", () => {
  test("a record that is encoded to a row and decoded is the same", () => {
    fc.assert(
      fc.property(anyRecord, (made) => {
        expect(decodeRow(storedRowOf(rowOf(made))).record).toEqual(made);
      }),
    );
  });
});

describe("names in reverse", () => {
  test("labels are reversed, and back", () => {
    expect(reversedName("www.example.com")).toBe("com.example.www");
    expect(reversedName("a\\.b.example")).toBe("example.a\\.b");
    fc.assert(
      fc.property(anyName, (name) => {
        expect(reversedName(reversedName(name))).toBe(name);
      }),
    );
  });

  test("the range below a name holds all names below it, and no other (in the order of SQLite)", () => {
    const database = new DatabaseSync(":memory:");
    const within = database.prepare("SELECT ? >= ? AND ? < ? AS inside");
    fc.assert(
      fc.property(anyLabels, fc.oneof(anyLabels, fc.constant(["com"])), (labels, zone) => {
        for (const asked of [labels, zone, [...labels, ...zone]]) {
          const { from, to } = reversedBelow(zone.join("."));
          const reversed = reversedName(asked.join("."));
          const below = asked.length > zone.length && zone.every((label, index) => label === asked.slice(-zone.length)[index]);
          expect(within.get(reversed, from, reversed, to)?.["inside"]).toBe(below ? 1 : 0);
        }
      }),
    );
    database.close();
  });
});

test("a bucket gives a duration to within a fifth", () => {
  fc.assert(
    fc.property(fc.integer({ min: 20, max: 3_000_000_000 }), (us) => {
      const told = bucketMiddleUs(latencyBucket(us));
      expect(Math.abs(told - us) / us).toBeLessThan(0.2);
    }),
  );
  expect(latencyBucket(0)).toBe(0);
  expect(latencyBucket(Number.MAX_SAFE_INTEGER)).toBe(127);
});
