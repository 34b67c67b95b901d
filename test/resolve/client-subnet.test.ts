import { describe, expect, test } from "vitest";
import type { ClientSubnet } from "../../src/dns/edns.ts";
import { type Reply, subnetOf } from "../support/message.ts";
import { type SiteAskOptions, siteWith } from "../support/site.ts";
import { honest, withRcode } from "../support/zone-script.ts";

const page = honest("page.example A 192.0.2.1");

/** What the group sees of the client, and the reply, where `ecs` stands in the group and `rule` in a rule. */
async function asked(modes: { readonly group?: string; readonly rule?: string }, options: SiteAskOptions = {}) {
  const keys = modes.group === undefined ? "" : `ecs: ${modes.group}`;
  const site = await siteWith({
    upstreams: { main: { servers: [page], keys } },
    yaml: `access: { clients: [0.0.0.0/0, "::/0"] }\n${modes.rule === undefined ? "" : `rules: [{ name: near, ecs: ${modes.rule} }]`}`,
  });
  const reply = await site.ask("page.example", "A", options);
  return { reply, sent: site.server().asked.map(({ query }) => query.clientSubnet) };
}

function echoed({ edns }: Reply): ClientSubnet | null {
  const data = edns?.options.find(({ code }) => code === 8)?.data;
  if (data === undefined) return null;
  const [, family, sourcePrefix = 0, scopePrefix = 0] = data;
  return { family: family === 1 ? 1 : 2, sourcePrefix, scopePrefix, prefixHex: Buffer.from(data.subarray(4)).toString("hex") };
}

const theirs = { subnet: "203.0.113.0/24" };

describe("what a group learns about a client's network", () => {
  test.each([
    ["nothing, by default", {}, theirs, null],
    ["nothing, where it is stripped", { group: "strip" }, theirs, null],
    ["what the client sent, where it is forwarded", { group: "forward" }, theirs, "203.0.113.0/24"],
    ["as many bits as the client sent", { group: "forward" }, { subnet: "203.0.113.128/25" }, "203.0.113.128/25"],
    ["nothing forwarded, where the client sent nothing", { group: "forward" }, {}, null],
    ["the client's own /24", { rule: "client" }, { client: "198.51.100.77" }, "198.51.100.0/24"],
    ["the client's own /56", { rule: "client" }, { client: "2001:db8:1:2345::7" }, "2001:db8:1:2300::/56"],
    ["not what the client says it is", { rule: "client" }, { client: "198.51.100.77", ...theirs }, "198.51.100.0/24"],
    ["a fixed network, whoever asks", { group: "203.0.113.0/25" }, {}, "203.0.113.0/25"],
    ["a fixed network of IPv6", { group: '"2001:db8:100::/40"' }, theirs, "2001:db8:100::/40"],
    ["a rule's mode before the group's", { group: "forward", rule: "strip" }, theirs, null],
    ["a rule's mode where the group has none", { rule: "forward" }, theirs, "203.0.113.0/24"],
  ] as const)("%s", async (_, modes, options, subnet) => {
    expect((await asked(modes, options)).sent).toEqual([subnet === null ? null : subnetOf(subnet)]);
  });

  test.each(["10.1.2.0/24", "192.168.88.0/24", "127.0.0.0/8", "100.64.1.0/24", "169.254.0.0/16", "fd00::/56", "fe80::/64"])(
    "never %s, which means nothing outside",
    async (subnet) => {
      expect((await asked({ group: "forward" }, { subnet })).sent).toEqual([null]);
    },
  );

  test.each(["10.1.2.3", "127.0.0.1", "fd00::1"])("never the network of %s", async (client) => {
    expect((await asked({ rule: "client" }, { client })).sent).toEqual([null]);
  });

  test.each(["forward", "client", "198.51.100.0/24"])(
    "with %s, nothing of a client that wants nothing sent, and that wish goes along",
    async (rule) => {
      const { sent, reply } = await asked({ rule }, { client: "203.0.113.9", subnet: "0.0.0.0/0" });
      expect(sent).toEqual([subnetOf("0.0.0.0/0")]);
      expect(echoed(reply)).toEqual(subnetOf("0.0.0.0/0"));
    },
  );
});

describe("the reply repeats the subnet that the client sent, with the bits that the answer is for", () => {
  test.each([
    ["stripped: for everybody", {}, 0],
    ["forwarded: for that network alone", { group: "forward" }, 24],
    ["the client's own: likewise", { rule: "client" }, 24],
    ["a fixed one: for everybody", { group: "198.51.100.0/24" }, 0],
  ])("%s", async (_, modes, scopePrefix) => {
    const { reply } = await asked(modes, { client: "198.51.100.77", ...theirs });
    expect(echoed(reply)).toEqual({ ...subnetOf(theirs.subnet), scopePrefix });
  });

  test("a client that sends no subnet gets none", async () => {
    expect(echoed((await asked({ rule: "client" }, { client: "198.51.100.77" })).reply)).toBeNull();
  });

  test("also for cached and local answers", async () => {
    const site = await siteWith({
      upstreams: { main: { servers: [page], keys: "ecs: forward" } },
      yaml: "hosts: { records: { nas.lan: 10.0.0.5 } }",
    });
    await site.ask("page.example", "A", theirs);
    expect(echoed(await site.ask("page.example", "A", theirs))?.scopePrefix).toBe(24);
    expect(echoed(await site.ask("nas.lan", "A", theirs))).toEqual(subnetOf(theirs.subnet));
    expect(site.asked()).toHaveLength(1);
  });
});

describe("answers for one network are not given to another", () => {
  test("the cache is keyed by the subnet that was sent", async () => {
    const site = await siteWith({ upstreams: { main: { servers: [page], keys: "ecs: forward" } } });
    for (const subnet of ["203.0.113.0/24", "198.51.100.0/24", "203.0.113.0/24", "203.0.113.0/25"])
      await site.ask("page.example", "A", { subnet });
    await site.ask("page.example");
    expect(site.asked()).toHaveLength(4);
  });

  test("without a subnet all clients share one answer", async () => {
    const site = await siteWith({ upstreams: { main: page } });
    for (const subnet of ["203.0.113.0/24", "198.51.100.0/24"]) await site.ask("page.example", "A", { subnet });
    expect(site.asked()).toHaveLength(1);
  });

  test("two addresses of one network share one answer", async () => {
    const site = await siteWith({
      upstreams: { main: { servers: [page], keys: "ecs: client" } },
      yaml: "access: { clients: [0.0.0.0/0] }",
    });
    for (const client of ["203.0.113.1", "203.0.113.2", "203.0.112.1"]) await site.ask("page.example", "A", { client });
    expect(site.asked()).toHaveLength(2);
  });
});

describe("a fallback", () => {
  const failing = { servers: [(question: Parameters<typeof page>[0]) => withRcode(question, 2)] };

  test.each([
    ["that strips is not told the network", "", null],
    ["that is set alike is", ", ecs: forward", "203.0.113.0/24"],
  ])("%s", async (_, keys, subnet) => {
    const site = await siteWith({
      upstreams: {
        main: { ...failing, keys: "ecs: forward, fallback: other" },
        other: { servers: [page], keys: `volatile: false${keys}` },
      },
    });
    expect(await site.ask("page.example", "A", theirs)).toMatchObject({ answers: ["192.0.2.1"] });
    expect(site.server("other").asked.map(({ query }) => query.clientSubnet)).toEqual([
      subnet === null ? null : subnetOf(subnet),
    ]);
  });
});
