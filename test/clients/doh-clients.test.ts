import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { connect as connectTcp, type Socket } from "node:net";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { decodeMessage } from "../../src/dns/message.ts";
import { rdataText } from "../../src/dns/rdata.ts";
import { type FenliuProcess, makeCertificate, QUIET, startFenliu } from "./fenliu.ts";
import { startNsd } from "./nsd.ts";
import { run } from "./processes.ts";
import { questionBytes } from "./question.ts";
import { Scene } from "./scene.ts";

const scene = new Scene();
let fenliu: FenliuProcess;
let certificate: Awaited<ReturnType<typeof makeCertificate>>;

beforeAll(async () => {
  certificate = await makeCertificate(scene.folder);
  const zones = { example: "page IN A 192.0.2.7\nshort 5 IN A 192.0.2.8\n*.fresh IN A 192.0.2.9" };
  const nsd = await scene.add(startNsd({ folder: join(scene.folder, "nsd"), zones }));
  fenliu = await scene.add(
    startFenliu(
      scene.folder,
      `
listen: { dns: [], https: ["127.0.0.1:0"], http: ["127.0.0.1:0"], admin: null }
tls: { cert: fullchain.pem, key: privkey.pem }
upstreams:
  nsd: { servers: ["127.0.0.1:${nsd.port}"] }
  nobody: { servers: ["127.0.0.1:1"] }
rules:
  - { name: dead, domains: dead.example, upstream: nobody }
hosts:
  records: { web.lan: 127.0.0.1 }
${QUIET}`,
    ),
  );
  for (const name of ["page", "short", "nowhere", "dead"]) writeFileSync(bodyFile(name), questionBytes(`${name}.example`));
});

afterAll(() => scene.close());

const bodyFile = (name: string) => join(scene.folder, `${name}.question`);
const endpoint = (kind: "http" | "https") => `${kind}://localhost:${fenliu.ports[kind]}/dns-query`;
const getUrl = (kind: "http" | "https", name = "page.example") =>
  `${endpoint(kind)}?dns=${questionBytes(name).toString("base64url")}`;
const MESSAGE_TYPE = ["-H", "content-type: application/dns-message"];

interface Response {
  readonly version: string;
  readonly status: number;
  /** All of them, names in lower case; the Date header, which is checked to be there on HTTP/1, is left out. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** What curl says of its connections. */
  readonly verbose: string;
}

/** Runs curl for one response. */
async function curl(...args: readonly string[]): Promise<Response> {
  const [headerFile, body] = [join(scene.folder, "headers"), join(scene.folder, "body")];
  writeFileSync(body, "");
  const common = ["-sS", "-v", "--cacert", certificate.cert, "-D", headerFile, "-o", body];
  const { status, stderr } = await run("curl", [...common, ...args]);
  expect(status, stderr).toBe(0);
  return { ...readHead(readFileSync(headerFile, "latin1")), body: readFileSync(body), verbose: stderr };
}

function readHead(text: string): Pick<Response, "version" | "status" | "headers"> {
  const [first = "", ...lines] = (text.split("\r\n\r\n").findLast((head) => head !== "" && !/^\S+ 100/.test(head)) ?? "").split(
    "\r\n",
  );
  const [version = "", status = ""] = first.split(" ");
  const headers = lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]);
  return { version, status: Number(status), headers: Object.fromEntries(headers.filter(([name]) => name !== "date")) };
}

/** The data of a message's answers, after its rcode: "0 192.0.2.7". */
function read(body: Buffer): string {
  const message = decodeMessage(body);
  if (message === null) throw new Error(`not a message: ${body.toString("hex")}`);
  return [message.rcode, ...message.answers.map(({ data }) => rdataText(data))].join(" ");
}

const answer = { "content-type": "application/dns-message", "content-length": expect.stringMatching(/^\d+$/) };
const KEPT = { connection: "keep-alive", "keep-alive": "timeout=180" };

describe("curl with raw DoH", () => {
  test.each([
    ["http", "--http1.1", "HTTP/1.1", KEPT],
    ["http", "--http1.0", "HTTP/1.1", { connection: "close" }],
    ["http", "--http2-prior-knowledge", "HTTP/2", {}],
    ["https", "--http1.1", "HTTP/1.1", KEPT],
    ["https", "--http1.0", "HTTP/1.1", { connection: "close" }],
    ["https", "--http2", "HTTP/2", {}],
  ] as const)("%s, %s: GET and POST have exactly the headers of RFC 8484", async (kind, option, version, connection) => {
    const requests = [
      [getUrl(kind)],
      [`${getUrl(kind)}==`],
      [getUrl(kind), "-H", "accept:"],
      [getUrl(kind), "-H", "accept: text/html"],
      [getUrl(kind), "--compressed"],
      [endpoint(kind), ...MESSAGE_TYPE, "--data-binary", `@${bodyFile("page")}`],
      [endpoint(kind), ...MESSAGE_TYPE, "-H", "accept:", "--data-binary", `@${bodyFile("page")}`],
      [`${endpoint(kind)}/living-room`, ...MESSAGE_TYPE, "--data-binary", `@${bodyFile("page")}`],
    ];
    for (const request of requests) {
      const response = await curl(option, ...request);
      expect(response, request.join(" ")).toMatchObject({ version, status: 200 });
      expect(response.headers).toEqual({
        ...answer,
        "content-length": String(response.body.length),
        "cache-control": expect.stringMatching(/^max-age=(?:300|299|298|297|296|295)$/),
        ...connection,
      });
      expect(read(response.body)).toBe("0 192.0.2.7");
    }
  });

  test.each([
    ["http", "--http1.1"],
    ["https", "--http1.1"],
    ["https", "--http2"],
  ] as const)("a chunked POST over %s, %s", async (kind, option) => {
    const chunked = ["-H", "transfer-encoding: chunked"];
    const { status, body } = await curl(
      option,
      endpoint(kind),
      ...MESSAGE_TYPE,
      ...chunked,
      "--data-binary",
      `@${bodyFile("page")}`,
    );
    expect({ status, answer: read(body) }).toEqual({ status: 200, answer: "0 192.0.2.7" });
  });

  test("a POST that waits for 100 Continue", async () => {
    const { status, body } = await curl(
      "--http1.1",
      endpoint("http"),
      ...MESSAGE_TYPE,
      "-H",
      "expect: 100-continue",
      "--data-binary",
      `@${bodyFile("page")}`,
    );
    expect({ status, answer: read(body) }).toEqual({ status: 200, answer: "0 192.0.2.7" });
  });

  // Not over h2c: curl 7.88 cannot reuse such a connection, to whichever server.
  test.each([
    ["http", "--http1.1"],
    ["https", "--http1.1"],
    ["https", "--http2"],
  ] as const)("several URLs use one connection: %s, %s", async (kind, option) => {
    const urls = ["page.example", "a.fresh.example", "b.fresh.example"].map((name) => getUrl(kind, name));
    const { verbose } = await curl(option, ...urls);
    expect(verbose.match(/Re-using existing connection/g)).toHaveLength(2);
  });

  test("max-age is the lowest TTL, of a negative that of its SOA, and a failure is no-store", async () => {
    const age = async (name: string) => {
      const { headers, body, status } = await curl(endpoint("http"), ...MESSAGE_TYPE, "--data-binary", `@${bodyFile(name)}`);
      return [status, read(body), headers["cache-control"]];
    };
    expect(await age("short")).toEqual([200, "0 192.0.2.8", "max-age=5"]);
    expect(await age("nowhere")).toEqual([200, "3", "max-age=60"]);
    expect(await age("dead")).toEqual([200, "2", "no-store"]);
  });

  test("a refusal is a short text, and the connection stays open", async () => {
    const post = [endpoint("http"), "--data-binary"];
    const large = join(scene.folder, "large");
    writeFileSync(large, Buffer.alloc(70_000));
    const cases = [
      [400, `${endpoint("http")}?dns=***`],
      [400, endpoint("http")],
      [404, `http://localhost:${fenliu.ports.http}/`],
      [405, endpoint("http"), "-X", "PUT", "--data-binary", "x"],
      [405, endpoint("http"), "-X", "DELETE"],
      [413, ...post, `@${large}`, ...MESSAGE_TYPE, "-H", "expect:"],
      [415, ...post, `@${bodyFile("page")}`, "-H", "content-type: text/plain"],
      [415, ...post, `@${bodyFile("page")}`, ...MESSAGE_TYPE, "-H", "content-encoding: gzip"],
    ] as const;
    for (const [status, ...request] of cases) {
      const allow = status === 405 ? { allow: "GET, HEAD, POST" } : {};
      const { verbose } = await curl("--http1.1", ...request, "--next", "-sS", "-o", "/dev/null", getUrl("http"));
      expect(verbose.match(/^< HTTP.*$/gm)?.map((line) => line.split(" ")[2])).toEqual([`${status}`, "200"]);
      expect(verbose).toContain("Re-using existing connection");
      const refused = await curl("--http1.1", ...request);
      expect(refused.status).toBe(status);
      expect(refused.headers).toEqual({
        "content-type": "text/plain; charset=utf-8",
        "content-length": String(refused.body.length),
        ...allow,
        ...KEPT,
      });
      expect(refused.body.toString()).toMatch(/^[A-Z].*\.\n$/);
    }
  });

  test("HEAD has the headers of GET and no body", async () => {
    const response = await curl("--http1.1", "-I", getUrl("http"));
    expect(response.status).toBe(200);
    expect(response.headers["content-type"]).toBe("application/dns-message");
    expect(Number(response.headers["content-length"])).toBeGreaterThan(40);
  });

  test("an HTTP query by name and type gets JSON", async () => {
    const { headers, body } = await curl("-H", "accept: application/dns-json", `${endpoint("https")}?name=page.example&type=A`);
    expect(headers["content-type"]).toBe("application/dns-json");
    expect(JSON.parse(body.toString())).toMatchObject({
      Status: 0,
      TC: false,
      RD: true,
      RA: true,
      AD: false,
      CD: false,
      Question: [{ name: expect.stringMatching(/^page\.example\.?$/), type: 1 }],
      Answer: [{ name: expect.stringMatching(/^page\.example\.?$/), type: 1, TTL: expect.any(Number), data: "192.0.2.7" }],
    });
    expect((await curl(`${endpoint("http")}?name=page..example`)).status).toBe(400);
  });
});

test("curl finds a server's address by --doh-url", async () => {
  const server = createServer((request, response) => response.end(`this is ${request.headers.host}`)).listen(0, "127.0.0.1");
  await once(server, "listening");
  scene.defer(() => new Promise((resolve) => server.close(resolve)));
  const address = server.address();
  const port = typeof address === "object" ? address?.port : undefined;
  const doh = ["--doh-url", endpoint("https"), "--cacert", certificate.cert];
  const { stdout, stderr } = await run("curl", ["-sS", ...doh, `http://web.lan:${port}/`]);
  expect(stdout + stderr).toBe(`this is web.lan:${port}`);
});

describe("clients that send only the required headers", () => {
  /** Writes a request and reads one response of `content-length` bytes. */
  async function ask(socket: Socket, request: Buffer): Promise<Pick<Response, "version" | "status" | "headers" | "body">> {
    socket.write(request);
    let received = Buffer.alloc(0);
    for (;;) {
      const [chunk] = (await once(socket, "data")) as [Buffer];
      received = Buffer.concat([received, chunk]);
      const end = received.indexOf("\r\n\r\n");
      if (end === -1) continue;
      const head = readHead(received.toString("latin1", 0, end));
      const length = Number(head.headers["content-length"]);
      if (received.length >= end + 4 + length) return { ...head, body: received.subarray(end + 4, end + 4 + length) };
    }
  }

  const post = (body: Buffer) =>
    Buffer.concat([
      Buffer.from("POST /dns-query HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/dns-message\r\n"),
      Buffer.from(`Content-Length: ${body.length}\r\n\r\n`),
      body,
    ]);

  test("HTTP/1.0 without Host gets the answer with its length, and the connection is closed", async () => {
    const socket = connectTcp(fenliu.ports.http, "127.0.0.1");
    const closed = once(socket, "close");
    const response = await ask(
      socket,
      Buffer.from(`${new URL(getUrl("http")).pathname.replace(/^/, "GET ")}${new URL(getUrl("http")).search} HTTP/1.0\r\n\r\n`),
    );
    expect(response.headers).toEqual({
      ...answer,
      "content-length": String(response.body.length),
      "cache-control": expect.stringMatching(/^max-age=\d+$/),
      connection: "close",
    });
    expect(read(response.body)).toBe("0 192.0.2.7");
    await closed;
  });

  test("HTTP/1.0 with Connection: keep-alive is answered twice on one connection", async () => {
    const socket = connectTcp(fenliu.ports.http, "127.0.0.1");
    const { pathname, search } = new URL(getUrl("http"));
    for (let turn = 0; turn < 2; turn++) {
      const response = await ask(socket, Buffer.from(`GET ${pathname}${search} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n`));
      expect(response.headers["connection"]).toBe("keep-alive");
      expect(read(response.body)).toBe("0 192.0.2.7");
    }
    socket.destroy();
  });

  test("a router's DoH: POST after POST on one TLS connection, with Host, Content-Type and Content-Length alone", async () => {
    const ca = readFileSync(certificate.cert);
    const socket = connectTls({
      port: fenliu.ports.https,
      host: "127.0.0.1",
      servername: "localhost",
      ca,
      ALPNProtocols: ["http/1.1"],
    });
    await once(socket, "secureConnect");
    for (let turn = 0; turn < 5; turn++) {
      const response = await ask(socket, post(questionBytes(`router-${turn}.fresh.example`)));
      expect(response).toMatchObject({ version: "HTTP/1.1", status: 200 });
      expect(response.headers).toEqual({
        ...answer,
        "content-length": String(response.body.length),
        "cache-control": "max-age=300",
        ...KEPT,
      });
      expect(read(response.body)).toBe("0 192.0.2.9");
    }
    socket.destroy();
  });

  test("a router's DoH by GET, without ALPN", async () => {
    const ca = readFileSync(certificate.cert);
    const socket = connectTls({ port: fenliu.ports.https, host: "127.0.0.1", servername: "localhost", ca });
    await once(socket, "secureConnect");
    for (let turn = 0; turn < 3; turn++) {
      const { pathname, search } = new URL(getUrl("https", `get-${turn}.fresh.example`));
      const response = await ask(socket, Buffer.from(`GET ${pathname}${search} HTTP/1.1\r\nHost: localhost\r\n\r\n`));
      expect(read(response.body)).toBe("0 192.0.2.9");
    }
    socket.destroy();
  });

  test("a request that comes byte by byte is answered", async () => {
    const socket = connectTcp({ port: fenliu.ports.http, host: "127.0.0.1", noDelay: true });
    const request = post(questionBytes("slow.fresh.example"));
    for (const byte of request.subarray(0, -1)) await new Promise((resolve) => socket.write(Uint8Array.of(byte), resolve));
    expect(read((await ask(socket, request.subarray(-1))).body)).toBe("0 192.0.2.9");
    socket.destroy();
  });

  test("bytes that are not HTTP get 400, and the connection is closed", async () => {
    const socket = connectTcp(fenliu.ports.http, "127.0.0.1");
    const closed = once(socket, "close");
    expect((await ask(socket, questionBytes("page.example"))).status).toBe(400);
    await closed;
  });
});
