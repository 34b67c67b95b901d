import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { DomainSet } from "../../src/lists/domain-set.ts";
import { DomainSetBuilder } from "../../src/lists/domain-set-builder.ts";
import { overlaps } from "../../src/lists/patterns.ts";
import { spanOf } from "../../src/lists/span.ts";
import { runs } from "../support/properties.ts";

/** `full:x`, `*.x` for what is below x alone, `!x` for an exception, `keyword:x`, else a suffix; the line is the place among them. */
function setOf(...texts: readonly string[]): DomainSet {
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
    ["a name alone that the other set has with everything below it", ["full:shop.cn"], ["shop.cn"], ["split full:shop.cn shop.cn"]],
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
    expect(met(setOf(...own), setOf(...other))).toEqual(expected);
  });

  test("as a comparison of every two entries tells", () => {
    const label = fc.constantFrom("a", "b", "c");
    const name = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join("."));
    const entry = fc.tuple(fc.constantFrom("", "", "full:"), name).map((parts) => parts.join(""));
    const entries = fc.array(entry, { maxLength: 8 });
    fc.assert(
      fc.property(entries, entries, (own, other) => {
        expect(new Set(met(setOf(...own), setOf(...other)))).toEqual(new Set(own.flatMap((text) => meeting(text, other) ?? [])));
      }),
      { numRuns: runs(2000) },
    );
  });
});

/** What an entry meets among these, by trying all of them. */
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
