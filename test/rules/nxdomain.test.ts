import { describe, expect, test } from "vitest";
import { TYPE } from "../../src/dns/types.ts";
import { ask, laptop, rule, type SiteText, site } from "./site.ts";

const deny = rule("deny", { answer: "nxdomain" }, { domains: ["ads.example"] });

/** What a rule with `nxdomain` sends for a name, and what it does so because of. */
function sent(text: SiteText, question: string): string {
  const { decision, steps } = site(text).decider.explain(ask(question), laptop);
  if (decision.kind !== "reply" || decision.source !== "rule") return decision.kind;
  const kept = steps.find((step) => step.kind === "kept");
  if (kept?.kind !== "kept") return decision.answer.kind;
  return `${decision.answer.kind} for ${typeof kept.because === "string" ? kept.because : kept.because.rule}`;
}

describe("nxdomain of a rule", () => {
  test("is sent when nothing else can answer for the name or a name below it", () => {
    expect(sent({ rules: [deny] }, "ads.example")).toBe("nxdomain");
    expect(sent({ rules: [deny] }, "x.ads.example HTTPS")).toBe("nxdomain");
    const rules = [rule("lan", "router", { domains: ["lan", "otherads.example", "example"], clients: ["tv"] }), deny];
    expect(sent({ rules }, "ads.example")).toBe("nxdomain");
  });

  test("is NODATA above a hosts name, and for types that a hosts name leaves to others", () => {
    const hosts = [{ name: "ok.ads.example", addresses: ["10.0.0.5"], others: "forward" as const }];
    expect(sent({ rules: [deny], hosts }, "ads.example")).toBe("nodata for hosts");
    expect(sent({ rules: [deny], hosts }, "ok.ads.example TXT")).toBe("nodata for hosts");
    expect(sent({ rules: [deny], hosts }, "x.ads.example")).toBe("nxdomain");
  });

  test("becomes NODATA when an earlier rule with `types` matches the name, whatever its action", () => {
    const action = [
      "far",
      { answer: "nodata" as const },
      { answer: "zero" as const },
      { answer: "refused" as const },
      { answer: "drop" as const },
    ];
    for (const [index, early] of action.entries()) {
      const rules = [rule(`early${index}`, early, { domains: ["example"], types: [TYPE.A] }), deny];
      expect(sent({ rules }, "x.ads.example AAAA")).toBe(`nodata for early${index}`);
    }
    const late = [deny, rule("late", "far", { domains: ["example"], types: [TYPE.A] })];
    expect(sent({ rules: late }, "x.ads.example AAAA")).toBe("nxdomain");
    const mere = [rule("modifier", null, { types: [TYPE.A], modifiers: { ipv6: "nodata" } }), deny];
    expect(sent({ rules: mere }, "x.ads.example AAAA")).toBe("nxdomain");
  });

  test("becomes NODATA above a name that an earlier rule lets exist, and only there", () => {
    const earlier = [
      rule("allow", "far", { domains: ["a.b.ads.example"] }),
      rule("allow", "far", { domains: ["full:a.b.ads.example"], types: [TYPE.A] }),
      rule("allow", "far", { domains: ["list:good"] }),
      rule("allow", { longest: { good: "far" } }),
      rule("allow", { answer: "zero" }, { domains: ["a.b.ads.example"] }),
      rule("allow", { answer: "nodata" }, { domains: ["a.b.ads.example"] }),
    ];
    for (const allow of earlier) {
      const text = { rules: [allow, deny], lists: { good: ["a.b.ads.example", "full:www.example.org"] } };
      expect(sent(text, "ads.example")).toBe("nodata for allow");
      expect(sent(text, "b.ads.example HTTPS")).toBe("nodata for allow");
      expect(sent(text, "c.ads.example")).toBe("nxdomain");
      expect(sent(text, "c.b.ads.example")).toBe("nxdomain");
    }
  });

  test("stays when an earlier rule denies names below too, or is for other clients", () => {
    for (const answer of ["nxdomain", "refused", "drop"] as const) {
      expect(sent({ rules: [rule("early", { answer }, { domains: ["a.ads.example"] }), deny] }, "ads.example")).toBe("nxdomain");
    }
    const rules = [rule("tv", "far", { domains: ["a.ads.example"], clients: ["tv"] }), deny];
    expect(sent({ rules }, "ads.example")).toBe("nxdomain");
  });

  test("becomes NODATA when an earlier rule has keywords or regular expressions, which may match names below", () => {
    for (const pattern of ["keyword:shop", "regexp:^shop\\."]) {
      const rules = [rule("allow", "far", { domains: [pattern] }), deny];
      expect(sent({ rules }, "ads.example")).toBe("nodata for allow");
    }
  });

  test("becomes NODATA when an earlier rule excepts this name only, and so matches the names below", () => {
    const except = (written: string) => [rule("allow", "far", { domains: ["example", written] }), deny];
    expect(sent({ rules: except("!full:ads.example") }, "ads.example")).toBe("nodata for allow");
    expect(sent({ rules: except("!ads.example") }, "ads.example")).toBe("nxdomain");
  });

  test("becomes NODATA when the rule denies this name only, and names below go to later rules", () => {
    for (const pattern of ["full:ads.example", "regexp:^ads\\."]) {
      const rules = [rule("deny", { answer: "nxdomain" }, { domains: [pattern] })];
      expect(sent({ rules }, "ads.example")).toBe("nodata for deny");
    }
    for (const domains of [["keyword:ads"], ["full:ads.example", "example"], ["."], []]) {
      expect(sent({ rules: [rule("deny", { answer: "nxdomain" }, { domains })] }, "ads.example")).toBe("nxdomain");
    }
  });

  test("becomes NODATA above the rule's own exceptions", () => {
    const excepting = (except: string) => ({
      rules: [rule("deny", { answer: "nxdomain" }, { domains: ["ads.example", except] })],
      lists: { good: ["a.b.ads.example"] },
    });
    for (const except of ["!a.b.ads.example", "!full:a.b.ads.example", "!list:good"]) {
      expect(sent(excepting(except), "ads.example")).toBe("nodata for deny");
      expect(sent(excepting(except), "b.ads.example")).toBe("nodata for deny");
      expect(sent(excepting(except), "c.ads.example")).toBe("nxdomain");
    }
    expect(sent(excepting("!keyword:good"), "c.ads.example")).toBe("nodata for deny");
  });

  test("becomes NODATA for the root, for single labels and above special zones", () => {
    const rules = [rule("deny", { answer: "nxdomain" })];
    for (const text of [". NS", "example TXT", "in-addr.arpa", "100.in-addr.arpa"])
      expect(sent({ rules }, text)).toBe("nodata for special");
    for (const text of ["www.example", "99.in-addr.arpa"]) expect(sent({ rules }, text)).toBe("nxdomain");
  });

  test("is NODATA from a rule with `types`, which the configuration refuses", () => {
    const rules = [rule("deny", { answer: "nxdomain" }, { types: [TYPE.HTTPS] })];
    expect(sent({ rules }, "ads.example HTTPS")).toBe("nodata for deny");
  });
});
