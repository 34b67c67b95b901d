import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { frame } from "../../src/dns/wire.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { ListenError, openListeners } from "../../src/listen/listeners.ts";
import type { ListenOptions, TlsOptions } from "../../src/listen/options.ts";
import { hasIpv6 } from "../support/ipv6.ts";
import { NOWHERE } from "../support/nowhere.ts";
import { connectRaw } from "./support/raw.ts";
import { echo, handlerOf, messageOf, ON_LOOPBACK, openSite, portOf, slowHandler, tlsFixture } from "./support/site.ts";

async function problemsOf(listen: Partial<ListenOptions>, tls: TlsOptions | null = null): Promise<readonly string[]> {
  const failure = await openListeners({ listen: { ...NOWHERE, ...listen }, tls, trustedProxies: [] }, echo, {
    clock: systemClock,
  }).then(
    async (listeners) => {
      await listeners.close(0);
      return null;
    },
    (error: unknown) => error,
  );
  if (!(failure instanceof ListenError)) throw new Error(`opened, or failed otherwise: ${String(failure)}`);
  return failure.problems;
}

async function takenPort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  onTestFinished(() => new Promise<void>((resolve) => server.close(() => resolve())));
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("a port was asked for");
  return address.port;
}

describe("opening", () => {
  const oneFreePort = async (address: string) => {
    const site = await openSite({ listen: { dns: [{ address, port: 0 }] } });
    expect(site.bound.dns).toEqual([{ address, port: expect.any(Number) }]);
    const host = address.includes(":") ? "::1" : "127.0.0.1";
    const connection = await connectRaw(portOf(site, "dns"), { host });
    connection.write(frame(messageOf(1)));
    expect(await connection.take(42)).toEqual(Buffer.from(frame(messageOf(1))));
  };
  test.each(["127.0.0.1", "0.0.0.0"])("gives UDP and TCP of %s the same free port", oneFreePort);
  // Nothing can listen there where IPv6 is switched off.
  test.skipIf(!hasIpv6).each(["::1", "::"])("gives UDP and TCP of %s the same free port", oneFreePort);

  test("lists the bound endpoints in the order of the configuration", async () => {
    const both = [
      { address: "127.0.0.2", port: 0 },
      { address: "127.0.0.1", port: 0 },
    ];
    const site = await openSite({ listen: { dns: both, tls: both, https: both, http: both } });
    for (const kind of ["dns", "tls", "https", "http"] as const) {
      expect(site.bound[kind].map(({ address }) => address)).toEqual(["127.0.0.2", "127.0.0.1"]);
    }
  });

  test("fails with every address that cannot be bound and the reason, and leaves nothing open", async () => {
    const port = await takenPort();
    const free = await takenPort();
    const problems = await problemsOf({
      dns: [
        { address: "127.0.0.1", port },
        { address: "127.0.0.78", port: free },
      ],
      http: [
        { address: "192.0.2.222", port: 0 },
        { address: "127.0.0.1", port },
      ],
    });
    expect(problems).toEqual([
      expect.stringMatching(new RegExp(`^dns 127\\.0\\.0\\.1:${port} \\(tcp\\): .*EADDRINUSE`)),
      expect.stringMatching(/^http 192\.0\.2\.222:0 \(tcp\): .*EADDRNOTAVAIL/),
      expect.stringMatching(new RegExp(`^http 127\\.0\\.0\\.1:${port} \\(tcp\\): .*EADDRINUSE`)),
    ]);
    const again = await openSite({ listen: { ...NOWHERE, dns: [{ address: "127.0.0.78", port: free }] } });
    expect(portOf(again, "dns")).toBe(free);
  });

  test("fails when only UDP is taken", async () => {
    // An address of this test alone, whose TCP port nobody else takes.
    const socket = createSocket("udp4");
    onTestFinished(() => new Promise<void>((resolve) => socket.close(() => resolve())));
    socket.bind(0, "127.0.0.77");
    await once(socket, "listening");
    const { port } = socket.address();
    expect(await problemsOf({ dns: [{ address: "127.0.0.77", port }] })).toEqual([
      expect.stringMatching(new RegExp(`^dns 127\\.0\\.0\\.77:${port} \\(udp\\): .*EADDRINUSE`)),
    ]);
  });

  test("fails without a certificate, with an unreadable one and with a key that is not its own", async () => {
    expect(await problemsOf({ tls: ON_LOOPBACK })).toEqual([expect.stringContaining("section tls")]);
    expect(
      await problemsOf({ https: ON_LOOPBACK }, { cert: tlsFixture("none.pem"), key: tlsFixture("key.pem"), name: null }),
    ).toEqual([expect.stringMatching(/^tls: .*ENOENT.*none\.pem/)]);
    expect(
      await problemsOf({ https: ON_LOOPBACK }, { cert: tlsFixture("cert.pem"), key: tlsFixture("renewed-key.pem"), name: null }),
    ).toEqual([expect.stringMatching(/^tls: .*cert\.pem and .*renewed-key\.pem cannot be used/)]);
  });

  test("needs no certificate without a TLS listener", async () => {
    const listeners = await openListeners(
      { listen: NOWHERE, tls: { cert: "/nowhere", key: "/nowhere", name: null }, trustedProxies: [] },
      echo,
      {
        clock: systemClock,
      },
    );
    await listeners.close();
  });
});

describe("closing", () => {
  test("sends a pending answer to a client that has ended its side", async () => {
    const { handler, begun, reply } = slowHandler();
    const site = await openSite({ handler });
    const connection = await connectRaw(portOf(site, "dns"));
    connection.socket.end(frame(messageOf(1)));
    await begun;
    const closed = site.close();
    reply({ wire: messageOf(1), maxAgeSeconds: null });
    expect(await connection.takeRest()).toEqual(Buffer.from(frame(messageOf(1))));
    await closed;
  });

  test("refuses new connections at once while an answer is pending", async () => {
    const begun = Promise.withResolvers<void>();
    const site = await openSite({
      handler: handlerOf(() => {
        begun.resolve();
        return new Promise(() => {});
      }),
    });
    const connection = await connectRaw(portOf(site, "dns"));
    connection.write(frame(messageOf(1)));
    await begun.promise;
    const closed = site.close(200);
    await expect(connectRaw(portOf(site, "dns"))).rejects.toThrow("ECONNREFUSED");
    await closed;
  });

  const request = Buffer.from(
    `GET /dns-query?dns=${Buffer.from(messageOf(1)).toString("base64url")} HTTP/1.1\r\nhost: localhost\r\n\r\n`,
  );
  test.each([
    ["dns", frame(messageOf(1)), frame(messageOf(1))],
    ["http", request, Buffer.from("HTTP/1.1 200 OK\r\n")],
  ] as const)("answers the question that a client of %s was about to send", async (kind, question, answer) => {
    const site = await openSite();
    const connection = await connectRaw(portOf(site, kind));
    await expect.poll(() => site.counters.connections).toBe(1);
    const closed = site.close();
    connection.write(question);
    expect(await connection.take(answer.length)).toEqual(Buffer.from(answer));
    await closed;
  });

  test("cuts connections that have not sent anything", async () => {
    const site = await openSite({ listen: { proxyProtocol: ["127.0.0.0/8"] } });
    const silent = await Promise.all((["dns", "tls", "https", "http"] as const).map((kind) => connectRaw(portOf(site, kind))));
    await expect.poll(() => site.counters.connections).toBe(4);
    await site.close();
    await Promise.all(silent.map(({ ended }) => ended));
  });
});
