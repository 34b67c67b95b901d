import { describe, expect, test } from "vitest";
import { openTestAdmin, type TestAdmin } from "./support/admin.ts";
import { rawRequest } from "./support/raw-request.ts";

/** The status of a GET with these lines in its head, `Host` among them. */
async function statusOf(admin: TestAdmin, path: string, ...lines: readonly string[]): Promise<number> {
  const { status } = await rawRequest(admin.port, [`GET ${path} HTTP/1.1`, ...lines]);
  return status;
}

describe("a token", () => {
  const CLOSED = ["/api/v1/queries", "/api/v1/queries/stream", "/api/v1/config", "/metrics", "/nowhere", "/api/v1/hosts/nas.lan"];

  test.each(CLOSED)("is needed for %s", async (path) => {
    const admin = await openTestAdmin({ token: "correct-horse" });
    const { status, headers, body } = await admin.get(path, { headers: { authorization: "" } });
    expect(status).toBe(401);
    expect(headers.get("www-authenticate")).toMatch(/^Bearer realm="fenliu"/);
    expect(JSON.stringify(body)).not.toContain("correct-horse");
  });

  test.each(["/", "/queries", "/house/lists", "/assets/well-1234.svg", "/healthz", "/readyz", "/openapi.json", "/docs"])(
    "is not needed for %s",
    async (path) => {
      const admin = await openTestAdmin({ token: "correct-horse" });
      const response = await fetch(admin.base + path);
      await response.arrayBuffer();
      expect(response.status).toBe(200);
    },
  );

  test.each([
    ["Bearer correct-horse", 200],
    ["bearer  correct-horse", 200],
    ["Bearer correct-horsf", 401],
    ["Bearer correct-hors", 401],
    ["Bearer correct-horse2", 401],
    ["Bearer", 401],
    ["Bearer correct-horse correct-horse", 401],
    ["Basic correct-horse", 401],
    ["correct-horse", 401],
  ])("%j gets %d", async (authorization, status) => {
    const admin = await openTestAdmin({ token: "correct-horse" });
    expect((await admin.get("/api/v1/upstreams", { headers: { authorization } })).status).toBe(status);
  });

  test("is refused if the header comes twice, because a proxy may have checked the other one", async () => {
    const admin = await openTestAdmin({ token: "correct-horse" });
    const lines = ["Authorization: Bearer correct-horse", "Authorization: Bearer correct-horse"];
    expect(await statusOf(admin, "/api/v1/upstreams", `Host: 127.0.0.1:${admin.port}`, ...lines)).toBe(400);
    expect(await statusOf(admin, "/api/v1/upstreams", `Host: 127.0.0.1:${admin.port}`, lines[0] ?? "")).toBe(200);
  });

  test("in the URL is an unknown parameter", async () => {
    const admin = await openTestAdmin({ token: "correct-horse" });
    const { status, body } = await admin.get("/api/v1/upstreams?token=correct-horse");
    expect(status).toBe(400);
    expect(body).toMatchObject({ problems: [{ parameter: "token" }] });
    expect((await admin.get("/api/v1/upstreams?token=correct-horse", { headers: { authorization: "" } })).status).toBe(401);
  });

  test("that is wrong costs the client ten requests of its rate, so that guessing is slow", async () => {
    const admin = await openTestAdmin({
      token: "correct-horse",
      limits: { requestBurst: 30, requestsPerSecond: 1, wrongTokenCost: 10 },
    });
    const wrong = { headers: { authorization: "Bearer wrong" } };
    const statuses: number[] = [];
    for (let guess = 0; guess < 4; guess++) {
      const response = await fetch(`${admin.base}/api/v1/config`, wrong);
      await response.arrayBuffer();
      statuses.push(response.status);
    }
    expect(statuses).toEqual([401, 401, 401, 429]);
  });

  test("cannot be guessed fast by a local process that names another client in each request", async () => {
    const limits = { requestBurst: 30, requestsPerSecond: 1, wrongTokenCost: 10 };
    const admin = await openTestAdmin({ token: "correct-horse", limits, trustedProxies: ["127.0.0.0/8"] });
    const statuses: number[] = [];
    for (let guess = 0; guess < 31; guess++) {
      const headers = { authorization: "Bearer wrong", "x-forwarded-for": `10.0.0.${guess}` };
      const response = await fetch(`${admin.base}/api/v1/config`, { headers });
      await response.arrayBuffer();
      statuses.push(response.status);
    }
    expect(statuses.filter((status) => status === 401).length).toBeLessThanOrEqual(30);
    expect(statuses.at(-1)).toBe(429);
  });
});

describe("a reload", () => {
  test("that changes token and hosts takes effect at the next request", async () => {
    const admin = await openTestAdmin({ token: "correct-horse", hosts: ["old.example"] });
    const call = async (token: string, host: string) =>
      statusOf(admin, "/api/v1/upstreams", `Host: ${host}`, `Authorization: Bearer ${token}`);
    expect(await call("correct-horse", "old.example")).toBe(200);
    admin.options.now = { token: "battery-staple", hosts: ["new.example"] };
    expect(await call("correct-horse", "new.example")).toBe(401);
    expect(await call("battery-staple", "old.example")).toBe(421);
    expect(await call("battery-staple", "new.example")).toBe(200);
  });

  test("that removes the token closes the API if other machines can reach it, and opens the API on loopback", async () => {
    const reachable = await openTestAdmin({ token: "correct-horse", address: "0.0.0.0" });
    reachable.options.now = { token: null, hosts: [] };
    expect((await fetch(`http://127.0.0.1:${reachable.port}/api/v1/upstreams`)).status).toBe(401);
    const own = await openTestAdmin({ token: "correct-horse" });
    own.options.now = { token: null, hosts: [] };
    expect((await own.get("/api/v1/upstreams")).status).toBe(200);
  });
});

describe("a Host header", () => {
  test.each([
    ["127.0.0.1:PORT", 200],
    ["localhost:PORT", 200],
    ["LocalHost.:PORT", 200],
    ["[::1]:PORT", 200],
    ["127.0.0.2:PORT", 200],
    ["fenliu.home", 200],
    ["FENLIU.home.:8443", 200],
    ["10.0.0.9", 200],
    ["rebound.example:PORT", 421],
    ["rebound.example", 421],
    ["127.0.0.1", 421],
    ["127.0.0.1:1", 421],
    ["localhost", 421],
    ["localhost.rebound.example:PORT", 421],
    ["192.168.1.1:PORT", 421],
    ["user@127.0.0.1:PORT", 421],
    ["127.0.0.1:PORT/x", 421],
    ["", 421],
    ["fenliu.home.rebound.example", 421],
  ])("%j gets %d", async (host, status) => {
    const admin = await openTestAdmin({ hosts: ["fenliu.home", "10.0.0.9"] });
    expect(await statusOf(admin, "/api/v1/upstreams", `Host: ${host.replace("PORT", String(admin.port))}`)).toBe(status);
  });

  test("of another server is refused with a reason, also for open routes", async () => {
    const admin = await openTestAdmin({ token: "correct-horse" });
    for (const path of ["/healthz", "/readyz", "/openapi.json", "/docs", "/docs/json", "/metrics", "/nowhere"])
      expect(await statusOf(admin, path, "Host: rebound.example")).toBe(421);
    const { body } = await rawRequest(admin.port, ["GET /readyz HTTP/1.1", "Host: rebound.example"]);
    expect(body).toMatchObject({
      detail: '"rebound.example" is not a name of this server; names it may be called by stand in admin.hosts',
    });
  });

  test("must come exactly once in HTTP/1.1, and may be missing in HTTP/1.0, which no browser speaks", async () => {
    const admin = await openTestAdmin();
    const own = `Host: 127.0.0.1:${admin.port}`;
    expect(await statusOf(admin, "/healthz")).toBe(400);
    expect(await statusOf(admin, "/healthz", own, own)).toBe(400);
    expect(await statusOf(admin, "/healthz", own, "Host: rebound.example")).toBe(400);
    expect((await rawRequest(admin.port, ["GET /healthz HTTP/1.0"])).status).toBe(200);
  });

  test("cannot be overridden by an absolute target", async () => {
    const admin = await openTestAdmin();
    expect(await statusOf(admin, "http://rebound.example/healthz", `Host: 127.0.0.1:${admin.port}`)).toBe(400);
  });
});

describe("a page of another origin", () => {
  const put = (headers: Readonly<Record<string, string>>) => ({ json: { address: "10.0.0.7" }, headers });

  test.each(["cross-site", "same-site", "none", "anything"])("cannot change anything (Sec-Fetch-Site: %s)", async (site) => {
    const admin = await openTestAdmin();
    expect((await admin.call("PUT", "/api/v1/hosts/a.lan", put({ "sec-fetch-site": site }))).status).toBe(403);
    expect(admin.control.host("a.lan")).toBeNull();
  });

  test.each(["cross-site", "same-site"])(
    "cannot read either, because streams and resolving cost something (%s)",
    async (site) => {
      const admin = await openTestAdmin();
      const headers = { "sec-fetch-site": site };
      expect((await admin.get("/api/v1/queries/stream", { headers })).status).toBe(403);
      expect((await admin.get("/api/v1/explain?name=a.example&resolve=true", { headers })).status).toBe(403);
      expect((await admin.get("/metrics", { headers })).status).toBe(403);
      expect((await admin.get("/healthz", { headers })).status).toBe(200);
    },
  );

  test.each(["https://evil.example", "null", "http://127.0.0.1:1", "http://localhost", "chrome-extension://abc", "garbage"])(
    "is recognized by its Origin: %s",
    async (origin) => {
      const admin = await openTestAdmin();
      expect((await admin.call("PUT", "/api/v1/hosts/a.lan", put({ origin }))).status).toBe(403);
    },
  );

  test("of our own origin may change and read, also if a proxy speaks TLS for us", async () => {
    const admin = await openTestAdmin();
    for (const scheme of ["http", "https"]) {
      const headers = { "sec-fetch-site": "same-origin", origin: `${scheme}://127.0.0.1:${admin.port}` };
      expect((await admin.call("PUT", "/api/v1/hosts/a.lan", put(headers))).status).toBe(200);
    }
    expect((await admin.get("/api/v1/upstreams", { headers: { "sec-fetch-site": "none" } })).status).toBe(200);
  });

  test("gets no CORS permission", async () => {
    const admin = await openTestAdmin();
    for (const path of ["/healthz", "/api/v1/upstreams", "/docs/json"]) {
      const { headers } = await admin.get(path, { headers: { origin: admin.base } });
      expect([...headers.keys()].filter((name) => name.startsWith("access-control"))).toEqual([]);
      expect(headers.get("cross-origin-resource-policy")).toBe("same-origin");
      expect(headers.get("x-frame-options")).toBe("DENY");
      expect(headers.get("x-content-type-options")).toBe("nosniff");
    }
  });
});

describe("an unsafe method", () => {
  test.each([
    ["PUT", "/api/v1/hosts/a.lan", '{"address":"10.0.0.7"}'],
    ["DELETE", "/api/v1/hosts/nas.lan", undefined],
    ["DELETE", "/api/v1/cache?name=a.example", undefined],
    ["POST", "/api/v1/reload", undefined],
    ["POST", "/api/v1/lists/cn/refresh", undefined],
    ["POST", "/api/v1/whatif", '{"config":""}'],
    ["POST", "/api/v1/config/check", '{"config":""}'],
  ])("%s %s needs the content type of JSON, which no form can send", async (method, path, body) => {
    const admin = await openTestAdmin();
    for (const type of [
      "text/plain",
      "application/x-www-form-urlencoded",
      "multipart/form-data; boundary=x",
      "application/jsonp",
      "",
    ]) {
      const { status } = await admin.call(method, path, {
        headers: { "content-type": type },
        ...(body === undefined ? {} : { body }),
      });
      expect(status).toBe(415);
    }
    expect(admin.control.host("nas.lan")).not.toBeNull();
  });

  test.each(["gzip", "br", "gzip, identity"])("with a compressed body is refused: %s", async (encoding) => {
    const admin = await openTestAdmin();
    const packed = { json: { config: "" }, headers: { "content-encoding": encoding } };
    expect((await admin.call("POST", "/api/v1/config/check", packed)).status).toBe(415);
    const plain = { json: { config: "" }, headers: { "content-encoding": "identity" } };
    expect((await admin.call("POST", "/api/v1/config/check", plain)).status).toBe(200);
  });

  test("that needs no body may have none or an empty object, but nothing else", async () => {
    const admin = await openTestAdmin();
    expect((await admin.call("POST", "/api/v1/reload")).status).toBe(200);
    expect((await admin.call("POST", "/api/v1/reload", { body: "{}" })).status).toBe(200);
    expect(
      (await admin.call("POST", "/api/v1/reload", { headers: { "content-type": "application/json; charset=utf-8" } })).status,
    ).toBe(200);
    expect((await admin.call("POST", "/api/v1/reload", { body: '{"now":true}' })).status).toBe(400);
    expect((await admin.call("DELETE", "/api/v1/hosts/nas.lan", { body: "[1]" })).status).toBe(400);
    expect((await admin.call("DELETE", "/api/v1/hosts/nas.lan")).status).toBe(204);
  });

  test.each([
    "{",
    '"',
    '{"config":',
    "[1,]",
    "\u0000",
    '{"__proto__":{"x":1},"config":""}',
    '{"constructor":{"prototype":{}},"config":""}',
  ])("with invalid or malicious JSON is refused: %j", async (body) => {
    const admin = await openTestAdmin();
    expect((await admin.call("POST", "/api/v1/config/check", { body })).status).toBe(400);
  });

  test("without its body learns which body is missing", async () => {
    const admin = await openTestAdmin();
    expect((await admin.call("POST", "/api/v1/config/check")).body).toMatchObject({
      status: 400,
      detail: "the body must be object",
    });
    expect((await admin.call("POST", "/api/v1/config/check", { body: "{}" })).body).toMatchObject({
      problems: [{ parameter: "config", reason: "is missing" }],
    });
  });
});

describe("a client", () => {
  test("that sends too many requests learns when to try again, and may then", async () => {
    const admin = await openTestAdmin({ limits: { requestBurst: 3, requestsPerSecond: 0.5 } });
    const ask = async () => {
      const response = await fetch(`${admin.base}/healthz`);
      await response.arrayBuffer();
      return { status: response.status, wait: response.headers.get("retry-after"), type: response.headers.get("content-type") };
    };
    expect([await ask(), await ask(), await ask()].map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(await ask()).toEqual({ status: 429, wait: "2", type: "application/problem+json; charset=utf-8" });
    await admin.clock.advance(2000);
    expect((await ask()).status).toBe(200);
  });

  test("does not use up the rate of other clients", async () => {
    const admin = await openTestAdmin({ limits: { requestBurst: 1, requestsPerSecond: 0.5 } });
    const ask = async (localAddress: string) => {
      const lines = ["GET /healthz HTTP/1.1", `Host: localhost:${admin.port}`];
      return (await rawRequest(admin.port, lines, { localAddress })).status;
    };
    expect(await ask("127.0.0.5")).toBe(200);
    expect(await ask("127.0.0.5")).toBe(429);
    expect(await ask("127.0.0.6")).toBe(200);
  });
});

describe("a reverse proxy", () => {
  const via = async (admin: TestAdmin, ...lines: readonly string[]) =>
    statusOf(admin, "/healthz", `Host: 127.0.0.1:${admin.port}`, ...lines);

  test("that is trusted has a rate for each client behind it", async () => {
    const admin = await openTestAdmin({
      trustedProxies: ["127.0.0.0/8"],
      limits: { requestBurst: 1, requestsPerSecond: 0.5 },
    });
    expect(await via(admin, "X-Forwarded-For: 192.0.2.7")).toBe(200);
    expect(await via(admin, "X-Forwarded-For: 192.0.2.7")).toBe(429);
    expect(await via(admin, "X-Forwarded-For: 198.51.100.1, 192.0.2.7")).toBe(429);
    expect(await via(admin, "X-Forwarded-For: 198.51.100.1", "X-Forwarded-For: 192.0.2.7")).toBe(429);
    expect(await via(admin, "X-Forwarded-For: 192.0.2.8")).toBe(200);
    expect(await via(admin, "X-Real-IP: 2001:db8:1:2::9")).toBe(200);
    expect(await via(admin, "X-Real-IP: 2001:db8:1:2:3::9")).toBe(429);
    expect(await via(admin)).toBe(200);
    expect(await via(admin, "X-Forwarded-For: nobody")).toBe(429);
  });

  test("that is not trusted counts as one client", async () => {
    const admin = await openTestAdmin({
      trustedProxies: ["192.0.2.1"],
      limits: { requestBurst: 1, requestsPerSecond: 0.5 },
    });
    expect(await via(admin, "X-Forwarded-For: 192.0.2.7")).toBe(200);
    expect(await via(admin, "X-Forwarded-For: 192.0.2.8", "X-Real-IP: 192.0.2.9")).toBe(429);
  });
});

describe("too large", () => {
  test("a URL gets 414", async () => {
    const admin = await openTestAdmin({ limits: { urlLength: 2000 } });
    expect((await admin.get(`/api/v1/queries?name=${"a".repeat(2000)}`)).status).toBe(414);
  });

  test("headers get 431 and the end of the connection", async () => {
    const admin = await openTestAdmin({ limits: { headerBytes: 4096 } });
    const lines = ["GET /healthz HTTP/1.1", `Host: 127.0.0.1:${admin.port}`, `x-long: ${"a".repeat(5000)}`];
    const { status, headers, body } = await rawRequest(admin.port, lines);
    expect({ status, connection: headers["connection"] }).toEqual({ status: 431, connection: "close" });
    expect(body).toMatchObject({ type: "about:blank", status: 431 });
  });

  test("a body gets 413, with or without Content-Length", async () => {
    const admin = await openTestAdmin({ limits: { bodyBytes: 1000 } });
    const body = JSON.stringify({ config: "#".repeat(2000) });
    expect((await admin.call("POST", "/api/v1/config/check", { body })).status).toBe(413);
    const head = ["POST /api/v1/config/check HTTP/1.1", `Host: 127.0.0.1:${admin.port}`, "content-type: application/json"];
    const chunk = `${body.length.toString(16)}\r\n${body}\r\n`;
    expect((await rawRequest(admin.port, [...head, "transfer-encoding: chunked"], { body: chunk })).status).toBe(413);
  });
});
