import { describe, expect, test } from "vitest";
import { boundedRegexp, MAX_WAYS } from "../../src/lib/bounded-regexp.ts";

describe("bounded regular expressions", () => {
  test.each([
    "^ads\\d+\\.example\\.com$",
    "(^|\\.)site[0-9]{2,4}\\.(com|net)$",
    "([0-9]+)?x",
    ".+\\.a\\.[^\\.]+\\.b$",
    "^r+[0-9]+(---|\\.)sn-(a|b|c)\\w{5}\\.test$",
    "(abc)+",
    "(?:a|b)c",
    "(?i)^ADS",
    "[)(*+]{3}",
    "a{2}?",
    // As lists of domains have them.
    "\\.(.+-)?ap-beijing(-.+)?\\.tencentcos\\.(cn|com(\\.cn)?)$",
    "^(.+\\.)*zh\\.test$",
    "(a+)+$",
    "(a|a)*$",
    "^.*.*.*.*$",
  ])("%s is accepted", (source) => {
    expect(boundedRegexp(source).kind).toBe("accepted");
  });

  test.each([
    ["(", "not a regular expression"],
    ["((a+)+){1000}$", "repeats a group with a choice in it"],
    ["a{0,900}b{0,900}c{0,900}", "too many repetitions"],
    ["(a+)+\\b", "repeats a group with a choice in it"],
    ["(a)\\1", "back reference"],
    ["(?<n>a)\\k<n>", "a group of the form (?…)"],
    ["(?=a)b", "a group of the form (?…)"],
    ["(?<!a)b", "a group of the form (?…)"],
    ["x".repeat(513), "more than 512 characters"],
  ])("%s is refused", (source, reason) => {
    const bounded = boundedRegexp(source);
    expect(bounded.kind === "refused" ? bounded.reason : "accepted").toContain(reason);
  });

  test("what is tried on a whole log is allowed less than what stands in a list", () => {
    expect(boundedRegexp("a.*b.*c", MAX_WAYS.list).kind).toBe("accepted");
    expect(boundedRegexp("a.*b.*c", MAX_WAYS.search).kind).toBe("refused");
    expect(boundedRegexp("^a.*b.*c", MAX_WAYS.search).kind).toBe("accepted");
  });

  test("letter case does not matter", () => {
    const bounded = boundedRegexp("^ADS\\.");
    expect(bounded.kind === "accepted" && bounded.matches("ads.example.com")).toBe(true);
  });
});
