import { describe, expect, test } from "vitest";
import { TYPE } from "../../src/dns/types.ts";
import { laptop, name, rule, type SiteText, site } from "./site.ts";

/** `nodata lan` and the like: what a special name gets, and the SOA's owner; else the group that it goes to. */
function outcome(text: SiteText, question: string, requester = laptop): string {
  const decision = site(text).decide(question, requester);
  if (decision.kind === "forward") return decision.group;
  if (decision.kind !== "reply") return decision.kind;
  const { source, answer } = decision;
  const owner = "soaOwner" in answer ? answer.soaOwner.slice(1, 1 + answer.soaOwner.charCodeAt(0)) : "";
  return `${source} ${answer.kind} ${owner}`.trim();
}

const catchAll = rule("others", "far", { domains: ["."] });

describe("special names", () => {
  test("the apex is NODATA and names below are NXDOMAIN, with the SOA of the zone, for every type", () => {
    for (const type of ["A", "AAAA", "HTTPS", "TXT", "NS", "SOA", "ANY"]) {
      expect(outcome({ rules: [catchAll] }, `invalid ${type}`)).toBe("special nodata invalid");
      expect(outcome({ rules: [catchAll] }, `a.b.invalid ${type}`)).toBe("special nxdomain invalid");
    }
    expect(outcome({}, "1.0.0.10.in-addr.arpa PTR")).toBe("special nxdomain 10");
  });

  test("localhost and all names below it are the loopback addresses, and NODATA for other types (RFC 6761 §6.3)", () => {
    for (const question of ["localhost", "foo.localhost", "a.b.localhost"]) {
      expect(site({}).decide(question)).toMatchObject({ answer: { addresses: [Uint8Array.of(127, 0, 0, 1)] } });
      const ipv6 = [Uint8Array.of(...Array.from({ length: 15 }, () => 0), 1)];
      expect(site({}).decide(`${question} AAAA`)).toMatchObject({ answer: { addresses: ipv6 } });
      for (const type of ["HTTPS", "TXT", "NS", "MX"])
        expect(outcome({}, `${question} ${type}`)).toBe("special nodata localhost");
    }
    expect(outcome({}, "notlocalhost.example")).toBe("first");
    expect(outcome({ hosts: [{ name: "foo.localhost", addresses: ["10.0.0.5"] }] }, "foo.localhost")).toBe("hosts addresses");
  });

  test("PTR of a loopback address is localhost, and the names above it exist", () => {
    const reverse = ["1.0.0.127.in-addr.arpa", `1.${"0.".repeat(31)}ip6.arpa`];
    for (const question of reverse) {
      expect(site({}).decide(`${question} PTR`)).toMatchObject({ answer: { kind: "pointer", target: name("localhost") } });
      expect(outcome({}, `${question} TXT`)).toMatch(/^special nodata /);
    }
    expect(outcome({}, "0.0.127.in-addr.arpa PTR")).toBe("special nodata 127");
    expect(outcome({}, "2.0.0.127.in-addr.arpa PTR")).toBe("special nxdomain 127");
  });

  test("DS of a special zone belongs to the parent zone and is forwarded (RFC 4035 §3.1.4.1); a denied name stays denied", () => {
    for (const zone of ["home.arpa", "10.in-addr.arpa", "d.f.ip6.arpa", "localhost", "test", "lan", "resolver.arpa"])
      expect(outcome({}, `${zone} DS`)).toBe("first");
    expect(outcome({}, "a.home.arpa DS")).toBe("special nxdomain home");
    const special = { firefoxCanary: true, privateRelay: false };
    expect(outcome({ special }, "use-application-dns.net DS")).toBe("special nxdomain use-application-dns");
  });

  test("a single label is NODATA for the types that clients look up hosts by, and forwarded for others", () => {
    expect(outcome({}, "printer AAAA")).toBe("special nodata printer");
    expect(outcome({}, "printer TXT")).toBe("first");
    expect(outcome({}, ". NS")).toBe("first");
    expect(outcome({ rules: [catchAll] }, "printer")).toBe("special nodata printer");
    expect(outcome({ rules: [rule("own", "router", { domains: ["full:printer"] })] }, "printer")).toBe("router");
  });

  test("a pattern at or below the zone lets its own names out", () => {
    const rules = [rule("lan", "router", { domains: ["lan"] }), rule("lab", "lab", { domains: ["foo.test"] }), catchAll];
    expect(outcome({ rules }, "lan")).toBe("router");
    expect(outcome({ rules }, "printer.lan")).toBe("router");
    expect(outcome({ rules }, "foo.test")).toBe("lab");
    expect(outcome({ rules }, "a.foo.test")).toBe("lab");
    expect(outcome({ rules }, "bar.test")).toBe("special nxdomain test");
    expect(outcome({ rules }, "test")).toBe("special nodata test");
  });

  test("a rule for everything, a keyword, a regular expression, an exception and a pattern above the zone let nothing out", () => {
    for (const domains of [[], ["."], ["keyword:lan"], ["regexp:lan$"], ["!com"], ["arpa"], ["in-addr.arpa"]]) {
      const rules = [rule("wide", "far", { domains })];
      expect(outcome({ rules }, "printer.lan")).toBe("special nxdomain lan");
      expect(outcome({ rules }, "1.1.168.192.in-addr.arpa PTR")).toBe("special nxdomain 168");
    }
    expect(outcome({ rules: [rule("ptr", "far", { types: [TYPE.PTR] })] }, "1.0.0.10.in-addr.arpa PTR")).toBe(
      "special nxdomain 10",
    );
  });

  test("a rule with `.` and a pattern in the zone lets out the names of the latter", () => {
    const rules = [rule("both", "far", { domains: [".", "lan"] })];
    expect(outcome({ rules }, "printer.lan")).toBe("far");
    expect(outcome({ rules }, "printer.local")).toBe("special nxdomain local");
  });

  test("`longest` lets out the names of a pattern in the zone, if that pattern's list wins", () => {
    const text = {
      lists: { near: ["lan", "cn"], far: ["."] },
      rules: [rule("split", { longest: { near: "domestic", far: "overseas" } })],
    };
    expect(outcome(text, "printer.lan")).toBe("domestic");
    expect(outcome(text, "printer.local")).toBe("special nxdomain local");
    expect(outcome(text, "printer.local.cn")).toBe("domestic");
  });

  test("a pattern for a private reverse zone, or for a part of it, lets names out", () => {
    const rules = [rule("ptr", "router", { domains: ["88.168.192.in-addr.arpa"] }), catchAll];
    expect(outcome({ rules }, "1.88.168.192.in-addr.arpa PTR")).toBe("router");
    expect(outcome({ rules }, "1.89.168.192.in-addr.arpa PTR")).toBe("special nxdomain 168");
  });

  test("only the first rule that would decide counts: a later one does not let the name out", () => {
    const rules = [rule("tv", "domestic", { clients: ["tv"] }), rule("lan", "router", { domains: ["lan"] })];
    expect(outcome({ rules }, "printer.lan")).toBe("router");
    expect(outcome({ rules }, "printer.lan", { ...laptop, clientId: "tv" })).toBe("special nodata lan");
  });

  test("a rule's answer within the zone counts too", () => {
    const rules = [rule("no", { answer: "refused" }, { domains: ["x.lan"] })];
    expect(outcome({ rules }, "a.x.lan")).toBe("rule refused");
    expect(outcome({ rules }, "y.lan")).toBe("special nxdomain lan");
  });

  test("a name above a hosts name, above its PTR, or above a name that is let out is NODATA (RFC 8020 §2)", () => {
    const hosts = [{ name: "a.b.internal", addresses: ["10.1.2.3"] }];
    expect(outcome({ hosts }, "b.internal")).toBe("special nodata internal");
    expect(outcome({ hosts }, "c.internal")).toBe("special nxdomain internal");
    expect(outcome({ hosts }, "2.1.10.in-addr.arpa PTR")).toBe("special nodata 10");
    expect(outcome({ hosts }, "3.1.10.in-addr.arpa PTR")).toBe("special nxdomain 10");
    const text = {
      lists: { near: ["full:x.y.local"] },
      rules: [rule("lab", "lab", { domains: ["a.b.test"] }), rule("split", { longest: { near: "domestic" } })],
    };
    expect(outcome(text, "b.test")).toBe("special nodata test");
    expect(outcome(text, "y.local")).toBe("special nodata local");
    expect(outcome(text, "x.y.local")).toBe("domestic");
    expect(outcome(text, "z.x.y.local")).toBe("special nxdomain local");
  });

  test("a name that is let out for one type is NODATA for the others", () => {
    const rules = [rule("ptr", "router", { domains: ["10.in-addr.arpa"], types: [TYPE.PTR] })];
    expect(outcome({ rules }, "1.0.0.10.in-addr.arpa PTR")).toBe("router");
    expect(outcome({ rules }, "1.0.0.10.in-addr.arpa TXT")).toBe("special nodata 10");
    expect(outcome({ rules }, "2.0.0.127.in-addr.arpa PTR")).toBe("special nxdomain 127");
  });

  test("hosts names of a special zone come first", () => {
    expect(outcome({ hosts: [{ name: "nas.lan", addresses: ["10.0.0.5"] }] }, "nas.lan")).toBe("hosts addresses");
    expect(outcome({ hosts: [{ name: "nas", addresses: ["10.0.0.5"] }] }, "nas TXT")).toBe("hosts nodata nas");
  });

  test("resolver.arpa and all below it is NODATA, and no rule opens it", () => {
    const rules = [rule("own", "far", { domains: ["resolver.arpa"] })];
    expect(outcome({ rules }, "resolver.arpa")).toBe("special nodata resolver");
    expect(outcome({ rules }, "_dns.resolver.arpa SVCB")).toBe("special nodata resolver");
  });

  test("a name of a switch is denied in every type, also when a list has it", () => {
    const text = { rules: [rule("own", "far", { domains: ["use-application-dns.net", "icloud.com"] })] };
    expect(outcome(text, "use-application-dns.net")).toBe("far");
    const on = { ...text, special: { firefoxCanary: true, privateRelay: true } };
    for (const type of ["A", "AAAA", "HTTPS", "TXT"]) {
      expect(outcome(on, `use-application-dns.net ${type}`)).toBe("special nxdomain use-application-dns");
      expect(outcome(on, `mask.icloud.com ${type}`)).toBe("special nxdomain mask");
    }
    expect(site(on).decide("mask-h2.icloud.com")).toMatchObject({ action: "block", context: { rule: null } });
    expect(outcome(on, "www.icloud.com")).toBe("far");
  });

  test("the SOA's TTL is `negative.block`", () => {
    expect(site({}).decide("a.lan")).toMatchObject({ action: "none", answer: { soaOwner: name("lan"), ttlSeconds: 60 } });
  });
});
