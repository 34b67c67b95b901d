import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { zone } from "../dns/zone.ts";
import { file } from "../support/files.ts";
import { REAL_DATA } from "../support/real-data.ts";
import { siteWith, type TestSite } from "../support/site.ts";
import { honest, respond } from "../support/zone-script.ts";
import type { Script } from "../upstreams/scripted-server.ts";

/** Answers every A question with this address. */
function always(address: string): Script {
  return (asked) => respond(asked, { answers: asked.type === 1 ? zone(`${asked.name} 100 A ${address}`) : [] });
}

const upstreams = { first: always("192.0.2.1"), second: always("192.0.2.2"), third: always("192.0.2.3") };

describe("routing", () => {
  test("the first matching rule with an action decides, and the first group takes the rest", async () => {
    const site = await siteWith({
      upstreams,
      yaml: `rules:
  - { name: modifier, domains: [cn], ttl: { max: 7s } }
  - { name: exact, domains: ["full:www.site.cn"], upstream: third }
  - { name: suffix, domains: [cn, "!except.cn"], upstream: second }
  - { name: later, domains: [www.site.cn], upstream: first }`,
    });
    expect(await site.ask("www.site.cn")).toMatchObject({ answers: ["192.0.2.3"], ttl: 7 });
    expect(await site.ask("site.cn")).toMatchObject({ answers: ["192.0.2.2"], ttl: 7 });
    expect(await site.ask("a.except.cn")).toMatchObject({ answers: ["192.0.2.1"], ttl: 7 });
    expect(await site.ask("cn.example")).toMatchObject({ answers: ["192.0.2.1"], ttl: 100 });
  });

  test("all conditions must hold: clients by network and by id, and types", async () => {
    const site = await siteWith({
      upstreams,
      yaml: `rules:
  - { name: tv, clients: [10.0.7.0/24, tv], upstream: second }
  - { name: mail, domains: [mail.example], types: [MX], upstream: third }`,
    });
    expect(await site.ask("page.example", "A", { client: "10.0.7.9" })).toMatchObject({ answers: ["192.0.2.2"] });
    expect(await site.ask("page.example", "A", { clientId: "tv" })).toMatchObject({ answers: ["192.0.2.2"] });
    expect(await site.ask("page.example", "A", { client: "10.0.8.9", clientId: "box" })).toMatchObject({
      answers: ["192.0.2.1"],
    });
    await site.ask("mail.example", "MX");
    await site.ask("mail.example", "A");
    expect(site.asked("third")).toEqual(["mail.example MX"]);
  });

  test("`longest`: the longer suffix wins, `full:` beats suffixes, and without a match later rules decide", async () => {
    const site = await siteWith({
      upstreams,
      yaml: `lists:
  one: { domains: [${file("one.txt", ["site.example", "full:deep.www.site.example"])}] }
  two: { domains: [${file("two.txt", ["www.site.example"])}] }
rules:
  - { name: split, longest: { "list:one": second, "list:two": third } }`,
    });
    const answerTo = async (name: string) => (await site.ask(name)).answers[0];
    expect(await answerTo("site.example")).toBe("192.0.2.2");
    expect(await answerTo("www.site.example")).toBe("192.0.2.3");
    expect(await answerTo("x.www.site.example")).toBe("192.0.2.3");
    expect(await answerTo("deep.www.site.example")).toBe("192.0.2.2");
    expect(await answerTo("other.example")).toBe("192.0.2.1");
  });

  test.each([
    {
      answer: "nodata",
      expected: { rcode: "NOERROR", records: [], soa: { owner: "ads.example", ttl: 60, minimum: 60 }, ede: [15] },
    },
    { answer: "nxdomain", expected: { rcode: "NXDOMAIN", records: [], soa: { ttl: 60, minimum: 60 }, ede: [15] } },
    { answer: "refused", expected: { rcode: "REFUSED", records: [], ede: [15] } },
    { answer: "zero", expected: { rcode: "NOERROR", answers: ["0.0.0.0"], ede: [15] } },
  ])("answer: $answer", async ({ answer, expected }) => {
    const site = await siteWith({ upstreams, yaml: `rules: [{ name: ads, domains: [ads.example], answer: ${answer} }]` });
    const reply = await site.ask("ads.example");
    expect(reply).toMatchObject(expected);
    expect(reply.edeTexts).toEqual(["rule ads"]);
    expect(site.asked()).toEqual([]);
    expect(await site.ask("bads.example")).toMatchObject({ answers: ["192.0.2.1"] });
  });

  test("a blocked name is blocked in every type alike", async () => {
    const site = await siteWith({ upstreams, yaml: "rules: [{ name: ads, domains: [ads.example], answer: zero }]" });
    expect(await site.ask("ads.example", "AAAA")).toMatchObject({ answers: ["::"] });
    for (const type of ["HTTPS", "SVCB", "MX", "TXT"]) {
      expect(await site.ask("ads.example", type)).toMatchObject({ rcode: "NOERROR", records: [], soa: { owner: "ads.example" } });
    }
  });

  test("the target of a CNAME from an upstream gets no decision of its own", async () => {
    const chain = honest("page.cn 100 CNAME cdn.example", "cdn.example 50 A 192.0.2.9");
    const site = await siteWith({
      upstreams: { home: chain, away: always("198.51.100.1") },
      yaml: "rules: [{ name: cn, domains: [cn], upstream: home }, { name: rest, upstream: away }]",
    });
    expect((await site.ask("page.cn")).records).toEqual(["page.cn. 100 IN CNAME cdn.example.", "cdn.example. 50 IN A 192.0.2.9"]);
    expect(site.asked("away")).toEqual([]);
    expect(await site.ask("cdn.example")).toMatchObject({ answers: ["198.51.100.1"] });
  });

  test("answers never move from one route to another", async () => {
    const site = await siteWith({ upstreams, yaml: "rules: [{ name: tv, clients: [10.0.7.9], upstream: second }]" });
    expect(await site.ask("page.example")).toMatchObject({ answers: ["192.0.2.1"] });
    expect(await site.ask("page.example", "A", { client: "10.0.7.9" })).toMatchObject({ answers: ["192.0.2.2"] });
    expect(await site.ask("page.example")).toMatchObject({ answers: ["192.0.2.1"] });
  });

  test("special names are not forwarded, unless a rule has a pattern at or below the zone", async () => {
    const site = await siteWith({
      upstreams,
      yaml: "rules: [{ name: open, domains: [foo.test], upstream: second }, { name: rest, domains: ['.'], upstream: first }]",
    });
    for (const name of ["x.invalid", "x.onion", "x.lan", "1.0.0.10.in-addr.arpa", "bar.test"]) {
      expect(await site.ask(name)).toMatchObject({ rcode: "NXDOMAIN", records: [] });
    }
    for (const name of ["lan", "test", "printer"]) expect(await site.ask(name)).toMatchObject({ rcode: "NOERROR", soa: {} });
    expect(site.asked()).toEqual([]);
    expect(await site.ask("www.foo.test")).toMatchObject({ answers: ["192.0.2.2"] });
  });

  test("a question never goes back to its sender", async () => {
    const site = await siteWith({
      upstreams: { router: { servers: [always("192.0.2.1")], keys: "asksFrom: [10.9.9.9]" } },
      yaml: "hosts: { records: { nas.lan: 10.0.0.5 } }",
    });
    const loop = { rcode: "NXDOMAIN", ede: [0], soa: { owner: "page.example", ttl: 1 } };
    expect(await site.ask("page.example", "A", { client: "10.9.9.9" })).toMatchObject(loop);
    expect(await site.ask("nas.lan", "A", { client: "10.9.9.9" })).toMatchObject({ answers: ["10.0.0.5"] });
    expect(site.asked()).toEqual([]);
    expect(await site.ask("page.example")).toMatchObject({ answers: ["192.0.2.1"] });
    expect(await site.ask("page.example", "A", { client: "10.9.9.9" })).toMatchObject({ answers: ["192.0.2.1"] });
  });

  test("a question that must not go to a member does not join an equal one that does", async () => {
    const site = await siteWith({
      upstreams: { router: { servers: [() => ({ kind: "silence" })], keys: "asksFrom: [10.9.9.9]" } },
    });
    const waiting = site.ask("page.example");
    await site.until(() => site.asked().length === 1);
    expect(await site.ask("page.example", "A", { client: "10.9.9.9" })).toMatchObject({ rcode: "NXDOMAIN", ede: [0] });
    await site.clock.advance(4000);
    expect(await waiting).toMatchObject({ rcode: "SERVFAIL" });
  });
});

// Rule data of others, which is not part of the project: without it this claim goes untested.
const chinaList = join(REAL_DATA, "accelerated-domains.china.conf");

describe.runIf(existsSync(chinaList))("with the list of mainland names that dnsmasq users have", () => {
  test("1,000 of its names and names below reach only the domestic upstream, 1,000 others only the overseas one", async () => {
    const site = await siteWith({
      upstreams: { domestic: always("192.0.2.1"), overseas: always("192.0.2.2") },
      yaml: `lists: { cn: { domains: [${JSON.stringify(chinaList)}] } }
rules: [{ name: cn, domains: "list:cn", upstream: domestic }, { name: others, upstream: overseas }]`,
    });
    const listed = [...readFileSync(chinaList, "utf8").matchAll(/^server=\/([^/]+)\//gm)].map(([, name = ""]) => name);
    const every = Math.floor(listed.length / 500);
    const picked = listed.filter((_, index) => index % every === 0).slice(0, 500);
    const mainland = picked.flatMap((name) => [name, `www.${name}`]);
    // A label before the last dot turns a name into a stranger, whatever it was.
    const foreign = picked.flatMap((name, index) => [`${name}.example`, `host${index}.example.org`]);
    expect([mainland.length, foreign.length]).toEqual([1000, 1000]);
    expect(await answersTo(site, mainland)).toEqual(["192.0.2.1"]);
    expect(await answersTo(site, foreign)).toEqual(["192.0.2.2"]);
    expect(site.asked("domestic").toSorted()).toEqual(mainland.map((name) => `${name} A`).toSorted());
    expect(site.asked("overseas").toSorted()).toEqual(foreign.map((name) => `${name} A`).toSorted());
  });
});

/** The different answers to all of them, fifty at a time. */
async function answersTo(site: TestSite, names: readonly string[]): Promise<string[]> {
  const answers = new Set<string>();
  for (let start = 0; start < names.length; start += 50) {
    const replies = await Promise.all(names.slice(start, start + 50).map((name) => site.ask(name, "A", { transport: "tcp" })));
    for (const reply of replies) answers.add(reply.answers.join());
  }
  return [...answers];
}
