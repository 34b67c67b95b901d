import { describe, expect, test } from "vitest";
import { parseConfig } from "../../src/config/load.ts";
import { type Problem, printProblems } from "../../src/config/reading.ts";

const problem: Problem = { file: "fenliu.yaml", line: 1, column: 1, key: "", message: "it is wrong", fix: "mend it" };

test("a problem is printed with its line, a caret and a fix", () => {
  const text = "cache:\n  stale: { kepe: 1d }\n";
  const result = parseConfig(text, "conf/fenliu.yaml");
  expect(result.kind === "invalid" && printProblems(result.problems, text)).toBe(
    [
      "conf/fenliu.yaml:2:12: unknown key `kepe`; did you mean `keep`?",
      "      stale: { kepe: 1d }",
      "               ^",
      "    fix: write `keep`",
      "",
    ].join("\n"),
  );
});

test("no problems print nothing", () => {
  expect(printProblems([], "log: {}")).toBe("");
});

describe("the caret stands below its place", () => {
  const caretOf = (text: string, column: number) => {
    const [, line = "", caret = ""] = printProblems([{ ...problem, column }], text).split("\n");
    return { line, column: caret.indexOf("^") };
  };

  test("after characters that are two columns wide", () => {
    expect(caretOf("广告: x", 5).column).toBe(4 + 6);
  });

  test("after a tab, which is shown as one space", () => {
    expect(caretOf("\ta: x", 2)).toEqual({ line: "     a: x", column: 5 });
  });

  test("in a long line, of which only a part is printed", () => {
    const text = `${"a".repeat(500)}b${"c".repeat(500)}`;
    const { line, column } = caretOf(text, 501);
    expect(line.charAt(column)).toBe("b");
    expect(line.length).toBeLessThan(160);
  });
});

test("escape sequences in the file do not reach the terminal", () => {
  const text = 'log: "\u001b[31m"\n"\u001b]0;x": 1\n';
  const result = parseConfig(text, "fenliu.yaml");
  const printed = result.kind === "invalid" ? printProblems(result.problems, text) : "";
  expect(printed).toContain("expected a map");
  expect(printed).not.toContain("\u001b");
});

test("without a source line there is no caret", () => {
  expect(printProblems([problem], "")).toBe("fenliu.yaml:1:1: it is wrong\n    fix: mend it\n");
});
