import fc from "fast-check";

/** Whether everything is tried: in CI and with `FENLIU_PROPERTIES=all`. */
export const isThorough = process.env["CI"] === "true" || process.env["FENLIU_PROPERTIES"] === "all";

/**
 * How often a property is tried: `all` in CI and with `FENLIU_PROPERTIES=all`, an eighth elsewhere, so that `npm test` is quick enough to be
 * run often. A property that fails prints the seed and the path that find the counterexample again.
 */
export function runs(all: number): number {
  return isThorough ? all : Math.max(20, Math.ceil(all / 8));
}

const codePoint = fc
  .oneof(fc.integer({ min: 0, max: 0xff }), fc.integer({ min: 0, max: 0xd7ff }), fc.integer({ min: 0xe000, max: 0x10_ffff }))
  .map((point) => String.fromCodePoint(point));

/**
 * Texts of any characters, words such as `__proto__` among them. In place of `fc.string({ unit: "binary" })`, which takes two seconds to build its
 * table in every file that uses it.
 */
export function anyString(constraints: { readonly maxLength?: number } = {}): fc.Arbitrary<string> {
  return fc.oneof(fc.string({ ...constraints, unit: codePoint }), fc.string(constraints));
}
