import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeFields, STATIC_TABLE } from "../../../src/listen/http2/hpack.ts";
import { decoderOf, tableOf } from "../support/hpack-blocks.ts";

const hex = (...fields: readonly (readonly [string, string])[]): string =>
  Buffer.from(encodeFields(fields.map(([name, value]) => ({ name, value })))).toString("hex");

describe("the shortest form without a table of its own is taken", () => {
  test("a field of the static table is one byte", () => {
    expect(hex([":status", "200"], [":status", "404"], ["accept-encoding", "gzip, deflate"])).toBe("888d90");
  });

  test("of a name of the static table, its first index is named", () => {
    expect(hex([":status", "418"])).toBe("0803343138");
    expect(hex(["content-length", "33"])).toBe("0f0d023333");
  });

  test("any other name is spelt out, and nothing enters the table (RFC 7541 §6.2.2)", () => {
    expect(hex(["x-a", ""])).toBe("0003782d6100");
  });
});

const FIELD = fc.record({
  name: fc.oneof(fc.constantFrom(...STATIC_TABLE.map(({ name }) => name)), fc.stringMatching(/^[a-z-]{0,200}$/)),
  value: fc.oneof(
    fc.constantFrom(...STATIC_TABLE.map(({ value }) => value)),
    fc.uint8Array({ maxLength: 400, size: "max" }).map((octets) => Buffer.from(octets).toString("latin1")),
  ),
});

test("what is encoded is decoded, and leaves the other side's table empty", () => {
  fc.assert(
    fc.property(fc.array(FIELD), (fields) => {
      const decoder = decoderOf({ tableBytes: 0 });
      expect(decoder.decode(encodeFields(fields))).toEqual(fields);
      expect(tableOf(decoder)).toEqual([]);
    }),
  );
});

test("a value may be long", () => {
  const field = { name: "x-long", value: "v".repeat(3_000_000) };
  expect(decoderOf({ maxListBytes: 4_000_000 }).decode(encodeFields([field]))).toEqual([field]);
});
