import { expect, test } from "vitest";
import { ruleProblems } from "../../src/rules/checks.ts";
import { rule } from "./site.ts";

test("every pattern that cannot be used is named with its rule", () => {
  const rules = [
    rule("fine", "a", { domains: ["example.com", "!full:www.example.com", "list:any", "keyword:x", "."] }),
    rule("bad", "a", { domains: ["*.example.com", "!regexp:(a+)+$", "ok.example"] }),
    rule("long", "a", { domains: [`keyword:${"x".repeat(300)}`] }),
  ];
  expect(ruleProblems(rules)).toEqual([
    "rule bad: *.example.com is no domain name; example.com stands for it and everything below it",
    expect.stringMatching(/^rule bad: regexp:\(a\+\)\+\$ is /),
    "rule long: a keyword that can be in no name",
  ]);
});
