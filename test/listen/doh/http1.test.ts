import { describe, expect, test } from "vitest";
import type { Client } from "../../../src/lib/client.ts";
import type { HandlerReply } from "../../../src/listen/types.ts";
import { fakeClock } from "../../support/fake-clock.ts";
import { connectRaw, connectRawTls, expectCloseAfter, type RawConnection } from "../support/raw.ts";
import { handlerOf, idOf, messageOf, openSite, portOf, type SiteOptions, slowHandler } from "../support/site.ts";

const query = (id: number) => `/dns-query?dns=${Buffer.from(messageOf(id)).toString("base64url")}`;
const get = (id: number, headers = "") => `GET ${query(id)} HTTP/1.1\r\nHost: x\r\n${headers}\r\n`;
const post = (headers: string, body = "") => `POST /dns-query HTTP/1.1\r\nHost: x\r\n${headers}\r\n${body}`;
const MESSAGE_TYPE = "Content-Type: application/dns-message\r\n";
const latin1 = (bytes: Uint8Array) => Buffer.from(bytes).toString("latin1");

async function connected(options: SiteOptions = {}): Promise<RawConnection> {
  return connectRaw(portOf(await openSite(options), "http"));
}

/** Asks once more on the same connection. */
async function isKept(connection: RawConnection): Promise<boolean> {
  const { status, body } = await connection.write(get(4242)).takeResponse();
  return status === 200 && body.equals(messageOf(4242));
}

const writeBytes = (connection: RawConnection, text: string): RawConnection => connection.write(Buffer.from(text, "latin1"));

describe("an answer", () => {
  test("has its length, its type and its lifetime, and is not chunked, compressed or redirected", async () => {
    const { status, headers, body } = await (await connected()).write(get(1, "Accept-Encoding: gzip, br\r\n")).takeResponse();
    expect([status, new Uint8Array(body)]).toEqual([200, messageOf(1)]);
    expect(headers).toMatchObject({
      "content-type": "application/dns-message",
      "content-length": "40",
      "cache-control": "max-age=60",
    });
    expect(Object.keys(headers)).not.toEqual(expect.arrayContaining(["transfer-encoding"]));
    expect(Object.keys(headers)).not.toEqual(expect.arrayContaining(["content-encoding"]));
    expect(Object.keys(headers)).not.toEqual(expect.arrayContaining(["location"]));
  });

  test("that must not be cached has no-store", async () => {
    const connection = await connected({ handler: handlerOf((wire) => ({ wire, maxAgeSeconds: null })) });
    expect((await connection.write(get(1)).takeResponse()).headers["cache-control"]).toBe("no-store");
  });

  test("with TTL 0 has max-age=0", async () => {
    const connection = await connected({ handler: handlerOf((wire) => ({ wire, maxAgeSeconds: 0 })) });
    expect((await connection.write(get(1)).takeResponse()).headers["cache-control"]).toBe("max-age=0");
  });

  test.each(["", "Accept: application/dns-message\r\n", "Accept: */*\r\n", "Accept: text/html\r\n", "Accept:\r\n"])(
    "does not depend on the Accept header: %j",
    async (accept) => {
      expect((await (await connected()).write(get(1, accept)).takeResponse()).headers["content-type"]).toBe(
        "application/dns-message",
      );
    },
  );

  test("to HEAD is the answer to GET without its body", async () => {
    const connection = await connected();
    connection.write(`HEAD ${query(1)} HTTP/1.1\r\nHost: x\r\n\r\n`);
    connection.write(get(2, "Connection: close\r\n"));
    const [head, second] = latin1(await connection.takeRest())
      .split("HTTP/1.1 200 OK\r\n")
      .slice(1);
    expect(head?.toLowerCase()).toContain("content-length: 40\r\n");
    expect(head?.split("\r\n\r\n")[1]).toBe("");
    expect(second).toContain(latin1(messageOf(2)));
  });

  test("in JSON has its own type", async () => {
    const connection = await connected();
    connection.write("GET /dns-query?name=example.com&type=A HTTP/1.1\r\nHost: x\r\nAccept: application/dns-json\r\n\r\n");
    const { status, headers, body } = await connection.takeResponse();
    expect([status, headers["content-type"], headers["cache-control"]]).toEqual([200, "application/dns-json", "max-age=7"]);
    expect(JSON.parse(body.toString())).toEqual([
      ["name", "example.com"],
      ["type", "A"],
    ]);
  });

  test("in JSON that fails has an explanation", async () => {
    const connection = await connected({
      handler: {
        answer: () => null,
        shed: () => null,
        mayConnect: () => true,
        answerJson: async () => ({ kind: "bad", text: "No such type." }),
      },
    });
    const { status, body } = await connection.write("GET /dns-query?name=x&type=y HTTP/1.1\r\nHost: x\r\n\r\n").takeResponse();
    expect([status, body.toString()]).toEqual([400, "No such type.\n"]);
    expect((await connection.write(get(1)).takeResponse()).status).toBe(400);
  });
});

describe("HTTP/1.0", () => {
  test("without keep-alive is answered, then closed", async () => {
    const connection = await connected();
    connection.write(`GET ${query(1)} HTTP/1.0\r\n\r\n`);
    const { status, body } = await connection.takeResponse();
    expect([status, new Uint8Array(body)]).toEqual([200, messageOf(1)]);
    await connection.ended;
  });

  test("with keep-alive is kept, and no answer is chunked", async () => {
    const connection = await connected();
    for (const id of [1, 2]) {
      connection.write(`GET ${query(id)} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n`);
      const { headers, body } = await connection.takeResponse();
      expect([headers["connection"], headers["transfer-encoding"], new Uint8Array(body)]).toEqual([
        "keep-alive",
        undefined,
        messageOf(id),
      ]);
    }
  });
});

describe("a request", () => {
  test("without Host is answered", async () => {
    expect((await (await connected()).write(`GET ${query(1)} HTTP/1.1\r\n\r\n`).takeResponse()).status).toBe(200);
  });

  test("in a body with a length is answered", async () => {
    const connection = await connected();
    writeBytes(connection, post(`${MESSAGE_TYPE}Content-Length: 40\r\n`, latin1(messageOf(3))));
    expect(new Uint8Array((await connection.takeResponse()).body)).toEqual(messageOf(3));
    expect(await isKept(connection)).toBe(true);
  });

  test("in a chunked body, byte by byte, is answered", async () => {
    const connection = await connected();
    connection.write(post(`${MESSAGE_TYPE}Transfer-Encoding: chunked\r\n`));
    for (const byte of messageOf(3)) writeBytes(connection, `1\r\n${String.fromCharCode(byte)}\r\n`);
    connection.write("0\r\n\r\n");
    expect(new Uint8Array((await connection.takeResponse()).body)).toEqual(messageOf(3));
    expect(await isKept(connection)).toBe(true);
  });

  test("that expects 100-continue gets it", async () => {
    const connection = await connected();
    connection.write(post(`${MESSAGE_TYPE}Content-Length: 40\r\nExpect: 100-continue\r\n`));
    expect(latin1(await connection.take(25))).toBe("HTTP/1.1 100 Continue\r\n\r\n");
    connection.write(messageOf(3));
    expect(new Uint8Array((await connection.takeResponse()).body)).toEqual(messageOf(3));
  });

  test("with any other expectation is answered", async () => {
    const connection = await connected();
    expect((await connection.write(get(1, "Expect: 200-ok\r\n")).takeResponse()).status).toBe(200);
  });

  test("with an upgrade to HTTP/2 is answered in HTTP/1.1", async () => {
    const upgrade = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n";
    const connection = await connected();
    expect((await connection.write(get(1, upgrade)).takeResponse()).status).toBe(200);
    expect(await isKept(connection)).toBe(true);
  });

  test("of a client that ends its side is answered", async () => {
    const slow = Promise.withResolvers<HandlerReply>();
    const connection = await connected({ handler: handlerOf(() => slow.promise) });
    connection.socket.end(get(1));
    slow.resolve({ wire: messageOf(1), maxAgeSeconds: 1 });
    expect((await connection.takeResponse()).status).toBe(200);
    await connection.ended;
  });

  test("over TLS is answered with and without ALPN", async () => {
    const site = await openSite();
    for (const options of [{}, { ALPNProtocols: ["http/1.1"] }, { ALPNProtocols: ["http/1.0"] }]) {
      const connection = await connectRawTls(portOf(site, "https"), options);
      expect((await connection.write(get(1)).takeResponse()).status).toBe(200);
    }
  });
});

describe("pipelined requests", () => {
  test("are answered in their order", async () => {
    const first = Promise.withResolvers<HandlerReply>();
    const connection = await connected({
      handler: handlerOf((wire) => {
        if (idOf(wire) === 3) first.resolve({ wire: messageOf(1), maxAgeSeconds: 1 });
        return idOf(wire) === 1 ? first.promise : { wire, maxAgeSeconds: 1 };
      }),
    });
    connection.write([1, 2, 3].map((id) => get(id)).join(""));
    const bodies = [await connection.takeResponse(), await connection.takeResponse(), await connection.takeResponse()];
    expect(bodies.map(({ body }) => idOf(body))).toEqual([1, 2, 3]);
  });

  test("are read only up to a limit while the first ones wait, and all are answered in the end", async () => {
    const released = Promise.withResolvers<void>();
    let asked = 0;
    const site = await openSite({
      limits: { outstandingPerConnection: 10 },
      handler: handlerOf(async (wire, { clientId }) => {
        if (clientId === null) asked++;
        await (clientId === "other" ? undefined : released.promise);
        return { wire, maxAgeSeconds: 1 };
      }),
    });
    const connection = await connectRaw(portOf(site, "http"));
    const ids = Array.from({ length: 4000 }, (_, id) => id);
    connection.write(ids.map((id) => get(id)).join(""));
    await expect.poll(() => asked).toBeGreaterThanOrEqual(10);
    // What another connection is answered meanwhile shows that the server has had its turn.
    const other = await connectRaw(portOf(site, "http"));
    for (let turn = 0; turn < 20; turn++) await other.write(get(1).replace("/dns-query", "/dns-query/other")).takeResponse();
    expect(asked).toBeLessThan(2000);
    released.resolve();
    for (const id of ids) expect(idOf((await connection.takeResponse()).body)).toBe(id);
  });
});

describe("at the stop of the server", () => {
  test("a request that follows an answer at once is answered too, with the end of the connection announced", async () => {
    const site = await openSite({ clock: fakeClock() });
    const connection = await connectRaw(portOf(site, "http"));
    expect((await connection.write(get(1)).takeResponse()).headers["connection"]).toBe("keep-alive");
    const closed = site.close();
    const { headers, body } = await connection.write(get(2)).takeResponse();
    expect([headers["connection"], idOf(body)]).toEqual(["close", 2]);
    await connection.ended;
    connection.socket.end();
    await closed;
  });

  test("all requests of one segment are answered, and the end is announced with the last", async () => {
    const site = await openSite({ clock: fakeClock() });
    const connection = await connectRaw(portOf(site, "http"));
    await connection.write(get(1)).takeResponse();
    const closed = site.close();
    connection.write(get(2) + get(3));
    const answers = [await connection.takeResponse(), await connection.takeResponse()];
    expect(answers.map(({ headers, body }) => [headers["connection"], idOf(body)])).toEqual([
      ["keep-alive", 2],
      ["close", 3],
    ]);
    connection.socket.end();
    await closed;
  });

  test("a connection that has been idle is closed at once", async () => {
    const clock = fakeClock();
    const site = await openSite({ clock });
    const connection = await connectRaw(portOf(site, "http"));
    await connection.write(get(1)).takeResponse();
    await clock.advance(500);
    const closed = site.close();
    await connection.ended;
    connection.socket.end();
    await closed;
  });

  test("a client that goes on sending gets its pending answer", async () => {
    const { handler, begun, reply } = slowHandler();
    const site = await openSite({ handler });
    const connection = await connectRaw(portOf(site, "http"));
    connection.write(get(1));
    await begun;
    connection.socket.pause();
    const closed = site.close();
    reply({ wire: messageOf(1), maxAgeSeconds: null });
    for (let id = 2; id < 50; id++) {
      connection.write(get(id));
      await new Promise((resolve) => setImmediate(resolve));
    }
    connection.socket.resume();
    expect(idOf((await connection.takeResponse()).body)).toBe(1);
    connection.socket.end();
    await closed;
    expect(connection.socket.errored).toBeNull();
  });
});

describe("answers that a client does not read", () => {
  const largest = handlerOf((wire) => Promise.resolve({ wire: messageOf(idOf(wire), 65_535), maxAgeSeconds: null }));
  const questions = Array.from({ length: 500 }, (_, id) => get(id)).join("");

  test("end its connection when there are many", async () => {
    const site = await openSite({ handler: largest });
    const connection = await connectRaw(portOf(site, "http"));
    connection.socket.pause();
    connection.write(questions);
    await expect.poll(() => site.counters.connections).toBe(0);
  });

  test("end its connection after a while", async () => {
    const site = await openSite({
      handler: largest,
      limits: { httpHeaderMs: 200, httpRequestMs: 200, writeBacklogBytes: 1 << 30 },
    });
    const connection = await connectRaw(portOf(site, "http"));
    connection.socket.pause();
    connection.write(questions);
    await expect.poll(() => site.counters.connections).toBe(0);
  });
});

describe("refused, in short text and with the connection kept, is", () => {
  const long = "x".repeat(65_536);
  test.each([
    ["another path", 404, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"],
    ["a client id that is none", 404, get(1).replace("/dns-query", "/dns-query/T_V")],
    ["another method", 405, "DELETE /dns-query HTTP/1.1\r\nHost: x\r\n\r\n"],
    ["another method with a body", 405, "PUT /dns-query HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"],
    ["a question without a message", 400, "GET /dns-query HTTP/1.1\r\nHost: x\r\n\r\n"],
    ["a message shorter than its header", 400, "GET /dns-query?dns=AAAA HTTP/1.1\r\nHost: x\r\n\r\n"],
    ["a POST without a length, which has no body", 400, post(MESSAGE_TYPE)],
    ["an empty POST", 400, post(`${MESSAGE_TYPE}Content-Length: 0\r\n`)],
    ["a POST of another type", 415, post("Content-Type: text/plain\r\nContent-Length: 3\r\n", "abc")],
    ["a POST of no type", 415, post("Content-Length: 3\r\n", "abc")],
    ["a message of 65536 bytes", 413, post(`${MESSAGE_TYPE}Content-Length: 65536\r\n`, long)],
    [
      "a message of 1 MiB in one chunk",
      413,
      post(`${MESSAGE_TYPE}Transfer-Encoding: chunked\r\n`, `100000\r\n${long.repeat(16)}\r\n0\r\n\r\n`),
    ],
  ])("%s: %d", async (_title, expected, request) => {
    const connection = await connected();
    const { status, headers, body } = await connection.write(request).takeResponse();
    expect([status, headers["content-type"], headers["transfer-encoding"]]).toEqual([
      expected,
      "text/plain; charset=utf-8",
      undefined,
    ]);
    expect(headers["allow"]).toBe(expected === 405 ? "GET, HEAD, POST" : undefined);
    expect(body.length).toBeGreaterThan(0);
    expect(await isKept(connection)).toBe(true);
  });

  test("a message that the handler ignores: 400", async () => {
    const connection = await connected({ handler: handlerOf((wire) => (idOf(wire) === 1 ? null : { wire, maxAgeSeconds: 1 })) });
    expect((await connection.write(get(1)).takeResponse()).status).toBe(400);
    expect(await isKept(connection)).toBe(true);
  });
});

describe("refused and closed is", () => {
  test.each([
    ["what is no HTTP", "\x16\x03\x01\x02\x00\x01\x00"],
    ["DNS over TCP", "\x00\x0c\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"],
    ["a broken request line", "GET\r\n\r\n"],
    ["a header without a colon", "GET / HTTP/1.1\r\nnonsense\r\n\r\n"],
    ["two lengths", "POST /dns-query HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"],
    ["half an HTTP/2 preface that goes on otherwise", "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"],
  ])("%s: 400", async (_title, bytes) => {
    const connection = await connected();
    const { status, headers } = await writeBytes(connection, bytes).takeResponse();
    expect([status, headers["content-type"], headers["connection"]]).toEqual([400, "text/plain; charset=utf-8", "close"]);
    await connection.ended;
  });

  test("a head that is too long: 431", async () => {
    const connection = await connected();
    expect((await connection.write(get(1, `X: ${"x".repeat(20_000)}\r\n`)).takeResponse()).status).toBe(431);
    await connection.ended;
  });

  test("CONNECT: 405", async () => {
    const connection = await connected();
    const { status, headers } = await connection.write("CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n").takeResponse();
    expect([status, headers["allow"]]).toEqual([405, "GET, HEAD, POST"]);
    await connection.ended;
  });

  test("a body above 1 MiB: 413, which the client can read", async () => {
    const connection = await connected();
    connection.write(post(`${MESSAGE_TYPE}Content-Length: 10000000\r\n`));
    connection.write("x".repeat(2_000_000));
    const { status, headers } = await connection.takeResponse();
    expect([status, headers["connection"]]).toEqual([413, "close"]);
    await connection.ended;
  });

  test.each([
    ["garbage", "\x16\x03\x01 nonsense\r\n\r\n"],
    ["CONNECT", "CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n"],
  ])("%s behind a question whose answer is awaited: no answer is taken for another's", async (_title, next) => {
    const connection = await connected({ handler: handlerOf(() => new Promise(() => {})) });
    connection.write(`${get(1)}${next}`);
    expect(latin1(await connection.takeRest())).toBe("");
  });
});

describe("time", () => {
  test("a head that is never completed gets 408", async () => {
    const connection = await connected({ limits: { httpHeaderMs: 100, httpRequestMs: 200 } });
    connection.write("GET /dns-query HTTP/1.1\r\nHost");
    expect((await connection.takeResponse()).status).toBe(408);
    await connection.ended;
  });

  test("a body that is never completed gets 408 or is cut", async () => {
    const connection = await connected({ limits: { httpHeaderMs: 100, httpRequestMs: 200 } });
    connection.write(post(`${MESSAGE_TYPE}Content-Length: 40\r\n`, "x"));
    expect(latin1(await connection.takeRest())).toMatch(/^$|^HTTP\/1\.1 408 /);
  });

  test("a silent connection is closed after 180 s and not before", async () => {
    const clock = fakeClock();
    const site = await openSite({ clock });
    const connection = await connectRaw(portOf(site, "http"));
    await expect.poll(() => site.counters.connections).toBe(1);
    await expectCloseAfter(180_000, connection, clock);
  });

  test("an idle connection is announced to live 120 s or more", async () => {
    const { headers } = await (await connected()).write(get(1)).takeResponse();
    expect(Number(/timeout=(\d+)/.exec(headers["keep-alive"] ?? "")?.[1])).toBeGreaterThanOrEqual(120);
  });
});

describe("the client", () => {
  async function clientBy(headers: string, trustedProxies: readonly string[], path = query(1)): Promise<Client | undefined> {
    const clients: Client[] = [];
    const connection = await connected({
      trustedProxies,
      handler: handlerOf((wire, client) => {
        clients.push(client);
        return { wire, maxAgeSeconds: 1 };
      }),
    });
    await connection.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n${headers}\r\n`).takeResponse();
    return clients[0];
  }

  test("is the one that a trusted proxy names, over several header lines", async () => {
    const headers = "X-Forwarded-For: 203.0.113.9\r\nx-forwarded-for: 198.51.100.7:4711, 127.0.0.5\r\nX-Real-IP: 192.0.2.1\r\n";
    expect(await clientBy(headers, ["127.0.0.0/8"])).toMatchObject({ address: "198.51.100.7", port: 4711 });
    expect(await clientBy("X-Real-IP: 192.0.2.1\r\n", ["127.0.0.0/8"])).toMatchObject({ address: "192.0.2.1", port: 0 });
  });

  test("is the one that a proxy names which is trusted by an IPv4-mapped network", async () => {
    expect(await clientBy("X-Real-IP: 192.0.2.1\r\n", ["::ffff:127.0.0.0/104"])).toMatchObject({ address: "192.0.2.1" });
  });

  test("is the peer itself when the peer is not trusted", async () => {
    expect(await clientBy("X-Forwarded-For: 198.51.100.7\r\nX-Real-IP: 192.0.2.1\r\n", ["10.0.0.0/8"])).toMatchObject({
      address: "127.0.0.1",
    });
  });

  test("has the id in its path", async () => {
    expect(await clientBy("", [], query(1).replace("/dns-query", "/dns-query/tv"))).toMatchObject({ clientId: "tv" });
  });
});
