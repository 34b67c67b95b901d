import { describe, expect, test } from "vitest";
import type { ExplainRequest } from "../../src/admin/control.ts";
import { Explainer } from "../../src/control/explainer.ts";
import { RCODE } from "../../src/dns/types.ts";
import { siteWith, type TestSite } from "../support/site.ts";
import { deny, honest, silent, withRcode } from "../support/zone-script.ts";

function resolved({ app }: TestSite, name: string, rest: Partial<ExplainRequest> = {}) {
  const explainer = new Explainer({
    server: app,
    versions: () => null,
    queries: { read: () => expect.fail("nothing is read of the log") },
    drafts: { judge: () => expect.fail("no draft is judged") },
  });
  return explainer.explain({ name, type: "A", client: null, clientId: null, resolve: true, version: null, ...rest });
}

const upstreams = { main: honest("www.page.example 100 A 192.0.2.7") };

describe("a question that is explained and asked", () => {
  test("has its answer, and the servers that were asked", async () => {
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
    // What is explained is how things stood before.
    expect(summary).toContain("The cache does not hold the answer");
    expect((await resolved(site, "www.page.example")).outcome).toMatchObject({ source: "cache", attempts: [] });
    expect(site.asked()).toEqual(["www.page.example A"]);
  });

  test("as a client whom a rule treats otherwise, also under the version in force", async () => {
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

  test("a failure tells every attempt", async () => {
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

  test("a client that may not ask is refused, and so it is where a rule keeps it out of the log", async () => {
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

  test("a client over its rate is told so, also where a rule keeps it out of the log", async () => {
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

  test("an NXDOMAIN shows the TTL it was sent with", async () => {
    const site = await siteWith({ upstreams: { main: deny }, yaml: "answers: { negative: { max: 20s } }" });
    expect((await resolved(site, "no.example")).outcome).toMatchObject({ rcode: "NXDOMAIN", negativeTtl: 20 });
  });

  test("silence by a rule is silence on UDP, and REFUSED to who would ask over TCP", async () => {
    const site = await siteWith({ upstreams, yaml: "rules: [{ name: hush, domains: [hush.example], answer: drop }]" });
    const { outcome, summary } = await resolved(site, "hush.example");
    expect(outcome).toMatchObject({ rcode: "REFUSED", source: "rule", action: "drop" });
    expect(summary).toBe("Rule hush meets it with silence over UDP, and with REFUSED elsewhere because of hush.example.");
  });

  test("a stale answer is said to be given at once where refreshing it has just failed", async () => {
    const zone = honest("www.page.example 100 A 192.0.2.7");
    let isWell = true;
    const site = await siteWith({ upstreams: { main: (asked) => (isWell ? zone(asked) : withRcode(asked, RCODE.SERVFAIL)) } });
    await site.ask("www.page.example");
    isWell = false;
    await site.clock.advance(101_000);
    const first = await resolved(site, "www.page.example");
    expect(first.summary).toContain("it is given where upstream fails or takes long");
    expect(first.outcome).toMatchObject({ source: "stale" });
    expect((await resolved(site, "www.page.example")).summary).toContain("it is given at once");
    await site.clock.advance(31_000);
    expect((await resolved(site, "www.page.example")).summary).toContain("it is given where upstream fails or takes long");
  });
});
