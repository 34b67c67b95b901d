import { describe, expect, test } from "vitest";
import { CLASS, className, RCODE, rcodeName, TYPE, typeName, typeNumber } from "../../src/dns/types.ts";

describe("names of numbers", () => {
  test("every type, class and rcode comes back from its name", () => {
    for (const type of [...Object.values(TYPE), 0, 65_280, 65_535]) expect(typeNumber(typeName(type))).toBe(type);
    expect([...Object.values(CLASS), 0, 4711].map(className)).toEqual([...Object.keys(CLASS), "CLASS0", "CLASS4711"]);
    expect(new Set(Object.values(RCODE).map(rcodeName)).size).toBe(Object.values(RCODE).length);
  });

  test.each([
    ["https", 65],
    ["TYPE65", 65],
    ["type65", 65],
    ["65", 65],
    ["TYPE65535", 65_535],
  ])("type %s is read", (text, type) => {
    expect(typeNumber(text)).toBe(type);
  });

  test.each(["", "TYPE", "TYPE65536", "65536", "-1", "1.5", "1e2", " 1", "TYPE 1", "0x41", "constructor", "CLASS1", "TYPETYPE1"])(
    "%j is no type",
    (text) => {
      expect(typeNumber(text)).toBeNull();
    },
  );

  test("a type, class or rcode without a name is written as a number", () => {
    expect([typeName(65_280), className(4711), rcodeName(12)]).toEqual(["TYPE65280", "CLASS4711", "RCODE12"]);
  });
});
