import { describe, expect, test } from "vitest";
import { type GroupSetup, siteWith } from "../support/site.ts";
import { bare, empty, honest, withRcode } from "../support/zone-script.ts";
import type { Script } from "../upstreams/scripted-server.ts";

const page = honest("page.example 100 A 192.0.2.7", "page.example 100 AAAA 2001:db8::7");
const bareOf =
  (...types: readonly number[]): Script =>
  (asked) =>
    types.includes(asked.type) ? bare(asked) : page(asked);
const both = bareOf(1, 28);

function group(strategy: string, ...servers: readonly Script[]): { readonly main: GroupSetup } {
  return { main: { servers, keys: `strategy: ${strategy}` } };
}

const believed = { rcode: "NOERROR", records: [], soa: { owner: "page.example", ttl: 10, minimum: 10 } };

describe("an empty A or AAAA without SOA is doubted", () => {
  test.each(["failover", "fastest", "race"])("the addresses of another member are sent instead (%s)", async (strategy) => {
    for (const servers of [
      [both, page],
      [page, both],
    ]) {
      const site = await siteWith({ upstreams: group(strategy, ...servers) });
      expect(await site.ask("page.example", "AAAA")).toMatchObject({ answers: ["2001:db8::7"] });
      expect(await site.ask("page.example", "A")).toMatchObject({ answers: ["192.0.2.7"] });
    }
  });

  test("two members that agree are believed, and the answer is cached for `negative.bare`", async () => {
    const site = await siteWith({ upstreams: group("failover", both, both, page) });
    expect(await site.ask("page.example")).toMatchObject(believed);
    expect(site.asked()).toHaveLength(2);
    await site.clock.advance(9999);
    expect(await site.ask("page.example")).toMatchObject({ ...believed, soa: { ttl: 1 } });
    expect(site.asked()).toHaveLength(2);
    await site.clock.advance(1);
    for (const member of [0, 1]) site.server("main", member).follow(page);
    expect(await site.ask("page.example")).toMatchObject({ answers: ["192.0.2.7"] });
  });

  test("a group with one member is believed", async () => {
    const site = await siteWith({ upstreams: group("failover", both) });
    expect(await site.ask("page.example")).toMatchObject(believed);
    expect(site.asked()).toHaveLength(1);
  });

  test("if the other member fails, the empty answer is sent, not a failure", async () => {
    const site = await siteWith({ upstreams: group("failover", both, (asked) => withRcode(asked, 2)) });
    expect(await site.ask("page.example")).toMatchObject({ rcode: "NOERROR", records: [] });
  });

  test("it never replaces addresses within their TTL, and AAAA is not doubted while A is cached", async () => {
    const site = await siteWith({ upstreams: group("failover", bareOf(28), page) });
    expect(await site.ask("page.example", "A")).toMatchObject({ answers: ["192.0.2.7"] });
    expect(await site.ask("page.example", "AAAA")).toMatchObject(believed);
    expect(site.asked()).toHaveLength(2);
  });

  test("an empty answer with SOA is not doubted", async () => {
    const site = await siteWith({ upstreams: group("failover", empty, page) });
    expect(await site.ask("page.example")).toMatchObject({ rcode: "NOERROR", records: [], soa: { owner: "example" } });
    expect(site.asked()).toHaveLength(1);
  });

  test("other types are not doubted", async () => {
    const site = await siteWith({ upstreams: group("failover", (asked) => bare(asked), page) });
    for (const type of ["MX", "HTTPS", "TXT"]) await site.ask("page.example", type);
    expect(site.asked()).toHaveLength(3);
  });
});
