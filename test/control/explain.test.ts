import { describe, expect, test } from "vitest";
import { explainQuery } from "../../src/control/explain.ts";
import { hypotheticalQuery } from "../../src/control/explain-live.ts";
import { TYPE } from "../../src/dns/types.ts";
import { saidText } from "../../src/lib/said.ts";
import { file } from "../support/files.ts";
import { siteWith, type TestSite } from "../support/site.ts";
import { deny, honest } from "../support/zone-script.ts";

interface Question {
  readonly type?: string;
  readonly client?: string;
  readonly clientId?: string;
}

function explained({ app }: TestSite, name: string, { type = "A", client, clientId }: Question = {}) {
  const query = hypotheticalQuery({ name, type, client: client ?? null, clientId: clientId ?? null });
  const { summary, notes, ...rest } = explainQuery(app.state.policy, query, app.state);
  return { ...rest, summary: saidText(summary), notes: notes.map(({ text }) => text) };
}

const upstreams = {
  domestic: honest("www.near.example 100 A 192.0.2.7"),
  overseas: honest("www.far.example 100 A 198.51.100.7", "www.far.example 100 AAAA 2001:db8::7"),
};

function splitSite(more = "") {
  const cn = file("cn.txt", ["# domestic", "near.example", "full:www.far.near.example"]);
  const world = file("world.txt", ["far.example"]);
  const ads = file("ads.txt", ["ads.example"]);
  const yaml = `lists: { cn: { domains: ["${cn}"] }, world: { domains: ["${world}"] }, ads: { domains: ["${ads}"] } }
hosts: { records: { nas.lan: 10.0.0.5, "*.apps.lan": 10.0.0.6, shop.lan: { address: 10.0.0.7, https: { alpn: [h2], port: 8443 } }, www.lan: { cname: www.near.example }, loop.lan: { cname: pool.lan }, pool.lan: { cname: loop.lan } } }
rules:
  - { name: quiet, clients: [tv], ipv6: nodata, log: false }
  - { name: ads, domains: "list:ads", answer: nodata }
  - { name: hush, domains: [hush.example], answer: drop }
  - { name: mail, types: [MX], upstream: overseas }
  - { name: split, longest: { "list:cn": domestic, "list:world": overseas } }
${more}`;
  return siteWith({ yaml, upstreams });
}

describe("an explanation", () => {
  test("shows each rule that was tried, the list and line that matched, and the group", async () => {
    const site = await splitSite();
    const { decision, trace, summary, version } = explained(site, "WWW.near.example.");
    expect(decision).toMatchObject({ kind: "forward", rule: "split", route: "domestic", answer: null, action: "none" });
    expect(trace).toMatchObject([
      { rule: "quiet", outcome: "clients" },
      { rule: "ads", outcome: "domains" },
      { rule: "hush", outcome: "domains" },
      { rule: "mail", outcome: "types" },
      { rule: "split", outcome: "decides", match: { list: "cn", line: 2, pattern: "near.example" } },
    ]);
    expect(summary).toMatch(
      /^Rule split sends it to domestic\. It matches near\.example, line 2 of list cn .*\. The cache does not hold the answer\.$/,
    );
    expect(version).toBe(site.app.state.version);
    expect(site.asked()).toEqual([]);
  });

  test("says that the first group answers if no rule decides", async () => {
    const { decision, summary } = explained(await splitSite(), "other.example");
    expect(decision).toMatchObject({ kind: "forward", rule: null, route: "domestic" });
    expect(summary).toMatch(/^No rule decides, so it goes to the first group, domestic\./);
  });

  test("shows local answers", async () => {
    const site = await splitSite();
    expect(explained(site, "www.ads.example").decision).toMatchObject({
      kind: "reply",
      answer: "nodata",
      action: "block",
      route: null,
    });
    expect(explained(site, "www.ads.example").summary).toMatch(
      /^Rule ads answers with NODATA\. It matches ads\.example, line 1 of list ads/,
    );
    expect(explained(site, "hush.example").decision).toMatchObject({ kind: "drop", answer: "drop", action: "drop" });
    expect(explained(site, "nas.lan").decision).toMatchObject({ kind: "reply", rule: null, answer: "10.0.0.5", action: "none" });
    expect(explained(site, "x.apps.lan").summary).toBe(
      "The hosts table has *.apps.lan: it is answered here with 10.0.0.6. It stands in line 2 of hosts.records.",
    );
    expect(explained(site, "5.0.0.10.in-addr.arpa", { type: "PTR" }).decision.answer).toBe("PTR nas.lan");
    expect(explained(site, "shop.lan", { type: "HTTPS" }).decision.answer).toBe("HTTPS 1 . alpn=h2 port=8443");
    expect(explained(site, "printer.local").decision).toMatchObject({ answer: "nxdomain", action: "none" });
    expect(explained(site, "printer.local").summary).toContain("a special name that nothing lets out");
    expect(explained(site, "other.example", { type: "ANY" }).decision).toMatchObject({
      answer: "minimal-any",
      action: "any:minimal",
    });
  });

  test("follows an alias of the hosts table to the decision for its target, and a loop of aliases up to a limit", async () => {
    const site = await splitSite();
    const { decision, target, summary } = explained(site, "www.lan");
    expect(decision).toMatchObject({ kind: "reply", answer: "CNAME www.near.example", route: null });
    expect(target).toMatchObject({
      question: { name: "www.near.example", type: "A" },
      decision: { rule: "split", route: "domestic" },
    });
    expect(summary).toContain("it is an alias of www.near.example");
    let depth = 0;
    let last = explained(site, "loop.lan").target;
    for (; last !== null && last.target !== null; last = last.target) depth++;
    expect(depth).toBe(7);
    expect(last?.notes).toMatchObject([{ code: "note.tooManyAliases", values: { aliases: 8 } }]);
    expect((await site.ask("loop.lan")).rcode).toBe("SERVFAIL");
  });

  test("shows the modifiers in force in the notation of a rule", async () => {
    const site = await splitSite("answers: { negative: { block: 90s }, https: [strip-ech] }");
    const { settings } = explained(site, "other.example", { clientId: "tv" }).decision;
    expect(settings).toEqual({
      https: ["strip-ech"],
      ipv6: "nodata",
      ipv4: "pass",
      ttl: { min: "0s", max: "1d" },
      negative: { min: "1s", max: "1m", block: "90s", bare: "10s", failure: "5s" },
      stale: true,
      rebinding: "allow",
      log: false,
    });
  });

  test.each([
    { name: "no..name", says: "`no..name` is no domain name" },
    { name: "", says: "no domain name" },
    { name: "a.example", type: "NOTYPE", says: "`NOTYPE` is no record type" },
    { name: "a.example", type: "AXFR", says: "nothing that a resolver is asked for" },
    { name: "a.example", client: "10.0.0", says: "`10.0.0` is no address" },
    { name: "a.example", clientId: "Not an id", says: "no client id" },
  ])("$name $type $client $clientId: refused, not judged", async ({ name, says, ...question }) => {
    const site = await splitSite();
    const refusal = expect.objectContaining({ kind: "invalid", message: expect.stringContaining(says) });
    expect(() => explained(site, name, question)).toThrow(refusal);
  });
});

describe("an explanation of a filtered type", () => {
  test("says NODATA, and which rule would have forwarded the query", async () => {
    const site = await splitSite();
    const { decision, summary } = explained(site, "www.near.example", { type: "AAAA", clientId: "tv" });
    expect(decision).toMatchObject({ rule: "split", route: null, answer: "nodata", action: "ipv6:nodata" });
    expect(summary).toMatch(
      /^AAAA is answered here with NODATA \(ipv6:nodata\), as rule quiet wants it\. Without that: Rule split sends it to domestic\. It matches /,
    );
  });

  test("of HTTPS names the setting and the negative TTL", async () => {
    const site = await splitSite("answers: { https: nodata, negative: { block: 42s } }");
    const { decision, summary } = explained(site, "www.near.example", { type: "TYPE65" });
    expect(summary).toContain("NODATA (type65:nodata), as section `answers` wants it. Without that:");
    expect(decision).toMatchObject({ answer: "nodata", action: "type65:nodata", settings: { negative: { block: "42s" } } });
  });

  test("follows the preference for a family as soon as the cache knows the other family", async () => {
    const site = await splitSite("answers: { ipv6: prefer-ipv4 }");
    const before = explained(site, "www.far.example", { type: "AAAA" });
    expect(before.decision).toMatchObject({ route: "overseas", answer: null, action: "ipv6:prefer-ipv4" });
    expect(before.notes).toEqual([
      "ipv6:prefer-ipv4 is as section `answers` wants it.",
      "A of the name is looked up first: where it has records, the answer is NODATA (ipv6:prefer-ipv4).",
    ]);
    await site.ask("www.far.example", "AAAA");
    expect(explained(site, "www.far.example", { type: "AAAA" }).decision).toMatchObject({
      route: null,
      answer: "nodata",
      action: "ipv6:prefer-ipv4",
    });
    await site.ask("only6.far.example", "AAAA");
    expect(explained(site, "only6.far.example", { type: "AAAA" }).decision).toMatchObject({ route: "overseas", action: "none" });
  });
});

describe("the cache in an explanation", () => {
  test("has all types of the name on its route, with the remaining time by the limits of the decision", async () => {
    const site = await splitSite("answers: { ttl: { max: 40s } }\ncache: { stale: { keep: 1h, after: 1800ms } }");
    await site.ask("www.far.example", "A");
    await site.ask("www.far.example", "TXT");
    await site.clock.advance(10_000);
    const { cache, summary } = explained(site, "www.far.example");
    expect(cache).toMatchObject([
      {
        type: "A",
        route: "overseas",
        outcome: "positive",
        rcode: "NOERROR",
        answers: ["100 A 198.51.100.7"],
        ageSeconds: 10,
        remainingSeconds: 30,
      },
      { type: "TXT", outcome: "nodata", answers: [], remainingSeconds: 20 },
    ]);
    expect(summary).toMatch(/The cache holds the answer \(NOERROR\), fresh for 30 s more\.$/);
    await site.clock.advance(45_000);
    const late = explained(site, "www.far.example");
    expect(late.cache).toMatchObject([{ type: "A", remainingSeconds: -15 }]);
    expect(late.summary).toMatch(/past its time: it is given where upstream fails or takes long\.$/);
  });

  test("counts no hit for an explanation", async () => {
    const site = await splitSite();
    await site.ask("www.far.example", "A");
    const stats = site.app.state.resolver.cache.stats();
    for (let count = 0; count < 3; count++) explained(site, "www.far.example");
    expect(site.app.state.resolver.cache.stats()).toEqual(stats);
    expect(explained(site, "www.far.example").cache).toMatchObject([{ hits: 0 }]);
  });

  test("answers every type with an NXDOMAIN", async () => {
    const site = await splitSite();
    await site.ask("no.far.example", "A");
    const { cache, summary } = explained(site, "no.far.example", { type: "AAAA" });
    expect(cache).toMatchObject([{ type: "ANY", outcome: "nxdomain", rcode: "NXDOMAIN" }]);
    expect(summary).toContain("The cache holds the answer (NXDOMAIN)");
  });

  test("says why an NXDOMAIN was not believed", async () => {
    const page = honest("page.example 100 A 192.0.2.7");
    const site = await siteWith({ upstreams: { main: (asked) => (asked.type === TYPE.HTTPS ? deny(asked) : page(asked)) } });
    await site.ask("page.example", "HTTPS");
    const { decision, summary } = explained(site, "page.example", { type: "HTTPS" });
    expect(decision.action).toBe("nxdomain:guarded");
    expect(summary).toContain("(NOERROR without records: NXDOMAIN not believed: A says that the name exists)");
  });
});

describe("an explanation says that a query does not reach its group", () => {
  test("because `never` forbids it", async () => {
    const site = await siteWith({
      yaml: "rules: [{ name: all, domains: [.], upstream: overseas }]",
      upstreams: {
        domestic: upstreams.domestic,
        overseas: { servers: [upstreams.overseas], keys: "never: { domains: [home.example] }" },
      },
    });
    const { decision, notes, summary } = explained(site, "www.home.example");
    expect(decision).toMatchObject({ kind: "forward", route: "overseas", action: "never" });
    expect(notes).toEqual(["`never` of group overseas forbids it (home.example): nothing is sent there."]);
    expect(summary).toMatch(
      /^Rule all sends it to overseas\. It matches \.\. overseas must never get it: it is answered with SERVFAIL\./,
    );
    expect((await site.ask("www.home.example")).rcode).toBe("SERVFAIL");
  });

  test("because the client is a server of the group, which would be a loop", async () => {
    const site = await siteWith({
      upstreams: { router: { servers: [upstreams.domestic], keys: 'asksFrom: ["192.0.2.53"]' } },
      yaml: "access: { clients: [private, 192.0.2.0/24] }",
    });
    expect(explained(site, "a.example", { client: "192.0.2.53" }).decision).toMatchObject({ action: "loop", route: "router" });
    expect(explained(site, "a.example", { client: "192.0.2.53" }).summary).toContain("answered at once as a loop");
    expect(explained(site, "a.example", { client: "192.0.2.54" }).decision).toMatchObject({ action: "none" });
  });

  test("because the client has no access", async () => {
    const site = await splitSite();
    expect(explained(site, "a.example", { client: "203.0.113.9" }).notes).toEqual([
      "203.0.113.9 is not among `access.clients`: it is refused before all this.",
    ]);
    expect(explained(site, "a.example", { client: "203.0.113.9" }).summary).toMatch(
      /^203\.0\.113\.9 may not ask: it is refused /,
    );
    expect(explained(site, "a.example", { client: "10.0.0.9" }).notes).toEqual([]);
  });
});

describe("an explanation of a comparison", () => {
  const yaml = () => `lists: { cn-ip: { addresses: ["${file("cn-ip.txt", ["192.0.2.0/24"])}"] } }
rules: [{ name: others, compare: { near: domestic, far: overseas, keepNearIf: "list:cn-ip", within: 800ms, verdict: 1d } }]`;

  test("says that both sides are queried without a verdict; other types go to the far side alone", async () => {
    const site = await siteWith({ yaml: yaml(), upstreams });
    expect(explained(site, "www.near.example")).toMatchObject({
      decision: { kind: "compare", rule: "others", route: null, near: "domestic", far: "overseas", action: "none" },
      verdict: null,
      summary: "Rule others compares domestic with overseas. Nothing is known of the name yet, so both are asked.",
    });
    expect(explained(site, "www.near.example", { type: "HTTPS" }).summary).toContain("so both are asked for A first");
    expect(explained(site, "www.near.example", { type: "MX" }).decision.route).toBe("overseas");
  });

  test("shows the verdict, and the cached answer of its side", async () => {
    const site = await siteWith({ yaml: yaml(), upstreams });
    await site.ask("www.near.example");
    await site.clock.advance(30_000);
    const { decision, verdict, cache, summary } = explained(site, "www.near.example");
    expect(decision.route).toBe("domestic");
    expect(verdict).toEqual({ side: "near", near: "kept", type: "A", ageSeconds: 30 });
    expect(cache).toMatchObject([{ route: "domestic", remainingSeconds: 70 }]);
    expect(summary).toContain(
      "Since 30 s the name is known for the near side (A kept). So domestic answers. The cache holds the answer",
    );
    expect(explained(site, "www.near.example", { type: "HTTPS" }).decision.route).toBe("domestic");
  });

  test("takes cached near addresses for an expired verdict, for types that are not compared", async () => {
    const site = await siteWith({ yaml: yaml().replace("verdict: 1d", "verdict: 1s"), upstreams });
    await site.ask("www.near.example");
    await site.clock.advance(2000);
    const { verdict, decision, summary } = explained(site, "www.near.example", { type: "MX" });
    expect([verdict, decision.route]).toEqual([null, "domestic"]);
    expect(summary).toContain(
      "No verdict is held, but addresses of the near side are, and MX is not compared. So domestic answers.",
    );
  });
});
