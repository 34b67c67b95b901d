import { once } from "node:events";
import { connect as connectTls } from "node:tls";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { frame } from "../../src/dns/wire.ts";
import type { Client } from "../../src/lib/client.ts";
import { readProxyHeader } from "../../src/listen/tcp.ts";
import { fakeClock } from "../support/fake-clock.ts";
import { connectRaw, expectCloseAfter, RawConnection } from "./support/raw.ts";
import { handlerOf, messageOf, openSite, portOf, type SiteOptions } from "./support/site.ts";

const text = (line: string) => Buffer.from(line, "latin1");
const SIGNATURE = text("\r\n\r\n\0\r\nQUIT\n");

function v2(command: number, family: number, payload: Uint8Array): Buffer {
  const fixed = Buffer.alloc(4);
  fixed.writeUInt8(command, 0);
  fixed.writeUInt8(family, 1);
  fixed.writeUInt16BE(payload.length, 2);
  return Buffer.concat([SIGNATURE, fixed, payload]);
}

const four = Buffer.from([198, 51, 100, 7, 192, 0, 2, 1, 0x12, 0x67, 0, 53]);
const six = Buffer.concat([
  Buffer.from("20010db8000000000000000000000007", "hex"),
  Buffer.alloc(16),
  Buffer.from([0x12, 0x67, 0, 53]),
]);
const tlvs = Buffer.from([4, 0, 3, 1, 2, 3]);

const HEADERS: readonly (readonly [string, Buffer, { readonly address: string; readonly port: number } | null])[] = [
  ["v1 TCP4", text("PROXY TCP4 198.51.100.7 192.0.2.1 4711 53\r\n"), { address: "198.51.100.7", port: 4711 }],
  ["v1 TCP6", text("PROXY TCP6 2001:DB8::7 ::1 4711 53\r\n"), { address: "2001:db8::7", port: 4711 }],
  [
    "v1 TCP6 with a mapped address",
    text("PROXY TCP6 ::ffff:198.51.100.7 ::1 4711 53\r\n"),
    { address: "198.51.100.7", port: 4711 },
  ],
  ["v1 UNKNOWN", text("PROXY UNKNOWN\r\n"), null],
  ["v1 UNKNOWN with more", text("PROXY UNKNOWN ffff::1 ::1 1 2\r\n"), null],
  ["v2 IPv4", v2(0x21, 0x11, four), { address: "198.51.100.7", port: 4711 }],
  ["v2 IPv4 with TLVs", v2(0x21, 0x11, Buffer.concat([four, tlvs])), { address: "198.51.100.7", port: 4711 }],
  ["v2 IPv6 with TLVs", v2(0x21, 0x21, Buffer.concat([six, tlvs])), { address: "2001:db8::7", port: 4711 }],
  ["v2 LOCAL", v2(0x20, 0x11, four), null],
  ["v2 LOCAL without addresses", v2(0x20, 0, Buffer.alloc(0)), null],
  ["v2 UNSPEC", v2(0x21, 0, Buffer.alloc(0)), null],
  ["v2 UNIX", v2(0x21, 0x31, Buffer.alloc(216)), null],
];

describe.each(HEADERS)("%s", (_title, header, source) => {
  test("is read, and nothing beyond it", () => {
    const decision = { takenBytes: header.length, value: { source } };
    expect(readProxyHeader(header)).toEqual(decision);
    expect(readProxyHeader(Buffer.concat([header, text("\r\nmore")]))).toEqual(decision);
  });

  test("needs more bytes while it is incomplete, wherever it is cut", () => {
    for (let length = 0; length < header.length; length++) {
      expect(readProxyHeader(header.subarray(0, length))).toBe("more");
    }
  });
});

describe("a PROXY header is refused when the connection begins with", () => {
  test.each([
    ["anything else", text("GET / HTTP/1.1\r\n\r\n")],
    ["a DNS message", Buffer.from([0, 12, 0, 1, 1, 0])],
    ["an unknown family", text("PROXY UDP4 198.51.100.7 192.0.2.1 4711 53\r\n")],
    ["an address of the other family", text("PROXY TCP4 2001:db8::7 ::1 4711 53\r\n")],
    ["a bad destination", text("PROXY TCP4 198.51.100.7 nowhere 4711 53\r\n")],
    ["a port too high", text("PROXY TCP4 198.51.100.7 192.0.2.1 65536 53\r\n")],
    ["a word too many", text("PROXY TCP4 198.51.100.7 192.0.2.1 4711 53 54\r\n")],
    ["a line without end", text(`PROXY TCP4 ${"1".repeat(101)}`)],
    ["another version", v2(0x11, 0x11, four)],
    ["another command", v2(0x22, 0x11, four)],
    ["a v2 header too short for its addresses", v2(0x21, 0x11, four.subarray(1))],
    ["a v2 header too short for IPv6", v2(0x21, 0x21, six.subarray(1))],
    ["a v2 header that announces 64 KB", v2(0x21, 0x11, Buffer.alloc(65_535)).subarray(0, 16)],
  ])("%s", (_title, bytes) => {
    expect(readProxyHeader(bytes)).toBe("refused");
  });
});

test("any bytes are decided within 4096 bytes, and none throws", () => {
  const starts = fc.constantFrom(
    Buffer.alloc(0),
    text("PROXY "),
    text("PROXY TCP4 "),
    SIGNATURE,
    v2(0x21, 0x11, four).subarray(0, 14),
  );
  fc.assert(
    fc.property(starts, fc.uint8Array({ maxLength: 300 }), (start, rest) => {
      readProxyHeader(Buffer.concat([start, rest]));
      expect(readProxyHeader(Buffer.concat([start, rest, Buffer.alloc(4096)]))).not.toBe("more");
    }),
  );
});

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
  test("the PROXY header names the client on tcp, in one segment with the question or byte by byte", async () => {
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

  test("the header comes before the TLS handshake on tls and https", async () => {
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

  test("the client of the header is the peer that must be trusted for X-Forwarded-For", async () => {
    const { site, clients } = await proxiedSite({ trustedProxies: ["198.51.100.0/24"] });
    for (const source of ["198.51.100.7", "203.0.113.7"]) {
      const connection = await connectRaw(portOf(site, "http"));
      connection.write(`PROXY TCP4 ${source} 127.0.0.1 4711 80\r\nGET ${PATH} HTTP/1.1\r\nX-Forwarded-For: 192.0.2.9\r\n\r\n`);
      await connection.takeResponse();
    }
    expect(clients.map(({ address }) => address)).toEqual(["192.0.2.9", "203.0.113.7"]);
  });

  test("HTTP/2 may follow the header", async () => {
    const { site } = await proxiedSite();
    const connection = await connectRaw(portOf(site, "http"));
    connection.write(`${V1}PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n`).write(Buffer.from("000000040000000000", "hex"));
    // The server's own SETTINGS frame: length 3 bytes, type 4.
    expect((await connection.take(9))[3]).toBe(4);
  });

  test("a header without an address leaves the address of the connection", async () => {
    const { site, clients } = await proxiedSite();
    const local = Buffer.concat([Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1"), Buffer.from([0x20, 0, 0, 0])]);
    for (const header of [Buffer.from("PROXY UNKNOWN\r\n"), local]) {
      const connection = await connectRaw(portOf(site, "dns"));
      await connection.write(Buffer.concat([header, frame(messageOf(1))])).take(42);
    }
    expect(clients.map(({ address }) => address)).toEqual(["127.0.0.1", "127.0.0.1"]);
  });

  test("a connection without a header is closed without an answer", async () => {
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
    await expectCloseAfter(5000, connection, clock);
  });
});

test("a header from any other peer is not read", async () => {
  const { site, clients } = await proxiedSite({ listen: { proxyProtocol: ["10.0.0.0/8"] } });
  const connection = await connectRaw(portOf(site, "http"));
  expect((await connection.write(`${V1}GET ${PATH} HTTP/1.1\r\n\r\n`).takeResponse()).status).toBe(400);
  expect(clients).toEqual([]);
});
