import { describe, expect, test } from "vitest";
import { file } from "../support/files.ts";
import { siteWith } from "../support/site.ts";
import { honest } from "../support/zone-script.ts";

const zone = [
  "public.example A 192.0.2.1",
  "public.example AAAA 2001:db8::1",
  "home.example A 192.168.1.1",
  "home.example AAAA fd12::1",
  "mixed.example A 192.0.2.1",
  "mixed.example A 10.0.0.1",
  "alias.example CNAME home.example",
  "fake.example A 198.18.0.7",
  "fake.example AAAA fc00::7",
  "far.fake.example AAAA fc00:0:ffff::7",
  "host.lan A 192.168.1.9",
  "home.example HTTPS 1 . alpn=h2 ipv4hint=192.0.2.1,192.168.1.1 ipv6hint=2001:db8::1",
  "home.example TXT text",
];
const upstreams = { main: honest(...zone) };
const yaml = "answers: { rebinding: nodata, negative: { block: 45s } }";
const emptied = { rcode: "NOERROR", records: [], ede: [15], edeTexts: ["rebinding:nodata"] };

describe("a public name does not get a private address", () => {
  test("its answer is NODATA, with an SOA whose owner is the name", async () => {
    const site = await siteWith({ upstreams, yaml });
    const reply = await site.ask("home.example");
    expect(reply).toMatchObject({ ...emptied, soa: { owner: "home.example", ttl: 45, minimum: 45 } });
    expect(await site.ask("home.example", "AAAA")).toMatchObject(emptied);
  });

  test.each([
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "127.0.0.1",
    "169.254.1.1",
    "100.64.0.1",
    "0.0.0.0",
    "::1",
    "::",
    "fe80::1",
    "fd12::1",
    "fc01::1",
    "::ffff:10.0.0.1",
  ])("%s", async (address) => {
    const type = address.includes(":") ? "AAAA" : "A";
    const site = await siteWith({ upstreams: { main: honest(`page.example ${type} ${address}`) }, yaml });
    expect(await site.ask("page.example", type)).toMatchObject(emptied);
  });

  test("also with public addresses beside it, and at the end of an alias", async () => {
    const site = await siteWith({ upstreams, yaml });
    expect(await site.ask("mixed.example")).toMatchObject(emptied);
    expect(await site.ask("alias.example")).toMatchObject({ ...emptied, soa: { owner: "alias.example" } });
  });

  test("also in the hints of its HTTPS records", async () => {
    const site = await siteWith({ upstreams, yaml });
    expect(await site.ask("home.example", "HTTPS")).toMatchObject({ answers: ["1 . alpn=h2 ipv6hint=2001:db8::1"] });
  });

  test("everything else passes: public and fake addresses, and other types", async () => {
    const site = await siteWith({ upstreams, yaml });
    expect(await site.ask("public.example")).toMatchObject({ answers: ["192.0.2.1"], ede: [] });
    expect(await site.ask("public.example", "AAAA")).toMatchObject({ answers: ["2001:db8::1"] });
    expect(await site.ask("fake.example")).toMatchObject({ answers: ["198.18.0.7"] });
    expect(await site.ask("fake.example", "AAAA")).toMatchObject({ answers: ["fc00::7"] });
    expect(await site.ask("far.fake.example", "AAAA")).toMatchObject({ answers: ["fc00:0:ffff::7"] });
    expect(await site.ask("home.example", "TXT")).toMatchObject({ answers: ['"text"'] });
  });

  test("hosts names and special names keep their private addresses", async () => {
    const settings = `${yaml}
hosts: { records: { nas.example: 10.0.0.5 } }
rules: [{ name: lan, domains: [lan], upstream: main }]`;
    const site = await siteWith({ upstreams, yaml: settings });
    expect(await site.ask("nas.example")).toMatchObject({ answers: ["10.0.0.5"] });
    expect(await site.ask("host.lan")).toMatchObject({ answers: ["192.168.1.9"] });
  });

  test("by default a public name gets private addresses", async () => {
    const site = await siteWith({ upstreams });
    expect(await site.ask("home.example")).toMatchObject({ answers: ["192.168.1.1"], ede: [] });
    expect((await site.ask("home.example", "HTTPS")).answers).toEqual([
      "1 . alpn=h2 ipv4hint=192.0.2.1,192.168.1.1 ipv6hint=2001:db8::1",
    ]);
  });
});

test("the cache keeps the answer of the upstream for clients that may have it", async () => {
  const rules = "rules: [{ name: trusted, clients: [10.0.9.0/24], rebinding: allow }]";
  const site = await siteWith({ upstreams, yaml: `${yaml}\n${rules}` });
  expect(await site.ask("home.example")).toMatchObject(emptied);
  expect(await site.ask("home.example", "A", { client: "10.0.9.1" })).toMatchObject({ answers: ["192.168.1.1"] });
  expect(await site.ask("home.example")).toMatchObject(emptied);
  expect(site.asked()).toEqual(["home.example A"]);
});

test("a stale answer is guarded too", async () => {
  let down = false;
  const site = await siteWith({
    yaml,
    upstreams: { main: (asked) => (down ? { kind: "silence" } : honest(...zone)(asked)) },
  });
  await site.ask("home.example");
  down = true;
  await site.clock.advance(301_000);
  const waiting = site.ask("home.example");
  await site.until(() => site.asked().length === 2);
  await site.clock.advance(1800);
  expect(await waiting).toMatchObject(emptied);
});

describe("a rule beats the group, and the group beats section `answers`", () => {
  test.each([
    ["allow", "nodata", null, "nodata"],
    ["nodata", "allow", null, "allow"],
    ["allow", "nodata", "allow", "allow"],
    ["nodata", "allow", "nodata", "nodata"],
    ["allow", null, "nodata", "nodata"],
    ["nodata", null, null, "nodata"],
  ])("answers %s, group %s, rule %s: %s", async (answers, group, rule, outcome) => {
    const rules = rule === null ? "" : `\nrules: [{ name: some, rebinding: ${rule} }]`;
    const site = await siteWith({
      upstreams: { main: { servers: [honest(...zone)], keys: group === null ? "" : `rebinding: ${group}` } },
      yaml: `answers: { rebinding: ${answers} }${rules}`,
    });
    expect((await site.ask("home.example")).answers).toEqual(outcome === "allow" ? ["192.168.1.1"] : []);
  });
});

test("a comparison is guarded by the group whose answer is sent", async () => {
  const rules = `lists: { near: { addresses: [${JSON.stringify(file("near.txt", ["192.168.0.0/16"]))}] } }
rules: [{ name: others, compare: { near: domestic, far: overseas, keepNearIf: "list:near" } }]`;
  const site = await siteWith({
    upstreams: {
      domestic: { servers: [honest("kept.example A 192.168.1.1", "far.example A 192.0.2.1")], keys: "rebinding: allow" },
      overseas: {
        servers: [honest("kept.example A 192.0.2.2", "far.example A 10.0.0.1")],
        keys: "rebinding: nodata",
        transport: "tls",
      },
    },
    yaml: rules,
  });
  expect(await site.ask("kept.example")).toMatchObject({ answers: ["192.168.1.1"] });
  expect(await site.ask("far.example")).toMatchObject(emptied);
});
