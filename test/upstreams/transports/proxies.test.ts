import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import { openServer } from "../../../src/upstreams/server.ts";
import { fakeClock } from "../../support/fake-clock.ts";
import { hasIpv6 } from "../../support/ipv6.ts";
import { addresses, questionFor } from "../messages.ts";
import { type ScriptedProxyOptions, scriptedProxy } from "../scripted-proxy.ts";
import { scriptedServer } from "../scripted-server.ts";
import { addressTexts, contextWith, errand, until } from "./set-up.ts";

const question = questionFor("www.example");

describe.each(["socks5", "http"] as const)("a proxy of kind %s", (protocol) => {
  async function setUp(proxyOptions: ScriptedProxyOptions = {}) {
    const server = await scriptedServer("tls", (asked) => addresses(asked, "192.0.2.1"));
    const proxy = await scriptedProxy(protocol, proxyOptions);
    onTestFinished(async () => {
      await proxy.close();
      await server.close();
    });
    return { server, proxy };
  }

  function open(...[options, context]: Parameters<typeof openServer>) {
    const upstream = openServer(options, context);
    onTestFinished(() => upstream.close());
    return upstream;
  }

  test("gets the server's name, which is not looked up elsewhere", async () => {
    const { server, proxy } = await setUp();
    const upstream = open(server.options({ host: "localhost" }), contextWith({ proxy: proxy.options() }));
    expect(addressTexts(await upstream.exchange(question, errand()))).toEqual(["192.0.2.1"]);
    expect(proxy.targets).toEqual([`localhost:${server.port}`]);
    expect(upstream.addresses?.()).toEqual([]);
  });

  test("gets pinned addresses, the next one after one that fails", async () => {
    const { server, proxy } = await setUp();
    const changes = { host: "localhost", addresses: ["127.0.0.2", "127.0.0.1"] };
    const upstream = open(server.options(changes), contextWith({ proxy: proxy.options() }));
    expect(addressTexts(await upstream.exchange(question, errand()))).toEqual(["192.0.2.1"]);
    expect(proxy.targets).toEqual([`127.0.0.2:${server.port}`, `127.0.0.1:${server.port}`]);
  });

  // No server can listen on ::1 where IPv6 is switched off.
  test.skipIf(!hasIpv6)("gets an IPv6 address as an address", async () => {
    const { proxy } = await setUp();
    const server = await scriptedServer("tls", (asked) => addresses(asked, "192.0.2.1"), { address: "::1" });
    onTestFinished(() => server.close());
    const upstream = open(server.options(), contextWith({ proxy: proxy.options() }));
    expect(addressTexts(await upstream.exchange(question, errand()))).toEqual(["192.0.2.1"]);
    expect(proxy.targets[0]).toMatch(/1\]?:\d+$/);
  });

  test("may itself have a name, which is looked up", async () => {
    const { server, proxy } = await setUp();
    const bootstrap = { lookUp: async (host: string) => (host === "proxy.example" ? ["127.0.0.1"] : []) };
    const upstream = open(server.options(), contextWith({ proxy: proxy.options({ host: "proxy.example" }), bootstrap }));
    expect(addressTexts(await upstream.exchange(question, errand()))).toEqual(["192.0.2.1"]);
  });

  test("gets the user name and the password that it asks for", async () => {
    const login = { username: "fēn", password: "l:iú" };
    const { server, proxy } = await setUp({ login });
    const upstream = open(server.options(), contextWith({ proxy: proxy.options(login) }));
    expect(addressTexts(await upstream.exchange(question, errand()))).toEqual(["192.0.2.1"]);
  });

  test("that asks for no password is used although one is configured", async () => {
    const { server, proxy } = await setUp();
    const upstream = open(server.options(), contextWith({ proxy: proxy.options({ username: "a", password: "b" }) }));
    expect(addressTexts(await upstream.exchange(question, errand()))).toEqual(["192.0.2.1"]);
  });

  const login = { username: "right", password: "right" };
  test.each([
    ["wants a login and gets none", { login }, {}],
    ["gets the wrong password", { login }, { username: "right", password: "wrong" }],
    ["gets the wrong user name", { login }, { username: "wrong", password: "right" }],
    ["refuses to connect", { refuses: true }, {}],
    ["hangs up", { garbage: new Uint8Array() }, {}],
    ["speaks something else", { garbage: Buffer.from("220 mail.example ESMTP\r\n\r\n") }, {}],
    ["never comes to an end", { garbage: Buffer.alloc(100_000, "HTTP/1.1 200 OK ") }, {}],
  ])("that %s is a failure of the proxy", async (_, proxyOptions, changes) => {
    const { server, proxy } = await setUp(proxyOptions);
    const trip = errand();
    const upstream = open(server.options(), contextWith({ proxy: proxy.options(changes) }));
    await expect(upstream.exchange(question, trip)).rejects.toMatchObject({ failure: "proxy" });
    expect(trip.attempts).toMatchObject([{ failure: "proxy" }]);
    expect(server.asked).toEqual([]);
  });

  test("that never answers times out, and its connection is closed", async () => {
    const clock = fakeClock();
    const { server } = await setUp();
    let open = 0;
    const silent = createServer((socket) => {
      open += 1;
      socket
        .resume()
        .on("error", () => undefined)
        .on("close", () => (open -= 1));
    });
    silent.listen(0, "127.0.0.1");
    await once(silent, "listening");
    onTestFinished(() => new Promise<void>((resolve) => silent.close(() => resolve())));
    const { port } = silent.address() as AddressInfo;
    const proxy = { protocol, host: "127.0.0.1", port, username: null, password: null };
    const upstream = openServer(server.options(), contextWith({ proxy, clock }));
    const failed = expect(upstream.exchange(question, errand())).rejects.toMatchObject({ failure: "timeout" });
    await until(() => open === 1);
    await clock.advance(5_000);
    await failed;
    await until(() => open === 0);
    await upstream.close();
  });

  test("that has two addresses is asked at the other one when one never answers", async () => {
    const clock = fakeClock();
    const { server, proxy } = await setUp();
    const options = proxy.options({ host: "proxy.example" });
    let reached = 0;
    const silent = createServer((socket) => {
      reached += 1;
      socket.resume();
    });
    silent.listen(options.port, "127.0.0.2");
    await once(silent, "listening");
    const bootstrap = { lookUp: () => Promise.resolve(["127.0.0.2", "127.0.0.1"]) };
    const upstream = openServer(server.options(), contextWith({ proxy: options, bootstrap, clock }));
    onTestFinished(async () => {
      await upstream.close();
      await new Promise((resolve) => silent.close(resolve));
    });
    const failed = expect(upstream.exchange(question, errand())).rejects.toMatchObject({ failure: "timeout" });
    await until(() => reached === 1);
    await clock.advance(5_000);
    await failed;
    expect(addressTexts(await upstream.exchange(question, errand()))).toEqual(["192.0.2.1"]);
  });

  test("that answers with any bytes at worst makes the exchange fail", async () => {
    const { server } = await setUp();
    const replies = fc.uint8Array({ maxLength: 60 });
    const starts = [Uint8Array.of(), Uint8Array.of(5, 0), Uint8Array.of(5, 0, 5, 0, 0), Buffer.from("HTTP/1.1 200 OK\r\n")];
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...starts), replies, async (start, rest) => {
        const proxy = await scriptedProxy(protocol, { garbage: Buffer.concat([start, rest]) });
        const upstream = openServer(server.options(), contextWith({ proxy: proxy.options() }));
        try {
          await expect(upstream.exchange(question, errand())).rejects.toMatchObject({ name: "UpstreamError" });
        } finally {
          await upstream.close();
          await proxy.close();
        }
      }),
      { numRuns: 40 },
    );
  });
});
