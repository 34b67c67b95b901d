import { expect, test } from "vitest";
import { diffLines } from "../../src/lib/line-diff.ts";
import { withoutEdit } from "../../web/parts/reverse.ts";

const BEFORE = "rules:\n  - a\n  - b\n  - c\n";
const AFTER = "rules:\n  - a\n  - B\n  - c\n  - new\n";
const edit = diffLines(BEFORE, AFTER);

test("an edit is taken back out of the text that it made", () => {
  expect(withoutEdit(edit, AFTER)).toBe(BEFORE);
});

test("what others changed since stays, before and after the edit", () => {
  expect(withoutEdit(edit, `# mine\n${AFTER}# and mine\n`)).toBe(`# mine\n${BEFORE}# and mine\n`);
});

test("of equal lines those are taken back that stand where the edit wrote", () => {
  const doubled = diffLines("x\na\ny\n", "x\na\ny\na\n");
  expect(withoutEdit(doubled, "x\na\ny\na\n# more\n")).toBe("x\na\ny\n# more\n");
});

test("lines that the edit took out come back behind the line that was before them", () => {
  expect(withoutEdit(diffLines("a\nb\nc\n", "a\nc\n"), "0\na\nc\n")).toBe("0\na\nb\nc\n");
  expect(withoutEdit(diffLines("a\nb\n", "b\n"), "b\nc\n")).toBe("a\nb\nc\n");
});

test("where what the edit wrote was changed again, there is nothing to take back", () => {
  expect(withoutEdit(edit, AFTER.replace("- B", "- other"))).toBeNull();
});
