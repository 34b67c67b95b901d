import { describe, expect, test } from "vitest";
import { siteWith } from "../support/site.ts";
import { deny, honest, silent, withRcode } from "../support/zone-script.ts";

const upstream = honest("page.example 100 A 192.0.2.7", "page.example 100 HTTPS 1 . alpn=h2", "shop.example MX 10 mail.example");

describe("hosts", () => {
  test("an exact name beats a wildcard, a longer wildcard beats a shorter one, and a wildcard does not match its own name", async () => {
    const site = await siteWith({
      upstreams: { main: upstream },
      yaml: `hosts:
  ttl: 45s
  records:
    nas.lan: [10.0.0.5, "fd00::5"]
    "*.apps.lan": 10.0.0.6
    "*.deep.apps.lan": 10.0.0.7
    one.apps.lan: 10.0.0.8`,
    });
    expect(await site.ask("nas.lan")).toMatchObject({ answers: ["10.0.0.5"], ttl: 45 });
    expect(await site.ask("nas.lan", "AAAA")).toMatchObject({ answers: ["fd00::5"] });
    expect(await site.ask("a.b.apps.lan")).toMatchObject({ answers: ["10.0.0.6"] });
    expect(await site.ask("x.deep.apps.lan")).toMatchObject({ answers: ["10.0.0.7"] });
    expect(await site.ask("one.apps.lan")).toMatchObject({ answers: ["10.0.0.8"] });
    expect(await site.ask("apps.lan")).toMatchObject({ rcode: "NOERROR", records: [] });
    expect(await site.ask("nas.lan", "HTTPS")).toMatchObject({ rcode: "NOERROR", records: [], soa: { owner: "nas.lan" } });
    expect(site.asked()).toEqual([]);
  });

  test("PTR gives the first exact name in file order, for private addresses only", async () => {
    const site = await siteWith({
      upstreams: { main: deny },
      yaml: "hosts: { records: { first.lan: 10.0.0.5, second.lan: 10.0.0.5, public.lan: 192.0.2.1 } }",
    });
    expect(await site.ask("5.0.0.10.in-addr.arpa", "PTR")).toMatchObject({ answers: ["first.lan."] });
    expect(await site.ask("1.2.0.192.in-addr.arpa", "PTR")).toMatchObject({ answers: [] });
  });

  test("an alias by a rule goes before the answer for its target, whatever the type", async () => {
    const main = honest("best.example A 192.0.2.7", "best.example HTTPS 1 . alpn=h2");
    const yaml = "rules: [{ name: moved, domains: cdn.example, cname: best.example }]";
    const site = await siteWith({ upstreams: { main }, yaml });
    expect(await site.ask("www.cdn.example")).toMatchObject({
      records: [expect.stringContaining("CNAME best.example."), expect.stringContaining("A 192.0.2.7")],
    });
    expect(await site.ask("www.cdn.example", "HTTPS")).toMatchObject({
      records: [expect.anything(), expect.stringContaining("alpn=h2")],
    });
    expect(await site.ask("www.cdn.example", "MX")).toMatchObject({ rcode: "NOERROR", answers: [] });
  });

  test("others: forward sends the other types on, nodata answers them", async () => {
    const site = await siteWith({
      upstreams: { main: upstream },
      yaml: "hosts: { records: { shop.example: { address: 10.0.0.7, others: forward }, page.example: 10.0.0.8 } }",
    });
    expect(await site.ask("shop.example")).toMatchObject({ answers: ["10.0.0.7"] });
    expect(await site.ask("shop.example", "MX")).toMatchObject({ answers: ["10 mail.example."] });
    expect(await site.ask("page.example", "HTTPS")).toMatchObject({ rcode: "NOERROR", records: [] });
    expect(site.asked()).toEqual(["shop.example MX"]);
  });
});

describe("an alias of the hosts table", () => {
  const yaml = `hosts:
  ttl: 45s
  records:
    nas.lan: 10.0.0.5
    photos.lan: { cname: nas.lan }
    pictures.lan: { cname: photos.lan }
    www.lan: { cname: page.example }
    gone.lan: { cname: nowhere.example }
    blocked.lan: { cname: ads.example }
    silent.lan: { cname: away.example }
    ring.lan: { cname: round.lan }
    round.lan: { cname: ring.lan }
rules:
  - { name: far, domains: [page.example], upstream: far }
  - { name: ads, domains: [ads.example], answer: nodata }
  - { name: away, domains: [away.example], answer: drop }
  - { name: rest, upstream: main }`;

  const upstreams = { main: honest("other.example A 192.0.2.1"), far: upstream };

  test("leads to another name of the table, through others", async () => {
    const site = await siteWith({ upstreams, yaml });
    expect((await site.ask("pictures.lan")).records).toEqual([
      "pictures.lan. 45 IN CNAME photos.lan.",
      "photos.lan. 45 IN CNAME nas.lan.",
      "nas.lan. 45 IN A 10.0.0.5",
    ]);
    expect(await site.ask("pictures.lan", "AAAA")).toMatchObject({ rcode: "NOERROR", answers: [], soa: {} });
    expect((await site.ask("photos.lan", "CNAME")).records).toEqual(["photos.lan. 45 IN CNAME nas.lan."]);
  });

  test("leads to a forwarded name, which its own rules decide", async () => {
    const site = await siteWith({ upstreams, yaml });
    expect((await site.ask("www.lan")).records).toEqual([
      "www.lan. 45 IN CNAME page.example.",
      "page.example. 100 IN A 192.0.2.7",
    ]);
    expect(await site.ask("www.lan", "HTTPS")).toMatchObject({ answers: ["1 . alpn=h2"] });
    expect(site.asked("main")).toEqual([]);
    expect(await site.ask("gone.lan")).toMatchObject({ rcode: "NXDOMAIN", records: ["gone.lan. 45 IN CNAME nowhere.example."] });
    expect(await site.ask("blocked.lan")).toMatchObject({ rcode: "NOERROR", answers: [], ede: [15] });
    expect(await site.ask("silent.lan", "A", { transport: "tcp" })).toMatchObject({ rcode: "REFUSED" });
  });

  test("with a failing upstream of the target is SERVFAIL, or stale if the target was cached", async () => {
    const site = await siteWith({ upstreams, yaml });
    await site.ask("www.lan");
    site.server("far").follow((asked) => withRcode(asked, 2));
    await site.clock.advance(100_000);
    expect(await site.ask("www.lan")).toMatchObject({ answers: ["192.0.2.7"], ede: [3], ttl: 30 });
    expect(await site.ask("www.lan", "HTTPS")).toMatchObject({ rcode: "SERVFAIL", records: [], ede: [22] });
  });

  test("with a silent upstream of the target is answered by the deadline", async () => {
    const site = await siteWith({ upstreams: { ...upstreams, far: () => silent }, yaml });
    const reply = site.ask("www.lan");
    await site.until(() => site.asked("far").length === 1);
    await site.clock.advance(4000);
    expect(await reply).toMatchObject({ rcode: "SERVFAIL", ede: [22] });
  });

  test("that does not fit into the message is SERVFAIL, not a bug", async () => {
    const records = Array.from({ length: 4093 }, (_, index) => `page.example 100 A 10.0.${index >> 8}.${index & 255}`);
    const site = await siteWith({
      upstreams: { main: () => silent, far: { servers: [honest(...records)], transport: "tls" } },
      yaml,
    });
    expect((await site.ask("page.example", "A", { transport: "tcp" })).answers).toHaveLength(4093);
    expect(await site.ask("www.lan", "A", { transport: "tcp" })).toMatchObject({ rcode: "SERVFAIL", records: [], ede: [0] });
    expect(site.log.join("")).not.toContain("fault");
  });

  test("in a circle is SERVFAIL, with EDE 0", async () => {
    const site = await siteWith({ upstreams, yaml });
    for (const name of ["ring.lan", "round.lan"]) {
      expect(await site.ask(name)).toMatchObject({ rcode: "SERVFAIL", records: [], ede: [0] });
    }
    expect(await site.ask("nas.lan")).toMatchObject({ answers: ["10.0.0.5"] });
  });
});
