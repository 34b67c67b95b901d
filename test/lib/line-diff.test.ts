import fc from "fast-check";
import { expect, test } from "vitest";
import { countChangedLines, type DiffLine, diffLines } from "../../src/lib/line-diff.ts";
import { runs } from "../support/properties.ts";

const anyText = fc
  .array(fc.constantFrom("a", "b", "c", "d"), { maxLength: 14 })
  .map((lines) => lines.map((line) => `${line}\n`).join(""));

/** Makes the second text of the first one and the difference. */
function patched(before: string, diff: readonly DiffLine[]): string {
  const lines: (string | null)[] = before === "" ? [] : before.slice(0, -1).split("\n");
  for (const { kind, before: line } of diff) if (kind === "removed" && line !== null) lines[line - 1] = null;
  const made = lines.filter((line) => line !== null);
  for (const { kind, after, text } of diff) if (kind === "added" && after !== null) made.splice(after - 1, 0, text);
  return made.map((line) => `${line}\n`).join("");
}

test("a difference makes the second text of the first one", () => {
  fc.assert(
    fc.property(anyText, anyText, (before, after) => {
      const diff = diffLines(before, after);
      expect(patched(before, diff)).toBe(after);
      expect(diff.length === 0).toBe(before === after);
      for (const { kind, before: one, after: other, text } of diff) {
        if (one !== null) expect(before.split("\n")[one - 1]).toBe(text);
        if (other !== null) expect(after.split("\n")[other - 1]).toBe(text);
        expect([one === null, other === null]).toEqual([kind === "added", kind === "removed"]);
      }
    }),
    { numRuns: runs(500) },
  );
});

test("a difference has three lines around each change, and no others", () => {
  const lines = Array.from({ length: 20 }, (_, index) => `${index + 1}`);
  const diff = diffLines(`${lines.join("\n")}\n`, `${lines.with(9, "ten").join("\n")}\n`);
  expect(diff.map(({ kind, text }) => `${kind[0]}${text}`)).toEqual(["s7", "s8", "s9", "r10", "aten", "s11", "s12", "s13"]);
  expect(countChangedLines("a\nb\n", "a\nc\n")).toBe(2);
});

test("texts that have nothing in common are told whole, in little time", () => {
  const text = (word: string) => Array.from({ length: 5000 }, (_, index) => `${word}${index}`).join("\n");
  expect(countChangedLines(text("a"), text("b"))).toBe(10_000);
});
