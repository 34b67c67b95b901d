import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SAID } from "../../src/lib/said.ts";
import { shortened, visiblePieces, visibleText } from "../../web/parts/visible.ts";
import { en } from "../../web/words/en.ts";
import { formatFor } from "../../web/words/format.ts";
import { fillIn } from "../../web/words/said.ts";
import { zh, zhSaid } from "../../web/words/zh-CN.ts";
import { runs } from "../support/properties.ts";

describe("text of strangers", () => {
  test.each([
    ["moc.elpmaxe\u202e.evil", "moc.elpmaxe⟨U+202E⟩.evil"],
    ["a\u0000b\u0007\n", "a⟨U+0000⟩b⟨U+0007⟩⟨U+000A⟩"],
    ["zero\u200bwidth\ufeff", "zero⟨U+200B⟩width⟨U+FEFF⟩"],
    ["half \ud800", "half ⟨U+D800⟩"],
    ["no\u00a0break", "no⟨U+00A0⟩break"],
    ["<b>\"quoted\" & 'so'</b>", "<b>\"quoted\" & 'so'</b>"],
    ["中文 域名 ünïcode 😀", "中文 域名 ünïcode 😀"],
  ])("%j is shown as %j", (text, shown) => {
    expect(visibleText(text)).toBe(shown);
  });

  test("never reorders or hides anything, whatever it holds", () => {
    const anything = fc.string({ unit: fc.nat(0x10ffff).map((code) => String.fromCodePoint(code)) });
    fc.assert(
      fc.property(anything, (text) => {
        expect(visibleText(text)).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}]/u);
        expect(visiblePieces(text).every((piece) => piece.text !== "")).toBe(true);
      }),
      { numRuns: runs(1000) },
    );
  });

  test("keeps beginning and end where it is long", () => {
    expect(shortened("short.example", 80)).toBeNull();
    const name = `head.${"x".repeat(230)}.tail.example.com`;
    const [head, tail] = shortened(name, 80) ?? ["", ""];
    expect(name.startsWith(head) && name.endsWith(tail)).toBe(true);
    expect(head.length + tail.length).toBeLessThan(80);
  });
});

describe("the words of both languages", () => {
  const places = (template: string) => Array.from(template.matchAll(/\{(\w+)\}/g), ([, place = ""]) => place).sort();
  const chinese = new Map<string, string>(Object.entries(zhSaid));

  test.each(Object.entries(SAID))("%s has in Chinese the values of its English sentence", (code, sentence) => {
    expect(places(chinese.get(code) ?? "")).toEqual(places(sentence));
  });

  test("say the same things, and no sentence is left in English", () => {
    const same: string[] = [];
    const walk = (one: unknown, other: unknown, path: string): void => {
      if (typeof one === "object" && one !== null && typeof other === "object" && other !== null) {
        const others = new Map<string, unknown>(Object.entries(other));
        expect([...others.keys()].sort(), path).toEqual(Object.keys(one).sort());
        for (const [key, value] of Object.entries(one)) walk(value, others.get(key), `${path}.${key}`);
      } else if (typeof one === "string" && one === other && /[a-z]{4}/i.test(one)) same.push(path);
    };
    walk(en, zh, "words");
    // What one types is the same in every language.
    expect(same.filter((path) => !/filters|filterHint|viewKeys|[Hh]osts|fenliu/.test(path))).toEqual([]);
  });

  test("a sentence is filled in with its values", () => {
    expect(fillIn(zhSaid["explain.sends"] ?? "", { rule: "split", group: "domestic" })).toBe("规则 split 把它交给 domestic。");
  });
});

describe("numbers and times", () => {
  const [english, chinese] = [formatFor("en-GB"), formatFor("zh-CN")];
  const time = new Date(2026, 10, 21, 21, 3, 11).getTime();

  test("are written as people of each language write them", () => {
    expect([english.count(61_210), chinese.count(61_210)]).toEqual(["61.2k", "6.1万"]);
    expect([english.exact(61_210), english.percent(0.0123)]).toEqual(["61,210", "1.2%"]);
    expect([english.ofProblem(99), english.ofProblem(100), english.ofProblem(100, 5)]).toEqual(["99", "100+", "95+"]);
    expect([english.moment(time), chinese.moment(time)]).toEqual(["21 Nov, 21:03:11", "11月21日 21:03:11"]);
    expect([english.ago(time, time + 180_000), chinese.ago(time, time + 180_000)]).toEqual(["3 min ago", "3分钟前"]);
    expect([english.ago(time, time + 3_600_000), english.ago(time, time + 12_000)]).toEqual(["21 Nov, 21:03:11", "12 sec ago"]);
  });

  test("say the day where it is not today", () => {
    expect([english.when(time, time + 60_000), english.when(time, time + 86_400_000)]).toEqual(["21:03:11", "21 Nov, 21:03:11"]);
  });

  test("have the unit that fits", () => {
    expect([0.01, 0.71, 12.44, 212.4, 1204].map(english.ms)).toEqual(["< 0.1 ms", "0.7 ms", "12.4 ms", "212 ms", "1.2 s"]);
    expect([62, 4096, 67_108_864].map(english.bytes)).toEqual(["62 B", "4 KiB", "64 MiB"]);
    expect([45, 180, 7200, 172_800].map(chinese.duration)).toEqual(["45秒", "3分钟", "2小时", "2天"]);
  });
});
