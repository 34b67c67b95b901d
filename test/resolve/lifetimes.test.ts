import { describe, expect, test } from "vitest";
import { extendedError, zone } from "../dns/zone.ts";
import { siteWith, type TestSite } from "../support/site.ts";
import { type Outcome, workbenchWith } from "../support/workbench.ts";
import { bare, deny, empty, honest, respond, silent, withRcode } from "../support/zone-script.ts";
import type { Script } from "../upstreams/scripted-server.ts";

const page = honest("page.example 100 A 192.0.2.7");
const refusing: Script = (asked) => withRcode(asked, 5);
const fresh = { rcode: "NOERROR", answers: ["192.0.2.7"], ede: [] };
const stale = { rcode: "NOERROR", answers: ["192.0.2.7"], ede: [3], ttl: 30 };

/** A negative with an SOA of these lifetimes. */
function negative(rcode: number, ttl: number, minimum: number, ...more: readonly string[]): Script {
  const authority = zone(`example ${ttl} SOA ns.example hostmaster.example 1 2 3 4 ${minimum}`, ...more);
  return (asked) => respond(asked, { rcode, authority });
}

/** A site whose cached answer has expired while its upstream refuses every query. */
async function expiredSite(): Promise<TestSite> {
  const site = await siteWith({ upstreams: { main: page } });
  await site.ask("page.example");
  site.server().follow(refusing);
  await site.clock.advance(100_000);
  return site;
}

describe("negative answers expire soon: their TTLs are clamped and count down", () => {
  const cases = [
    { ttl: 3600, minimum: 3600, sent: 60 },
    { ttl: 3600, minimum: 20, sent: 20 },
    { ttl: 20, minimum: 3600, sent: 20 },
    { ttl: 0, minimum: 0, sent: 1 },
  ];
  test.each(cases)("an SOA of TTL $ttl and MINIMUM $minimum is sent with $sent for both", async ({ ttl, minimum, sent }) => {
    for (const rcode of [0, 3]) {
      const site = await siteWith({ upstreams: { main: negative(rcode, ttl, minimum) } });
      expect(await site.ask("page.example", "MX")).toMatchObject({ soa: { owner: "example", ttl: sent, minimum: sent } });
    }
  });

  test("the SOA's TTL and MINIMUM count down together, and after expiry the upstream is asked again", async () => {
    const site = await siteWith({ upstreams: { main: negative(0, 3600, 3600) } });
    await site.ask("page.example", "MX");
    await site.clock.advance(45_500);
    expect(await site.ask("page.example", "MX")).toMatchObject({ soa: { ttl: 15, minimum: 15 } });
    await site.clock.advance(14_500);
    expect(await site.ask("page.example", "MX")).toMatchObject({ soa: { ttl: 60, minimum: 60 } });
    expect(site.asked()).toHaveLength(2);
  });

  test("MINIMUM of a signed SOA stays as it is", async () => {
    const signature = "example 3600 RRSIG SOA 8 1 3600 20270101000000 20260101000000 1 example. AAAA";
    const site = await siteWith({ upstreams: { main: negative(0, 3600, 1800, signature) } });
    const reply = await site.ask("page.example", "MX", { do: true });
    expect(reply).toMatchObject({ soa: { ttl: 60, minimum: 1800 } });
    expect(reply.authority.find((record) => record.includes("RRSIG"))).toMatch(/^example\. 60 IN RRSIG SOA 8 1 3600 /);
  });

  test("an answer without SOA gets an SOA whose owner is the name", async () => {
    const site = await siteWith({ upstreams: { main: bare } });
    expect(await site.ask("page.example", "MX")).toMatchObject({
      rcode: "NOERROR",
      soa: { owner: "page.example", ttl: 10, minimum: 10 },
    });
    site.server().follow((asked) => withRcode(asked, 3));
    expect(await site.ask("other.example", "MX")).toMatchObject({ rcode: "NXDOMAIN", soa: { owner: "other.example", ttl: 10 } });
  });

  test("the limits of the matching rule apply at each cache hit", async () => {
    const site = await siteWith({
      upstreams: { main: negative(0, 3600, 3600) },
      yaml: "rules: [{ name: brief, clients: [10.0.0.9], negative: { max: 5s } }]",
    });
    expect(await site.ask("page.example", "MX")).toMatchObject({ soa: { ttl: 60 } });
    expect(await site.ask("page.example", "MX", { client: "10.0.0.9" })).toMatchObject({ soa: { ttl: 5, minimum: 5 } });
    expect(site.asked()).toHaveLength(1);
    await site.clock.advance(5000);
    expect(await site.ask("page.example", "MX")).toMatchObject({ soa: { ttl: 55 } });
    await site.ask("page.example", "MX", { client: "10.0.0.9" });
    expect(site.asked()).toHaveLength(2);
  });
});

describe("failures", () => {
  test("that our own `maxQps` causes are not cached: the name is asked for as soon as there is room", async () => {
    const main = { servers: [honest("other.example A 192.0.2.8", "page.example A 192.0.2.7")], maxQps: 1 };
    const site = await siteWith({ upstreams: { main } });
    await site.ask("other.example");
    expect(await site.ask("page.example")).toMatchObject({ rcode: "SERVFAIL", ede: [0] });
    await site.clock.advance(1000);
    expect(await site.ask("page.example")).toMatchObject({ answers: ["192.0.2.7"] });
  });

  test("are cached for `negative.failure`", async () => {
    const site = await siteWith({ upstreams: { main: refusing } });
    const failure = { rcode: "SERVFAIL", records: [], authority: [], ede: [22] };
    expect(await site.ask("page.example")).toMatchObject(failure);
    await site.clock.advance(4999);
    expect(await site.ask("page.example")).toMatchObject(failure);
    expect(site.asked()).toHaveLength(1);
    await site.clock.advance(1);
    site.server().follow(page);
    expect(await site.ask("page.example")).toMatchObject(fresh);
  });

  test("keep the extended errors of the upstream", async () => {
    const edns = { udpPayloadBytes: 1232, version: 0, dnssecOk: false, otherFlags: 0 };
    const options = [extendedError(6, "bogus")];
    const site = await siteWith({ upstreams: { main: (asked) => respond(asked, { rcode: 2, edns: { ...edns, options } }) } });
    expect(await site.ask("page.example")).toMatchObject({ rcode: "SERVFAIL", ede: [6], edeTexts: ["bogus"] });
    expect(await site.ask("page.example")).toMatchObject({ rcode: "SERVFAIL", ede: [6], edeTexts: ["bogus"] });
  });

  test("never replace a positive answer", async () => {
    const site = await expiredSite();
    expect(await site.ask("page.example")).toMatchObject(stale);
  });

  test("a true negative answer does not replace a positive one within its TTL", async () => {
    const site = await siteWith({ upstreams: { main: page } });
    await site.ask("page.example");
    site.server().follow(deny);
    expect(await site.ask("page.example", "MX")).toMatchObject({ rcode: "NOERROR", records: [], ede: [0] });
    expect(await site.ask("page.example")).toMatchObject(fresh);
  });
});

describe("stale answers (RFC 8767)", () => {
  test("are served after `stale.after`, with TTL `stale.ttl` and EDE 3", async () => {
    const site = await siteWith({ upstreams: { main: page } });
    await site.ask("page.example");
    site.server().follow(() => silent);
    await site.clock.advance(100_000);
    let isAnswered = false;
    const reply = site.ask("page.example").finally(() => {
      isAnswered = true;
    });
    await site.until(() => site.asked().length === 2);
    await site.clock.advance(1799);
    expect(isAnswered).toBe(false);
    await site.clock.advance(1);
    expect(await reply).toMatchObject(stale);
  });

  test("are not sent when the fresh answer comes in time", async () => {
    const site = await siteWith({ upstreams: { main: page } });
    await site.ask("page.example");
    await site.clock.advance(100_000);
    expect(await site.ask("page.example")).toMatchObject({ ...fresh, ttl: 100 });
  });

  test("are sent at once after a failed refresh, with one background refresh per `recheck`", async () => {
    const site = await expiredSite();
    const asked = () => site.asked().length;
    for (const [elapsedMs, questions] of [
      [0, 2],
      [1000, 3],
      [10_000, 3],
      [15_000, 3],
      // The failure is 30 s old: the client waits for a refresh again, which fails too. The next background refresh is of the 30 s after that.
      [5000, 4],
      [29_000, 5],
      [500, 5],
    ] as const) {
      await site.clock.advance(elapsedMs);
      expect(await site.ask("page.example")).toMatchObject(stale);
      await site.until(() => asked() >= questions);
      // A refusal that is still on its way when the clock goes on would count as lost.
      await site.until(() => site.app.upstreams().every(({ inFlight }) => inFlight === 0));
      expect(asked()).toBe(questions);
    }
  });

  test("are replaced by a successful background refresh", async () => {
    const site = await expiredSite();
    expect(await site.ask("page.example")).toMatchObject(stale);
    site.server().follow(page);
    await site.clock.advance(1000);
    expect(await site.ask("page.example")).toMatchObject(stale);
    await site.until(() => site.asked().length === 3);
    let reply = await site.ask("page.example");
    for (let tries = 0; reply.ede.length > 0 && tries < 100; tries++) reply = await site.ask("page.example");
    expect(reply).toMatchObject(fresh);
    expect(site.asked()).toHaveLength(3);
  });

  test("are not sent where a rule says `stale: false`", async () => {
    const yaml = "rules: [{ name: strict, domains: [page.example], stale: false }]";
    const site = await siteWith({ upstreams: { main: page }, yaml });
    await site.ask("page.example");
    await site.clock.advance(101_000);
    site.server().follow(refusing);
    expect(await site.ask("page.example")).toMatchObject({ rcode: "SERVFAIL", answers: [] });
  });

  test("end after `stale.keep`", async () => {
    const site = await siteWith({ upstreams: { main: page }, yaml: "cache: { file: null, stale: { keep: 1m } }" });
    await site.ask("page.example");
    site.server().follow(refusing);
    await site.clock.advance(159_000);
    expect(await site.ask("page.example")).toMatchObject(stale);
    await site.clock.advance(1000);
    expect(await site.ask("page.example")).toMatchObject({ rcode: "SERVFAIL" });
  });

  test.each([
    { negative: "NODATA", script: empty },
    { negative: "NXDOMAIN", script: deny },
  ])("are never negative: $negative past its TTL is SERVFAIL", async ({ script }) => {
    const site = await siteWith({ upstreams: { main: script } });
    await site.ask("page.example", "MX");
    site.server().follow(refusing);
    await site.clock.advance(30_000);
    expect(await site.ask("page.example", "MX")).toMatchObject({ rcode: "SERVFAIL", ede: [22] });
  });

  test.each([
    { negative: "NODATA", script: empty, rcode: "NOERROR" },
    { negative: "NXDOMAIN", script: deny, rcode: "NXDOMAIN" },
  ])("an honest $negative after the TTL ends their life", async ({ script, rcode }) => {
    const site = await siteWith({ upstreams: { main: page } });
    await site.ask("page.example");
    site.server().follow(script);
    await site.clock.advance(100_000);
    expect(await site.ask("page.example")).toMatchObject({ rcode, records: [] });
    site.server().follow(refusing);
    await site.clock.advance(30_000);
    expect(await site.ask("page.example")).toMatchObject({ rcode: "SERVFAIL" });
  });

  test("are not sent for fake-ip addresses, `cache.volatile` and `volatile` groups", async () => {
    const fakes = ["fake.example 10 A 198.18.0.9", "other.example 10 A 28.3.4.5"];
    const zoneOfFakes = honest(...fakes, "mine.example 10 A 203.0.113.9", "page.example 10 A 192.0.2.7");
    const site = await siteWith({
      upstreams: { main: zoneOfFakes, router: { servers: [zoneOfFakes], keys: "volatile: true" } },
      yaml: "cache: { file: null, volatile: [203.0.113.0/24] }\nrules: [{ name: r, clients: [10.0.0.9], upstream: router }]",
    });
    const names = ["fake.example", "other.example", "mine.example", "page.example"];
    for (const name of names) await site.ask(name);
    await site.ask("page.example", "A", { client: "10.0.0.9" });
    for (const group of ["main", "router"]) site.server(group).follow(refusing);
    await site.clock.advance(11_000);
    expect((await Promise.all(names.map((name) => site.ask(name)))).map(({ rcode }) => rcode)).toEqual([
      "SERVFAIL",
      "SERVFAIL",
      "SERVFAIL",
      "NOERROR",
    ]);
    expect(await site.ask("page.example", "A", { client: "10.0.0.9" })).toMatchObject({ rcode: "SERVFAIL" });
  });
});

describe("positive answers", () => {
  test("their TTLs count down, and after expiry the upstream is asked again", async () => {
    const site = await siteWith({ upstreams: { main: honest("page.example 100 A 192.0.2.7", "page.example 90 A 192.0.2.8") } });
    expect((await site.ask("page.example")).records).toEqual([
      "page.example. 100 IN A 192.0.2.7",
      "page.example. 90 IN A 192.0.2.8",
    ]);
    await site.clock.advance(30_700);
    expect((await site.ask("page.example")).records).toEqual([
      "page.example. 70 IN A 192.0.2.7",
      "page.example. 60 IN A 192.0.2.8",
    ]);
    await site.clock.advance(59_300);
    expect(await site.ask("page.example")).toMatchObject({ ttl: 90 });
    expect(site.asked()).toHaveLength(2);
  });

  test("a TTL of 0 is passed on, and the answer is not cached", async () => {
    const site = await siteWith({ upstreams: { main: honest("page.example 0 A 192.0.2.7") } });
    for (let times = 1; times <= 2; times++) {
      expect(await site.ask("page.example")).toMatchObject({ ...fresh, ttl: 0 });
      expect(site.asked()).toHaveLength(times);
    }
  });

  test("`ttl.min` and `ttl.max` apply, and those of the matching rule at each cache hit", async () => {
    const site = await siteWith({
      upstreams: { main: honest("long.example 7200 A 192.0.2.7", "short.example 1 A 192.0.2.8") },
      yaml: "answers: { ttl: { min: 10s, max: 1h } }\nrules: [{ name: brief, clients: [10.0.0.9], ttl: { min: 0s, max: 1m } }]",
    });
    expect(await site.ask("long.example")).toMatchObject({ ttl: 3600 });
    expect(await site.ask("short.example")).toMatchObject({ ttl: 10 });
    expect(await site.ask("long.example", "A", { client: "10.0.0.9" })).toMatchObject({ ttl: 60 });
    expect(await site.ask("short.example", "A", { client: "10.0.0.9" })).toMatchObject({ ttl: 1 });
    expect(site.asked()).toHaveLength(2);
  });
});

describe("prefetch refreshes an answer after two hits, in the last tenth of its life", () => {
  /** Two hits, then one at `atMs`. */
  async function hitTwiceAnd(atMs: number, script: Script, type = "A") {
    const site = await siteWith({ upstreams: { main: script } });
    await site.ask("page.example", type);
    await site.ask("page.example", type);
    await site.ask("page.example", type);
    await site.clock.advance(atMs);
    return site;
  }

  test("a positive answer", async () => {
    const site = await hitTwiceAnd(90_000, page);
    expect(await site.ask("page.example")).toMatchObject({ ...fresh, ttl: 10 });
    await site.until(() => site.asked().length === 2);
    for (let ttl = 10; ttl === 10; ) ttl = (await site.ask("page.example")).ttl ?? 0;
    expect(await site.ask("page.example")).toMatchObject({ ttl: 100 });
    expect(site.asked()).toHaveLength(2);
  });

  test("not before the last tenth", async () => {
    const site = await hitTwiceAnd(89_900, page);
    await site.ask("page.example");
    expect(await site.ask("other.example", "MX")).toMatchObject({ rcode: "NXDOMAIN" });
    expect(site.asked()).toEqual(["page.example A", "other.example MX"]);
  });

  test.each([
    { says: "denies the name", script: deny },
    { says: "has no such record any more", script: empty },
    { says: "fails", script: refusing },
    { says: "is still right", script: page },
  ])("asking once for many hits, also where upstream $says", async ({ script }) => {
    const { clock, ...bench } = await workbenchWith({ upstreams: { main: [page] } });
    for (let times = 0; times < 3; times++) await bench.ask("page.example");
    await clock.advance(91_000);
    bench.follow("main", [script]);
    const outcomes: Outcome[] = [];
    for (let times = 0; times < 20; times++) {
      outcomes.push(await bench.ask("page.example"));
      await clock.advance(100);
    }
    expect(outcomes.every(({ reply }) => reply.answers.join() === "192.0.2.7")).toBe(true);
    expect(outcomes.flatMap(({ asked }) => asked)).toEqual(["page.example A"]);
  });

  test("NODATA of a name with a fresh positive answer of another type", async () => {
    const site = await siteWith({ upstreams: { main: page } });
    await site.ask("page.example", "A");
    for (let times = 0; times < 3; times++) await site.ask("page.example", "AAAA");
    await site.clock.advance(27_000);
    expect(await site.ask("page.example", "AAAA")).toMatchObject({ soa: { ttl: 3 } });
    await site.until(() => site.asked().filter((question) => question === "page.example AAAA").length === 2);
  });

  test("a failed refresh changes nothing", async () => {
    const site = await hitTwiceAnd(95_000, page);
    site.server().follow(refusing);
    expect(await site.ask("page.example")).toMatchObject({ ...fresh, ttl: 5 });
    await site.until(() => site.asked().length === 2);
    await site.ask("other.example", "MX");
    expect(await site.ask("page.example")).toMatchObject({ ...fresh, ttl: 5 });
  });

  test("`prefetch: false` refreshes nothing", async () => {
    const site = await siteWith({ upstreams: { main: page }, yaml: "cache: { file: null, prefetch: false }" });
    for (let times = 0; times < 3; times++) await site.ask("page.example");
    await site.clock.advance(95_000);
    await site.ask("page.example");
    await site.ask("other.example", "MX");
    expect(site.asked()).toHaveLength(2);
  });
});
