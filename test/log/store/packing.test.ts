import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Packer, Unpacker } from "../../../src/log/packing.ts";

const anyText = fc.oneof(fc.string({ unit: "binary" }), fc.string({ unit: "binary-ascii" }), fc.string({ unit: "grapheme" }));
const anyNumber = fc.oneof(
  fc.constant(null),
  fc.nat(),
  fc.double(),
  fc.maxSafeInteger(),
  fc.constantFrom(-0, 0x7f, 0x80, 0x7fff_ffef, 0x7fff_fff0, 0x7fff_fff1, 0xffff_ffff, 2 ** 53),
);

describe("what was packed is read", () => {
  test.each(["a lone surrogate \ud83d.", "äÿ", "分流", "", "\0"])("the text %j", (text) => {
    expect(read(100, (to) => to.text(text)).text()).toBe(text);
  });

  test("texts, common texts, numbers and counts, in any order", () => {
    const anyValue = fc.oneof(
      fc.record({ kind: fc.constant("text" as const), value: anyText }),
      fc.record({ kind: fc.constant("common" as const), value: fc.oneof(fc.constantFrom(null, "split", "list"), anyText) }),
      fc.record({ kind: fc.constant("number" as const), value: anyNumber }),
      fc.record({ kind: fc.constant("count" as const), value: fc.nat(0xffff_ffff) }),
    );
    fc.assert(
      fc.property(fc.array(anyValue), (values) => {
        const from = read(100_000, (to) => {
          for (const { kind, value } of values) {
            if (kind === "text") to.text(value);
            else if (kind === "common") to.common(value);
            else if (kind === "number") to.number(value);
            else to.count(value);
          }
        });
        expect(values.map(({ kind }) => from[kind]())).toEqual(values.map(({ value }) => value));
      }),
    );
  });
});

test("a common text is written once", () => {
  const octets = new Uint8Array(1000);
  const packer = new Packer(octets);
  packer.common("rules/cn-domains.txt");
  const first = packer.position;
  for (let again = 0; again < 10; again++) packer.common("rules/cn-domains.txt");
  expect(packer.position - first).toBe(10);
});

test("what fills the octets to the last had room", () => {
  const packer = new Packer(new Uint8Array(5));
  packer.text("1234");
  expect(packer.hadRoom).toBe(true);
  packer.count(0);
  expect(packer.hadRoom).toBe(false);
});

test("what finds no room is told, and writes nothing beyond", () => {
  fc.assert(
    fc.property(fc.array(anyText, { minLength: 1 }), fc.nat(40), (texts, room) => {
      const memory = new Uint8Array(4000);
      const packer = new Packer(memory.subarray(0, room));
      for (const text of texts) packer.text(text);
      const whole = new Packer(new Uint8Array(100_000));
      for (const text of texts) whole.text(text);
      expect(packer.hadRoom).toBe(whole.position <= room);
      expect(memory.subarray(room).every((byte) => byte === 0)).toBe(true);
    }),
  );
});

/** What was packed into so many bytes. */
function read(octets: number, pack: (to: Packer) => void): Unpacker {
  const room = new Uint8Array(octets);
  const packer = new Packer(room);
  pack(packer);
  expect(packer.hadRoom).toBe(true);
  return new Unpacker(room);
}
