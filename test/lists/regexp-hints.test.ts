import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { boundedRegexp } from "../../src/lib/bounded-regexp.ts";
import { regexpHints } from "../../src/lists/text-patterns.ts";
import { runs } from "../support/properties.ts";
import { REAL_DATA } from "../support/real-data.ts";

describe("the hints of a regular expression", () => {
  test.each([
    ["\\.com$", ["com"], ".com"],
    ["(^|\\.)91porn[0-9]{3}\\.me$", ["me"], "91porn"],
    ["^ads[0-9]\\.example\\.co\\.uk$", ["uk"], ".example.co.uk"],
    ["(^|\\.)jmtt\\.(app|live|tv)$", ["app", "live", "tv"], "jmtt."],
    [".+\\.awsdns-[0-9]\\.(?:co\\.uk|com)$", ["uk", "com"], ".awsdns-"],
    ["(?i)^AD-x\\.NET$", ["net"], "ad-x.net"],
    ["track", null, "track"],
    ["javdb\\d+\\.com$", ["com"], "javdb"],
    ["(^|\\.)91cg([1-9])?.com$", null, "91cg"],
    ["youyuapi\\..+$", null, "youyuapi."],
    ["colou?r[0-9]*s", null, "colo"],
    ["a{2}bc", null, "bc"],
    ["\\.com", null, ".com"],
    ["\\\\.com$", null, "com"],
    ["[.com$]x", null, "x"],
    ["\\.(com|n.t)$", null, "."],
    ["\\.(com|)$", null, "."],
    ["\\.com$|\\.net$", null, ""],
    ["ab(c|d(e))fgh", null, "fgh"],
    ["\\x41bcd\\.com$", null, ""],
    ["", null, ""],
  ])("%s", (source, lastLabels, literal) => {
    expect(regexpHints(source)).toEqual({ lastLabels, literal });
  });

  /** Whether the hints let a name through that the expression fits. */
  function holds(source: string, name: string): boolean {
    const bounded = boundedRegexp(source);
    if (bounded.kind === "refused" || !bounded.matches(name)) return true;
    const { lastLabels, literal } = regexpHints(source);
    return name.includes(literal) && (lastLabels?.includes(name.slice(name.lastIndexOf(".") + 1)) ?? true);
  }

  test("never exclude a name that the expression fits", () => {
    const part = fc.constantFrom(
      ...[
        "a",
        "b",
        "ab",
        ".",
        "\\.",
        "\\\\",
        "\\-",
        "-",
        "\\d",
        "\\w",
        "\\x61",
        "\\141",
        "[ab]",
        "[^a.]",
        "[\\]]",
        "(a|b)",
        "(?:a\\.b)",
      ],
      ...["(", ")", "|", "^", "$", "?", "*", "+", "{2}", "{0,1}", "{", "\\.b$", "\\.(a|b)$", "\\.a\\.b$", "A", "(?i)"],
    );
    const source = fc.array(part, { maxLength: 8 }).map((parts) => parts.join(""));
    const name = fc
      .array(fc.constantFrom("a", "b", "-", ".", "1", "aa", "\\"), { minLength: 1, maxLength: 8 })
      .map((parts) => parts.join(""));
    let fitting = 0;
    fc.assert(
      fc.property(source, name, (written, asked) => {
        const bounded = boundedRegexp(written);
        if (bounded.kind === "accepted" && bounded.matches(asked)) fitting++;
        expect(holds(written, asked)).toBe(true);
      }),
      { numRuns: runs(50_000) },
    );
    expect(fitting).toBeGreaterThan(runs(50_000) / 50);
  });

  test("are found in linear time for any expression", () => {
    const hostile = [`\\.(${"a".repeat(500)}`, "a|".repeat(250), `${"\\".repeat(499)}.a`, "(".repeat(500), "[".repeat(500)];
    expect(hostile.map((source) => regexpHints(source).lastLabels)).toEqual(hostile.map(() => null));
  });
});

// Rule data of others, which is not part of the project: without it this claim goes untested.
const geosite = join(REAL_DATA, "dlc.dat");

test.runIf(existsSync(geosite))(
  "nearly all expressions of public lists are tried only with names of a few top-level domains",
  () => {
    const sources = [...readFileSync(geosite, "latin1").matchAll(/\(\^\|\\\.\)[\x21-\x7e]+\$/g)].map(([source]) => source);
    expect(sources.length).toBeGreaterThan(200);
    const narrow = sources.filter((source) => (regexpHints(source).lastLabels?.length ?? 99) <= 12);
    expect(narrow.length / sources.length).toBeGreaterThan(0.9);
  },
);
