import { once } from "node:events";
import { connect as connectTls } from "node:tls";
import { describe, expect, test } from "vitest";
import { frame } from "../../src/dns/wire.ts";
import type { Client } from "../../src/lib/client.ts";
import { fakeClock } from "../support/fake-clock.ts";
import { connectRaw, RawConnection } from "./support/raw.ts";
import { handlerOf, messageOf, openSite, portOf, type SiteOptions } from "./support/site.ts";

const V1 = "PROXY TCP4 198.51.100.7 127.0.0.1 4711 53\r\n";
const PATH = `/dns-query?dns=${Buffer.from(messageOf(1)).toString("base64url")}`;

async function proxiedSite(options: SiteOptions = {}) {
  const clients: Client[] = [];
  const site = await openSite({
    listen: { proxyProtocol: ["127.0.0.1"] },
    handler: handlerOf((wire, client) => {
      clients.push(client);
      return { wire, maxAgeSeconds: 1 };
    }),
    ...options,
  });
  return { site, clients };
}

describe("from a peer of proxyProtocol", () => {
  test("the header tells the client on tcp, in one segment with the question or byte by byte", async () => {
    const { site, clients } = await proxiedSite();
    const question = Buffer.concat([Buffer.from(V1), frame(messageOf(1))]);
    const whole = await connectRaw(portOf(site, "dns"));
    await whole.write(question).take(42);
    const cut = await connectRaw(portOf(site, "dns"));
    for (const byte of question) {
      cut.write(Uint8Array.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await cut.take(42);
    expect(clients).toMatchObject([
      { address: "198.51.100.7", port: 4711, transport: "tcp" },
      { address: "198.51.100.7", port: 4711, transport: "tcp" },
    ]);
  });

  test("it comes before the TLS handshake on tls and https", async () => {
    const { site, clients } = await proxiedSite();
    for (const kind of ["tls", "https"] as const) {
      const raw = await connectRaw(portOf(site, kind));
      raw.socket.removeAllListeners("data");
      raw.write(V1);
      const secure = connectTls({ socket: raw.socket, rejectUnauthorized: false });
      await once(secure, "secureConnect");
      const connection = new RawConnection(secure);
      if (kind === "tls") await connection.write(frame(messageOf(1))).take(42);
      else await connection.write(`GET ${PATH} HTTP/1.1\r\n\r\n`).takeResponse();
    }
    expect(clients).toMatchObject([
      { address: "198.51.100.7", port: 4711, transport: "dot" },
      { address: "198.51.100.7", port: 4711, transport: "doh" },
    ]);
  });

  test("the client of the header is the peer that X-Forwarded-For must be trusted from", async () => {
    const { site, clients } = await proxiedSite({ trustedProxies: ["198.51.100.0/24"] });
    for (const source of ["198.51.100.7", "203.0.113.7"]) {
      const connection = await connectRaw(portOf(site, "http"));
      connection.write(`PROXY TCP4 ${source} 127.0.0.1 4711 80\r\nGET ${PATH} HTTP/1.1\r\nX-Forwarded-For: 192.0.2.9\r\n\r\n`);
      await connection.takeResponse();
    }
    expect(clients.map(({ address }) => address)).toEqual(["192.0.2.9", "203.0.113.7"]);
  });

  test("HTTP/2 may follow it", async () => {
    const { site } = await proxiedSite();
    const connection = await connectRaw(portOf(site, "http"));
    connection.write(`${V1}PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n`).write(Buffer.from("000000040000000000", "hex"));
    // The server's own SETTINGS frame: length 3 bytes, type 4.
    expect((await connection.take(9))[3]).toBe(4);
  });

  test("a header that speaks for nobody leaves the connection's own address", async () => {
    const { site, clients } = await proxiedSite();
    const local = Buffer.concat([Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1"), Buffer.from([0x20, 0, 0, 0])]);
    for (const header of [Buffer.from("PROXY UNKNOWN\r\n"), local]) {
      const connection = await connectRaw(portOf(site, "dns"));
      await connection.write(Buffer.concat([header, frame(messageOf(1))])).take(42);
    }
    expect(clients.map(({ address }) => address)).toEqual(["127.0.0.1", "127.0.0.1"]);
  });

  test("a connection without a header is closed, unanswered", async () => {
    const { site, clients } = await proxiedSite();
    const onTcp = await connectRaw(portOf(site, "dns"));
    onTcp.write(frame(messageOf(1)));
    const onHttp = await connectRaw(portOf(site, "http"));
    onHttp.write(`GET ${PATH} HTTP/1.1\r\n\r\n`);
    expect([await onTcp.takeRest(), await onHttp.takeRest()].map(({ length }) => length)).toEqual([0, 0]);
    expect(clients).toEqual([]);
  });

  test.each(["", "PROXY TCP4 198.51"])("a connection that gets no further than %j is closed after 5 s", async (begun) => {
    const clock = fakeClock();
    const { site } = await proxiedSite({ clock });
    const connection = await connectRaw(portOf(site, "dns"));
    connection.write(begun);
    await expect.poll(() => site.counters.connections).toBe(1);
    await clock.advance(4999);
    expect(connection.isOver).toBe(false);
    await clock.advance(1);
    await connection.ended;
  });
});

test("from anybody else the header is no header", async () => {
  const { site, clients } = await proxiedSite({ listen: { proxyProtocol: ["10.0.0.0/8"] } });
  const connection = await connectRaw(portOf(site, "http"));
  expect((await connection.write(`${V1}GET ${PATH} HTTP/1.1\r\n\r\n`).takeResponse()).status).toBe(400);
  expect(clients).toEqual([]);
});
