import { createServer, type IncomingMessage } from "node:http";
import { Duplex } from "node:stream";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Client } from "../../../src/lib/client.ts";
import { readWholeRequest } from "../../../src/listen/http1-request.ts";
import { runs } from "../../support/properties.ts";
import { connectRaw } from "../support/raw.ts";
import { handlerOf, messageOf, openSite, portOf } from "../support/site.ts";

/** What matters of a request, from either parser. */
interface ReadRequest {
  readonly method: string | undefined;
  readonly target: string | undefined;
  readonly contentType: string | undefined;
  readonly contentEncoding: string | undefined;
  readonly forwardedFor: string | undefined;
  readonly realIp: string | undefined;
  readonly body: string;
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

/** The requests that are read before the first one that is declined. */
function readAll(bytes: Buffer): ReadRequest[] {
  const requests: ReadRequest[] = [];
  let request = readWholeRequest(bytes, 0);
  while (request !== null) {
    const { head, body } = request;
    requests.push({ ...head, body: body.kind === "whole" ? hex(body.bytes) : body.kind });
    request = readWholeRequest(bytes, request.end);
  }
  return requests;
}

/** What Node's parser, as the server uses it, makes of the bytes. Requests that end the connection or change its protocol do not count. */
async function readByNode(bytes: Buffer): Promise<ReadRequest[]> {
  const server = createServer({ requireHostHeader: false });
  const requests: Promise<ReadRequest>[] = [];
  const take = (request: IncomingMessage, response: { readonly shouldKeepAlive: boolean }): void => {
    if (!response.shouldKeepAlive || request.httpVersion !== "1.1") return;
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    const { headers } = request;
    const of = (name: string): string | undefined => headers[name]?.toString();
    const body = new Promise<string>((resolve) => {
      request.on("end", () => resolve(hex(Buffer.concat(chunks)))).on("close", () => resolve("broken"));
    });
    requests.push(
      body.then((whole) => ({
        method: request.method,
        target: request.url,
        contentType: of("content-type"),
        contentEncoding: of("content-encoding"),
        forwardedFor: of("x-forwarded-for"),
        realIp: of("x-real-ip"),
        body: whole,
      })),
    );
  };
  server.on("request", take);
  // Else Node would destroy the socket before the bodies of earlier requests are taken.
  server.on("clientError", () => {});
  const socket = new Duplex({ read: () => {}, write: (_chunk, _encoding, done) => done() });
  server.emit("connection", socket);
  socket.push(bytes);
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
  socket.destroy();
  return Promise.all(requests);
}

const message = messageOf(7);
const dns = Buffer.from(message).toString("base64url");

const HEADER_LINES = [
  "Host: doh.example.com",
  "host:x",
  "User-Agent: Mikrotik/7.x fetch",
  "Accept: application/dns-message",
  "Accept:",
  "Content-Type: application/dns-message",
  "content-type:  text/plain",
  'Content-Type: a; charset="b"',
  "Content-Encoding: gzip",
  "X-Forwarded-For: 192.0.2.1, 198.51.100.7",
  "x-forwarded-for: 203.0.113.9",
  "X-Real-IP: 192.0.2.1",
  "Connection: keep-alive",
  "Connection: close",
  "Connection: keep-alive, upgrade",
  "Connection: Upgrade, HTTP2-Settings",
  "Proxy-Connection: close",
  "Keep-Alive: timeout=5",
  "Upgrade: h2c",
  "Upgrade: websocket",
  "HTTP2-Settings: AAMAAABkAAQAAP__",
  "Expect: 100-continue",
  "Expect: 200-ok",
  "TE: trailers",
  "Trailer: x",
  "Transfer-Encoding: chunked",
  "Transfer-Encoding : chunked",
  "Transfer-Encoding:\tchunked",
  "Transfer-Encoding: identity",
  "transfer_encoding: chunked",
  "Content-Length: 0",
  "Content-Length: 40",
  "content-length: 40 ",
  "Content-Length : 40",
  "Content-Length: +40",
  "Content-Length: 040",
  "Content-Length: 0x28",
  "Content-Length: 40, 40",
  "Content-Length: 4 0",
  "Content-Length: 39",
  "Content-Length: 41",
  "Content-Length: 18446744073709551656",
  "Content-Length: 4294967336",
  "Content-Length: -1",
  "Content-Length:",
  " folded: Content-Length: 40",
  "\tfolded",
  "X: a\rContent-Length: 40",
  "X: a\nContent-Length: 40",
  "X: a\0b",
  "X: \u00e4\u007f",
  "X\u00e4: b",
  ": empty",
  "no colon",
  "",
  `X: ${"x".repeat(9000)}`,
];
const TARGETS = [
  `/dns-query?dns=${dns}`,
  `/dns-query/tv?dns=${dns}`,
  `/dns-query?dns=${dns}&x=%2f`,
  "/dns-query",
  "/",
  "//host/dns-query",
  `http://doh.example.com/dns-query?dns=${dns}`,
  "*",
  "doh.example.com:443",
  "/dns-query?dns=a b",
  "/dns-query?dns=a\tb",
  "/dns-query#x#y",
  "/\u00e4",
  "/\0",
];

const request = fc
  .record({
    method: fc.oneof(
      { weight: 8, arbitrary: fc.constantFrom("GET", "POST") },
      fc.constantFrom("HEAD", "get", "CONNECT", "PUT", " GET", "\r\nGET"),
    ),
    target: fc.oneof({ weight: 6, arbitrary: fc.constantFrom(...TARGETS.slice(0, 5)) }, fc.constantFrom(...TARGETS)),
    version: fc.oneof(
      { weight: 12, arbitrary: fc.constant("HTTP/1.1") },
      fc.constantFrom("HTTP/1.0", "HTTP/1.2", "http/1.1", "HTTP/2.0", "HTTP/1.1 ", ""),
    ),
    lines: fc.array(
      fc.oneof({ weight: 2, arbitrary: fc.constantFrom(...HEADER_LINES.slice(0, 13)) }, fc.constantFrom(...HEADER_LINES)),
      { maxLength: 6 },
    ),
    length: fc.boolean(),
    lineEnd: fc.oneof({ weight: 12, arbitrary: fc.constant("\r\n") }, fc.constantFrom("\n", "\r", "\r\r\n", "\n\r", " \r\n")),
    hasBody: fc.boolean(),
  })
  .map(({ method, target, version, lines, length, lineEnd, hasBody }) => {
    const isPost = method === "POST";
    const headers = isPost && length ? [...lines, "Content-Type: application/dns-message", "Content-Length: 40"] : lines;
    const head = [`${method} ${target} ${version}`, ...headers, "", ""].join(lineEnd);
    const body = (isPost && length) || hasBody ? Buffer.from(message).toString("latin1") : "";
    return head + body;
  });

/** Requests one behind another, in which some bytes are replaced, and which may end anywhere. */
const stream = fc
  .record({
    requests: fc.array(request, { minLength: 1, maxLength: 3 }),
    changes: fc.array(fc.tuple(fc.nat(2000), fc.oneof(fc.constantFrom(0, 9, 10, 13, 32, 58, 127, 128, 255), fc.nat(255))), {
      maxLength: 2,
    }),
    isChanged: fc.boolean(),
    cut: fc.option(fc.nat(600)),
  })
  .map(({ requests, changes, isChanged, cut }) => {
    const bytes = Buffer.from(requests.join(""), "latin1");
    if (isChanged) for (const [at, byte] of changes) if (at < bytes.length) bytes[at] = byte;
    return cut === null ? bytes : bytes.subarray(0, cut);
  });

describe("a request that is read without Node's parser", () => {
  test("is read as Node's parser reads it, whatever comes before and behind", async () => {
    let read = 0;
    await fc.assert(
      fc.asyncProperty(stream, async (bytes) => {
        const requests = readAll(bytes);
        read += requests.length;
        if (requests.length > 0) expect((await readByNode(bytes)).slice(0, requests.length)).toEqual(requests);
      }),
      { numRuns: runs(20_000) },
    );
    expect(read).toBeGreaterThan(0);
  });

  test("is one of the plain ones, which many clients send", () => {
    const get = `GET /dns-query?dns=${dns} HTTP/1.1\r\nHost: x\r\nAccept: */*\r\nConnection: keep-alive\r\n\r\n`;
    const post = `POST /dns-query HTTP/1.1\r\nHost: x\r\nContent-Type: application/dns-message\r\nContent-Length: 40\r\n\r\n`;
    expect(readAll(Buffer.concat([Buffer.from(get + post), message, Buffer.from(get)]))).toHaveLength(3);
  });

  test.each(HEADER_LINES.slice(15).filter((line) => !/^(?:Keep-Alive|HTTP2|TE|Trailer|transfer_encoding|$)/.test(line)))(
    "has no line %j",
    (line) => {
      const bytes = Buffer.from(`GET /dns-query?dns=${dns} HTTP/1.1\r\n${line}\r\n\r\n`, "latin1");
      expect(readWholeRequest(bytes, 0)).toBeNull();
    },
  );
});

describe("the bytes of the answers do not depend on which parser read the request", () => {
  const post = (headers: string) => `POST /dns-query HTTP/1.1\r\n${headers}\r\n${Buffer.from(message).toString("latin1")}`;
  const TYPE = "Content-Type: application/dns-message\r\n";

  async function answersTo(text: string, isByNode: boolean): Promise<{ bytes: string; clients: Client[] }> {
    const clients: Client[] = [];
    const site = await openSite({
      trustedProxies: ["127.0.0.0/8"],
      handler: handlerOf((wire, client) => {
        clients.push({ ...client, port: 0 });
        if (client.clientId === "ignored") return null;
        const reply = { wire, maxAgeSeconds: client.clientId === "failed" ? null : 60 };
        return client.clientId === "late" ? Promise.resolve(reply) : reply;
      }),
    });
    const connection = await connectRaw(portOf(site, "http"));
    // An empty line before the request is for Node's parser.
    connection.write(Buffer.from(`${isByNode ? "\r\n" : ""}${text}`, "latin1"));
    connection.socket.end();
    const bytes = (await connection.takeRest()).toString("latin1").replace(/Date: [^\r]*/g, "Date");
    return { bytes, clients };
  }

  test.each([
    ["GET", `GET /dns-query?dns=${dns} HTTP/1.1\r\nHost: x\r\n\r\n`],
    ["GET with a client id", `GET /dns-query/tv?dns=${dns} HTTP/1.1\r\nHost: x\r\n\r\n`],
    ["POST", post(`Host: x\r\n${TYPE}Content-Length: 40\r\n`)],
    ["several, one awaited", `GET /dns-query/late?dns=${dns} HTTP/1.1\r\n\r\nGET /dns-query?dns=${dns} HTTP/1.1\r\n\r\n`],
    [
      "an awaited one before a HEAD",
      `GET /dns-query/late?dns=${dns} HTTP/1.1\r\n\r\nHEAD /dns-query?dns=${dns} HTTP/1.1\r\n\r\n`,
    ],
    ["no-store", `GET /dns-query/failed?dns=${dns} HTTP/1.1\r\n\r\n`],
    ["what is no query", `GET /dns-query/ignored?dns=${dns} HTTP/1.1\r\n\r\n`],
    ["JSON", "GET /dns-query?name=example.com HTTP/1.1\r\n\r\n"],
    ["another path", "GET /x HTTP/1.1\r\n\r\n"],
    ["another type", post("Content-Type: text/plain\r\nContent-Length: 40\r\n")],
    ["a compressed body", post(`${TYPE}Content-Encoding: gzip\r\nContent-Length: 40\r\n`)],
    ["a forwarded address", `GET /dns-query?dns=${dns} HTTP/1.1\r\nX-Forwarded-For: 192.0.2.1, 198.51.100.7:53\r\n\r\n`],
    ["a real address", `GET /dns-query?dns=${dns} HTTP/1.1\r\nX-Real-IP: 2001:db8::1\r\n\r\n`],
  ])("%s", async (_title, text) => {
    const own = await answersTo(text, false);
    expect(own.bytes).toMatch(/^HTTP\/1\.1 \d\d\d /);
    expect(own).toEqual(await answersTo(text, true));
  });

  test("an interim response comes behind the answers that are awaited", async () => {
    const late = Promise.withResolvers<void>();
    const handler = handlerOf((wire) => late.promise.then(() => ({ wire, maxAgeSeconds: 1 })));
    const site = await openSite({ handler });
    const connection = await connectRaw(portOf(site, "http"));
    connection.write(`GET /dns-query?dns=${dns} HTTP/1.1\r\n\r\n`);
    connection.write(`POST /dns-query HTTP/1.1\r\n${TYPE}Content-Length: 40\r\nExpect: 100-continue\r\n\r\n`);
    // What another connection is answered meanwhile shows that the server has had its turn.
    const other = await connectRaw(portOf(site, "http"));
    for (let turn = 0; turn < 5; turn++) await other.write("GET /x HTTP/1.1\r\n\r\n").takeResponse();
    late.resolve();
    expect((await connection.takeResponse()).status).toBe(200);
    expect((await connection.take(25)).toString()).toBe("HTTP/1.1 100 Continue\r\n\r\n");
  });
});
