import { describe, expect, test } from "vitest";
import { isArrayOf, isBoolean, isNullOr, isNumber, isObjectOf, isText, isTextLike } from "../../src/lib/stored-json.ts";

const isEntry = isObjectOf({
  name: isText,
  digest: isTextLike(/^[0-9a-f]{4}$/),
  sizes: isArrayOf(isNumber),
  until: isNullOr(isBoolean),
});

const GOOD = { name: "one", digest: "00ff", sizes: [1, 2.5], until: null };

describe("an object read from a file", () => {
  test("passes with all its fields, and with fields of a later version", () => {
    expect(isEntry(GOOD)).toBe(true);
    expect(isEntry({ ...GOOD, until: false, sizes: [], later: {} })).toBe(true);
  });

  test.each([
    ["no object", "text"],
    ["nothing", null],
    ["an array", [GOOD]],
    ["a field of another type", { ...GOOD, name: 1 }],
    ["a text of another form", { ...GOOD, digest: "00ff0" }],
    ["an array with another item", { ...GOOD, sizes: [1, "2"] }],
    ["a number that JSON cannot have", { ...GOOD, sizes: [Number.NaN] }],
    ["null where it is not allowed", { ...GOOD, name: null }],
    ["a field that is missing", { name: "one", digest: "00ff", sizes: [] }],
    ["a field that is inherited alone", Object.create(GOOD)],
  ])("does not pass as %s", (_, value) => {
    expect(isEntry(value)).toBe(false);
  });
});
