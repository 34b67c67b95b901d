import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { RouterRest } from "../../src/routeros/rest.ts";
import { serve, waitingQueries } from "../../src/server/pipeline.ts";
import type { QueryEvent } from "../../src/server/query-event.ts";
import { tlsFixture } from "../listen/support/site.ts";
import { fakeClock } from "../support/fake-clock.ts";
import { directory } from "../support/files.ts";
import { queryWire } from "../support/message.ts";
import { openRest, type RestSetup } from "../support/routeros/rest.ts";
import { Router } from "../support/routeros/router.ts";
import { siteWith } from "../support/site.ts";
import { honest, silent } from "../support/zone-script.ts";
import { testCertificate } from "../upstreams/scripted-server.ts";

const TLS = { cert: readFileSync(tlsFixture("cert.pem")), key: readFileSync(tlsFixture("key.pem")) };
const IPV4 = "ip/firewall/address-list";

async function openRouter(setup: Partial<RestSetup> = {}) {
  const router = new Router({ clock: fakeClock() });
  const users = { fenliu: { password: "secret", policy: ["read", "write", "api", "rest-api"] } };
  const server = await openRest(router, { tls: TLS, users, ...setup });
  onTestFinished(() => server.close());
  return { router, server };
}

describe("the REST client", () => {
  function restOf(url: string, password = "secret", ca: string | null = testCertificate) {
    const clock = fakeClock();
    const rest = new RouterRest({ url, user: "fenliu", password, ca, fingerprint: null }, clock);
    onTestFinished(() => rest.close());
    return { rest, clock };
  }

  test("reads and writes over TLS, and names the reason of a refusal", async () => {
    const { router, server } = await openRouter();
    const { rest } = restOf(server.url);
    expect(await rest.call("POST", `${IPV4}/add`, { list: "X", address: "192.0.2.7" })).toEqual({
      ret: expect.stringMatching(/^\*/),
    });
    expect(router.rows(IPV4)).toHaveLength(1);
    expect(await rest.call("GET", "system/resource")).toMatchObject({ version: "7.22.1 (stable)" });
    await expect(rest.call("POST", `${IPV4}/add`, { list: "X", address: "192.0.2.7" })).rejects.toMatchObject({
      status: 400,
      message: "failure: already have such entry",
      isOutage: false,
    });
    await expect(restOf(server.url, "wrong").rest.call("GET", "ip/dns")).rejects.toMatchObject({ status: 401, isOutage: true });
  });

  test("takes a router that is away, silent or strange for an outage", async () => {
    const { server } = await openRouter({ workMs: () => 1 });
    await expect(restOf("https://127.0.0.1:9").rest.call("GET", "ip/dns")).rejects.toMatchObject({
      status: null,
      isOutage: true,
    });
    await expect(restOf(server.url, "secret", "").rest.call("GET", "ip/dns")).rejects.toMatchObject({ status: null });
    const { rest, clock } = restOf(server.url);
    const call = rest.call("GET", "ip/dns");
    call.catch(() => {});
    await clock.advance(10_000);
    await expect(call).rejects.toMatchObject({ status: null, message: "no reply within 10 s" });
  });

  test("asks once more where the router has just closed the idle connection", async () => {
    const asked = new Map<Socket, number>();
    const server = createServer(({ socket }, response) => {
      asked.set(socket, (asked.get(socket) ?? 0) + 1);
      if (asked.get(socket) === 2) socket.resetAndDestroy();
      else response.end("[]");
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => void server.close());
    const { rest } = restOf(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    expect(await rest.call("GET", "ip/dns")).toEqual([]);
    expect(await rest.call("GET", "ip/dns")).toEqual([]);
    expect(asked.size).toBe(2);
  });
});

describe("a server with a router", () => {
  async function house(keys = "", main = honest("page.example 300 A 203.0.113.7")) {
    const { router, server } = await openRouter();
    server.users.set("reader", { password: "other", policy: ["read", "api", "rest-api"] });
    const folder = directory();
    writeFileSync(join(folder, "password"), "secret\n");
    writeFileSync(join(folder, "reader-password"), "other\n");
    const yaml = `routeros: { url: "${server.url}", user: fenliu, passwordFile: ${folder}/password, addressLists: [{ rule: all, list: WORLD }]${keys} }
rules: [{ name: all, upstream: main }]
devices: { router: true }`;
    const site = await siteWith({ yaml, folder, admin: true, upstreams: { main } });
    await site.until(() => site.log.some((line) => line.includes("the router takes entries")));
    return { site, router, server, yaml };
  }

  test("has an address in the list before the reply with it is there; the API and the metrics show it", async () => {
    const { site, router } = await house();
    expect(await site.ask("page.example")).toMatchObject({ answers: ["203.0.113.7"] });
    expect(router.rows(IPV4)).toMatchObject([{ list: "WORLD", address: "203.0.113.7", timeout: "20m" }]);
    expect(await (await site.api("router")).json()).toMatchObject({ problem: null, lists: [{ list: "WORLD", entries: 1 }] });
    expect(await (await site.api("/metrics")).text()).toMatch(/^fenliu_router_results_total\{result="held"\} 1$/m);
  });

  test.each([
    ["in the last tenth of its life", [280]],
    ["after its end, when a stale one is given at once", [310, 10]],
  ])("has the addresses of an answer that is renewed %s in the list before a client is given them", async (_, waits) => {
    let last = 7;
    let isDown = false;
    const { site, router } = await house("", (asked) =>
      isDown ? silent : honest(`page.example 300 A 203.0.113.${last}`)(asked),
    );
    const addresses = () => router.rows(IPV4).map(({ address }) => address);
    for (let hits = 0; hits < 3; hits++) await site.ask("page.example");
    last = 8;
    for (const [index, seconds] of waits.entries()) {
      isDown = index < waits.length - 1;
      await site.clock.advance(seconds * 1000);
      const asking = site.ask("page.example");
      if (isDown) await site.clock.advance(6000);
      expect(await asking).toMatchObject({ answers: ["203.0.113.7"] });
    }
    await site.until(() => addresses().includes("203.0.113.8"));
    expect(await site.ask("page.example")).toMatchObject({ answers: ["203.0.113.8"] });
  });

  test("shows in the record that a reply was sent first; a hit of the cache is answered without a promise", async () => {
    const site = await siteWith({
      upstreams: { main: honest("page.example 300 A 203.0.113.7") },
      yaml: "rules: [{ name: all, upstream: main }]",
    });
    const edits: (readonly string[] | undefined)[] = [];
    const serving = {
      state: site.app.state,
      recorder: { observe: ({ resolution }: QueryEvent) => void edits.push(resolution?.edits) },
      waiting: waitingQueries(),
      feed: {
        see: ({ untilMs }: { readonly untilMs: number | null }) => (untilMs === null ? null : Promise.resolve(false)),
        repeatableUntilMs: () => 0,
      },
    };
    const client = { address: "127.0.0.1", port: 5000, transport: "udp", http: null, method: null, clientId: null } as const;
    await serve(serving, queryWire("page.example", "A"), client);
    expect(serve(serving, queryWire("page.example", "A"), client)).not.toBeInstanceOf(Promise);
    expect(edits).toEqual([["sent before its addresses were in the router's list"], undefined]);
  });

  test("answers when the router is gone, and keeps the feeder over a reload that does not concern it", async () => {
    const { site, server, yaml } = await house();
    const { feed } = site.app;
    await site.reload(`${yaml}\nhosts: { records: { nas.lan: 10.0.0.5 } }`);
    expect(site.app.feed).toBe(feed);
    await server.close();
    expect(await site.ask("page.example")).toMatchObject({ answers: ["203.0.113.7"] });
    expect(site.app.feed?.status().problem).toMatch(/ECONNREFUSED|ECONNRESET|socket hang up/);
  });

  test("has the router drop its cache once after changes of hosts, by option", async () => {
    const { site, server } = await house(", flush: true");
    const flushes = () => server.requests.filter(({ path }) => path.endsWith("/cache/flush")).length;
    const { control } = site.app.administration;
    await control.putHost("a.lan", { address: "10.0.0.9" });
    await control.putHost("b.lan", { address: "10.0.0.9" });
    expect(flushes()).toBe(0);
    await site.clock.advance(1000);
    await site.until(() => flushes() === 1);
  });

  test("reads its devices by the reading account, so that entries of lists do not wait for that", async () => {
    const { site, router, server } = await house(", reader: { user: reader, passwordFile: reader-password }");
    router.add("ip/dhcp-server/lease", { address: "10.0.0.7", "mac-address": "AA:BB:CC:00:00:01", comment: "TV" });
    await site.clock.advance(60_000);
    await site.until(() => site.app.administration.control.devices().length === 1);
    const usersOf = (menu: string) => new Set(server.requests.filter(({ path }) => path.includes(menu)).map(({ user }) => user));
    expect([usersOf("dhcp-server/lease"), usersOf("address-list")]).toEqual([new Set(["reader"]), new Set(["fenliu"])]);
  });

  test("knows its devices by leases, ARP and neighbours", async () => {
    const { site, router } = await house();
    router.add("ip/dhcp-server/lease", { address: "10.0.0.7", "mac-address": "AA:BB:CC:00:00:01", comment: "Living Room TV" });
    router.plant("ipv6/neighbor", { address: "2001:db8::7", "mac-address": "AA:BB:CC:00:00:01" });
    await site.clock.advance(60_000);
    await site.until(() => site.app.administration.control.devices().length === 2);
    expect(site.app.administration.control.devices()).toEqual([
      { address: "10.0.0.7", name: "living-room-tv", mac: "aa:bb:cc:00:00:01", source: "router" },
      { address: "2001:db8::7", name: "living-room-tv", mac: "aa:bb:cc:00:00:01", source: "router" },
    ]);
  });
});
