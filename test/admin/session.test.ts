import { describe, expect, test } from "vitest";
import { openTestAdmin, type TestAdmin } from "./support/admin.ts";

/** The page names the zone of the server where the browser has another one. */
const ZONE = new Intl.DateTimeFormat().resolvedOptions().timeZone;

const TOKEN = "correct-horse";
const DAY_MS = 86_400_000;

interface Sent {
  readonly cookie?: string;
  readonly origin?: string;
  readonly body?: object;
}

/** A request as a browser sends it: no Authorization header. */
async function browse(admin: TestAdmin, method: string, path: string, { cookie, origin, body }: Sent = {}) {
  const response = await fetch(`${admin.base}/api/v1/${path}`, {
    method,
    headers: {
      ...(method === "GET" ? {} : { "content-type": "application/json" }),
      ...(cookie === undefined ? {} : { cookie }),
      ...(origin === undefined ? {} : { origin }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return {
    status: response.status,
    setCookie: response.headers.get("set-cookie") ?? "",
    body: JSON.parse(await response.text()),
  };
}

async function signedIn(admin: TestAdmin, origin?: string) {
  const { setCookie } = await browse(admin, "POST", "session", {
    body: { token: TOKEN },
    ...(origin === undefined ? {} : { origin }),
  });
  return { setCookie, cookie: setCookie.split(";", 1)[0] ?? "" };
}

describe("a session", () => {
  test("takes the place of the token, and never holds it", async () => {
    const admin = await openTestAdmin({ token: TOKEN });
    expect((await browse(admin, "GET", "session")).body).toEqual({ tokenNeeded: true, signedIn: false, zone: ZONE });
    const { cookie, setCookie } = await signedIn(admin);
    expect(setCookie).toMatch(/^fenliu=[\w.-]+; Path=\/; Max-Age=2592000; HttpOnly; SameSite=Strict$/);
    expect(setCookie).not.toContain(TOKEN);
    expect((await browse(admin, "GET", "session", { cookie })).body).toEqual({ tokenNeeded: true, signedIn: true, zone: ZONE });
    expect((await browse(admin, "GET", "upstreams", { cookie: `theme=dark; ${cookie}` })).status).toBe(200);
    expect((await browse(admin, "GET", "upstreams")).status).toBe(401);
  });

  test("is not given for a wrong token, which costs as much as a wrong header", async () => {
    const admin = await openTestAdmin({ token: TOKEN, limits: { requestBurst: 30, requestsPerSecond: 1 } });
    const wrong = () => browse(admin, "POST", "session", { body: { token: "correct-horsf" } });
    expect(await wrong()).toMatchObject({ status: 401, setCookie: "", body: { detail: "this is not the token" } });
    await wrong();
    expect((await wrong()).status).toBe(401);
    expect((await wrong()).status).toBe(429);
  });

  test("changes something only for a page that names this server as its origin", async () => {
    const admin = await openTestAdmin({ token: TOKEN });
    const { cookie } = await signedIn(admin);
    const put = (origin?: string) =>
      browse(admin, "PUT", "hosts/nas.lan", {
        cookie,
        body: { address: "10.0.0.5" },
        ...(origin === undefined ? {} : { origin }),
      });
    expect((await put(admin.base)).status).toBe(200);
    expect(await put()).toMatchObject({ status: 403, body: { detail: expect.stringContaining("an Origin is wanted") } });
    // A page on another port is same-site: the browser sends it the cookie.
    expect((await put("http://127.0.0.1:1")).status).toBe(403);
    expect((await put("null")).status).toBe(403);
    expect((await put(`https://127.0.0.1:${admin.port}`)).status).toBe(200);
  });

  test("is not given to a page of another origin", async () => {
    const admin = await openTestAdmin({ token: TOKEN });
    expect((await browse(admin, "POST", "session", { origin: "http://127.0.0.1:1", body: { token: TOKEN } })).status).toBe(403);
  });

  test("of a page that came over TLS stays on TLS", async () => {
    const admin = await openTestAdmin({ token: TOKEN, hosts: ["fenliu.lan"] });
    expect((await signedIn(admin, `https://127.0.0.1:${admin.port}`)).setCookie).toMatch(/; Secure$/);
  });

  test("survives a restart, and ends when the token changes", async () => {
    const { cookie } = await signedIn(await openTestAdmin({ token: TOKEN }));
    const admin = await openTestAdmin({ token: TOKEN });
    expect((await browse(admin, "GET", "upstreams", { cookie })).status).toBe(200);
    admin.options.now = { token: "battery-staple", hosts: [] };
    expect(await browse(admin, "GET", "upstreams", { cookie })).toMatchObject({
      status: 401,
      body: { detail: expect.stringContaining("sign in") },
    });
  });

  test("ends after thirty days", async () => {
    const admin = await openTestAdmin({ token: TOKEN });
    const { cookie } = await signedIn(admin);
    await admin.clock.advance(30 * DAY_MS - 1000);
    expect((await browse(admin, "GET", "upstreams", { cookie })).status).toBe(200);
    await admin.clock.advance(1000);
    expect((await browse(admin, "GET", "upstreams", { cookie })).status).toBe(401);
  });

  test.each([
    ["a later end", (value: string) => value.replace(/=\d/, "=9")],
    ["another nonce", (value: string) => value.replace(/\.(.)/, (_, first) => (first === "A" ? ".B" : ".A"))],
    ["no seal", (value: string) => value.replace(/\.[^.]+$/, "")],
    ["the seal of nothing", (value: string) => value.replace(/[^.]+$/, "A".repeat(43))],
    ["the token", () => `fenliu=${TOKEN}`],
  ])("with %s is none", async (_, forge) => {
    const admin = await openTestAdmin({ token: TOKEN });
    const { cookie } = await signedIn(admin);
    expect((await browse(admin, "GET", "upstreams", { cookie: forge(cookie) })).status).toBe(401);
  });

  test("does not help a wrong Authorization header", async () => {
    const admin = await openTestAdmin({ token: TOKEN });
    const { cookie } = await signedIn(admin);
    expect((await admin.get("/api/v1/upstreams", { headers: { cookie, authorization: "Bearer wrong" } })).status).toBe(401);
  });

  test("is taken away by a sign-out", async () => {
    const admin = await openTestAdmin({ token: TOKEN });
    const { cookie } = await signedIn(admin);
    const { setCookie, body } = await browse(admin, "DELETE", "session", { cookie, origin: admin.base });
    expect(setCookie).toMatch(/^fenliu=; Path=\/; Max-Age=0;/);
    expect(body).toEqual({ tokenNeeded: true, signedIn: false, zone: ZONE });
  });

  test("is not needed where there is no token", async () => {
    const admin = await openTestAdmin();
    const state = { tokenNeeded: false, signedIn: true, zone: ZONE };
    expect((await browse(admin, "GET", "session")).body).toEqual(state);
    expect(await browse(admin, "POST", "session", { body: { token: "any" } })).toMatchObject({ body: state, setCookie: "" });
  });
});
