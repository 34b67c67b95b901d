import fc from "fast-check";
import { expect, test } from "vitest";
import { cellsOf, padCells } from "../../src/cli/record-table.ts";

test.each([
  ["split", 5],
  ["广告屏蔽", 8],
  ["广告 (ads:1)", 12],
  ["ｶﾅ", 2],
  ["カナ", 4],
  ["한글", 4],
  ["，（）", 6],
  ["e\u0301", 1],
  ["📺", 2],
  ["", 0],
])("`%s` takes %i cells", (text, cells) => {
  expect(cellsOf(text)).toBe(cells);
});

test("what is padded takes the cells that are wanted, or as many as it had", () => {
  const text = fc.string({ unit: fc.constantFrom("a", "广", "\u0301", "ｶ", "-"), maxLength: 20 });
  fc.assert(
    fc.property(text, fc.nat(40), (made, cells) => {
      const padded = padCells(made, cells);
      expect(padded.startsWith(made)).toBe(true);
      expect(cellsOf(padded)).toBe(Math.max(cells, cellsOf(made)));
    }),
  );
});
