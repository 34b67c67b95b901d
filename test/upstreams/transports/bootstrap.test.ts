import { describe, expect, onTestFinished, test, vi } from "vitest";
import { RCODE, TYPE } from "../../../src/dns/types.ts";
import { type Bootstrap, openBootstrap } from "../../../src/upstreams/bootstrap.ts";
import { openServer } from "../../../src/upstreams/server.ts";
import { type FakeClock, fakeClock } from "../../support/fake-clock.ts";
import { addresses, addressMessage, negativeMessage, questionFor, rcode, silence } from "../messages.ts";
import { type Action, type Asked, type Script, type ScriptedServer, scriptedServer } from "../scripted-server.ts";
import { addressTexts, contextWith, errand, until } from "./set-up.ts";

interface Setting {
  readonly clock: FakeClock;
  readonly bootstrap: Bootstrap;
  readonly servers: readonly ScriptedServer[];
}

async function bootstrapWith(...scripts: readonly Script[]): Promise<Setting> {
  const clock = fakeClock();
  const servers = await Promise.all(scripts.map((script) => scriptedServer("dns", script)));
  const { ca, system } = contextWith();
  const options = servers.map((server) => server.options());
  const bootstrap = openBootstrap(options, { clock, ca, system });
  onTestFinished(async () => {
    await bootstrap.close();
    await Promise.all(servers.map((server) => server.close()));
  });
  return { clock, bootstrap, servers };
}

/** Knows these addresses for every name, with one TTL. */
function knows(ipv4: readonly string[], ipv6: readonly string[] = [], ttlSeconds = 300): Script {
  return ({ query }): Action => {
    const texts = query.type === TYPE.A ? ipv4 : ipv6;
    return { kind: "reply", message: texts.length === 0 ? negativeMessage(query) : addressMessage(query, texts, ttlSeconds) };
  };
}

describe("a name's addresses", () => {
  test("are the addresses of both families, IPv4 first", async () => {
    const { bootstrap, servers } = await bootstrapWith(knows(["192.0.2.1", "192.0.2.2"], ["2001:db8::1"]));
    expect(await bootstrap.lookUp("dns.example")).toEqual(["192.0.2.1", "192.0.2.2", "2001:db8::1"]);
    expect(new Set(servers[0]?.asked.map(({ name, type }) => `${name} ${type}`))).toEqual(
      new Set([`dns.example ${TYPE.A}`, `dns.example ${TYPE.AAAA}`]),
    );
  });

  test("may be IPv6 only", async () => {
    const { bootstrap } = await bootstrapWith(knows([], ["2001:db8::1"]));
    expect(await bootstrap.lookUp("dns.example")).toEqual(["2001:db8::1"]);
  });

  test("do not wait longer than 200 ms for IPv6 once there is IPv4", async () => {
    const { bootstrap, servers, clock } = await bootstrapWith((asked) =>
      asked.type === TYPE.A ? addresses(asked, "192.0.2.1") : silence,
    );
    const lookup = bootstrap.lookUp("dns.example");
    await until(() => servers[0]?.asked.length === 2);
    const settled = vi.fn();
    lookup.then(settled, settled);
    await until(async () => {
      await clock.advance(20);
      return settled.mock.calls.length > 0;
    });
    expect(await lookup).toEqual(["192.0.2.1"]);
    expect(clock.now()).toBeGreaterThanOrEqual(200);
    expect(clock.now()).toBeLessThan(1_000);
  });

  test("are looked up once for any number of concurrent callers", async () => {
    const { bootstrap, servers } = await bootstrapWith(knows(["192.0.2.1"]));
    const all = await Promise.all([
      bootstrap.lookUp("dns.example"),
      bootstrap.lookUp("DNS.example"),
      bootstrap.lookUp("dns.example"),
    ]);
    expect(all).toEqual([["192.0.2.1"], ["192.0.2.1"], ["192.0.2.1"]]);
    expect(servers[0]?.asked).toHaveLength(2);
  });

  test.each([
    [1, 60],
    [300, 300],
    [1_000_000, 86_400],
  ])("with TTL %i s are looked up anew after %i s", async (ttlSeconds, keptSeconds) => {
    const { bootstrap, servers, clock } = await bootstrapWith(knows(["192.0.2.1"], [], ttlSeconds));
    await bootstrap.lookUp("dns.example");
    await clock.advance(keptSeconds * 1000 - 1);
    await bootstrap.lookUp("dns.example");
    expect(servers[0]?.asked).toHaveLength(2);
    await clock.advance(1);
    servers[0]?.follow(knows(["192.0.2.9"]));
    // The old ones serve until the new ones are there.
    expect(await bootstrap.lookUp("dns.example")).toEqual(["192.0.2.1"]);
    await until(async () => (await bootstrap.lookUp("dns.example"))[0] === "192.0.2.9");
    expect(servers[0]?.asked).toHaveLength(4);
  });

  test.each<[string, Script]>([
    ["SERVFAIL", (asked) => rcode(asked, RCODE.SERVFAIL)],
    ["NXDOMAIN", ({ query }) => ({ kind: "reply", message: negativeMessage(query, RCODE.NXDOMAIN) })],
  ])("stay when they cannot be renewed because of %s, and that is tried again after a minute", async (_, failing) => {
    const { bootstrap, servers, clock } = await bootstrapWith(knows(["192.0.2.1"]));
    await bootstrap.lookUp("dns.example");
    servers[0]?.follow(failing);
    await clock.advance(300_000);
    expect(await bootstrap.lookUp("dns.example")).toEqual(["192.0.2.1"]);
    await until(() => servers[0]?.asked.length === 4);
    await clock.advance(0);
    expect(await bootstrap.lookUp("dns.example")).toEqual(["192.0.2.1"]);
    servers[0]?.follow(knows(["192.0.2.9"]));
    await until(async () => {
      await clock.advance(60_000);
      return (await bootstrap.lookUp("dns.example"))[0] === "192.0.2.9";
    });
  });

  test("of localhost need no lookup (RFC 6761 §6.3)", async () => {
    const { bootstrap, servers } = await bootstrapWith(knows(["192.0.2.1"]));
    expect(await bootstrap.lookUp("localhost")).toEqual(["127.0.0.1", "::1"]);
    expect(servers[0]?.asked).toEqual([]);
  });
});

describe("the bootstrap servers", () => {
  test("are asked in turn, the next one when one refuses", async () => {
    const { bootstrap, servers } = await bootstrapWith((asked) => rcode(asked, RCODE.REFUSED), knows(["192.0.2.1"]));
    expect(await bootstrap.lookUp("dns.example")).toEqual(["192.0.2.1"]);
    expect(servers[1]?.asked).toHaveLength(2);
  });

  test("are asked in turn, the next one when one is silent for half a second", async () => {
    const { bootstrap, servers, clock } = await bootstrapWith(() => silence, knows(["192.0.2.1"], ["2001:db8::1"]));
    const lookup = bootstrap.lookUp("dns.example");
    await until(() => servers[0]?.asked.length === 2);
    await clock.advance(499);
    expect(servers[1]?.asked).toHaveLength(0);
    await clock.advance(1);
    expect(await lookup).toEqual(["192.0.2.1", "2001:db8::1"]);
  });

  test.each<[string, Script[], RegExp]>([
    ["none is there", [], /no bootstrap server is configured/],
    ["all refuse", [(asked) => rcode(asked, RCODE.REFUSED)], /REFUSED/],
    [
      "the name does not exist",
      [({ query }) => ({ kind: "reply", message: negativeMessage(query, RCODE.NXDOMAIN) })],
      /no address/,
    ],
  ])("fail a look-up when %s", async (_, scripts, detail) => {
    const { bootstrap } = await bootstrapWith(...scripts);
    const expected = { failure: "bootstrap", message: expect.stringMatching(detail) };
    await expect(bootstrap.lookUp("dns.example")).rejects.toMatchObject(expected);
  });

  test("have 3 s in all", async () => {
    const { bootstrap, servers, clock } = await bootstrapWith(() => silence);
    const failed = expect(bootstrap.lookUp("dns.example")).rejects.toMatchObject({
      failure: "bootstrap",
      message: expect.stringMatching(/3000 ms/),
    });
    await until(() => servers[0]?.asked.length === 2);
    await clock.advance(3_000);
    await failed;
  });

  test("must not have names themselves", async () => {
    const { ca, system } = contextWith();
    const server = await scriptedServer("dns", knows(["192.0.2.1"]));
    const bootstrap = openBootstrap([server.options({ host: "dns.example" })], { clock: fakeClock(), ca, system });
    await expect(bootstrap.lookUp("www.example")).rejects.toMatchObject({ failure: "bootstrap" });
    await bootstrap.close();
    await server.close();
  });

  test("are closed with the bootstrap, and pending lookups fail", async () => {
    const { bootstrap, servers } = await bootstrapWith(() => silence);
    const failed = expect(bootstrap.lookUp("dns.example")).rejects.toMatchObject({ failure: "closed" });
    await until(() => servers[0]?.asked.length === 2);
    await Promise.all([bootstrap.close(), bootstrap.close()]);
    await failed;
    await expect(bootstrap.lookUp("dns.example")).rejects.toMatchObject({ failure: "closed" });
  });
});

describe.each(["udp", "tcp", "tls", "https"] as const)("a server given by name, over %s", (protocol) => {
  const transport = protocol === "udp" || protocol === "tcp" ? "dns" : protocol;

  test("is looked up at the bootstrap servers, and asked at the address that works", async () => {
    // The name is one that the certificate has.
    const asked = ({ query }: Asked): Action => ({ kind: "reply", message: addressMessage(query, ["192.0.2.1"]) });
    const server = await scriptedServer(transport, asked);
    const lookUp = async (host: string) => (host === "localhost" ? ["127.0.0.2", "127.0.0.1"] : []);
    const upstream = openServer(server.options({ protocol, host: "localhost" }), contextWith({ bootstrap: { lookUp } }));
    onTestFinished(async () => {
      await upstream.close();
      await server.close();
    });
    // A datagram goes to one address at a time.
    if (protocol === "udp")
      await expect(upstream.exchange(questionFor("www.example"), errand())).rejects.toMatchObject({ failure: "refused" });
    expect(addressTexts(await upstream.exchange(questionFor("www.example"), errand()))).toEqual(["192.0.2.1"]);
    expect(upstream.addresses?.()).toEqual(["127.0.0.2", "127.0.0.1"]);
  });

  test("that has moved is looked up again a minute after the last lookup, whatever the TTL", async () => {
    const { bootstrap, servers, clock } = await bootstrapWith(knows(["127.0.0.2"], [], 86_400));
    const server = await scriptedServer(transport, (asked) => addresses(asked, "192.0.2.1"));
    const options = server.options({ protocol, host: "dns.example", tlsName: transport === "dns" ? null : "localhost" });
    const upstream = openServer(options, contextWith({ bootstrap, clock }));
    onTestFinished(async () => {
      await upstream.close();
      await server.close();
    });
    const ask = () => upstream.exchange(questionFor("www.example"), errand()).then(addressTexts, ({ failure }) => failure);
    for (let times = 0; times < 3; times++) expect(await ask()).toBe("refused");
    expect(servers[0]?.asked).toHaveLength(2);
    servers[0]?.follow(knows(["127.0.0.1"], [], 86_400));
    await clock.advance(60_000);
    await until(async () => Array.isArray(await ask()));
    expect(await ask()).toEqual(["192.0.2.1"]);
    expect(servers[0]?.asked).toHaveLength(4);
  });

  test("fails with `bootstrap` when it cannot be found", async () => {
    const { bootstrap } = await bootstrapWith((asked) => rcode(asked, RCODE.SERVFAIL));
    const server = await scriptedServer(transport, () => silence);
    const upstream = openServer(server.options({ protocol, host: "dns.example" }), contextWith({ bootstrap }));
    const trip = errand();
    await expect(upstream.exchange(questionFor("www.example"), trip)).rejects.toMatchObject({ failure: "bootstrap" });
    expect(trip.attempts).toMatchObject([{ failure: "bootstrap", rcode: null }]);
    await upstream.close();
    await server.close();
  });
});
