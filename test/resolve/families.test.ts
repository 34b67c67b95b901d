import { describe, expect, test } from "vitest";
import { siteWith } from "../support/site.ts";
import { empty, honest, silent, withRcode } from "../support/zone-script.ts";

const zone = [
  "both.example A 192.0.2.1",
  "both.example AAAA 2001:db8::1",
  "six.example AAAA 2001:db8::6",
  "both.example HTTPS 1 . ipv4hint=192.0.2.1 ipv6hint=2001:db8::1",
];
const upstreams = { main: honest(...zone) };
const yaml = "answers: { ipv6: prefer-ipv4, negative: { block: 45s } }";
const withheld = { rcode: "NOERROR", records: [], ede: [17], edeTexts: ["ipv6:prefer-ipv4"] };

describe("with prefer-ipv4", () => {
  test("AAAA of a name with IPv4 addresses is NODATA, with an SOA whose owner is the name", async () => {
    const site = await siteWith({ upstreams, yaml });
    const reply = await site.ask("both.example", "AAAA");
    expect(reply).toMatchObject({ ...withheld, soa: { owner: "both.example", ttl: 45, minimum: 45 } });
    expect(reply.authority).toHaveLength(1);
  });

  test("A is asked first and AAAA not at all; a cached A decides at once", async () => {
    const site = await siteWith({ upstreams, yaml });
    await site.ask("both.example", "AAAA");
    expect(site.asked()).toEqual(["both.example A"]);
    expect(await site.ask("both.example", "A")).toMatchObject({ answers: ["192.0.2.1"] });
    expect(await site.ask("both.example", "AAAA")).toMatchObject(withheld);
    expect(site.asked()).toEqual(["both.example A"]);
  });

  test("a pending question for A is joined, not sent twice", async () => {
    const site = await siteWith({ upstreams, yaml });
    const replies = await Promise.all(["A", "AAAA"].map((type) => site.ask("both.example", type)));
    expect(replies).toMatchObject([{ answers: ["192.0.2.1"] }, withheld]);
    expect(site.asked()).toEqual(["both.example A"]);
  });

  test("a name without IPv4 addresses keeps its IPv6 addresses, for one extra question", async () => {
    const site = await siteWith({ upstreams, yaml });
    expect(await site.ask("six.example", "AAAA")).toMatchObject({ answers: ["2001:db8::6"], ede: [] });
    expect(await site.ask("six.example", "AAAA")).toMatchObject({ answers: ["2001:db8::6"] });
    expect(site.asked()).toEqual(["six.example A", "six.example AAAA"]);
  });

  test("a name that does not exist is NXDOMAIN", async () => {
    const site = await siteWith({ upstreams, yaml });
    expect(await site.ask("nowhere.example", "AAAA")).toMatchObject({ rcode: "NXDOMAIN" });
    expect(site.asked()).toEqual(["nowhere.example A"]);
  });

  test("A failed: AAAA passes", async () => {
    const site = await siteWith({
      yaml,
      upstreams: { main: (asked) => (asked.type === 1 ? withRcode(asked, 2) : honest(...zone)(asked)) },
    });
    expect(await site.ask("both.example", "AAAA")).toMatchObject({ answers: ["2001:db8::1"] });
  });

  test("A silent: AAAA passes within the deadline", async () => {
    const site = await siteWith({
      yaml,
      upstreams: { main: (asked) => (asked.type === 1 ? silent : honest(...zone)(asked)) },
    });
    const waiting = site.ask("both.example", "AAAA");
    await site.until(() => site.asked().length === 1);
    await site.clock.advance(2000);
    expect(await waiting).toMatchObject({ answers: ["2001:db8::1"] });
  });

  test("both silent: SERVFAIL by the deadline", async () => {
    const site = await siteWith({ yaml, upstreams: { main: () => silent } });
    const waiting = site.ask("both.example", "AAAA");
    await site.until(() => site.asked().length === 1);
    await site.clock.advance(2000);
    await site.until(() => site.asked().includes("both.example AAAA"));
    await site.clock.advance(2000);
    expect(await waiting).toMatchObject({ rcode: "SERVFAIL" });
  });

  test("HTTPS records lose their IPv6 hints", async () => {
    const site = await siteWith({ upstreams, yaml });
    expect(await site.ask("both.example", "HTTPS")).toMatchObject({ answers: ["1 . ipv4hint=192.0.2.1"] });
  });

  test("an address of the hosts table counts as A", async () => {
    const hosts = "hosts: { records: { both.example: { address: 10.0.0.7, others: forward } } }";
    const site = await siteWith({ upstreams, yaml: `${yaml}\n${hosts}` });
    // The table owns the addresses of its names in both families.
    expect(await site.ask("both.example", "A")).toMatchObject({ answers: ["10.0.0.7"] });
    expect(await site.ask("both.example", "AAAA")).toMatchObject({ rcode: "NOERROR", records: [] });
    expect(site.asked()).not.toContain("both.example AAAA");
  });
});

describe("a preference never leaves a name without any address", () => {
  test.each([
    ["A switched off", "answers: { ipv6: prefer-ipv4, ipv4: nodata }"],
    ["A blocked by a rule", "answers: { ipv6: prefer-ipv4 }\nrules: [{ name: no-a, types: [A], answer: nodata }]"],
  ])("%s: AAAA passes, and A is not asked", async (_, settings) => {
    const site = await siteWith({ upstreams, yaml: settings });
    expect(await site.ask("both.example", "AAAA")).toMatchObject({ answers: ["2001:db8::1"] });
    expect(site.asked()).toEqual(["both.example AAAA"]);
  });

  test("each family preferred to the other: IPv4 is sent", async () => {
    const site = await siteWith({ upstreams, yaml: "answers: { ipv6: prefer-ipv4, ipv4: prefer-ipv6 }" });
    expect(await site.ask("both.example", "AAAA")).toMatchObject(withheld);
    expect(await site.ask("both.example", "A")).toMatchObject({ answers: ["192.0.2.1"] });
    expect(await site.ask("six.example", "AAAA")).toMatchObject({ answers: ["2001:db8::6"] });
  });

  test("also when two rules with `types` do so", async () => {
    const rules = `rules:
  - { name: six, types: [AAAA], ipv6: prefer-ipv4 }
  - { name: four, types: [A], ipv4: prefer-ipv6 }`;
    const site = await siteWith({ upstreams, yaml: rules });
    expect(await site.ask("both.example", "A")).toMatchObject({ answers: ["192.0.2.1"] });
    expect(await site.ask("both.example", "AAAA")).toMatchObject(withheld);
  });
});

test("prefer-ipv6 works the other way round", async () => {
  const site = await siteWith({ upstreams, yaml: "answers: { ipv4: prefer-ipv6 }" });
  expect(await site.ask("both.example", "A")).toMatchObject({ rcode: "NOERROR", records: [], edeTexts: ["ipv4:prefer-ipv6"] });
  expect(await site.ask("both.example", "AAAA")).toMatchObject({ answers: ["2001:db8::1"] });
  expect(site.asked()).toEqual(["both.example AAAA"]);
});

test("a rule prefers a family for its own clients only", async () => {
  const site = await siteWith({ upstreams, yaml: "rules: [{ name: old, clients: [10.0.9.0/24], ipv6: prefer-ipv4 }]" });
  expect(await site.ask("both.example", "AAAA", { client: "10.0.9.1" })).toMatchObject(withheld);
  expect(await site.ask("both.example", "AAAA", { client: "10.0.8.1" })).toMatchObject({ answers: ["2001:db8::1"] });
});

test("when the upstream says that A is empty, an empty AAAA is the upstream's answer too", async () => {
  const site = await siteWith({ yaml, upstreams: { main: empty } });
  expect(await site.ask("page.example", "AAAA")).toMatchObject({ rcode: "NOERROR", records: [], ede: [] });
});
