import { domainToASCII, domainToUnicode } from "node:url";
import fc from "fast-check";
import { expect, test } from "vitest";
import { lettersOf } from "../../web/parts/letters.ts";
import { runs } from "../support/properties.ts";

test.each([
  ["xn--fsqu00a.xn--0zwm56d", ["例子", "测试"]],
  ["www.xn--mnchen-3ya.example", ["www", "münchen", "example"]],
  ["xn--e1afmkfd.xn--80akhbyknj4f", ["пример", "испытание"]],
  ["xn--mgbh0fb.example", ["مثال", "example"]],
  // Looks like another name: it is shown beside its A-label alone.
  ["xn--80ak6aa92e.com", ["аррӏе", "com"]],
])("%s is read as %j", (name, letters) => {
  expect(lettersOf(name)).toEqual(letters);
});

test.each([
  ["a name of plain letters", "www.example.com"],
  ["no name at all", ""],
  ["an A-label that is cut", "xn--.example"],
  ["plain letters that claim to be others", "xn--example-.com"],
  ["a label that ends within a number", "xn--fsqu00.example"],
  ["a number beyond all letters", "xn--99999999.example"],
  ["a mark that reorders text", "xn--abc-7q0a.example"],
  ["capital letters, which names do not have", "xn--bcher-kva7l.example"],
  ["an escaped byte", "xn--\\195\\188.example"],
])("%s has no other letters", (_, name) => {
  expect(lettersOf(name)).toBeNull();
});

test("every label is read as Node reads it, and never hides or reorders anything", () => {
  const character = fc.oneof(
    fc.constantFrom(...Array.from("abcß例子münchenпримерمثالαω한국😀é́")),
    fc.integer({ min: 0x80, max: 0x2ffff }).map((code) => String.fromCodePoint(code)),
  );
  fc.assert(
    fc.property(fc.array(character, { minLength: 1, maxLength: 12 }), (characters) => {
      const ascii = domainToASCII(characters.join(""));
      fc.pre(/^xn--[a-z0-9-]+$/.test(ascii));
      const [letters] = lettersOf(ascii) ?? [];
      expect(letters).toBe(domainToUnicode(ascii));
      expect(letters).not.toMatch(/[\p{Cc}\p{Cs}]/u);
    }),
    { numRuns: runs(2000) },
  );
});

test("labels of anybody's making are read without an error", () => {
  const label = fc.array(fc.constantFrom(...Array.from("abcdefghijklmnopqrstuvwxyz0123456789-")), {
    minLength: 1,
    maxLength: 59,
  });
  fc.assert(
    fc.property(label, (characters) => {
      const name = `xn--${characters.join("")}`;
      const letters = lettersOf(name);
      if (letters !== null) expect(domainToASCII(letters.join("."))).toBe(name);
    }),
    { numRuns: runs(5000) },
  );
});
