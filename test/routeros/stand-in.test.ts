import { readFileSync } from "node:fs";
import { setImmediate as turn } from "node:timers/promises";
import { Agent, request } from "undici";
import { describe, expect, onTestFinished, test } from "vitest";
import { TYPE } from "../../src/dns/types.ts";
import { zone } from "../dns/zone.ts";
import { tlsFixture } from "../listen/support/site.ts";
import { fakeClock } from "../support/fake-clock.ts";
import { RouterDohClient } from "../support/routeros/doh-client.ts";
import { openRest, type RestSetup } from "../support/routeros/rest.ts";
import { Router, type RouterSetup } from "../support/routeros/router.ts";
import { importScript, runLater } from "../support/routeros/script.ts";
import { respond } from "../support/zone-script.ts";
import { addresses, silence } from "../upstreams/messages.ts";
import { type Script, scriptedServer, testCertificate } from "../upstreams/scripted-server.ts";

const TLS = { cert: readFileSync(tlsFixture("cert.pem")), key: readFileSync(tlsFixture("key.pem")) };

const READER = ["read", "api", "rest-api"];
const ADMIN = [...READER, "write"];

const soa = zone("example 60 SOA ns.example. nobody.example. 1 1800 900 604800 60");

async function restOf(setup: RouterSetup = {}, rest: Partial<RestSetup> = {}) {
  const clock = fakeClock();
  const router = new Router({ clock, ...setup });
  const users = {
    admin: { password: "secret", policy: ADMIN },
    reader: { password: "secret", policy: READER },
    limited: { password: "secret", policy: ["read", "rest-api"] },
    stranger: { password: "secret", policy: ["read", "api"] },
  };
  const server = await openRest(router, { tls: TLS, users, ...rest });
  const agent = new Agent({ connect: { rejectUnauthorized: false }, pipelining: 1 });
  onTestFinished(async () => {
    await agent.destroy();
    await server.close();
  });
  const ask = async (method: string, path: string, body?: unknown, { user = "admin", ...more }: Record<string, string> = {}) => {
    const { statusCode, body: reply } = await request(`${server.url}/rest/${path}`, {
      dispatcher: agent,
      method: method as "GET",
      headers: {
        authorization: `Basic ${Buffer.from(`${user}:secret`).toString("base64")}`,
        ...(body === undefined ? {} : { "content-type": more["type"] ?? "application/json" }),
      },
      body: body === undefined ? null : typeof body === "string" ? body : JSON.stringify(body),
    });
    const text = await reply.text();
    return { status: statusCode, value: text === "" ? null : JSON.parse(text) };
  };
  return { router, clock, server, ask };
}

describe("REST", () => {
  test("the shapes of success", async () => {
    const { ask } = await restOf();
    const list = "ip/firewall/address-list";
    expect(await ask("GET", list)).toEqual({ status: 200, value: [] });
    const put = await ask("PUT", list, { list: "X", address: "192.0.2.7/24", timeout: "1d" });
    expect(put).toMatchObject({ status: 201, value: { address: "192.0.2.0/24", timeout: "1d", dynamic: "true" } });
    const id: string = put.value[".id"];
    expect(id).toMatch(/^\*[0-9A-F]+$/);
    expect((await ask("POST", `${list}/add`, { list: "Y", address: "2001:db8::1" })).value).toEqual({
      ret: expect.stringMatching(/^\*/),
    });
    expect(await ask("POST", `${list}/set`, { ".id": id, comment: "hello" })).toEqual({ status: 200, value: [] });
    expect((await ask("GET", `${list}/${id}`)).value).toMatchObject({ ".id": id, comment: "hello" });
    expect((await ask("GET", `${list}?list=Y&.proplist=address`)).value).toEqual([
      { ".id": expect.anything(), address: "2001:db8::1/128" },
    ]);
    expect((await ask("POST", `${list}/print`, { ".query": ["list=X", "list=Y", "#|"], "count-only": "" })).value).toEqual({
      ret: "2",
    });
    expect(await ask("PATCH", `${list}/${id}`, { comment: "again" })).toMatchObject({ status: 200, value: { comment: "again" } });
    expect(await ask("DELETE", `${list}/${id}`)).toEqual({ status: 204, value: null });
    expect((await ask("DELETE", `${list}/${id}`)).status).toBe(404);
    expect((await ask("GET", "ip/dns")).value).toMatchObject({ "verify-doh-cert": "false", "cache-size": "2048" });
    expect(await ask("POST", "ip/dns/set", { "verify-doh-cert": "yes" })).toEqual({ status: 200, value: [] });
    expect((await ask("GET", "ip/dns")).value["verify-doh-cert"]).toBe("true");
  });

  test.each([
    ["an escaped id", "GET", "ip/dns/static/%2A1", undefined, 400, "missing or invalid resource identifier"],
    ["an unknown menu", "GET", "ip/dns/nothing", undefined, 400, "no such command"],
    ["an unknown parameter", "POST", "ip/dns/set", { nothing: "1" }, 400, "unknown parameter nothing"],
    ["broken JSON", "POST", "ip/dns/set", "{", 400, "Failed to parse json"],
    ["a change of a singleton by PATCH", "PATCH", "ip/dns", {}, 400, "missing or invalid resource identifier"],
    ["a name together with a regexp", "PUT", "ip/dns/static", { name: "a", regexp: "b" }, 400, "only name or regexp allowed"],
    [
      "a time that is too long",
      "PUT",
      "ip/firewall/address-list",
      { list: "X", address: "192.0.2.1", timeout: "36w" },
      400,
      "timeout",
    ],
    ["the body of no request", "HEAD", "ip/dns", undefined, 501, null],
  ])("%s is refused", async (_, method, path, body, status, detail) => {
    const { ask } = await restOf();
    const reply = await ask(method, path, body);
    expect(reply.status).toBe(status);
    if (detail !== null) expect(reply.value.detail).toContain(detail);
  });

  test("the rights of an account: what each may and what it is told", async () => {
    const { ask, server, clock } = await restOf();
    const body = { list: "X", address: "192.0.2.1" };
    expect((await ask("GET", "ip/dns", undefined, { user: "reader" })).status).toBe(200);
    expect(await ask("POST", "ip/firewall/address-list/add", body, { user: "reader" })).toMatchObject({
      status: 500,
      value: { detail: "not enough permissions (9)" },
    });
    expect((await ask("DELETE", "ip/dns/static/*1", undefined, { user: "reader" })).status).toBe(400);
    expect((await ask("GET", "ip/dns", undefined, { user: "limited" })).value.detail).toBe("std failure: not allowed (9)");
    expect((await ask("GET", "ip/dns", undefined, { user: "stranger" })).status).toBe(401);
    expect((await ask("POST", "ip/dns/set", "a=b", { type: "text/plain" })).status).toBe(415);
    server.users.set("admin", { password: "secret", policy: READER });
    expect((await ask("POST", "ip/firewall/address-list/add", body)).status).toBe(200);
    await clock.advance(600_001);
    expect((await ask("POST", "ip/firewall/address-list/add", { ...body, list: "Y" })).status).toBe(500);
  });

  test("one user's requests are served one after the other, also after the first one was given up", async () => {
    const { clock, ask, server } = await restOf({}, { workMs: (method) => (method === "GET" ? 61_000 : 100) });
    const first = ask("GET", "ip/dns");
    while (server.requests.length < 1) await turn();
    const second = ask("POST", "ip/dns/static/print", {});
    const other = ask("POST", "ip/dns/static/print", {}, { user: "reader" });
    while (server.requests.length < 3) await turn();
    await clock.advance(101);
    expect((await other).status).toBe(200);
    await clock.advance(60_000);
    expect(await first).toMatchObject({ status: 400, value: { detail: "Session closed" } });
    expect((await second).value.detail).toBe("Session closed");
  });

  test("a router with `certificate=none` speaks ciphers that Node does not know", async () => {
    const { ask } = await restOf({}, { tls: null });
    await expect(ask("GET", "ip/dns")).rejects.toThrow(/handshake failure/);
  });
});

describe("records", () => {
  test("those with a timeout count down, end, and are gone after a reboot; uptime begins anew", async () => {
    const clock = fakeClock();
    const router = new Router({ clock });
    const list = "ip/firewall/address-list";
    router.add(list, { list: "X", address: "192.0.2.1", timeout: "1h" });
    router.add(list, { list: "X", address: "192.0.2.2", timeout: "2h" });
    router.add(list, { list: "X", address: "192.0.2.3" });
    expect(() => router.add(list, { list: "X", address: "192.0.2.1/32" })).toThrow("failure: already have such entry");
    await clock.advance(1_800_000);
    expect(router.rows(list).map(({ timeout }) => timeout)).toEqual(["30m", "1h30m", undefined]);
    await clock.advance(1_800_000);
    expect(router.rows(list)).toHaveLength(2);
    expect(router.record("system/resource")["uptime"]).toBe("1h");
    router.reboot();
    expect(router.rows(list).map(({ address }) => address)).toEqual(["192.0.2.3"]);
    expect(router.record("system/resource")["uptime"]).toBe("0s");
  });

  test("each version has its menus, and device-mode home refuses the scheduler", () => {
    const old = new Router({ version: "7.12" });
    expect(() => old.rows("ip/dns/adlist")).toThrow("no such command or directory (adlist)");
    expect(old.record("ip/dns")["vrf"]).toBeUndefined();
    expect(new Router({ version: "7.20" }).record("certificate/settings")).toHaveProperty("builtin-trust-anchors");
    expect(new Router({ version: "7.22" }).record("certificate/settings")).not.toHaveProperty("builtin-trust-anchors");
    const home = new Router({ deviceMode: "home" });
    expect(() => home.add("system/scheduler", { name: "x" })).toThrow("not allowed by device-mode");
  });
});

describe("scripts", () => {
  test("are parsed whole before a line is run, so an unknown parameter changes nothing", async () => {
    const router = new Router({ version: "7.12" });
    const script = "/ip dns set cache-size=4096\n/ip dns set vrf=main";
    await expect(importScript(router, script)).rejects.toThrow("a parameter of /ip/dns, not vrf");
    expect(router.record("ip/dns")["cache-size"]).toBe("2048");
    await importScript(
      router,
      ':do { :local run [:parse "/ip dns set vrf=main"]; $run } on-error={ /ip dns set cache-size=4096 }',
    );
    expect(router.record("ip/dns")["cache-size"]).toBe("4096");
  });

  test("variables end with their block, and what was started runs later", async () => {
    const router = new Router();
    await importScript(
      router,
      '{ :local n 1; :foreach s in={"a"; "b"} do={ :set n ($n + 1) }; :if ($n = 3 and [:len [/ip dns static find]] = 0) do={ :execute "/ip dns static add name=late address=192.0.2.1" } else={ :error "no" } }',
    );
    expect(router.rows("ip/dns/static")).toEqual([]);
    await runLater(router);
    expect(router.rows("ip/dns/static")).toMatchObject([{ name: "late" }]);
  });
});

describe("the DoH client", () => {
  async function clientOf(script: Script) {
    const server = await scriptedServer("h1", script);
    const clock = fakeClock();
    const router = new Router({ clock });
    router.plant("ip/dns", { "use-doh-server": `https://127.0.0.1:${server.port}/dns-query`, "verify-doh-cert": "true" });
    router.trust(testCertificate, "fenliu-ca");
    const client = new RouterDohClient(router);
    onTestFinished(async () => {
      client.close();
      await server.close();
    });
    return { router, client, server, clock };
  }

  test("opens five connections at most, and refuses the 51st question that waits", async () => {
    const { router, client, server, clock } = await clientOf(() => silence);
    const asked = Array.from({ length: 51 }, (_, index) => client.ask(`n${index}.example`, "A").then(() => "", String));
    while (server.asked.length < 5) await turn();
    expect(await asked[50]).toContain("DoH max concurrent queries reached");
    expect(server.accepted).toBe(5);
    await clock.advance(5000);
    expect(await asked[0]).toContain("Idle timeout");
    await Promise.all(asked);
    expect(router.rows("log").map(({ message }) => message)).toContain("DoH max concurrent queries reached");
  });

  test("an NXDOMAIN for one type is one for every type, until the cache is flushed", async () => {
    const { router, client } = await clientOf((asked) =>
      asked.type === TYPE.HTTPS ? respond(asked, { rcode: 3, authority: soa }) : addresses(asked, "192.0.2.1"),
    );
    expect((await client.ask("www.example", "A")).answers).toEqual(["192.0.2.1"]);
    expect((await client.ask("www.example", "HTTPS")).rcode).toBe("NXDOMAIN");
    expect((await client.ask("www.example", "A")).rcode).toBe("NXDOMAIN");
    await importScript(router, "/ip dns cache flush");
    expect(await client.resolve("www.example")).toBe("192.0.2.1");
  });

  test("does not believe a certificate of an authority that it does not trust", async () => {
    const { router, client } = await clientOf((asked) => addresses(asked, "192.0.2.1"));
    router.plant("ip/dns", { servers: "192.0.2.53" });
    await importScript(router, "/certificate remove fenliu-ca");
    await expect(client.resolve("www.example")).rejects.toThrow("self-signed certificate");
  });
});
