import { describe, expect, test } from "vitest";
import { addressText } from "../../src/dns/address.ts";
import { nameText } from "../../src/dns/name.ts";
import { HostsTable } from "../../src/hosts/table.ts";
import type { Requester } from "../../src/lib/client.ts";
import { runSync } from "../../src/lib/cooperative.ts";
import { DomainSetBuilder } from "../../src/lists/domain-set-builder.ts";
import { readDomains } from "../../src/lists/readers.ts";
import { WarningLog } from "../../src/lists/types.ts";
import { Decider } from "../../src/rules/decider.ts";
import type { Decision } from "../../src/rules/decision.ts";
import type { RuleOptions } from "../../src/rules/options.ts";
import { answers, ask, laptop, rule, specialOff } from "./site.ts";

const tv: Requester = { address: "10.0.7.9", clientId: "tv" };

/** A decider whose list `ads` has these lines; the rules use the list, and every line must be read. */
function deciderOf(
  lines: readonly string[],
  rules: readonly RuleOptions[] = [rule("ads", { answer: "zero" }, { domains: ["list:ads"] })],
): Decider {
  const builder = new DomainSetBuilder("ads");
  const warnings = new WarningLog();
  expect(
    runSync(readDomains(Buffer.from(lines.join("\n")), "adguard", { sink: builder.source("ads.txt"), warnings })),
  ).toBeNull();
  expect(warnings.first).toEqual([]);
  const ads = builder.build();
  return new Decider({
    rules,
    answers,
    special: specialOff,
    hosts: new HostsTable([]),
    hostsTtlSeconds: 300,
    lists: { domains: (list) => (list === "ads" ? ads : null) },
    firstGroup: "first",
  });
}

function shown(decision: Decision): string {
  if (decision.kind !== "reply") return decision.kind === "forward" ? decision.group : decision.kind;
  const { answer } = decision;
  if (answer.kind === "addresses") return answer.addresses.map(addressText).join(" ");
  return answer.kind === "alias" ? `cname ${nameText(answer.target)}` : answer.kind;
}

/** What becomes of `name TYPE`, for the laptop or another client. */
function outcome(decider: Decider, question: string, requester = laptop): string {
  return shown(decider.decide(ask(question), requester));
}

describe("rules of an AdGuard list that hold for some questions alone", () => {
  test("`$dnstype` blocks one type, and `~` all but one", () => {
    const decider = deciderOf(["||six.example^$dnstype=AAAA", "||most.example^$dnstype=~A|~AAAA"]);
    expect(["A", "AAAA", "HTTPS"].map((type) => outcome(decider, `www.six.example ${type}`))).toEqual(["first", "::", "first"]);
    expect(["A", "AAAA", "HTTPS"].map((type) => outcome(decider, `most.example ${type}`))).toEqual(["first", "first", "nodata"]);
  });

  test("`$client` blocks for a network, an address or an id, and `~` for all others", () => {
    const decider = deciderOf([
      "||net.example^$client=10.0.7.0/24",
      "||id.example^$client='TV'|10.0.0.51",
      "||others.example^$client=~tv",
    ]);
    const names = ["net.example", "id.example", "others.example"];
    expect(names.map((name) => outcome(decider, name, tv))).toEqual(["0.0.0.0", "0.0.0.0", "first"]);
    expect(names.map((name) => outcome(decider, name))).toEqual(["first", "first", "0.0.0.0"]);
    expect(decider.clientClass(tv)).not.toBe(decider.clientClass(laptop));
  });

  test("`$denyallow` leaves names and what is below them out, under a wildcard too", () => {
    const decider = deciderOf(["||shop.example^$denyallow=pay.shop.example", "||*^$denyallow=example|org,dnstype=TXT"]);
    expect(
      ["shop.example", "x.shop.example", "pay.shop.example", "a.pay.shop.example"].map((name) => outcome(decider, name)),
    ).toEqual(["0.0.0.0", "0.0.0.0", "first", "first"]);
    expect(["a.example TXT", "a.org TXT", "a.net TXT", "a.net A"].map((name) => outcome(decider, name))).toEqual([
      "first",
      "first",
      "nodata",
      "first",
    ]);
  });

  test("exceptions hold for some questions too, and an important rule beats them", () => {
    const decider = deciderOf([
      "||ads.example^",
      "@@||free.ads.example^$client=tv",
      "@@||six.ads.example^$dnstype=AAAA",
      "@@/^any[0-9]\\.ads/",
      "||hard.ads.example^$important,client=tv",
      "@@||hard.ads.example^",
    ]);
    expect([outcome(decider, "free.ads.example", tv), outcome(decider, "free.ads.example")]).toEqual(["first", "0.0.0.0"]);
    expect([outcome(decider, "six.ads.example AAAA"), outcome(decider, "six.ads.example")]).toEqual(["first", "0.0.0.0"]);
    expect([outcome(decider, "any1.ads.example"), outcome(decider, "anyx.ads.example")]).toEqual(["first", "0.0.0.0"]);
    expect([outcome(decider, "hard.ads.example", tv), outcome(decider, "hard.ads.example")]).toEqual(["0.0.0.0", "first"]);
  });

  test("a piece of a name with modifiers is found anywhere in names, as AdGuard does", () => {
    const decider = deciderOf(["track$dnstype=A", "-ads.example^$dnstype=A"]);
    expect(["x.tracker.net", "my-ads.example", "my-ads.example.net", "x.net"].map((name) => outcome(decider, name))).toEqual([
      "0.0.0.0",
      "0.0.0.0",
      "first",
      "first",
    ]);
  });
});

describe("`$dnsrewrite` in a list", () => {
  test("gives addresses, an alias, nothing or REFUSED where the rule answers", () => {
    const decider = deciderOf([
      "||one.example^$dnsrewrite=192.0.2.1",
      "||one.example^$dnsrewrite=NOERROR;AAAA;2001:db8::1",
      "|www.search.example^$dnsrewrite=NOERROR;CNAME;safe.search.example",
      "||nothing.example^$dnsrewrite=NOERROR",
      "||no.example^$dnsrewrite=REFUSED;;",
      "||www.alias.example^$dnsrewrite=www.alias.example",
    ]);
    const asked = ["one.example", "x.one.example AAAA", "one.example MX", "www.search.example", "x.www.search.example"];
    expect(asked.map((question) => outcome(decider, question))).toEqual([
      "192.0.2.1",
      "2001:db8::1",
      "nodata",
      "cname safe.search.example",
      "first",
    ]);
    expect(["nothing.example", "no.example", "www.alias.example"].map((question) => outcome(decider, question))).toEqual([
      "nodata",
      "refused",
      "first",
    ]);
  });

  test("an exception takes one answer away, or all of them; a plain exception takes none", () => {
    const decider = deciderOf([
      "||two.example^$dnsrewrite=192.0.2.1",
      "||two.example^$dnsrewrite=192.0.2.2",
      "@@||two.example^$dnsrewrite=192.0.2.1",
      "||all.example^$dnsrewrite=192.0.2.3",
      "@@||all.example^$dnsrewrite",
      "||kept.example^$dnsrewrite=192.0.2.4",
      "@@||kept.example^",
    ]);
    expect(["two.example", "all.example", "kept.example"].map((question) => outcome(decider, question))).toEqual([
      "192.0.2.2",
      "first",
      "192.0.2.4",
    ]);
  });

  test("counts for nothing where the rule sends names to a group, or excepts them", () => {
    const lines = ["||one.example^$dnsrewrite=192.0.2.1", "||two.example^"];
    const routes = deciderOf(lines, [rule("far", "overseas", { domains: ["list:ads"] })]);
    expect([outcome(routes, "one.example"), outcome(routes, "two.example")]).toEqual(["first", "overseas"]);
    const excepts = deciderOf(lines, [rule("others", "overseas", { domains: ["!list:ads"] })]);
    expect([outcome(excepts, "one.example"), outcome(excepts, "two.example")]).toEqual(["overseas", "first"]);
  });
});

describe("NXDOMAIN by a list with such rules", () => {
  const nxdomain = [rule("ads", { answer: "nxdomain" }, { domains: ["list:ads"] })];

  test("is NODATA where another type, another client or a name below gets an answer", () => {
    const decider = deciderOf(
      [
        "||type.example^$dnstype=A",
        "||client.example^$client=10.0.0.50",
        "||deny.example^$denyallow=a.deny.example",
        "||plain.example^",
        "||split.example^",
        "@@||a.split.example^$client=tv",
        "||own.example^",
        "||a.own.example^$dnsrewrite=192.0.2.1",
        "||nx.example^$dnsrewrite=NXDOMAIN",
      ],
      nxdomain,
    );
    const names = ["type", "client", "deny", "plain", "split", "own", "nx"];
    expect(names.map((name) => [name, outcome(decider, `${name}.example`)])).toEqual([
      ["type", "nodata"],
      ["client", "nodata"],
      ["deny", "nodata"],
      ["plain", "nxdomain"],
      ["split", "nodata"],
      ["own", "nodata"],
      ["nx", "nodata"],
    ]);
  });
});

test("explain names the rule of the list as it is written, with its line", () => {
  const decider = deciderOf(["! comment", "||six.example^$dnstype=AAAA"]);
  const { steps } = decider.explain(ask("www.six.example AAAA"), laptop);
  expect(steps).toContainEqual({
    kind: "rule",
    rule: "ads",
    outcome: "decides",
    match: { list: "ads", source: "ads.txt", line: 2, pattern: "||six.example^$dnstype=AAAA" },
  });
});

test("a name of the special zones gets the answer of a list's rule in its zone", () => {
  const decider = deciderOf(["|nas.home.arpa^$dnsrewrite=192.168.1.5"]);
  expect([outcome(decider, "nas.home.arpa"), outcome(decider, "other.home.arpa")]).toEqual(["192.168.1.5", "nxdomain"]);
});

test.each([
  "||x.example^$client=Frank's laptop",
  "||x.example^$client=my_tv",
  "||x.example^$dnstype=NOTYPE",
  "||x.example^$denyallow=*.y.example",
  "||x.example^$dnsrewrite=SERVFAIL",
  "||x.example^$dnsrewrite=NOERROR;MX;10 mail.example",
  "||x.example^$ctag=device_tv",
  "||x.example^$dnstype",
])("a rule that cannot be kept as a whole is left out: %s", (line) => {
  const builder = new DomainSetBuilder("ads");
  const warnings = new WarningLog();
  runSync(readDomains(Buffer.from(`${line}\n||y.example^\n`), "adguard", { sink: builder.source("ads.txt"), warnings }));
  expect(warnings.first).toEqual([{ line: 1, reason: "a rule with a modifier that is not known here" }]);
  expect(builder.build().size).toBe(1);
});
