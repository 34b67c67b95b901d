import { describe, expect, test } from "vitest";
import { RCODE, TYPE } from "../../src/dns/types.ts";
import { zone } from "../dns/zone.ts";
import { siteWith } from "../support/site.ts";
import { workbenchWith } from "../support/workbench.ts";
import { bare, deny, empty, honest, respond, silent, withRcode } from "../support/zone-script.ts";
import type { Asked, Script } from "../upstreams/scripted-server.ts";

const page = honest("page.example A 192.0.2.7");

/** Denies these types and is honest about the others. */
function denying(types: readonly number[], otherwise: Script = page): Script {
  return (asked) => (types.includes(asked.type) ? deny(asked) : otherwise(asked));
}

const believed = { rcode: "NXDOMAIN", records: [] };
const guarded = { rcode: "NOERROR", records: [], ede: [0] };

describe("a name that exists in any type never gets NXDOMAIN in another", () => {
  test.each(["AAAA", "SVCB", "HTTPS"])(
    "an upstream's NXDOMAIN for %s is not believed at once: A is asked first",
    async (type) => {
      const site = await siteWith({ upstreams: { main: denying([TYPE.AAAA, TYPE.SVCB, TYPE.HTTPS]) } });
      const reply = await site.ask("page.example", type);
      expect(reply).toMatchObject(guarded);
      expect(reply.edeTexts[0]).toContain("NXDOMAIN not believed");
      expect(reply.soa).not.toBeNull();
      expect(site.asked()).toEqual([`page.example ${type}`, "page.example A"]);
    },
  );

  test("the question for A that verifies it is in the trace", async () => {
    const bench = await workbenchWith({ upstreams: { main: [denying([TYPE.AAAA])] } });
    expect(await bench.ask("page.example", "AAAA")).toMatchObject({ attempts: [RCODE.NXDOMAIN, RCODE.NOERROR] });
    expect(await bench.ask("page.example", "HTTPS")).toMatchObject({ attempts: [RCODE.NOERROR] });
  });

  test("the guarded answer is cached, and a hit shows the action again without asking", async () => {
    const site = await siteWith({ upstreams: { main: denying([TYPE.AAAA]) } });
    await site.ask("page.example", "AAAA");
    expect(await site.ask("page.example", "AAAA")).toMatchObject(guarded);
    expect(site.asked()).toHaveLength(2);
  });

  test("NXDOMAIN for DS of a special zone is NODATA: the other types of the zone are answered here", async () => {
    const site = await siteWith({ upstreams: { main: deny } });
    expect(await site.ask("localhost", "DS")).toMatchObject(guarded);
    expect(await site.ask("a.localhost", "A")).toMatchObject({ answers: ["127.0.0.1"] });
  });

  test("a true NXDOMAIN stays NXDOMAIN for every type, for one A question at most", async () => {
    const site = await siteWith({ upstreams: { main: page } });
    for (const type of ["HTTPS", "AAAA", "A", "MX", "SVCB", "TXT"]) {
      expect(await site.ask("nowhere.example", type)).toMatchObject({ ...believed, ede: [] });
    }
    expect(site.asked()).toEqual(["nowhere.example HTTPS", "nowhere.example A"]);
  });

  test("the question for A is joined with the client's own", async () => {
    const site = await siteWith({ upstreams: { main: denying([TYPE.AAAA]) } });
    const replies = await Promise.all([site.ask("page.example", "A"), site.ask("page.example", "AAAA")]);
    expect(replies).toMatchObject([{ answers: ["192.0.2.7"] }, guarded]);
    expect(site.asked().filter((question) => question === "page.example A")).toHaveLength(1);
  });

  test("NODATA for A is NODATA for the others", async () => {
    const site = await siteWith({ upstreams: { main: denying([TYPE.AAAA], honest("page.example TXT here")) } });
    expect(await site.ask("page.example", "AAAA")).toMatchObject(guarded);
  });

  test("A failed: NODATA for `negative.min`", async () => {
    const site = await siteWith({
      upstreams: { main: denying([TYPE.AAAA], (asked) => withRcode(asked, 2)) },
      yaml: "answers: { negative: { min: 3s } }",
    });
    expect(await site.ask("page.example", "AAAA")).toMatchObject({ ...guarded, soa: { ttl: 3, minimum: 3 } });
    await site.clock.advance(3000);
    site.server().follow(page);
    expect(await site.ask("page.example", "AAAA")).toMatchObject({ rcode: "NOERROR", ede: [] });
  });

  test("A silent: NODATA by the deadline", async () => {
    const site = await siteWith({ upstreams: { main: denying([TYPE.AAAA], () => silent) } });
    const reply = site.ask("page.example", "AAAA");
    await site.until(() => site.asked().length === 2);
    await site.clock.advance(4000);
    expect(await reply).toMatchObject(guarded);
  });

  test("NXDOMAIN for other types is believed unless the name is proven to exist", async () => {
    const site = await siteWith({ upstreams: { main: denying([TYPE.MX, TYPE.A], honest("page.example TXT here")) } });
    expect(await site.ask("page.example", "MX")).toMatchObject(believed);
    expect(site.asked()).toEqual(["page.example MX"]);
    await site.clock.advance(60_000);
    expect(await site.ask("page.example", "TXT")).toMatchObject({ answers: ['"here"'] });
    expect(await site.ask("page.example", "MX")).toMatchObject(guarded);
    expect(await site.ask("page.example", "A")).toMatchObject(guarded);
  });

  test("a positive answer drops a cached NXDOMAIN", async () => {
    const site = await siteWith({ upstreams: { main: (asked) => (asked.type === TYPE.TXT ? deny(asked) : page(asked)) } });
    const [a, txt] = await Promise.all([site.ask("page.example", "A"), site.ask("page.example", "TXT")]);
    expect(a.answers).toEqual(["192.0.2.7"]);
    expect(["NXDOMAIN", "NOERROR"]).toContain(txt.rcode);
    expect(await site.ask("page.example", "TXT")).toMatchObject(guarded);
    expect(await site.ask("page.example", "A")).toMatchObject({ answers: ["192.0.2.7"] });
  });
});

describe("existence is proven", () => {
  const first =
    (script: Script): Script =>
    (asked) =>
      asked.type === TYPE.TXT ? script(asked) : deny(asked);

  test("by a positive answer within its TTL", async () => {
    const site = await siteWith({ upstreams: { main: first(honest("page.example 100 TXT here")) } });
    await site.ask("page.example", "TXT");
    await site.clock.advance(99_000);
    expect(await site.ask("page.example", "A")).toMatchObject(guarded);
  });

  test("never by a stale answer", async () => {
    const site = await siteWith({ upstreams: { main: first(honest("page.example 100 TXT here")) } });
    await site.ask("page.example", "TXT");
    await site.clock.advance(100_000);
    expect(await site.ask("page.example", "A")).toMatchObject(believed);
  });

  test("by an upstream's NODATA with SOA", async () => {
    const site = await siteWith({ upstreams: { main: first(empty) } });
    await site.ask("page.example", "TXT");
    expect(await site.ask("page.example", "A")).toMatchObject(guarded);
  });

  test("not by an empty answer without SOA", async () => {
    const site = await siteWith({ upstreams: { main: first(bare) } });
    await site.ask("page.example", "TXT");
    expect(await site.ask("page.example", "A")).toMatchObject(believed);
  });

  test("never by an answer that we synthesized", async () => {
    // A fails, so AAAA's NXDOMAIN becomes a NODATA of ours; it is no proof when A is denied a moment later.
    const site = await siteWith({ upstreams: { main: denying([TYPE.AAAA], (asked) => withRcode(asked, 2)) } });
    expect(await site.ask("page.example", "AAAA")).toMatchObject(guarded);
    site.server().follow(deny);
    expect(await site.ask("page.example", "TXT")).toMatchObject(believed);
  });

  test("on the same route only", async () => {
    const site = await siteWith({
      upstreams: { near: page, far: deny },
      yaml: "rules: [{ name: v6, types: [MX], upstream: far }, { name: rest, upstream: near }]",
    });
    await site.ask("page.example", "A");
    expect(await site.ask("page.example", "MX")).toMatchObject(believed);
    expect(await site.ask("page.example", "A")).toMatchObject({ answers: ["192.0.2.7"] });
  });
});

describe("in a CNAME chain the last name counts", () => {
  const alias = "www.example CNAME host.example";
  const deniedAtEnd = (asked: Asked) =>
    respond(asked, { rcode: 3, answers: zone(alias), authority: zone("example 30 SOA a b 1 2 3 4 30") });

  test("NXDOMAIN behind an alias is doubted for its target", async () => {
    const script: Script = (asked) =>
      asked.type === TYPE.AAAA ? deniedAtEnd(asked) : honest(alias, "host.example A 192.0.2.9")(asked);
    const site = await siteWith({ upstreams: { main: script } });
    expect(await site.ask("www.example", "AAAA")).toMatchObject({
      rcode: "NOERROR",
      records: ["www.example. 30 IN CNAME host.example."],
    });
    expect(site.asked()).toEqual(["www.example AAAA", "host.example A"]);
  });

  test("a true NXDOMAIN passes with its alias", async () => {
    const site = await siteWith({ upstreams: { main: honest(alias) } });
    const reply = await site.ask("www.example", "AAAA");
    expect(reply).toMatchObject({ rcode: "NXDOMAIN", records: ["www.example. 30 IN CNAME host.example."] });
    expect(site.asked()).toEqual(["www.example AAAA", "host.example A"]);
    expect(await site.ask("host.example", "TXT")).toMatchObject(believed);
  });

  test("a positive answer at the end of an alias proves the target", async () => {
    const script: Script = (asked) => (asked.type === TYPE.MX ? deny(asked) : honest(alias, "host.example A 192.0.2.9")(asked));
    const site = await siteWith({ upstreams: { main: script } });
    await site.ask("www.example", "A");
    expect(await site.ask("host.example", "MX")).toMatchObject(guarded);
  });
});

describe("an NXDOMAIN covered by signed NSEC or NSEC3", () => {
  const authority = zone(
    "example 30 SOA a b 1 2 3 4 30",
    "example 30 NSEC a.example. A NS SOA RRSIG NSEC",
    "example 30 RRSIG NSEC 8 1 30 20270101000000 20260101000000 1 example. AAAA",
  );
  const signed: Script = (asked) => (asked.type === TYPE.AAAA ? respond(asked, { rcode: 3, authority }) : page(asked));

  test("passes unchanged to a question with DO", async () => {
    const site = await siteWith({ upstreams: { main: signed } });
    expect(await site.ask("page.example", "AAAA", { do: true })).toMatchObject({ rcode: "NXDOMAIN", ede: [] });
    expect(site.asked()).toHaveLength(1);
  });

  test("does not pass for hosts names: a downstream cache would lose their addresses", async () => {
    const yaml = "hosts: { records: { page.example: { address: 192.0.2.5, others: forward } } }";
    const site = await siteWith({ upstreams: { main: signed }, yaml });
    for (const _turn of ["fetched", "held"])
      expect(await site.ask("page.example", "AAAA", { do: true })).toMatchObject({ rcode: "NOERROR", answers: [] });
  });

  test("is doubted if the question has no DO", async () => {
    const site = await siteWith({ upstreams: { main: signed } });
    expect(await site.ask("page.example", "AAAA")).toMatchObject(guarded);
  });
});

describe("hosts names exist in all types", () => {
  const hosts = "hosts: { records: { nas.home.example: { address: 192.0.2.5, others: forward } } }";

  test("a forwarded type of a hosts name, and names above it, are NODATA when the upstream denies them", async () => {
    const site = await siteWith({ upstreams: { main: deny }, yaml: hosts });
    for (const name of ["nas.home.example", "home.example", "example"]) {
      expect(await site.ask(name, "MX")).toMatchObject(guarded);
    }
    expect(await site.ask("other.example", "MX")).toMatchObject(believed);
    expect(await site.ask("nas.home.example", "A")).toMatchObject({ answers: ["192.0.2.5"] });
  });

  test("an NXDOMAIN cached before the name was added to the table is not sent any more", async () => {
    const site = await siteWith({ upstreams: { main: deny } });
    for (const name of ["nas.home.example", "home.example"]) expect(await site.ask(name, "MX")).toMatchObject(believed);
    await site.reload(hosts);
    for (const name of ["nas.home.example", "home.example"]) expect(await site.ask(name, "MX")).toMatchObject(guarded);
  });
});

describe("the NXDOMAIN for a question that came from the upstream (a loop)", () => {
  test("becomes NODATA for a name that is proven to exist", async () => {
    const site = await siteWith({ upstreams: { main: { servers: [page], keys: "asksFrom: [10.9.9.9]" } } });
    expect(await site.ask("page.example", "A")).toMatchObject({ answers: ["192.0.2.7"] });
    expect(await site.ask("page.example", "AAAA", { client: "10.9.9.9" })).toMatchObject({
      rcode: "NOERROR",
      records: [],
      soa: {},
    });
    expect(await site.ask("page.example", "A", { client: "10.9.9.9" })).toMatchObject({ answers: ["192.0.2.7"] });
    expect(await site.ask("other.example", "AAAA", { client: "10.9.9.9" })).toMatchObject({ ...believed, ede: [0] });
  });

  test("becomes NODATA for names above hosts names", async () => {
    const yaml = "hosts: { records: { nas.home.example: { address: 192.0.2.5, others: forward } } }";
    const site = await siteWith({ upstreams: { main: { servers: [page], keys: "asksFrom: [10.9.9.9]" } }, yaml });
    for (const name of ["nas.home.example", "home.example"]) {
      expect(await site.ask(name, "MX", { client: "10.9.9.9" })).toMatchObject({ rcode: "NOERROR", records: [] });
    }
  });
});

test("a name that a reload has put into the hosts table is not denied by what was asked before it", async () => {
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  const site = await siteWith({ upstreams: { main: (asked) => gate.then(() => deny(asked)) } });
  const before = site.ask("page.example", "MX");
  await site.until(() => site.asked().length > 0);
  await site.reload("hosts: { records: { page.example: { address: 10.0.0.7, others: forward } } }");
  const after = site.ask("page.example", "MX");
  // Over the same socket, so that the question before it has begun to wait.
  await site.ask("localhost");
  open();
  expect(await before).toMatchObject({ rcode: "NXDOMAIN" });
  expect(await after).toMatchObject({ rcode: "NOERROR", records: [], edeTexts: [expect.stringContaining("hosts table")] });
});

describe("an NXDOMAIN that cannot be verified because A failed", () => {
  const https = honest("page.example 100 A 192.0.2.7", "page.example 100 HTTPS 1 . alpn=h2");
  const troubled: Script = (asked) => (asked.type === TYPE.A ? withRcode(asked, 2) : deny(asked));

  test("a stale answer is sent instead, and stays in the cache", async () => {
    const { clock, ...bench } = await workbenchWith({ upstreams: { main: [https] } });
    await bench.ask("page.example", "HTTPS");
    bench.follow("main", [troubled]);
    await clock.advance(101_000);
    const stale = { source: "stale", reply: { records: ["page.example. 30 IN HTTPS 1 . alpn=h2"], ede: [3] } };
    expect(await bench.ask("page.example", "HTTPS")).toMatchObject(stale);
    await clock.advance(10_000);
    expect(await bench.ask("page.example", "HTTPS")).toMatchObject(stale);
  });

  test("a later answer for A replaces it", async () => {
    const { clock, ...bench } = await workbenchWith({ upstreams: { main: [https] } });
    await bench.ask("page.example", "HTTPS");
    bench.follow("main", [denying([TYPE.HTTPS])]);
    await clock.advance(101_000);
    expect(await bench.ask("page.example", "HTTPS")).toMatchObject({ action: "nxdomain:guarded", reply: { records: [] } });
  });
});

describe("rules that give clients different TTLs for one answer", () => {
  const yaml = "rules: [{ name: brief, clients: [10.0.0.9], ttl: { max: 1m } }]";
  const brief = { address: "10.0.0.9" };
  const hour = honest("page.example 3600 A 192.0.2.7");

  test.each([
    ["the others asked first", [{}, brief]],
    ["the others asked later", [brief, {}]],
  ])("a name that some client still has an address of is not denied to any: %s", async (_, [first, second]) => {
    const { clock, ...bench } = await workbenchWith({ yaml, upstreams: { main: [denying([TYPE.MX], hour)] } });
    await bench.ask("page.example", "A", first);
    await bench.ask("page.example", "A", second);
    await clock.advance(120_000);
    expect(await bench.ask("page.example", "MX", brief)).toMatchObject({
      action: "nxdomain:guarded",
      reply: { rcode: "NOERROR" },
    });
    expect(await bench.ask("page.example", "MX")).toMatchObject({ reply: { rcode: "NOERROR" } });
    expect(await bench.ask("page.example")).toMatchObject({ source: "cache", reply: { answers: ["192.0.2.7"], ttl: 3480 } });
  });

  test("also when several clients shared one fetch", async () => {
    const { clock, ...bench } = await workbenchWith({ yaml, upstreams: { main: [denying([TYPE.MX], hour)] } });
    await Promise.all([bench.ask("page.example", "A", brief), bench.ask("page.example")]);
    await clock.advance(120_000);
    expect(await bench.ask("page.example", "MX", brief)).toMatchObject({ action: "nxdomain:guarded" });
  });

  test("a negative answer that one client asked for takes no address from other clients", async () => {
    const { clock, ...bench } = await workbenchWith({ yaml, upstreams: { main: [hour] } });
    await bench.ask("page.example");
    bench.follow("main", [deny]);
    await clock.advance(120_000);
    await bench.ask("page.example", "A", brief);
    expect(await bench.ask("page.example")).toMatchObject({ source: "cache", reply: { answers: ["192.0.2.7"] } });
  });
});
