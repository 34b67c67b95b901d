import { expect, test } from "vitest";
import { notYet } from "../../src/rules/not-yet.ts";
import { ruleProblems } from "../../src/rules/problems.ts";
import { rule, specialOff } from "./site.ts";

test("what works is not complained of", () => {
  const compare = { near: "a", far: "b", keepNearIf: "cn-ip", withinMs: 800, verdictMs: 86_400_000 };
  const rules = [
    rule("quiet", null, {
      modifiers: { https: ["strip-ech"], ipv6: "prefer-ipv4", log: false, rebinding: "nodata", ecs: "client" },
    }),
    rule("ads", { answer: "zero" }, { modifiers: { negative: { blockSeconds: 5 }, ttl: { maxSeconds: 60 } } }),
    rule("split", { longest: { cn: "domestic" } }),
    { ...rule("others", null), action: { kind: "compare" as const, compare } },
  ];
  expect(notYet({ rules, special: { ...specialOff, firefoxCanary: true } })).toEqual([]);
});

test("what is not there yet is named, with its place", () => {
  const places = notYet({ rules: [rule("many", "a", { modifiers: { stale: false } })], special: { ...specialOff, ddr: true } });
  expect(places.map((sentence) => sentence.replace(/ is not there yet.*/, ""))).toEqual(["special.ddr", "rule many: stale"]);
});

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
