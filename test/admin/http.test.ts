import { connect } from "node:net";
import { describe, expect, test } from "vitest";
import type { QuerySource } from "../../src/admin/control.ts";
import { connectRaw, RawConnection } from "../listen/support/raw.ts";
import { record } from "../log/records.ts";
import { openTestAdmin } from "./support/admin.ts";
import { rawRequest } from "./support/raw-request.ts";

describe("a client that goes away", () => {
  test.each(["/api/v1/queries", "/api/v1/queries/volume"])("is not searched for any longer: %s", async (path) => {
    const admin = await openTestAdmin();
    const queries: QuerySource = admin.control.queries;
    const begun = Promise.withResolvers<AbortSignal>();
    const gone = Promise.withResolvers<void>();
    const wait = async (signal: AbortSignal | undefined) => {
      if (signal === undefined) return expect.unreachable();
      signal.addEventListener("abort", () => gone.resolve());
      begun.resolve(signal);
      await gone.promise;
    };
    const [search, volume] = [queries.search.bind(queries), queries.volume.bind(queries)];
    queries.search = async (request, signal) => wait(signal).then(() => search(request));
    queries.volume = async (request, signal) => wait(signal).then(() => volume(request));
    const connection = await connectRaw(admin.port);
    connection.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${admin.port}\r\n\r\n`);
    const signal = await begun.promise;
    await admin.get("/healthz");
    expect(signal.aborted).toBe(false);
    connection.socket.destroy();
    await gone.promise;
    expect(admin.faults).toEqual([]);
  });
});

describe("methods", () => {
  test("HEAD gives the head of GET, for every path that has one", async () => {
    const admin = await openTestAdmin();
    admin.control.queries.add(record({ id: 5 }));
    for (const { method, path } of (await admin.document()).operations()) {
      if (method !== "GET") continue;
      const called =
        path
          .replace("lists/{name}", "lists/cn")
          .replace("{id}", "5")
          .replace("{name}", "nas.lan")
          .replace("{before}", "0c41b2aa97d3")
          .replace("{after}", "7f3a91c2d0e4")
          .replace("{ticket}", "gkY0b2ZQwzX1c3Vr") + (QUERIES[path] ?? "");
      const head = await admin.call("HEAD", called);
      expect({ called, status: head.status, body: head.body }).toEqual({ called, status: 200, body: "" });
      expect(head.headers.get("content-type")).not.toBeNull();
    }
    expect(admin.control.queries.readers).toBe(0);
  });

  test.each([
    ["OPTIONS", "/api/v1/queries", "GET, HEAD"],
    ["POST", "/api/v1/queries", "GET, HEAD"],
    ["PATCH", "/api/v1/hosts/nas.lan", "DELETE, GET, HEAD, PUT"],
    ["DELETE", "/healthz", "GET, HEAD"],
    ["GET", "/api/v1/reload", "POST"],
    ["GET", "/api/v1/lists/cn/refresh", "POST"],
    ["PUT", "/docs", "GET, HEAD"],
  ])("%s is not for %s, and the response says which methods are", async (method, path, allow) => {
    const admin = await openTestAdmin();
    const response = await fetch(admin.base + path, { method, headers: { "content-type": "application/json" } });
    expect(await response.json()).toMatchObject({ status: 405, title: "Method Not Allowed" });
    expect({ status: response.status, allow: response.headers.get("allow") }).toEqual({ status: 405, allow });
  });

  test("a preflight gets no CORS permission", async () => {
    const admin = await openTestAdmin();
    const response = await fetch(`${admin.base}/api/v1/hosts/a.lan`, {
      method: "OPTIONS",
      headers: {
        origin: "https://evil.example",
        "access-control-request-method": "PUT",
        "access-control-request-headers": "content-type",
      },
    });
    await response.arrayBuffer();
    expect(response.status).toBe(403);
    expect([...response.headers.keys()].filter((name) => name.startsWith("access-control"))).toEqual([]);
  });

  test.each(["BREW", "PROPFIND", "TRACE", "QUERY"])("%s, which is unknown to HTTP or to us, is refused", async (method) => {
    const admin = await openTestAdmin();
    const { status } = await rawRequest(admin.port, [`${method} /healthz HTTP/1.1`, `Host: 127.0.0.1:${admin.port}`]);
    expect([400, 405]).toContain(status);
  });
});

const QUERIES: Readonly<Record<string, string>> = {
  "/api/v1/explain": "?name=www.example.com",
  "/api/v1/queries/export": "?format=ndjson",
  "/api/v1/lists/{name}/lines": "?source=rules/cn-domains.txt&around=3",
};

describe("paths", () => {
  test.each([
    "/api",
    "/api/v1",
    "/api/v1/",
    "/api/v1/nothing",
    "/api/v2/queries",
    "/healthz/",
    "/API/v1/queries",
    "//healthz",
    "/api/v1/queries/1/2",
    "/docs/static/nothing.js",
    "/docs/static/..%2fpackage.json",
    "/api%2fv1/config",
    "/api/v1//config",
    "/api/v1/config.",
    "/healthz;x=1",
  ])("%s does not exist, and gets problem details", async (path) => {
    const admin = await openTestAdmin();
    const { status, headers, body } = await admin.get(path);
    expect({ status, type: headers.get("content-type") }).toEqual({
      status: 404,
      type: "application/problem+json; charset=utf-8",
    });
    expect(body).toMatchObject({ type: "about:blank", title: "Not Found", status: 404, problems: [] });
  });

  test.each(["/%", "/api/v1/hosts/%zz", "/api/v1/hosts/%ff", "/api/v1/hosts/%", "/api/v1/queries/%00"])(
    "%s is malformed, and causes no fault of ours",
    async (path) => {
      const admin = await openTestAdmin();
      const { status, headers, body } = await rawRequest(admin.port, [`GET ${path} HTTP/1.1`, `Host: 127.0.0.1:${admin.port}`]);
      expect([400, 404]).toContain(status);
      expect(headers).toMatchObject({
        "content-type": "application/problem+json; charset=utf-8",
        "x-content-type-options": "nosniff",
      });
      expect(body).toMatchObject({ status });
      expect(admin.faults).toEqual([]);
    },
  );

  test("a name in a path may have any percent-encoded character", async () => {
    const admin = await openTestAdmin();
    const name = "*.a/b?c#d%.lan";
    await admin.call("PUT", `/api/v1/hosts/${encodeURIComponent(name)}`, { json: { address: "10.0.0.7" } });
    expect((await admin.get(`/api/v1/hosts/${encodeURIComponent(name)}`)).body).toMatchObject({ name });
  });
});

describe("parameters", () => {
  const wrong = async (path: string) => (await (await openTestAdmin()).get(path)).body;

  test("that are unknown are named, with the known ones", async () => {
    expect(await wrong("/api/v1/explain?name=a.example&typ=A")).toMatchObject({
      status: 400,
      detail: "typ: is not known here; there are name, type, client, clientId, resolve, version, at",
      problems: [{ parameter: "typ", reason: "is not known here; there are name, type, client, clientId, resolve, version, at" }],
    });
    expect(await wrong("/api/v1/upstreams?x=1")).toMatchObject({
      problems: [{ parameter: "x", reason: "is not known here: none is" }],
    });
    expect(await wrong("/healthz?__proto__=1&constructor=2")).toMatchObject({
      problems: [{ parameter: "__proto__" }, { parameter: "constructor" }],
    });
  });

  test("that are wrong are all named, with the valid forms", async () => {
    expect(await wrong("/api/v1/queries?limit=0&type=%21&from=yesterday")).toMatchObject({
      problems: [{ parameter: "limit", reason: "must be >= 1" }],
    });
    expect(await wrong("/api/v1/queries?type=%21&from=yesterday&source=nowhere")).toMatchObject({
      problems: [{ parameter: "type" }, { parameter: "from" }, { parameter: "source" }],
    });
    expect(await wrong("/api/v1/queries?limit=many")).toMatchObject({
      problems: [{ parameter: "limit", reason: "must be integer" }],
    });
    expect(await wrong("/api/v1/queries?limit=1&limit=2")).toMatchObject({
      problems: [{ parameter: "limit", reason: "must be integer" }],
    });
    expect(await wrong("/api/v1/explain")).toMatchObject({ problems: [{ parameter: "name", reason: "is missing" }] });
    expect(await wrong("/api/v1/explain?name=a.example&resolve=yes")).toMatchObject({
      problems: [{ parameter: "resolve", reason: "must be true or false" }],
    });
    expect(await wrong("/api/v1/explain?name=a.example&at=soon")).toMatchObject({
      problems: [{ parameter: "at", reason: expect.stringContaining("is no time") }],
    });
    expect(await wrong("/api/v1/stats?step=5x")).toMatchObject({
      problems: [{ parameter: "step", reason: expect.stringContaining("`5m`, or a number of seconds") }],
    });
    expect(await wrong("/api/v1/queries/export?format=xml")).toMatchObject({
      problems: [{ parameter: "format", reason: "is none of csv, ndjson" }],
    });
    expect(await wrong("/api/v1/queries/99999999999999999")).toMatchObject({
      problems: [{ parameter: "id", reason: "must be integer" }],
    });
    expect(await wrong("/api/v1/stats?from=1h&to=2h")).toMatchObject({ problems: [{ parameter: "from" }] });
    expect(await wrong("/api/v1/stats?from=2030-01-01")).toMatchObject({ problems: [{ parameter: "from" }] });
  });

  test("in a body are named by their path", async () => {
    const admin = await openTestAdmin();
    const put = async (json: unknown) => (await admin.call("PUT", "/api/v1/hosts/a.lan", { json })).body;
    expect(await put({ address: "10.0.0.7", https: { port: "8443" } })).toMatchObject({
      problems: [{ parameter: "https.port", reason: "must be integer" }],
    });
    expect(await put({ adress: "10.0.0.7" })).toMatchObject({
      problems: [{ parameter: "adress", reason: "is not known here; there are address, cname, others, a, aaaa, forward, https" }],
    });
    for (const address of [5, ["10.0.0.7", 5], Array.from({ length: 20 }, (_, index) => index), ""])
      expect(await put({ address })).toMatchObject({
        detail: "address: has none of the forms that are wanted",
        problems: [{ parameter: "address", reason: "has none of the forms that are wanted" }],
      });
  });

  test("that the control refuses are reported with its reason", async () => {
    const admin = await openTestAdmin();
    expect((await admin.call("PUT", "/api/v1/hosts/a.lan", { json: {} })).body).toMatchObject({
      status: 400,
      detail: "a.lan has neither address nor cname",
      problems: [],
    });
    expect((await admin.call("POST", "/api/v1/whatif", { json: { config: "" } })).body).toMatchObject({
      status: 400,
      detail: "2 problems",
      problems: [
        { parameter: null, reason: "the draft is empty" },
        { parameter: null, reason: "and there is nothing in it" },
      ],
    });
    expect((await admin.call("POST", "/api/v1/lists/broken/refresh")).body).toMatchObject({ status: 502, title: "Bad Gateway" });
    expect((await admin.call("POST", "/api/v1/lists/none/refresh")).status).toBe(404);
    expect((await admin.get("/api/v1/explain?name=a.example&version=v0")).status).toBe(404);
    expect((await admin.get("/api/v1/hosts/none.lan")).status).toBe(404);
    expect((await admin.call("DELETE", "/api/v1/hosts/none.lan")).status).toBe(404);
    expect((await admin.get("/api/v1/queries/7")).status).toBe(404);
    expect((await admin.get("/api/v1/routeros.rsc?url=http://doh.example")).status).toBe(400);
  });
});

describe("connections", () => {
  test("beyond the limit are closed at once, and a closed one makes room", async () => {
    const admin = await openTestAdmin({ limits: { connections: 2 } });
    const open = async () => {
      const connection = new RawConnection(connect({ port: admin.port, host: "127.0.0.1" }));
      connection.write(`GET /healthz HTTP/1.1\r\nHost: localhost:${admin.port}\r\n\r\n`);
      return { connection, isServed: await connection.takeResponse().then(Boolean, () => false) };
    };
    const first = await open();
    expect([first.isServed, (await open()).isServed, (await open()).isServed]).toEqual([true, true, false]);
    first.connection.socket.destroy();
    // The server sees the end of the first connection a moment later.
    while (!(await open()).isServed);
  });
});

describe("a connection", () => {
  test("answers pipelined requests in their order", async () => {
    const admin = await openTestAdmin();
    const connection = await connectRaw(admin.port);
    const request = (method: string, path: string, rest = "") =>
      `${method} ${path} HTTP/1.1\r\nHost: 127.0.0.1:${admin.port}\r\n${rest}\r\n`;
    const body = '{"config":"rules: 5"}';
    connection.write(
      request("GET", "/healthz") +
        request("POST", "/api/v1/config/check", `content-type: application/json\r\ncontent-length: ${body.length}\r\n`) +
        body +
        request("GET", "/nowhere") +
        request("GET", "/api/v1/hosts/nas.lan"),
    );
    const responses = [
      await connection.takeResponse(),
      await connection.takeResponse(),
      await connection.takeResponse(),
      await connection.takeResponse(),
    ];
    expect(responses.map(({ status }) => status)).toEqual([200, 200, 404, 200]);
    expect(responses[3]?.body.toString()).toContain('"nas.lan"');
  });

  test("with an unknown expectation is answered as if there were none", async () => {
    const admin = await openTestAdmin();
    const connection = await connectRaw(admin.port);
    const head = (expectation: string, path = "/healthz") =>
      `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${admin.port}\r\nExpect: ${expectation}\r\n\r\n`;
    connection.write(head("wonders") + head("wonders", "/nowhere"));
    expect((await connection.takeResponse()).status).toBe(200);
    expect(await connection.takeResponse()).toMatchObject({ status: 404, headers: { "x-content-type-options": "nosniff" } });
  });

  test.each(["\r\n\r\nnonsense\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00", "GET /healthz\r\n\r\n"])(
    "with bytes that are no HTTP gets 400 and is closed: %j",
    async (bytes) => {
      const admin = await openTestAdmin();
      const connection = await connectRaw(admin.port);
      connection.write(bytes);
      expect((await connection.takeRest()).toString()).toMatch(
        /^HTTP\/1\.1 400 [\s\S]*connection: close\r\n\r\n\{"type":"about:blank"/i,
      );
      expect((await admin.get("/healthz")).status).toBe(200);
    },
  );

  test("with an unfinished head is closed with 408", async () => {
    const admin = await openTestAdmin({ limits: { headersMs: 100 } });
    const connection = await connectRaw(admin.port);
    connection.write(`GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:${admin.port}\r\nx-slow: `);
    expect((await connection.takeRest()).toString()).toMatch(/^HTTP\/1\.1 408 /);
  });

  test("with an unfinished body is closed with 408, which is no fault of ours", async () => {
    const admin = await openTestAdmin({ limits: { headersMs: 100, requestMs: 200 } });
    const connection = await connectRaw(admin.port);
    const head = `POST /api/v1/config/check HTTP/1.1\r\nHost: 127.0.0.1:${admin.port}\r\ncontent-type: application/json\r\n`;
    connection.write(`${head}content-length: 100\r\n\r\n{"config"`);
    expect((await connection.takeRest()).toString()).toMatch(/^HTTP\/1\.1 408 /);
    await admin.get("/healthz");
    expect(admin.faults).toEqual([]);
  });

  test("that asks for an upgrade goes on as HTTP/1.1", async () => {
    const admin = await openTestAdmin();
    const { status } = await rawRequest(admin.port, [
      "GET /healthz HTTP/1.1",
      `Host: 127.0.0.1:${admin.port}`,
      "Connection: Upgrade, HTTP2-Settings",
      "Upgrade: h2c",
      "HTTP2-Settings: AAMAAABkAAQAAP__",
    ]);
    expect(status).toBe(200);
  });
});
