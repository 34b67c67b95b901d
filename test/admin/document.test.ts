import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";
import { createApi, PathMethods } from "../../src/admin/create-api.ts";
import { PAGE_ROUTES } from "../../src/admin/page.ts";
import { StreamLimiter } from "../../src/admin/stream.ts";
import { ADMIN_LIMITS, type ApiParts } from "../../src/admin/types.ts";
import { ClientsBehind } from "../../src/listen/client-address.ts";
import { record } from "../log/records.ts";
import { fakeClock } from "../support/fake-clock.ts";
import { openTestAdmin } from "./support/admin.ts";
import { ApiDocument } from "./support/api-document.ts";
import { MemoryControl } from "./support/memory-control.ts";

/** A call of every operation, and its status. */
const CALLS: Readonly<Record<string, readonly [path: string, status: number, json?: unknown]>> = {
  healthz: ["/healthz", 200],
  readyz: ["/readyz", 200],
  metrics: ["/metrics", 200],
  getDocument: ["/openapi.json", 200],
  getPage: ["/", 200],
  searchQueries: ["/api/v1/queries?type=A&type=AAAA&limit=5", 200],
  getQuery: ["/api/v1/queries/5", 200],
  getVolume: ["/api/v1/queries/volume?type=A&from=2h&step=10m", 200],
  exportQueries: ["/api/v1/queries/export?format=csv", 200],
  explain: ["/api/v1/explain?name=www.example.com&type=HTTPS&client=10.0.7.12&resolve=true", 200],
  explainUnder: ["/api/v1/explain", 200, { name: "www.example.com", under: { config: "rules: []\n" } }],
  whatIf: ["/api/v1/whatif", 200, { config: "rules: []\n", from: "1h", examples: 3 }],
  getStatistics: ["/api/v1/stats?from=2d&to=1d&step=5m&top=3", 200],
  getHealth: ["/api/v1/health", 200],
  listUpstreams: ["/api/v1/upstreams", 200],
  listLists: ["/api/v1/lists", 200],
  refreshList: ["/api/v1/lists/cn/refresh?accept=true", 200],
  getListLines: ["/api/v1/lists/cn/lines?source=rules/cn.txt&around=7", 200],
  inspectCache: ["/api/v1/cache?name=www.example.com", 200],
  flushCache: ["/api/v1/cache?name=example.com&subtree=true", 200],
  listHosts: ["/api/v1/hosts", 200],
  getHost: ["/api/v1/hosts/nas.lan", 200],
  putHost: ["/api/v1/hosts/*.apps.lan", 200, { address: ["10.0.0.6"], others: "forward", https: { alpn: ["h2"], port: 8443 } }],
  deleteHost: ["/api/v1/hosts/nas.lan", 204],
  getRouter: ["/api/v1/router", 200],
  listDevices: ["/api/v1/devices", 200],
  updateAddress: ["/nic/update?hostname=home.example.com&myip=192.0.2.7", 200],
  getConfig: ["/api/v1/config", 200],
  checkConfig: ["/api/v1/config/check", 200, { config: "rules: 5\n" }],
  reload: ["/api/v1/reload", 200],
  listVersions: ["/api/v1/versions", 200],
  checkRouter: ["/api/v1/routeros/check", 200],
  listProblems: ["/api/v1/problems?state=open&client=tv&limit=3", 200],
  changeProblem: ["/api/v1/problems/v1%7Cgroup%7Coverseas%7C", 200, { state: "muted", until: "2100-01-01T00:00Z" }],
  getConfigFile: ["/api/v1/config/file", 200],
  putConfigFile: ["/api/v1/config/file", 200, { text: "rules: []\n", base: "7f3a91c2d0e4" }],
  editConfig: [
    "/api/v1/config/edits",
    200,
    { edit: { kind: "pattern", rule: "ads", pattern: "!app.example.cn" }, base: "7f3a91c2d0e4" },
  ],
  getConfigEdit: ["/api/v1/config/edits/gkY0b2ZQwzX1c3Vr", 200],
  restoreConfig: ["/api/v1/history/0c41b2aa97d3/restore", 200, { base: "7f3a91c2d0e4" }],
  listPauses: ["/api/v1/pause", 200],
  pauseRules: ["/api/v1/pause", 200, { rules: ["ads"], client: "10.0.7.12", minutes: 10 }],
  endPause: ["/api/v1/pause/2f9k3x1", 204],
  listHistory: ["/api/v1/history", 200],
  diffHistory: ["/api/v1/history/0c41b2aa97d3/diff/7f3a91c2d0e4", 200],
  routerosScript: ["/api/v1/routeros.rsc?url=https://doh.example.com/dns-query", 200],
  appleProfile: ["/api/v1/apple.mobileconfig", 200],
  getSession: ["/api/v1/session", 200],
  signIn: ["/api/v1/session", 200, { token: "any" }],
  signOut: ["/api/v1/session", 200],
};

/** Their responses have no end. */
const STREAMS: ReadonlySet<string> = new Set(["streamQueries", "followState"]);

describe("the OpenAPI document", () => {
  test("has every operation, and each answers with the documented status", async () => {
    const admin = await openTestAdmin();
    admin.control.queries.add(record({ id: 5 }));
    const document = await admin.document();
    const operations = document.operations().filter(({ operation }) => !STREAMS.has(operation.operationId));
    expect(operations.map(({ operation }) => operation.operationId).sort()).toEqual(Object.keys(CALLS).sort());
    for (const { method, operation } of operations) {
      const [path = "", status, json] = CALLS[operation.operationId] ?? [];
      const response = await admin.call(method, path, json === undefined ? {} : { json });
      expect({ path, status: response.status }).toEqual({ path, status });
    }
    expect(admin.faults).toEqual([]);
  });

  test("has every route except the pages", async () => {
    const control = new MemoryControl();
    const parts: ApiParts = {
      control: () => control,
      clients: new ClientsBehind([]),
      clock: fakeClock(),
      limits: ADMIN_LIMITS,
      readers: new StreamLimiter(1),
      exports: new StreamLimiter(1),
      report: () => {},
    };
    const methods = new PathMethods();
    const setup = { options: () => ({ token: null, hosts: [] }), version: "1.2.3", endpoint: { address: "127.0.0.1", port: 0 } };
    const api = await createApi(parts, setup, methods);
    const document = new ApiDocument(api.swagger());
    await api.close();
    const documented = document.operations().map(({ method, path }) => `${method} ${path}`);
    const visible = methods
      .routes()
      .filter((route) => !/^HEAD | \/docs/.test(route) && !PAGE_ROUTES.slice(1).includes(route.replace("GET ", "")))
      .map((route) => route.replace(/:(\w+)/g, "{$1}"));
    expect(visible.sort()).toEqual(documented.sort());
  });

  test("has version 3.1, and names and explains each operation once", async () => {
    const admin = await openTestAdmin();
    const { document } = await admin.document();
    expect(document.openapi).toBe("3.1.0");
    const operations = (await admin.document()).operations();
    const names = operations.map(({ operation }) => operation.operationId);
    expect(new Set(names).size).toBe(names.length);
    for (const { path, operation } of operations) {
      expect(operation.summary, path).toMatch(/^[A-Z].*[^.]$/);
      for (const response of Object.values(operation.responses)) expect(response.description, path).toMatch(/\.$/);
      for (const parameter of operation.parameters ?? []) expect(parameter.name, path).toMatch(/^[a-zA-Z0-9-]+$/);
    }
  });

  test("describes each parameter, with an example if the schema does not list the values", async () => {
    const admin = await openTestAdmin();
    for (const { path, operation } of (await admin.document()).operations()) {
      for (const { name, description = "", example, schema } of operation.parameters ?? []) {
        expect(description, `${path} ${name}`).toMatch(/^[A-Z`].*[.]$/s);
        const lists = schema["type"] === "boolean" || Array.isArray(schema["enum"]);
        expect(lists || example !== undefined || /`[^`]+`/.test(description), `${path} ${name}`).toBe(true);
      }
    }
  });

  test("has exactly the schemas to which it refers", async () => {
    const admin = await openTestAdmin();
    const { document } = await admin.document();
    const referred = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]*)"/g)].map(([, reference = ""]) => reference);
    const known = Object.keys(document.components.schemas).map((name) => `#/components/schemas/${name}`);
    expect(referred.filter((reference) => !known.includes(reference))).toEqual([]);
    expect(known.filter((reference) => !referred.includes(reference))).toEqual([]);
  });

  test("says that a token may be needed, but not for open routes, and has no secret", async () => {
    const { document } = await (await openTestAdmin({ token: "correct-horse" })).document();
    const open = { get: { security: [] } };
    expect(document).toMatchObject({
      security: [{}, { bearer: [] }, { session: [] }],
      paths: { "/healthz": open, "/readyz": open, "/openapi.json": open },
    });
    expect(JSON.stringify(document)).not.toContain("correct-horse");
  });
});

describe("the documentation page", () => {
  test("loads nothing from other servers", async () => {
    const admin = await openTestAdmin({ token: "correct-horse" });
    const page = await fetch(`${admin.base}/docs`);
    const html = await page.text();
    const parts = [...html.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, path = ""]) => path);
    expect(parts.length).toBeGreaterThan(3);
    for (const path of parts) {
      expect(path).toMatch(/^\/docs\/static\//);
      expect((await fetch(admin.base + path)).status).toBe(200);
    }
    const start = await (await fetch(`${admin.base}/docs/static/swagger-initializer.js`)).text();
    expect(start).toContain("resolveUrl('./json')");
    expect(start).toContain('"validatorUrl":null');
    expect(await (await fetch(`${admin.base}/docs/json`)).json()).toEqual((await admin.document()).document);
  });

  test("sends the content type of JSON with every change, with and without a body", async () => {
    const admin = await openTestAdmin();
    const start = await (await fetch(`${admin.base}/docs/static/swagger-initializer.js`)).text();
    type Sent = { readonly method: string; readonly headers: Record<string, string> };
    const configs: { readonly requestInterceptor: (request: Sent) => Sent }[] = [];
    const bundle = (config: (typeof configs)[number]) => {
      configs.push(config);
      return { initOAuth: () => {} };
    };
    const SwaggerUIBundle = Object.assign(bundle, { presets: {}, plugins: {} });
    const window = { onload: () => {}, location: { href: admin.base } };
    const document = { createElement: () => ({}), querySelector: () => ({ appendChild: () => {} }) };
    runInNewContext(start, { window, document, SwaggerUIBundle, SwaggerUIStandalonePreset: {} });
    window.onload();
    const typeOf = (method: string) => configs[0]?.requestInterceptor({ method, headers: {} }).headers["Content-Type"];
    expect(["GET", "POST", "PUT", "DELETE"].map(typeOf)).toEqual([undefined, ...Array(3).fill("application/json")]);
  });

  test("has a policy that allows its own scripts and no others", async () => {
    const admin = await openTestAdmin();
    for (const path of ["/docs", "/docs/", "/docs/static/swagger-ui-bundle.js"]) {
      const { status, headers } = await fetch(admin.base + path);
      expect(status).toBe(200);
      const policy = headers.get("content-security-policy") ?? "";
      expect(policy).toContain("default-src 'none'; script-src 'self';");
      expect(policy).toContain("connect-src 'self'");
      expect(policy).not.toMatch(/https?:|unsafe-eval|upgrade-insecure-requests/);
    }
    expect(await (await fetch(`${admin.base}/docs`)).text()).not.toMatch(/<script>|<style|\son\w+=/);
  });

  test("serves nothing outside its folder", async () => {
    const admin = await openTestAdmin();
    for (const path of [
      "/docs/static/..%2f..%2fpackage.json",
      "/docs/static/%2e%2e/package.json",
      "/docs/static/../package.json",
    ])
      expect((await fetch(admin.base + path)).status).toBeGreaterThanOrEqual(400);
  });
});
