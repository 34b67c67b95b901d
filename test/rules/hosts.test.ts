import { describe, expect, test } from "vitest";
import { addressText } from "../../src/dns/address.ts";
import { nameText } from "../../src/dns/name.ts";
import { httpsData } from "../../src/rules/decider.ts";
import type { LocalAnswer } from "../../src/rules/decision.ts";
import { ask, laptop, name, rule, site } from "./site.ts";

const table = site({
  hosts: [
    { name: "nas.lan", addresses: ["10.0.0.5"] },
    { name: "*.apps.lan", addresses: ["10.0.0.6", "fd00::6"] },
    { name: "one.apps.lan", addresses: ["10.0.0.7"] },
    { name: "photos.lan", cname: "nas.lan" },
    { name: "shop.example.com", addresses: ["10.0.0.8"], others: "forward" },
    { name: "web.example.com", addresses: ["10.0.0.9"], https: { alpn: ["h2"], port: 8443 } },
    { name: "deep.sub.example.org", addresses: ["192.0.2.1"] },
  ],
  rules: [rule("all", { answer: "nxdomain" }, { domains: ["example.com", "lan"] })],
});

/** The answer of the static table in short; what else decides is shown by its source. */
function answer(question: string): string {
  const decision = table.decide(question);
  if (decision.kind !== "reply") return decision.kind;
  return decision.source === "hosts" ? gist(decision.answer) : `${decision.source} ${decision.answer.kind}`;
}

function gist(local: LocalAnswer): string {
  if (local.kind === "addresses") return local.addresses.map(addressText).join(" ");
  return local.kind === "alias" || local.kind === "pointer" ? `${local.kind} ${nameText(local.target)}` : local.kind;
}

describe("the static table", () => {
  test.each([
    ["nas.lan A", "10.0.0.5"],
    ["nas.lan AAAA", "nodata"],
    ["nas.lan HTTPS", "nodata"],
    ["nas.lan MX", "nodata"],
    ["nas.lan DS", "nodata"],
    ["nas.lan ANY", "minimal-any"],
    ["one.apps.lan A", "10.0.0.7"],
    ["one.apps.lan AAAA", "nodata"],
    ["x.one.apps.lan A", "10.0.0.6"],
    ["a.b.apps.lan A", "10.0.0.6"],
    ["two.apps.lan AAAA", "fd00::6"],
    ["photos.lan A", "alias nas.lan"],
    ["photos.lan HTTPS", "alias nas.lan"],
    ["photos.lan ANY", "minimal-any"],
    ["shop.example.com A", "10.0.0.8"],
    ["web.example.com HTTPS", "svcb"],
    ["web.example.com SVCB", "nodata"],
    ["5.0.0.10.in-addr.arpa PTR", "pointer nas.lan"],
    ["5.0.0.10.in-addr.arpa A", "nodata"],
    ["5.0.0.10.in-addr.arpa ANY", "minimal-any"],
  ])("%s is %s, whatever the rules say", (question, expected) => {
    expect(answer(question)).toBe(expected);
  });

  test("types that a hosts name leaves to others go to the rules, and NXDOMAIN of a rule becomes NODATA", () => {
    expect(table.decide("shop.example.com AAAA")).toMatchObject({
      source: "rule",
      context: { rule: "all" },
      answer: { kind: "nodata" },
    });
  });

  test("a wildcard does not match the name above it", () => {
    expect(table.decide("apps.lan A")).toMatchObject({ source: "rule", answer: { kind: "nodata" } });
  });

  test("TTLs are `hosts.ttl`, those of empty answers `negative.block`", () => {
    expect(table.decide("nas.lan A")).toMatchObject({ answer: { ttlSeconds: 300 } });
    expect(table.decide("nas.lan TXT")).toMatchObject({ answer: { kind: "nodata", ttlSeconds: 60, soaOwner: name("nas.lan") } });
  });

  test("hosts names and all names above them are known to exist", () => {
    const held = ["nas.lan", "lan", "x.apps.lan", "apps.lan", "sub.example.org", "example.org", "0.0.10.in-addr.arpa", "com"];
    expect(held.filter((text) => !table.decider.hasHost(name(text)))).toEqual([]);
    const others = ["x.nas.lan", "www.example.org", "6.0.0.10.in-addr.arpa", "1.2.0.192.in-addr.arpa", "net"];
    expect(others.filter((text) => table.decider.hasHost(name(text)))).toEqual([]);
  });

  test("a name above a hosts name is forwarded like any other name outside the special zones", () => {
    expect(table.decide("example.org")).toMatchObject({ kind: "forward" });
  });
});

describe("a family of its own, and exceptions", () => {
  const { decider, decide } = site({
    hosts: [
      { name: "four.example", addresses: ["10.0.0.5"], aaaa: "forward" },
      { name: "closed.example", addresses: ["10.0.0.5"], others: "forward", aaaa: "nodata" },
      { name: "*.apps.example", addresses: ["10.0.0.6"] },
      { name: "out.apps.example", others: "forward" },
      { name: "*.far.apps.example", others: "forward" },
      { name: "in.far.apps.example", addresses: ["10.0.0.7"] },
    ],
  });
  const answers = (text: string) => {
    const decision = decide(text);
    return decision.kind === "reply" ? gist(decision.answer) : decision.kind;
  };

  test.each([
    ["four.example A", "10.0.0.5"],
    ["four.example AAAA", "forward"],
    ["four.example HTTPS", "nodata"],
    ["closed.example AAAA", "nodata"],
    ["closed.example MX", "forward"],
    ["x.apps.example A", "10.0.0.6"],
    ["out.apps.example A", "forward"],
    ["out.apps.example MX", "forward"],
    ["x.out.apps.example A", "10.0.0.6"],
    ["far.apps.example A", "10.0.0.6"],
    ["x.far.apps.example A", "forward"],
    ["in.far.apps.example A", "10.0.0.7"],
  ])("%s is %s", (question, expected) => {
    expect(answers(question)).toBe(expected);
  });

  test("an excepted name exists only where the table still holds names below it", () => {
    const exists = (text: string) => decider.hasHost(name(text));
    expect(["out.apps.example", "four.example", "far.apps.example"].map(exists)).toEqual([true, true, true]);
    expect(["x.far.apps.example", "y.x.far.apps.example"].map(exists)).toEqual([false, false]);
    const alone = site({ hosts: [{ name: "gone.example", others: "forward" }] });
    expect(["gone.example", "example"].map((text) => alone.decider.hasHost(name(text)))).toEqual([false, false]);
  });

  test("an explanation shows the entry that leaves a type to the rules", () => {
    const { steps } = decider.explain(ask("x.far.apps.example"), laptop);
    expect(steps).toMatchObject([{ kind: "hosts", pattern: "*.far.apps.example" }, { kind: "first-group" }]);
  });
});

test("a TYPE65 record of the table has its parameters in ascending order of their keys (RFC 9460 §2.2)", () => {
  const data = Buffer.from(httpsData({ alpn: ["h3", "h2"], port: 8443 }));
  const [priorityAndTarget, alpn, port] = ["000100", "00010006026833026832", "0003000220fb"];
  expect(data.toString("hex")).toBe(`${priorityAndTarget}${alpn}${port}`);
  expect(Buffer.from(httpsData({ alpn: [], port: null })).toString("hex")).toBe(priorityAndTarget);
});
