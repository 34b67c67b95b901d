import { expect, test } from "vitest";
import { SAID, saidText, say } from "../../src/lib/said.ts";

test("a sentence has its code, its values, and both together in English", () => {
  expect(say("explain.sends", { rule: "split", group: "domestic" })).toEqual({
    code: "explain.sends",
    values: { rule: "split", group: "domestic" },
    text: "Rule split sends it to domestic.",
  });
});

test("a value is put in as it is, also where it looks like a place or a pattern of `replace`", () => {
  expect(say("explain.sends", { rule: "{group} $& $1", group: "x" }).text).toBe("Rule {group} $& $1 sends it to x.");
});

test("sentences become one text", () => {
  expect(saidText([say("cache.nothing", {}), say("explain.groupAnswers", { group: "far" })])).toBe(
    "The cache does not hold the answer. So far answers.",
  );
});

test("every sentence of the table begins with a capital or a value, and ends; what stands on a button does not end", () => {
  for (const [code, text] of Object.entries(SAID))
    expect(text, code).toMatch(code.startsWith("fix.") ? /^[A-Z].*[^.:]$/ : /^(?:[A-Z`]|\{).*[.:]$/);
});
