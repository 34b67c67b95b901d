import { describe, expect, test } from "vitest";
import { siteWith } from "../support/site.ts";
import { honest } from "../support/zone-script.ts";

const upstreams = { main: honest("page.example A 192.0.2.7", "page.example AAAA 2001:db8::7", "page.example HTTPS 1 . alpn=h2") };

describe("a filtered type is NODATA, never NXDOMAIN: one SOA whose owner is the name, its TTL = MINIMUM = as configured", () => {
  const cases = [
    { yaml: "answers: { https: nodata, negative: { block: 45s } }", type: "HTTPS", ede: 17 },
    { yaml: "answers: { https: nodata, negative: { block: 45s } }", type: "SVCB", ede: 17 },
    { yaml: "answers: { ipv6: nodata, negative: { block: 45s } }", type: "AAAA", ede: 17 },
    { yaml: "answers: { ipv4: nodata, negative: { block: 45s } }", type: "A", ede: 17 },
    {
      yaml: "rules: [{ name: quiet, domains: [page.example], ipv6: nodata, negative: { block: 45s } }]",
      type: "AAAA",
      ede: 17,
    },
    {
      yaml: "answers: { negative: { block: 45s } }\nrules: [{ name: no-https, types: [HTTPS], answer: nodata }]",
      type: "HTTPS",
      ede: 15,
    },
  ];
  test.each(cases)("$type with $yaml", async ({ yaml, type, ede }) => {
    const site = await siteWith({ yaml, upstreams });
    const reply = await site.ask("page.example", type);
    expect(reply).toMatchObject({
      rcode: "NOERROR",
      records: [],
      soa: { owner: "page.example", ttl: 45, minimum: 45 },
      ede: [ede],
    });
    expect(reply.authority).toHaveLength(1);
    expect(site.asked()).toEqual([]);
  });

  test("for the root the owner is the root", async () => {
    const site = await siteWith({ yaml: "answers: { https: nodata }", upstreams });
    expect(await site.ask(".", "HTTPS")).toMatchObject({
      rcode: "NOERROR",
      records: [],
      soa: { owner: ".", ttl: 60, minimum: 60 },
    });
  });

  test("a name that upstream denies is NODATA too, because upstream is not asked", async () => {
    const site = await siteWith({ yaml: "answers: { https: nodata }", upstreams });
    expect(await site.ask("nowhere.example", "HTTPS")).toMatchObject({ rcode: "NOERROR", records: [] });
  });

  test("the other types of the name are answered unchanged", async () => {
    const site = await siteWith({ yaml: "answers: { https: nodata }", upstreams });
    expect(await site.ask("page.example", "HTTPS")).toMatchObject({ rcode: "NOERROR", answers: [] });
    expect(await site.ask("page.example", "A")).toMatchObject({ rcode: "NOERROR", answers: ["192.0.2.7"] });
    expect(await site.ask("page.example", "AAAA")).toMatchObject({ rcode: "NOERROR", answers: ["2001:db8::7"] });
  });

  test.each(["A", "AAAA"])("`zero` for %s is an address, and NODATA for the other types", async (type) => {
    const site = await siteWith({ yaml: `rules: [{ name: none, types: [${type}], answer: zero }]`, upstreams });
    expect(await site.ask("page.example", type)).toMatchObject({ rcode: "NOERROR", answers: [type === "A" ? "0.0.0.0" : "::"] });
    expect(await site.ask("page.example", "HTTPS")).toMatchObject({ rcode: "NOERROR", answers: ["1 . alpn=h2"] });
  });

  test("a rule with types may answer only `nodata`, or `zero` for A and AAAA", async () => {
    const site = await siteWith({ upstreams });
    for (const rule of ["types: [HTTPS], answer: nxdomain", "types: [HTTPS], answer: zero", "types: [A], answer: refused"]) {
      expect(() => site.config(`rules: [{ name: wrong, ${rule} }]`)).toThrow(/nodata/);
    }
  });

  test("`nxdomain` for a name is sent as NODATA where an earlier rule with `types` also matches", async () => {
    const site = await siteWith({
      yaml: `rules:
  - { name: addresses, domains: [page.example], types: [A], upstream: main }
  - { name: block, domains: [page.example, other.example], answer: nxdomain }`,
      upstreams,
    });
    expect(await site.ask("page.example", "AAAA")).toMatchObject({
      rcode: "NOERROR",
      records: [],
      soa: { owner: "page.example" },
    });
    expect(await site.ask("page.example", "A")).toMatchObject({ answers: ["192.0.2.7"] });
    expect(await site.ask("other.example", "AAAA")).toMatchObject({ rcode: "NXDOMAIN", records: [], ede: [15] });
  });
});
