import { describe, expect, test } from "vitest";
import { TYPE } from "../../src/dns/types.ts";
import { checkExpectations, ruleProblems } from "../../src/rules/checks.ts";
import type { Expectation } from "../../src/rules/options.ts";
import { rule, site } from "./site.ts";

test("every invalid pattern is reported with its rule", () => {
  const rules = [
    rule("fine", "a", { domains: ["example.com", "!full:www.example.com", "list:any", "keyword:x", "."] }),
    rule("bad", "a", { domains: ["*.example.com", "!regexp:(a)\\1", "ok.example"] }),
    rule("long", "a", { domains: [`keyword:${"x".repeat(300)}`] }),
  ];
  expect(ruleProblems(rules)).toEqual([
    "rule bad: *.example.com is no domain name; example.com stands for it and everything below it",
    expect.stringMatching(/^rule bad: regexp:\(a\)\\1 is /),
    "rule long: a keyword that can be in no name",
  ]);
});

const { decider } = site({
  lists: { cn: ["taobao.com"], world: ["x.example", "google.com"] },
  hosts: [
    { name: "nas.lan", addresses: ["10.0.0.5", "fd00::5"] },
    { name: "photos.lan", cname: "nas.lan" },
    { name: "shop.lan", cname: "www.google.com" },
    { name: "ring.lan", cname: "back.lan" },
    { name: "back.lan", cname: "ring.lan" },
  ],
  rules: [
    rule("quiet", null, { clients: ["10.0.9.0/24", "phone"], modifiers: { ipv6: "nodata" } }),
    rule("zero", { answer: "zero" }, { domains: ["zero.example"] }),
    rule("drop", { answer: "drop" }, { domains: ["drop.example"] }),
    rule("split", { longest: { cn: "domestic", world: "overseas" } }),
  ],
});

function failures(...expectations: (Partial<Expectation> & { readonly name: string })[]): string[] {
  const complete = expectations.map((expectation) => ({
    type: TYPE.A,
    client: null,
    rule: null,
    upstream: null,
    answer: null,
    line: null,
    ...expectation,
  }));
  return checkExpectations(decider, complete).map(({ message }) => message);
}

describe("expectations", () => {
  test("that are met report nothing", () => {
    expect(
      failures(
        { name: "www.taobao.com", upstream: "domestic" },
        { name: "www.google.com", rule: "split", upstream: "overseas" },
        { name: "nas.lan", type: TYPE.HTTPS, answer: "nodata" },
        { name: "nas.lan", answer: "10.0.0.5" },
        { name: "nas.lan", type: TYPE.AAAA, answer: "fd00:0::5" },
        { name: "zero.example", answer: "zero" },
        { name: "zero.example", answer: "0.0.0.0" },
        { name: "zero.example", type: TYPE.TXT, answer: "nodata" },
        { name: "drop.example", answer: "drop" },
        { name: "a.invalid", answer: "nxdomain" },
        { name: "other.example", upstream: "first" },
      ),
    ).toEqual([]);
  });

  test("follow the aliases of the hosts table, and stop in a circle of aliases", () => {
    expect(
      failures({ name: "photos.lan", answer: "10.0.0.5" }, { name: "shop.lan", rule: "split", upstream: "overseas" }),
    ).toEqual([]);
    expect(failures({ name: "ring.lan", answer: "nodata" })).toEqual([
      "ring.lan A: expected answer nodata, got back.lan; answered from hosts",
    ]);
  });

  test("see a switched-off type as NODATA, for the client in the expectation", () => {
    expect(
      failures(
        { name: "www.google.com", type: TYPE.AAAA, client: "10.0.9.1", answer: "nodata" },
        { name: "www.google.com", type: TYPE.AAAA, client: "phone", answer: "nodata" },
      ),
    ).toEqual([]);
    expect(failures({ name: "www.google.com", type: TYPE.AAAA, answer: "nodata" })).toEqual([
      "www.google.com AAAA: expected answer nodata, got no answer; rule split decides by google.com, line 2 of list world (world.txt)",
    ]);
  });

  test("that fail report the difference, the rule and the line", () => {
    expect(
      failures(
        { name: "www.google.com", rule: "ads", upstream: "domestic" },
        { name: "zero.example", upstream: "domestic" },
        { name: "other.example", rule: "split", client: "phone" },
        { name: "not a name..", answer: "nodata" },
      ),
    ).toEqual([
      "www.google.com A: expected rule ads, got split and upstream domestic, got overseas; rule split decides by google.com, line 2 of list world (world.txt)",
      "zero.example A: expected upstream domestic, got no upstream; rule zero decides by zero.example",
      "other.example A for phone: expected rule split, got no rule; no rule decides it",
      "not a name.. is no domain name",
    ]);
  });

  test("a failure has its expectation", () => {
    const expectation = { name: "nas.lan", type: TYPE.A, client: null, rule: null, upstream: "first", answer: null, line: null };
    expect(checkExpectations(decider, [expectation])).toMatchObject([{ expectation }]);
  });
});

test("an expectation with a moment is judged as if it were asked then", () => {
  const when = { days: [], hours: { fromMinute: 21 * 60, toMinute: 7 * 60 }, zone: "UTC" };
  const { decider: hourly } = site({ rules: [rule("night", { answer: "nodata" }, { when }), rule("rest", "overseas")] });
  const at = (time: string, expected: string) => ({
    name: "a.example",
    type: TYPE.A,
    client: null,
    upstream: null,
    answer: null,
    line: null,
    atMs: Date.parse(time),
    rule: expected,
  });
  expect(checkExpectations(hourly, [at("2026-11-29T22:00Z", "night"), at("2026-11-29T12:00Z", "rest")])).toEqual([]);
  expect(checkExpectations(hourly, [at("2026-11-29T12:00Z", "night")])[0]?.message).toContain(
    "at 2026-11-29T12:00:00.000Z: expected rule night, got rest",
  );
});
