import { describe, expect, test } from "vitest";
import { CLASS, TYPE } from "../../src/dns/types.ts";
import type { Decision } from "../../src/rules/decision.ts";
import { describeMatch } from "../../src/rules/rule.ts";
import { ask, laptop, name, rule, site } from "./site.ts";

/** What decided, in short: `split>overseas`, `ads>nodata`, `hosts>addresses`. */
function gist(decision: Decision): string {
  const by = decision.context.rule ?? (decision.kind === "reply" ? decision.source : "nobody");
  if (decision.kind === "forward") return `${by}>${decision.group}`;
  if (decision.kind === "reply") return `${by}>${decision.answer.kind}`;
  return `${by}>${decision.kind}`;
}

describe("which rule decides", () => {
  test("without any rule everything goes to the first group", () => {
    const { decide } = site({});
    expect(decide("www.example.com")).toMatchObject({ kind: "forward", group: "first", context: { rule: null, match: null } });
  });

  test("the first matching rule with an action decides", () => {
    const { decide } = site({
      rules: [
        rule("one", "a", { domains: ["example.com"] }),
        rule("two", "b", { domains: ["com"] }),
        rule("three", "c", { domains: ["com"] }),
      ],
    });
    expect(gist(decide("www.example.com"))).toBe("one>a");
    expect(gist(decide("example.com"))).toBe("one>a");
    expect(gist(decide("anexample.com"))).toBe("two>b");
    expect(gist(decide("example.net"))).toBe("nobody>first");
  });

  test("all conditions of a rule must hold", () => {
    const { decide } = site({
      rules: [rule("narrow", "a", { domains: ["example.com"], clients: ["10.0.7.0/24"], types: [TYPE.TXT] })],
    });
    const inside = { address: "10.0.7.9", clientId: null };
    expect(gist(decide("example.com TXT", inside))).toBe("narrow>a");
    expect(gist(decide("example.com TXT", laptop))).toBe("nobody>first");
    expect(gist(decide("example.com A", inside))).toBe("nobody>first");
    expect(gist(decide("example.net TXT", inside))).toBe("nobody>first");
  });

  test("clients match by address, by network of either family, and by id", () => {
    const { decide } = site({ rules: [rule("tv", "a", { clients: ["10.0.7.1", "fd00:7::/64", "tv"] })] });
    const by = (address: string, clientId: string | null = null) => gist(decide("example.com", { address, clientId }));
    expect(by("10.0.7.1")).toBe("tv>a");
    expect(by("10.0.7.2")).toBe("nobody>first");
    expect(by("fd00:7::1%eth0")).toBe("tv>a");
    expect(by("192.0.2.1", "tv")).toBe("tv>a");
    expect(by("192.0.2.1", "radio")).toBe("nobody>first");
  });

  test("a rule makes names aliases, of any pattern and type, but not its own target", () => {
    const { decide, decider } = site({
      rules: [
        rule("moved", null, {
          domains: ["cdn.example", "regexp:^img\\d+\\.example$"],
          action: { kind: "cname", target: "best.cdn.example" },
        }),
        rule("others", "a"),
      ],
    });
    for (const text of ["www.cdn.example", "img7.example HTTPS", "cdn.example TXT"])
      expect(decide(text)).toMatchObject({ source: "rule", answer: { kind: "alias", target: name("best.cdn.example") } });
    expect(gist(decide("best.cdn.example"))).toBe("others>a");
    expect(gist(decide("x.example"))).toBe("others>a");
    const { steps } = decider.explain(ask("best.cdn.example"), laptop);
    expect(steps[0]).toMatchObject({ rule: "moved", outcome: "excepted" });
  });

  test("all of several conditions on the name must hold, and the first one names the match", () => {
    const { decide } = site({
      lists: { cn: ["cn.example", "game.example"], games: ["game.example", "game.org"] },
      rules: [rule("both", "a", { domains: ["list:cn"], alsoDomains: [["list:games", "shop"], ["!full:x.game.example"]] })],
    });
    const decision = decide("www.game.example");
    expect(gist(decision)).toBe("both>a");
    expect(decision.context.match?.set.list).toBe("cn");
    for (const other of ["cn.example", "game.org", "x.game.example"]) expect(gist(decide(other))).toBe("nobody>first");
  });

  test("`single:` means names of one label, and lets them out, but no zone with a name of its own", () => {
    const { decide } = site({ rules: [rule("router", "router", { domains: ["single:"] })] });
    expect(gist(decide("nas"))).toBe("router>router");
    expect(gist(decide("nas MX"))).toBe("router>router");
    expect(gist(decide("nas.example"))).toBe("nobody>first");
    for (const zone of ["lan", "localhost", "test"]) expect(gist(decide(`${zone} TXT`))).toBe("special>nodata");
  });

  test.each([
    [".", "single:"],
    ["keyword:a", "single:"],
  ])("`%s` beside `single:` lets names of one label out as well", (other, single) => {
    const { decide } = site({ rules: [rule("router", "router", { domains: [other, single] })] });
    expect(decide("nas A")).toMatchObject({ kind: "forward", group: "router" });
  });

  test("`!` before a client or a type excepts it; exceptions alone mean all others", () => {
    const { decide } = site({
      rules: [
        rule("home", "a", { clients: ["10.0.0.0/8", "!10.0.9.0/24", "!tv"] }),
        rule("guests", "b", { clients: ["!10.0.0.0/8"], exceptTypes: [TYPE.AAAA] }),
      ],
    });
    const by = (address: string, clientId: string | null = null) => gist(decide("example.com", { address, clientId }));
    expect(by("10.0.0.1")).toBe("home>a");
    expect(by("10.0.9.1")).toBe("nobody>first");
    expect(by("10.0.0.1", "tv")).toBe("nobody>first");
    expect(by("192.0.2.1", "tv")).toBe("guests>b");
    expect(gist(decide("example.com AAAA", { address: "192.0.2.1", clientId: null }))).toBe("nobody>first");
  });

  test("`full:`, `keyword:`, `regexp:`, `.` and `!` mean what they say", () => {
    const { decide } = site({
      lists: { safe: ["good.keyword.org"] },
      rules: [
        rule("full", "a", { domains: ["full:www.example.com"] }),
        rule("loose", "b", { domains: ["keyword:keyw", "regexp:^r\\d+\\.", "!list:safe", "!full:keyword.org"] }),
        rule("but", "c", { domains: ["!net"] }),
        rule("rest", "d", { domains: ["."] }),
      ],
    });
    expect(gist(decide("www.example.com"))).toBe("full>a");
    expect(gist(decide("a.www.example.com"))).toBe("but>c");
    expect(gist(decide("x.keyword.org"))).toBe("loose>b");
    expect(gist(decide("x.good.keyword.org"))).toBe("but>c");
    expect(gist(decide("keyword.org"))).toBe("but>c");
    expect(gist(decide("r12.net"))).toBe("loose>b");
    expect(gist(decide("x.r12.net"))).toBe("rest>d");
    expect(gist(decide("."))).toBe("but>c");
  });

  test("the decision names the list and the line that matched", () => {
    const { decide } = site({
      lists: { ads: ["x.example", "ads.example"] },
      rules: [
        rule("own", "a", { domains: ["one.example", "two.example"] }),
        rule("ads", { answer: "nodata" }, { domains: ["list:ads"] }),
      ],
    });
    const described = (text: string) => {
      const { match } = decide(text).context;
      return match === null ? null : describeMatch(match);
    };
    expect(described("www.ads.example")).toEqual({ list: "ads", source: "ads.txt", line: 2, pattern: "ads.example" });
    expect(described("two.example")).toEqual({ list: null, source: "", line: 2, pattern: "two.example" });
    expect(described("three.example")).toBeNull();
  });

  test("an invalid pattern and an unknown list throw", () => {
    expect(() => site({ rules: [rule("bad", "a", { domains: ["*.example.com"] })] })).toThrow("*.example.com is no domain name");
    expect(() => site({ rules: [rule("bad", "a", { domains: ["list:none"] })] })).toThrow("there is no list none of domains");
  });
});

describe("longest", () => {
  const choose = (near: string[], far: string[]) => {
    const { decide } = site({
      lists: { near, far },
      rules: [rule("split", { longest: { near: "domestic", far: "overseas" } })],
    });
    return (text: string) => gist(decide(text));
  };

  test("the longer suffix wins, in whichever list it is", () => {
    const decide = choose(["example.com"], ["com", "a.example.com"]);
    expect(decide("www.example.com")).toBe("split>domestic");
    expect(decide("www.a.example.com")).toBe("split>overseas");
    expect(decide("other.com")).toBe("split>overseas");
  });

  test("`full:` beats every suffix, and only for its own name", () => {
    const decide = choose(["www.example.com"], ["full:www.example.com"]);
    expect(decide("www.example.com")).toBe("split>overseas");
    expect(decide("a.www.example.com")).toBe("split>domestic");
  });

  test("a tie goes to the list named first", () => {
    expect(choose(["example.com"], ["example.com"])("example.com")).toBe("split>domestic");
    expect(choose(["full:example.com"], ["full:example.com"])("example.com")).toBe("split>domestic");
    expect(choose(["keyword:exam"], ["regexp:example"])("example.com")).toBe("split>domestic");
    expect(choose(["regexp:exam"], ["keyword:example"])("example.com")).toBe("split>domestic");
  });

  test("keywords and regular expressions count only if no suffix matches, not even `.`", () => {
    expect(choose(["keyword:example"], ["com"])("www.example.com")).toBe("split>overseas");
    expect(choose(["keyword:example"], ["."])("www.example.com")).toBe("split>overseas");
    expect(choose(["keyword:example"], ["net"])("www.example.com")).toBe("split>domestic");
  });

  test("a rule without a matching list does not match, and its modifiers do not apply", () => {
    const { decide } = site({
      lists: { near: ["cn"], far: ["net"] },
      rules: [
        rule("split", { longest: { near: "domestic", far: "overseas" } }, { modifiers: { ipv6: "nodata" } }),
        rule("rest", "third"),
      ],
    });
    expect(decide("example.org")).toMatchObject({ context: { rule: "rest", settings: { shaping: { ipv6: "pass" } } } });
    expect(decide("example.net")).toMatchObject({
      group: "overseas",
      context: { rule: "split", settings: { shaping: { ipv6: "nodata" } } },
    });
  });

  test("its conditions must hold too", () => {
    const { decide } = site({
      lists: { near: ["cn"], far: ["net"] },
      rules: [rule("split", { longest: { near: "domestic", far: "overseas" } }, { domains: ["!example.net"] })],
    });
    expect(gist(decide("example.net"))).toBe("nobody>first");
    expect(gist(decide("other.net"))).toBe("split>overseas");
  });
});

describe("modifiers", () => {
  test("matching goes on after a rule without an action, and stops at the deciding rule", () => {
    const { decide } = site({
      rules: [
        rule("quiet", null, { clients: ["10.0.9.0/24"], modifiers: { ipv6: "nodata" } }),
        rule("split", "a", { domains: ["com"], modifiers: { https: "nodata", ipv6: "pass" } }),
        rule("late", null, { modifiers: { ipv4: "nodata" } }),
      ],
    });
    const quiet = { address: "10.0.9.1", clientId: null };
    expect(decide("example.com", quiet)).toMatchObject({
      context: { rule: "split", settings: { shaping: { ipv6: "nodata", https: "nodata", ipv4: "pass" } } },
    });
    expect(decide("example.com")).toMatchObject({
      context: { settings: { shaping: { ipv6: "pass", https: "nodata", ipv4: "pass" } } },
    });
    expect(decide("example.org")).toMatchObject({
      context: { rule: null, settings: { shaping: { ipv6: "pass", https: "pass", ipv4: "nodata" } } },
    });
  });

  test("questions without modifiers share one settings object", () => {
    const { decide } = site({ rules: [rule("a", "a", { domains: ["com"] })] });
    expect(decide("example.com").context.settings.shaping).toBe(decide("example.org").context.settings.shaping);
  });

  test("`log: false` for a client applies to hosts and special names too, unless an earlier rule decides", () => {
    const { decide } = site({
      hosts: [{ name: "nas.lan", addresses: ["10.0.0.5"] }],
      rules: [
        rule("open", "a", { types: [TYPE.TXT] }),
        rule("private", null, { clients: ["10.0.0.50"], modifiers: { log: false } }),
      ],
    });
    expect(["nas.lan", "x.invalid", "example.com"].map((text) => decide(text).context.settings.log)).toEqual([
      false,
      false,
      false,
    ]);
    expect(decide("nas.lan TXT").context.settings.log).toBe(true);
    expect(decide("nas.lan", { address: "10.0.0.51", clientId: null }).context.settings.log).toBe(true);
  });
});

describe("answers of rules", () => {
  const types = ["A", "AAAA", "HTTPS", "SVCB", "TXT", "MX", "NS", "SOA", "DS", "ANY", "TYPE65280"];

  test.each(["nodata", "nxdomain", "refused"] as const)("%s is the same for every type", (answer) => {
    const { decide } = site({ rules: [rule("ads", { answer }, { domains: ["ads.example"] })] });
    for (const type of types) {
      const decision = decide(`x.ads.example ${type}`);
      expect(decision).toMatchObject({
        kind: "reply",
        source: "rule",
        action: "block",
        context: { rule: "ads" },
        answer: { kind: answer },
      });
    }
  });

  test("the owner of the SOA is the name itself, also for the root", () => {
    const { decide } = site({ rules: [rule("all", { answer: "nodata" })] });
    expect(decide("www.example.com HTTPS")).toMatchObject({
      answer: { kind: "nodata", soaOwner: name("www.example.com"), ttlSeconds: 60 },
    });
    expect(decide(". NS")).toMatchObject({ answer: { kind: "nodata", soaOwner: name(".") } });
  });

  test("zero is 0.0.0.0 and ::, and NODATA for every other type", () => {
    const { decide } = site({ rules: [rule("ads", { answer: "zero" }, { domains: ["ads.example"] })] });
    expect(decide("ads.example A")).toMatchObject({
      answer: { kind: "addresses", addresses: [new Uint8Array(4)], ttlSeconds: 60 },
    });
    expect(decide("ads.example AAAA")).toMatchObject({ answer: { addresses: [new Uint8Array(16)], ttlSeconds: 60 } });
    for (const type of types.slice(2)) expect(decide(`ads.example ${type}`)).toMatchObject({ answer: { kind: "nodata" } });
  });

  test("drop is silence for every type", () => {
    const { decide } = site({ rules: [rule("ads", { answer: "drop" }, { domains: ["ads.example"] })] });
    for (const type of types) expect(decide(`ads.example ${type}`)).toMatchObject({ kind: "drop", context: { rule: "ads" } });
  });

  test("their TTL is `negative.block`, also when the rule sets it", () => {
    const { decide } = site({
      rules: [
        rule("ads", { answer: "nodata" }, { domains: ["ads.example"], modifiers: { negative: { blockSeconds: 5 } } }),
        rule("more", { answer: "nodata" }, { domains: ["more.example"] }),
      ],
    });
    expect(decide("ads.example")).toMatchObject({ answer: { ttlSeconds: 5 } });
    expect(decide("more.example")).toMatchObject({ answer: { ttlSeconds: 60 } });
  });

  test("ANY gets a minimal answer instead of being forwarded (RFC 8482)", () => {
    const { decide } = site({ rules: [rule("a", "a", { domains: ["example.com"] })] });
    expect(decide("example.com ANY")).toMatchObject({ kind: "reply", context: { rule: "a" }, answer: { kind: "minimal-any" } });
    expect(decide("example.org ANY")).toMatchObject({ kind: "reply", context: { rule: null }, answer: { kind: "minimal-any" } });
  });

  test("a class other than IN skips hosts and special names, and the rules decide", () => {
    const { decider } = site({
      hosts: [{ name: "nas.lan", addresses: ["10.0.0.5"] }],
      rules: [rule("a", "a", { domains: ["lan"] })],
    });
    const chaos = (text: string) => decider.decide({ ...ask(text), class: CLASS.CH }, laptop);
    expect(gist(chaos("nas.lan"))).toBe("a>a");
    expect(gist(chaos("version.bind TXT"))).toBe("nobody>first");
    expect(gist(chaos("printer"))).toBe("nobody>first");
    expect(gist(chaos("example.com ANY"))).toBe("nobody>first");
  });
});
