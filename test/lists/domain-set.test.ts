import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Name, nameFromText, nameText } from "../../src/dns/name.ts";
import { type DomainSet, outranks } from "../../src/lists/domain-set.ts";
import { DomainSetBuilder, domainSetFromPatterns } from "../../src/lists/domain-set-builder.ts";
import type { NameKind } from "../../src/lists/name-table.ts";
import { overlaps, type Pattern, parseDomainCondition, parsePattern, patternText } from "../../src/lists/patterns.ts";
import { spanOf } from "../../src/lists/span.ts";
import { runs } from "../support/properties.ts";

function name(text: string): Name {
  const parsed = nameFromText(text);
  if (parsed === null) throw new Error(`${text} is no name`);
  return parsed;
}

function patterns(texts: readonly string[]): Pattern[] {
  return texts.map((text) => {
    const pattern = parsePattern(text);
    if (pattern.kind === "bad") throw new Error(pattern.reason);
    return pattern;
  });
}

function setOf(...texts: readonly string[]): DomainSet {
  const set = domainSetFromPatterns(patterns(texts));
  if ("kind" in set) throw new Error(set.reason);
  return set;
}

function matched(set: DomainSet, text: string): string | null {
  const match = set.match(name(text));
  return match === null ? null : set.describe(match).pattern;
}

describe("a set of domains", () => {
  test("a suffix holds the name itself and everything below it, by whole labels", () => {
    const set = setOf("example.com");
    expect(["example.com", "a.example.com", "a.b.example.com"].map((text) => matched(set, text))).toEqual(
      Array(3).fill("example.com"),
    );
    expect(["badexample.com", "com", "example.com.cn", "."].map((text) => matched(set, text))).toEqual(Array(4).fill(null));
  });

  test("full: holds that name alone and beats a suffix", () => {
    const set = setOf("example.com", "full:a.example.com");
    expect([matched(set, "a.example.com"), matched(set, "b.a.example.com")]).toEqual(["full:a.example.com", "example.com"]);
  });

  test("the longest suffix is the one that matched", () => {
    const set = setOf("com", "example.com", ".");
    expect([matched(set, "x.example.com"), matched(set, "x.com"), matched(set, "x.net"), matched(set, ".")]).toEqual([
      "example.com",
      "com",
      ".",
      ".",
    ]);
  });

  test("keyword and regexp count only without a suffix match", () => {
    const set = setOf("keyword:ample", "regexp:^a[0-9]+\\.test$", "example.com");
    expect([
      matched(set, "www.example.com"),
      matched(set, "sample.net"),
      matched(set, "a12.test"),
      matched(set, "b.test"),
    ]).toEqual(["example.com", "keyword:ample", "regexp:^a[0-9]+\\.test$", null]);
  });

  test("letter case does not matter, in names or in any kind of pattern", () => {
    const set = setOf("EXAMPLE.com", "keyword:AdS", "regexp:^Track");
    expect(
      [matched(set, "www.Example.COM"), matched(set, "adserver.net"), matched(set, "tracker.net")].every((text) => text !== null),
    ).toBe(true);
  });

  test("an exception wins over every other entry, however long", () => {
    const builder = new DomainSetBuilder("ads");
    const sink = builder.source("ads.txt");
    sink.name("suffix", spanOf("example.com"), 1);
    sink.name("suffix", spanOf("deep.good.example.com"), 2);
    sink.text("keyword", "good", 3);
    sink.exception("suffix", spanOf("good.example.com"), 4);
    const set = builder.build();
    expect([
      matched(set, "good.example.com"),
      matched(set, "deep.good.example.com"),
      matched(set, "bad.example.com"),
      matched(set, "good.net"),
    ]).toEqual([null, null, "example.com", "keyword:good"]);
  });

  test("a match names its list, source and line; of equal entries the first", () => {
    const builder = new DomainSetBuilder("cn");
    const first = builder.source("one.txt");
    first.name("suffix", spanOf("a.test"), 7);
    first.name("suffix", spanOf("b.test"), 9);
    builder.source("empty.txt");
    const second = builder.source("two.txt");
    second.name("suffix", spanOf("c.test"), 3);
    second.name("suffix", spanOf("A.TEST."), 4);
    second.text("keyword", "word", 5);
    const set = builder.build();
    const describeName = (text: string) => {
      const match = set.match(name(text));
      return match === null ? null : set.describe(match);
    };
    expect(describeName("a.test")).toEqual({ list: "cn", source: "one.txt", line: 7, pattern: "a.test" });
    expect(describeName("x.c.test")).toEqual({ list: "cn", source: "two.txt", line: 3, pattern: "c.test" });
    expect(describeName("sword.net")).toEqual({ list: "cn", source: "two.txt", line: 5, pattern: "keyword:word" });
    expect(set.size).toBe(4);
  });

  test("a pattern for the names below x matches unless a longer pattern does, and never matches x itself", () => {
    const builder = new DomainSetBuilder("list");
    const sink = builder.source("file");
    sink.name("below", spanOf("a.test"), 1);
    sink.name("suffix", spanOf("test"), 2);
    sink.name("below", spanOf("c.test"), 3);
    sink.name("suffix", spanOf("c.test"), 4);
    const set = builder.build();
    expect(["a.test", "x.a.test", "y.x.a.test", "c.test"].map((text) => matched(set, text))).toEqual([
      "test",
      "*.a.test",
      "*.a.test",
      "c.test",
    ]);
    expect([...set.names()].map(nameText)).toEqual(["*.a.test", "test", "*.c.test", "c.test"]);
    expect(set.size).toBe(4);
  });

  test("an empty set holds nothing", () => {
    const set = setOf();
    expect([set.size, matched(set, "example.com"), matched(set, ".")]).toEqual([0, null, null]);
  });

  test("a name with an escaped dot in a label is not taken for one with two labels", () => {
    const set = setOf("b.test", "full:a\\.b.test");
    expect([matched(set, "a\\.b.test"), matched(setOf("b.test"), "a\\.b.test")]).toEqual(["full:a\\.b.test", null]);
  });

  test("the longest name there can be is found", () => {
    const label = "a".repeat(61);
    const longest = [label, label, label, label, "b.c"].join(".");
    const deepest = Array(126).fill("a").join(".");
    const set = setOf(longest, deepest);
    expect([matched(set, longest), matched(set, deepest), matched(set, `a.${deepest}`)]).toEqual([longest, deepest, deepest]);
  });
});

// Few different labels, so that names and patterns meet often.
const label = fc.constantFrom("a", "b", "ab", "c", "com", "x-1");
const text = fc.array(label, { minLength: 1, maxLength: 5 }).map((labels) => labels.join("."));
const patternTexts = fc.array(
  fc.oneof(
    text,
    text.map((name) => `full:${name}`),
    label.map((word) => `keyword:${word}`),
    fc.constant("."),
  ),
  { maxLength: 30 },
);

function wireLength(pattern: Pattern): number {
  return "name" in pattern ? pattern.name.length : 0;
}

/** The rules of a set, taken word by word. */
function scan(all: readonly Pattern[], asked: Name): Pattern | null {
  const askedText = nameText(asked);
  const full = all.find((pattern) => pattern.kind === "full" && nameText(pattern.name) === askedText);
  if (full !== undefined) return full;
  const suffixes = all.filter((pattern) => {
    if (pattern.kind !== "suffix") return false;
    const suffix = nameText(pattern.name);
    return suffix === "." || askedText === suffix || askedText.endsWith(`.${suffix}`);
  });
  const longest = suffixes.toSorted((left, right) => wireLength(right) - wireLength(left))[0];
  return longest ?? all.find((pattern) => pattern.kind === "keyword" && askedText.includes(pattern.text)) ?? null;
}

test("a set matches as a scan of its patterns does", () => {
  fc.assert(
    fc.property(patternTexts, fc.array(text, { minLength: 1, maxLength: 10 }), (texts, names) => {
      const all = patterns(texts);
      const set = setOf(...texts);
      for (const asked of names) {
        const expected = scan(all, name(asked));
        expect(matched(set, asked)).toBe(expected === null ? null : patternText(expected));
      }
    }),
    { numRuns: runs(500) },
  );
});

interface Listed {
  readonly kind: NameKind;
  readonly text: string;
  readonly excepted: boolean;
}

function holds({ kind, text }: Listed, asked: string): boolean {
  return (kind !== "below" && asked === text) || (kind !== "full" && asked.endsWith(`.${text}`));
}

test("a set with exceptions matches as a scan of its entries does", () => {
  const kind = fc.constantFrom<NameKind>("suffix", "full", "below");
  const listed = fc.record({ kind, text, excepted: fc.boolean() });
  fc.assert(
    fc.property(fc.array(listed, { maxLength: 30 }), fc.array(text, { minLength: 20, maxLength: 20 }), (all, names) => {
      const builder = new DomainSetBuilder("list");
      const sink = builder.source("file");
      for (const [line, { kind, text, excepted }] of all.entries())
        expect(excepted ? sink.exception(kind, spanOf(text), line) : sink.name(kind, spanOf(text), line)).toBeNull();
      const set = builder.build();
      for (const asked of names) {
        const fitting = all.filter((entry) => holds(entry, asked));
        const isHeld = fitting.length > 0 && !fitting.some(({ excepted }) => excepted);
        const longest = Math.max(...fitting.map((entry) => name(entry.text).length));
        expect(set.match(name(asked))?.wireLength ?? null).toBe(isHeld ? longest : null);
        const isBelow = (entry: Listed) => entry.text.endsWith(`.${asked}`) || (entry.kind === "below" && entry.text === asked);
        expect(set.reachesBelow(name(asked))).toBe(all.some((entry) => !entry.excepted && isBelow(entry)));
        expect(set.exceptsBelow(name(asked))).toBe(all.some((entry) => entry.excepted && isBelow(entry)));
      }
    }),
    { numRuns: runs(500) },
  );
});

test("a set of 20,000 names finds each name with its line", () => {
  const builder = new DomainSetBuilder("many");
  const sink = builder.source("many.txt");
  const count = 20_000;
  for (let line = 1; line <= count; line++)
    sink.name(line % 2 === 0 ? "full" : "suffix", spanOf(`n${line}.z${line % 97}.test`), line);
  const set = builder.build();
  expect(set.size).toBe(count);
  const lines = Array.from({ length: count }, (_, index) => {
    const match = set.match(name(`n${index + 1}.z${(index + 1) % 97}.test`));
    return match === null ? 0 : set.describe(match).line;
  });
  expect(lines.every((line, index) => line === index + 1)).toBe(true);
  expect(set.match(name("n1.z2.test"))).toBeNull();
});

describe("choosing among sets", () => {
  const best = (asked: string, ...sets: readonly DomainSet[]) => {
    const matches = sets.map((set) => set.match(name(asked)));
    let winner = -1;
    for (const [index, match] of matches.entries()) {
      const held = matches[winner] ?? null;
      if (match !== null && (held === null || outranks(match, held))) winner = index;
    }
    return winner;
  };

  test("the longer suffix wins, wherever it stands", () => {
    expect(best("a.b.com", setOf("com"), setOf("b.com"))).toBe(1);
    expect(best("a.b.com", setOf("b.com"), setOf("com"))).toBe(0);
  });

  test("full: beats a suffix of the same length, and a tie goes to the first", () => {
    expect(best("b.com", setOf("b.com"), setOf("full:b.com"))).toBe(1);
    expect(best("b.com", setOf("b.com"), setOf("b.com"))).toBe(0);
  });

  test("a keyword or regexp gives way to any suffix, even to that of everything", () => {
    expect(best("b.com", setOf("keyword:b"), setOf("."))).toBe(1);
    expect(best("b.com", setOf("keyword:b"), setOf("regexp:^b"))).toBe(0);
  });
});

describe("patterns as text", () => {
  test.each([
    ["lan", "lan"],
    ["domain:lan", "lan"],
    ["Full:x", null],
    ["full:X.lan.", "full:x.lan"],
    [".", "."],
    ["中国", "xn--fiqs8s"],
    ["keyword:ads", "keyword:ads"],
    ["keyword:", null],
    ["regexp:^a\\.b$", "regexp:^a\\.b$"],
    ["regexp:(", null],
    ["a b", null],
    ["192.0.2.1", null],
    ["2.0.192.in-addr.arpa", "2.0.192.in-addr.arpa"],
    ["*.lan", null],
    ["http://lan", null],
    ["", null],
  ])("%j is %j", (written, expected) => {
    const pattern = parsePattern(written);
    expect(pattern.kind === "bad" ? null : patternText(pattern)).toBe(expected);
  });

  test("a wildcard is refused with what to write instead", () => {
    expect(parsePattern("*.apps.lan")).toEqual({
      kind: "bad",
      reason: "*.apps.lan is no domain name; apps.lan stands for it and everything below it",
    });
  });
});

describe("an element of a rule's domains", () => {
  test("is a pattern or a list, perhaps excepted", () => {
    expect(["lan", "!full:x.lan", "list:cn", "! list:ads"].map(parseDomainCondition)).toEqual([
      { excepted: false, target: { kind: "suffix", name: name("lan") } },
      { excepted: true, target: { kind: "full", name: name("x.lan") } },
      { excepted: false, target: { kind: "list", list: "cn" } },
      { excepted: true, target: { kind: "list", list: "ads" } },
    ]);
  });

  test("is refused with a reason if it is neither", () => {
    expect(parseDomainCondition("!a b")).toEqual({ kind: "bad", reason: "a b is no domain name" });
  });
});

/** `full:x`, `*.x` for what is below x alone, `!x` for an exception, `keyword:x`, else a suffix; the line is the place among them. */
function entriesOf(...texts: readonly string[]): DomainSet {
  const builder = new DomainSetBuilder("list");
  const sink = builder.source("list.txt");
  for (const [index, text] of texts.entries()) {
    const [, prefix = "", rest = ""] = /^(full:|keyword:|\*\.|!)?(.*)$/.exec(text) ?? [];
    const span = spanOf(rest);
    const kind = prefix === "full:" ? "full" : prefix === "*." ? "below" : "suffix";
    if (prefix === "keyword:") sink.text("keyword", rest, index + 1);
    else expect(prefix === "!" ? sink.exception("suffix", span, index + 1) : sink.name(kind, span, index + 1)).toBeNull();
  }
  return builder.build();
}

function met(set: DomainSet, other: DomainSet): string[] {
  return [...overlaps(set, other)].map(
    ({ kind, own, other: theirs }) => `${kind} ${set.describe(own).pattern} ${other.describe(theirs).pattern}`,
  );
}

describe("two sets overlap", () => {
  test.each([
    ["the same suffix", ["shop.cn"], ["shop.cn"], ["tie shop.cn shop.cn"]],
    ["the same name alone", ["full:shop.cn"], ["full:shop.cn"], ["tie full:shop.cn full:shop.cn"]],
    [
      "a name alone that the other set has with everything below it",
      ["full:shop.cn"],
      ["shop.cn"],
      ["split full:shop.cn shop.cn"],
    ],
    ["a suffix and the same name alone in the other set", ["shop.cn"], ["full:shop.cn"], []],
    ["a suffix below a suffix", ["www.shop.cn"], ["cn", "shop.cn"], ["inside www.shop.cn shop.cn"]],
    ["a name below a suffix", ["full:www.shop.cn"], ["cn"], ["inside full:www.shop.cn cn"]],
    ["the names below x, and x with everything below it", ["*.shop.cn"], ["shop.cn"], ["tie *.shop.cn shop.cn"]],
    ["a longer suffix in the other set", ["cn"], ["shop.cn"], []],
    ["neighbours", ["shop.cn", "xshop.cn"], ["hop.cn", "p.cn"], []],
    [
      "a name and a suffix of one name count each",
      ["full:a.cn", "a.cn"],
      ["a.cn", "cn"],
      ["split full:a.cn a.cn", "tie a.cn a.cn"],
    ],
    ["an entry that stands twice counts once", ["a.cn", "b.cn", "a.cn"], ["cn"], ["inside a.cn cn", "inside b.cn cn"]],
    ["keywords give way to names", ["keyword:shop", "shop.cn"], ["keyword:cn"], []],
    ["an exception of the other set", ["a.cn", "b.cn"], ["cn", "!a.cn"], ["inside b.cn cn"]],
    ["an exception of the own set", ["a.cn", "!a.cn"], ["cn"], []],
  ])("%s", (_, own, other, expected) => {
    expect(met(entriesOf(...own), entriesOf(...other))).toEqual(expected);
  });

  test("as a comparison of every two entries tells", () => {
    const label = fc.constantFrom("a", "b", "c");
    const name = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join("."));
    const entry = fc.tuple(fc.constantFrom("", "", "full:"), name).map((parts) => parts.join(""));
    const entries = fc.array(entry, { maxLength: 8 });
    fc.assert(
      fc.property(entries, entries, (own, other) => {
        expect(new Set(met(entriesOf(...own), entriesOf(...other)))).toEqual(
          new Set(own.flatMap((text) => meeting(text, other) ?? [])),
        );
      }),
      { numRuns: runs(2000) },
    );
  });
});

/** The entries that an entry conflicts with, found by trying all of them. */
function meeting(own: string, others: readonly string[]): string | null {
  const isFull = own.startsWith("full:");
  const name = own.replace("full:", "");
  if (others.includes(own)) return `tie ${own} ${own}`;
  if (isFull && others.includes(name)) return `split ${own} ${name}`;
  const [longest] = others
    .filter((text) => !text.startsWith("full:") && name.endsWith(`.${text}`))
    .toSorted((left, right) => right.length - left.length);
  return longest === undefined ? null : `inside ${own} ${longest}`;
}
