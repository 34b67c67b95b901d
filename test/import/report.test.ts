import { expect, test } from "vitest";
import type { Finding } from "../../src/import/model.ts";
import { reportText } from "../../src/import/report.ts";

function textOf(...findings: readonly [Finding["kind"], string, number, string][]): string {
  return reportText(
    findings.map(([kind, file, line, what]) => ({ kind, file, line, what })),
    (path) => path,
  );
}

test("a sentence stands once, with the lines that it holds for and the words that differ", () => {
  const text = textOf(
    ["blank", "a.conf", 9, "the rewrite of `x`: it is no name"],
    ["blank", "a.conf", 3, "the rewrite of `y`: it is no name"],
    ["blank", "a.conf", 4, "the rewrite of `z`: it is no name"],
    ["risk", "a.conf", 3, "the rewrite of `y`: it is no name"],
    ["changed", "b.conf", 1, "passed as they come"],
    ["changed", "a.conf", 5, "passed as they come"],
    ["left", "a.conf", 6, "passed as they come"],
  );
  expect(text).toBe(`Leaks and blanks (4):
  a.conf:3-4, 9: BLANK the rewrite of \`y\`: it is no name; likewise \`z\`, \`x\`
  a.conf:3: RISK the rewrite of \`y\`: it is no name

Changed or left out (3):
  a.conf:5, b.conf:1: passed as they come
  a.conf:6: left out: passed as they come

Carried over: none
`);
});

test("of hundreds of rules that were carried over the report shows some, and every line", () => {
  const rules = Array.from({ length: 300 }, (_, index): [Finding["kind"], string, number, string] => [
    "carried",
    "a.yaml",
    index + 10,
    `\`rule-${index}\` (n${index}.example) is answered \`zero\``,
  ]);
  expect(textOf(...rules)).toContain(`Carried over (300):
  a.yaml:10-309: \`rule-0\` (n0.example) is answered \`zero\`; likewise \`rule-1\` (n1.example), \`rule-2\` (n2.example), \`rule-3\` (n3.example), 296 more (--json has all)
`);
});
