import { describe, expect, test } from "vitest";
import type { ExplainRequest } from "../../src/admin/control.ts";
import { Explainer } from "../../src/control/explain.ts";
import { hypotheticalQuery } from "../../src/control/explain-live.ts";
import { nameText } from "../../src/dns/name.ts";
import { RCODE } from "../../src/dns/types.ts";
import { saidText } from "../../src/lib/said.ts";
import { siteWith, type TestSite } from "../support/site.ts";
import { deny, honest, silent, withRcode } from "../support/zone-script.ts";

function resolved({ app }: TestSite, name: string, rest: Partial<ExplainRequest> = {}) {
  const explainer = new Explainer({
    server: app,
    versions: () => null,
    queries: { read: () => expect.fail("nothing is read of the log") },
    drafts: { use: () => expect.fail("no draft is used"), check: () => expect.fail("no draft is used") },
  });
  return explainer.explain({ name, type: "A", client: null, clientId: null, resolve: true, version: null, ...rest });
}

const upstreams = { main: honest("www.page.example 100 A 192.0.2.7") };

describe("an explanation with resolve", () => {
  test("has the answer and every query to an upstream", async () => {
    const site = await siteWith({ upstreams });
    const { outcome, summary } = await resolved(site, "www.page.example");
    expect(outcome).toMatchObject({
      rcode: "NOERROR",
      source: "upstream",
      action: "none",
      answers: ["100 A 192.0.2.7"],
      negativeTtl: null,
      attempts: [
        { group: "main", server: expect.stringContaining("127.0.0.1"), transport: "udp", rcode: "NOERROR", failure: null },
      ],
    });
    // The explanation shows the state before the query.
    expect(saidText(summary)).toContain("The cache does not hold the answer");
    expect((await resolved(site, "www.page.example")).outcome).toMatchObject({ source: "cache", attempts: [] });
    expect(site.asked()).toEqual(["www.page.example A"]);
  });

  test("resolves as a client that has its own rule, also if it names the version in force", async () => {
    const site = await siteWith({
      yaml: "rules: [{ name: tv, clients: [tv], https: nodata }]\nanswers: { negative: { block: 42s } }",
      upstreams,
    });
    const { outcome } = await resolved(site, "www.page.example", {
      type: "HTTPS",
      clientId: "tv",
      version: site.app.state.version,
    });
    expect(outcome).toMatchObject({
      rcode: "NOERROR",
      action: "type65:nodata",
      answers: [],
      negativeTtl: 42,
      ede: ["17 (Filtered): type65:nodata"],
    });
    expect(site.asked()).toEqual([]);
  });

  test("has every attempt of a failure", async () => {
    const site = await siteWith({
      upstreams: { main: { servers: [() => ({ kind: "close" }), () => silent], keys: "strategy: failover, attempt: 100ms" } },
    });
    const asking = resolved(site, "www.page.example");
    await site.until(() => site.asked().length === 1);
    await site.clock.advance(200);
    await site.until(() => site.asked().length >= 2);
    await site.clock.advance(5000);
    const { outcome } = await asking;
    expect(outcome).toMatchObject({ rcode: "SERVFAIL", source: "failure", answers: [] });
    expect(outcome?.attempts.length).toBeGreaterThanOrEqual(2);
  });

  test("is refused for a client without access, also if a rule excludes the client from the log", async () => {
    const site = await siteWith({ upstreams, yaml: "rules: [{ name: quiet, clients: [203.0.113.0/24], log: false }]" });
    for (const client of ["198.51.100.9", "203.0.113.9"]) {
      expect((await resolved(site, "www.page.example", { client })).outcome).toMatchObject({
        rcode: "REFUSED",
        source: "refused",
        action: "access",
      });
    }
    expect(site.asked()).toEqual([]);
  });

  test("is refused for a client over its rate, also if a rule excludes the client from the log", async () => {
    const yaml = `access: { clients: [0.0.0.0/0], rateLimit: { perSecond: 1, burst: 1, exempt: [] } }
rules: [{ name: quiet, clients: [203.0.113.0/24], log: false }]`;
    const site = await siteWith({ upstreams, yaml });
    for (const client of ["198.51.100.9", "203.0.113.9"]) {
      expect((await resolved(site, "www.page.example", { client })).outcome).toMatchObject({ rcode: "NOERROR" });
      expect((await resolved(site, "www.page.example", { client })).outcome).toMatchObject({
        rcode: "REFUSED",
        action: "rate",
        ede: ["18 (Prohibited): over the rate limit"],
      });
    }
  });

  test("has the TTL of an NXDOMAIN as sent", async () => {
    const site = await siteWith({ upstreams: { main: deny }, yaml: "answers: { negative: { max: 20s } }" });
    expect((await resolved(site, "no.example")).outcome).toMatchObject({ rcode: "NXDOMAIN", negativeTtl: 20 });
  });

  test("is REFUSED for a drop, because the hypothetical client uses TCP", async () => {
    const site = await siteWith({ upstreams, yaml: "rules: [{ name: hush, domains: [hush.example], answer: drop }]" });
    const { outcome, summary } = await resolved(site, "hush.example");
    expect(outcome).toMatchObject({ rcode: "REFUSED", source: "rule", action: "drop" });
    expect(saidText(summary)).toBe(
      "Rule hush meets it with silence over UDP, and with REFUSED elsewhere. It matches hush.example.",
    );
  });

  test("says that a stale answer comes at once if a refresh has just failed", async () => {
    const zone = honest("www.page.example 100 A 192.0.2.7");
    let isWell = true;
    const site = await siteWith({ upstreams: { main: (asked) => (isWell ? zone(asked) : withRcode(asked, RCODE.SERVFAIL)) } });
    await site.ask("www.page.example");
    isWell = false;
    await site.clock.advance(101_000);
    const first = await resolved(site, "www.page.example");
    expect(saidText(first.summary)).toContain("it is given where upstream fails or takes long");
    expect(first.outcome).toMatchObject({ source: "stale" });
    expect(saidText((await resolved(site, "www.page.example")).summary)).toContain("it is given at once");
    // The try in the background is over: two questions, as the one before.
    await site.until(() => site.asked().length === 5 && site.app.upstreams()[0]?.inFlight === 0);
    await site.clock.advance(31_000);
    expect(saidText((await resolved(site, "www.page.example")).summary)).toContain(
      "it is given where upstream fails or takes long",
    );
  });
});

const asked = { name: "page.example", type: "A", client: null, clientId: null };

describe("a hypothetical query", () => {
  test.each([
    ["Page.Example.", "page.example"],
    ["münchen.example", "xn--mnchen-3ya.example"],
    ["a\\.b.example", "a\\.b.example"],
    ["\\065.example", "a.example"],
    [".", "."],
  ])("has the canonical form of the name %s", (name, canonical) => {
    expect(nameText(hypotheticalQuery({ ...asked, name }).query.name)).toBe(canonical);
  });

  test.each([
    ["::FFFF:10.0.0.1", "10.0.0.1"],
    ["2001:DB8::0:1", "2001:db8::1"],
    ["fe80::1%eth0", "fe80::1%eth0"],
    [null, "127.0.0.1"],
  ])("has the client %s in the form that listeners use", (client, address) => {
    expect(hypotheticalQuery({ ...asked, client }).client.address).toBe(address);
  });

  test.each(["10.0.0.1%eth0", "fe80::1%", "fe80::1%a%b", "10.0.0", "", "tv"])("refuses the client %j", (client) => {
    expect(() => hypotheticalQuery({ ...asked, client })).toThrow("is no address");
  });

  test("reports all faults together", () => {
    expect(() => hypotheticalQuery({ name: "a..b", type: "XYZ", client: "x", clientId: "UPPER" })).toThrow(
      /no domain name\n.*no record type.*\n.*no address.*\n.*no client id/,
    );
  });
});
