import { describe, expect, test } from "vitest";
import { TYPE } from "../../src/dns/types.ts";
import { ask, laptop, name, rule, site } from "./site.ts";

const { decider } = site({
  lists: { near: ["cn"], ads: ["x.example", "ads.example"] },
  hosts: [{ name: "*.apps.lan", addresses: ["10.0.0.6"] }],
  rules: [
    rule("quiet", null, { modifiers: { https: "nodata" } }),
    rule("txt", "far", { types: [TYPE.TXT] }),
    rule("tv", "far", { clients: ["tv"] }),
    rule("split", { longest: { near: "domestic" } }),
    rule("but", "far", { domains: ["list:ads", "!ads.example"] }),
    rule("ads", { answer: "nodata" }, { domains: ["list:ads"] }),
    rule("never", "far", { domains: ["."] }),
  ],
});

describe("an explanation", () => {
  test("says why each rule did not match, and which pattern of the deciding rule did", () => {
    const { decision, steps } = decider.explain(ask("www.ads.example"), laptop);
    expect(decision).toMatchObject({ kind: "reply", context: { rule: "ads" } });
    expect(steps).toEqual([
      { kind: "rule", rule: "quiet", outcome: "modifies", match: null },
      { kind: "rule", rule: "txt", outcome: "types", match: null },
      { kind: "rule", rule: "tv", outcome: "clients", match: null },
      { kind: "rule", rule: "split", outcome: "longest", match: null },
      { kind: "rule", rule: "but", outcome: "excepted", match: null },
      {
        kind: "rule",
        rule: "ads",
        outcome: "decides",
        match: { list: "ads", source: "ads.txt", line: 2, pattern: "ads.example" },
      },
    ]);
  });

  test("names the zone of a special name and the rule that did not open it", () => {
    const { steps } = decider.explain(ask("printer.local"), laptop);
    expect(steps.at(0)).toEqual({ kind: "special", zone: name("local") });
    expect(steps.at(-1)).toMatchObject({ kind: "rule", rule: "never", outcome: "closed" });
  });

  test("names the line of the static table", () => {
    const { steps } = decider.explain(ask("one.apps.lan"), laptop);
    expect(steps).toEqual([{ kind: "hosts", pattern: "*.apps.lan", source: "hosts.records", line: 1 }]);
    const pointer = site({ hosts: [{ name: "nas.lan", addresses: ["10.0.0.5"] }] }).decider;
    expect(pointer.explain(ask("5.0.0.10.in-addr.arpa PTR"), laptop).steps).toMatchObject([
      { kind: "hosts", pattern: "5.0.0.10.in-addr.arpa", source: "hosts.records", line: 1 },
    ]);
  });

  test("says that no rule decided", () => {
    const { steps } = site({}).decider.explain(ask("www.example.com"), laptop);
    expect(steps).toEqual([{ kind: "first-group", group: "first" }]);
  });
});
