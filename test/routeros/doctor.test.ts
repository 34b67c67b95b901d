import { X509Certificate } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { run } from "../../src/cli/run.ts";
import { systemClock } from "../../src/lib/clock.ts";
import {
  examineRouter,
  FINDING_IDS,
  type FindingId,
  type RouterExpectation,
  renderFixScript,
} from "../../src/routeros/doctor.ts";
import { type RouterAccess, RouterRest } from "../../src/routeros/rest.ts";
import { renderSetupScript } from "../../src/routeros/script.ts";
import { testTerminal } from "../cli/terminal.ts";
import { tlsFixture } from "../listen/support/site.ts";
import { fetchMetrics } from "../stats/exposed.ts";
import { fakeClock } from "../support/fake-clock.ts";
import { directory } from "../support/files.ts";
import { VERSIONS } from "../support/routeros/menus.ts";
import { openRest } from "../support/routeros/rest.ts";
import { Router, type RouterSetup } from "../support/routeros/router.ts";
import { importScript } from "../support/routeros/script.ts";
import { siteWith } from "../support/site.ts";
import { addresses } from "../upstreams/messages.ts";
import { testCertificate } from "../upstreams/scripted-server.ts";

const TLS = { cert: readFileSync(tlsFixture("cert.pem")), key: readFileSync(tlsFixture("key.pem")) };
const READER = { password: "secret", policy: ["read", "api", "rest-api"] };
const certificate = new X509Certificate(testCertificate);
const OURS = "10.0.0.2";

const EXPECTATION: RouterExpectation = {
  url: new URL("https://doh.example.com/dns-query"),
  addresses: [OURS],
  chain: [certificate],
  chainFault: null,
  lists: ["WORLD"],
  nowWallMs: Date.now(),
  hasAnswer: async (name) => name === "there.example",
};

/** A router that the set-up script has set up, with what houses have besides: no check finds anything. */
async function soundRouter(setup: RouterSetup = {}): Promise<Router> {
  const router = new Router(setup);
  router.resolve = async () => "192.0.2.1";
  router.plant("ip/dns", { servers: "192.0.2.53" });
  for (const address of ["192.168.88.1/24", "10.0.0.1/24"]) router.plant("ip/address", { address, interface: "bridge" });
  router.plant("ip/dhcp-server/network", { address: "192.168.88.0/24", gateway: "192.168.88.1" });
  router.plant("ipv6/address", { address: "fd00:88::1/64", interface: "bridge" });
  router.plant("ipv6/nd", {});
  router.plant("ip/firewall/filter", { chain: "forward", action: "fasttrack-connection", "connection-mark": "no-mark" });
  router.plant("ip/firewall/mangle", { chain: "prerouting", action: "mark-connection", "dst-address-list": "WORLD" });
  router.plant("ip/dns/static", { name: "nas.lan", type: "A", address: "192.168.88.7" });
  router.plant("ip/dns/cache/all", { name: "gone.example", type: "A", negative: "true" });
  router.note("dns,info", "started");
  const authority = { pem: testCertificate, fingerprint: certificate.fingerprint256.replaceAll(":", "").toLowerCase() };
  const parts = { authority, failover: [], fallback: ["223.5.5.5"], without: [] };
  await importScript(router, renderSetupScript({ ...EXPECTATION, ...parts, addresses: [OURS, "127.0.0.1"] }));
  return router;
}

const accessTo = (url: RouterAccess["url"]): RouterAccess => ({
  url,
  user: "fenliu",
  password: "secret",
  ca: testCertificate,
  fingerprint: null,
});

async function examine(router: Router, expectation: Partial<RouterExpectation> = {}) {
  const server = await openRest(router, { tls: TLS, users: { fenliu: READER } });
  const client = new RouterRest(accessTo(server.url), systemClock);
  onTestFinished(async () => {
    client.close();
    await server.close();
  });
  const report = await examineRouter(client, { ...EXPECTATION, addresses: [OURS, "127.0.0.1"], ...expectation });
  return { ...report, requests: server.requests };
}

const idOf = (router: Router, menu: string, at = 0): string => router.rows(menu)[at]?.[".id"] ?? "";
const change = (router: Router, menu: string, values: Readonly<Record<string, string>>, at = 0) =>
  router.set(menu, [idOf(router, menu, at)], values);
const removePins = (router: Router) => {
  const pins = router.rows("ip/dns/static").filter(({ name }) => name === "doh.example.com");
  router.remove(
    "ip/dns/static",
    pins.map((row) => row[".id"] ?? ""),
  );
};

/** One fault for each finding, in the order of their numbers. */
const FAULTS: Readonly<Record<FindingId, (router: Router) => void>> = {
  clock: (router) => {
    router.clockErrorMs = -30 * 86_400_000;
  },
  timeServers: (router) => {
    router.remove(
      "system/ntp/client/servers",
      router.rows("system/ntp/client/servers").map((row) => row[".id"] ?? ""),
    );
    router.add("system/ntp/client/servers", { address: "ntp.aliyun.com" });
  },
  server: (router) => router.plant("ip/dns", { "use-doh-server": "https://1.1.1.1/dns-query" }),
  verification: (router) => router.plant("ip/dns", { "verify-doh-cert": "false" }),
  trustStore: (router) => {
    const [{ skid = "" } = {}] = router.rows("certificate");
    change(router, "certificate", { trusted: "no" });
    router.plant("certificate/builtin", { name: "A root", skid });
    router.plant("certificate/settings", { "builtin-trust-store": "fetch,email" });
  },
  authority: (router) => router.remove("certificate", [idOf(router, "certificate")]),
  revocation: (router) => router.plant("certificate/settings", { "crl-use": "true" }),
  pin: removePins,
  otherPin: (router) => change(router, "ip/dns/static", { address: "10.0.0.77" }, 1),
  peerDns: (router) => {
    removePins(router);
    router.plant("ip/dns", { "dynamic-servers": "192.168.88.1" });
  },
  servers: (router) => router.plant("ip/dns", { servers: "192.168.88.1" }),
  remoteRequests: (router) => router.plant("ip/dns", { "allow-remote-requests": "false" }),
  dhcp: (router) => change(router, "ip/dhcp-server/network", { "dns-server": "8.8.8.8" }),
  ipv6: (router) => change(router, "ipv6/nd", { "advertise-dns": "yes", dns: "2001:4860:4860::8888" }),
  cacheSize: (router) => router.plant("ip/dns", { "cache-used": "4000" }),
  concurrency: (router) => router.note("dns,error", "DoH max concurrent queries reached, ignoring query"),
  negatives: (router) => router.plant("ip/dns/cache/all", { name: "there.example", type: "A", negative: "true" }),
  adlist: (router) => router.plant("ip/dns/adlist", { url: "https://lists.example/ads", "name-count": "120000" }),
  forwards: (router) => router.add("ip/dns/static", { name: "corp.example", type: "FWD", "forward-to": "10.9.9.9" }),
  redirect: (router) => change(router, "ip/firewall/nat", { "src-address-list": "", "src-address": "10.0.0.0/24" }),
  fasttrack: (router) => change(router, "ip/firewall/filter", { "connection-mark": "" }),
  vrf: (router) => router.plant("ip/dns", { vrf: "wan" }),
  containers: (router) => router.plant("container", { name: "adguard" }),
};

describe("the doctor", () => {
  test.each(VERSIONS)("finds nothing on a sound router of version %s, and writes nothing", async (version) => {
    const { findings, notes, requests, version: seen } = await examine(await soundRouter({ version }));
    expect(findings).toEqual([]);
    expect(notes).toEqual([]);
    expect(seen).toContain(version);
    expect(new Set(requests.map(({ method }) => method))).toEqual(new Set(["GET"]));
  });

  test("has 23 findings", () => {
    expect(FINDING_IDS).toHaveLength(23);
    expect(Object.keys(FAULTS)).toEqual([...FINDING_IDS]);
  });

  test("is described in each language, with all its findings, and commands that there are", async () => {
    for (const file of ["routeros.md", "zh/routeros.md"]) {
      const text = readFileSync(new URL(`../../docs/${file}`, import.meta.url), "utf8");
      const rows = [...text.matchAll(/^\| (\d+) \| `(\w+)` \|/gm)].map(([, number, id]) => [Number(number), id]);
      expect(rows, file).toEqual(FINDING_IDS.map((id, index) => [index + 1, id]));
      const where = directory();
      writeFileSync(join(where, "fenliu.yaml"), 'listen: { admin: "127.0.0.1:1" }\n');
      for (const [, words = ""] of text.matchAll(/^ *fenliu (routeros .+?)(?: *[#>].*)?$/gm)) {
        const terminal = testTerminal(where);
        expect(await run(words.split(" "), terminal), `${file}: ${words}`).toBe(1);
        expect(terminal.written.err).toContain("is it running");
      }
    }
  });

  test.each(FINDING_IDS)("finds %s alone, and the command puts it right", async (id) => {
    const router = await soundRouter();
    FAULTS[id](router);
    const { findings, requests } = await examine(router);
    expect(findings.map((finding) => finding.id)).toEqual([id]);
    expect(requests.filter(({ method }) => method !== "GET")).toEqual([]);
    const [finding] = findings;
    expect(finding).toMatchObject({ number: FINDING_IDS.indexOf(id) + 1, otherwise: { code: `router.${id}` } });
    for (const text of [finding?.seen, finding?.otherwise.text]) expect(text).toMatch(/^[^{]+$/);
    await importScript(router, finding?.command ?? "");
    if (id === "clock") router.clockErrorMs = 0;
    if (id === "cacheSize") expect(router.record("ip/dns")["cache-size"]).toBe("8192");
    router.remove(
      "log",
      router.rows("log").map((row) => row[".id"] ?? ""),
    );
    expect((await examine(router)).findings).toEqual([]);
  });

  test("finds all of them together, and one script puts them right", async () => {
    const router = await soundRouter();
    // A router without a pin has none that leads elsewhere; one whose authority is gone may use its store or not.
    const together = FINDING_IDS.filter((id) => !["pin", "otherPin", "trustStore"].includes(id));
    for (const id of together) FAULTS[id](router);
    const { findings, requests } = await examine(router);
    expect(findings.map(({ id }) => id)).toEqual(together.filter((id) => id !== "servers"));
    expect(requests.filter(({ method }) => method !== "GET")).toEqual([]);
    await importScript(router, renderFixScript(findings));
    router.clockErrorMs = 0;
    router.remove(
      "log",
      router.rows("log").map((row) => row[".id"] ?? ""),
    );
    const { findings: left } = await examine(router);
    expect(left.map(({ id }) => id)).toEqual(["servers"]);
    await importScript(router, renderFixScript(left));
    expect((await examine(router)).findings).toEqual([]);
  });

  test("says what it could not judge, and what the log of the router shows", async () => {
    const router = await soundRouter();
    router.note("dns,error", "DoH server connection error: remote disconnected while in HTTP exchange");
    const report = await examine(router, { addresses: EXPECTATION.addresses, chain: [], chainFault: "nothing answers" });
    expect(report.notes.map(({ code }) => code)).toEqual(["router.noChain", "router.idle"]);
  });
});

describe("a server with section routeros", () => {
  async function serverFor({ password = "secret" } = {}) {
    const clock = fakeClock();
    const router = await soundRouter({ clock });
    const rest = await openRest(router, { tls: TLS, users: { fenliu: READER } });
    onTestFinished(() => rest.close());
    const fingerprint = certificate.fingerprint256;
    const where = directory();
    const passwordFile = join(where, "password");
    writeFileSync(passwordFile, `${password}\n`);
    const reader = `reader: { user: fenliu, passwordFile: "${passwordFile}" }`;
    const account = `url: "${rest.url}", user: pusher, passwordFile: /dev/null, fingerprint: "${fingerprint}", ${reader}`;
    const yaml = `routeros: { ${account}, doh: "https://doh.example.com", check: 1h }\nhosts: { records: { doh.example.com: [127.0.0.1, "${OURS}"] } }`;
    const site = await siteWith({ yaml, clock, admin: true, upstreams: { main: (asked) => addresses(asked, "192.0.2.7") } });
    writeFileSync(join(where, "fenliu.yaml"), `listen: { admin: "127.0.0.1:${site.app.administration.bound?.port}" }\n`);
    const command = async (...argv: string[]) => {
      const terminal = testTerminal(where);
      return { code: await run(["routeros", ...argv], terminal), ...terminal.written };
    };
    return { site, rest, command, router };
  }

  test("tells what is wrong over the API and on the command line, whose exit code says so", async () => {
    const { command, router } = await serverFor();
    expect(await command("check")).toMatchObject({ code: 0, out: expect.stringContaining("nothing to do") });
    FAULTS.vrf(router);
    FAULTS.negatives(router);
    const { code, out } = await command("check");
    expect(code).toBe(1);
    expect(out).toContain("2 findings");
    expect(out).toContain("22. /ip/dns vrf: wan; wanted: main\n   The router asks from the routing table wan");
    const { findings } = JSON.parse((await command("check", "--json")).out);
    expect(findings).toMatchObject([{ id: "negatives", seen: "there.example" }, { number: 22 }]);
    await importScript(router, (await command("check", "--fix")).out);
    expect((await command("check")).code).toBe(0);
  });

  test("has metrics of its last check, which it makes now and then", async () => {
    const { site, router } = await serverFor();
    FAULTS.vrf(router);
    // Their heads alone: rules and dashboards name them before there is a router.
    expect(await fetchMetrics(site)).not.toMatch(/^fenliu_router_(check|finding)/m);
    await site.clock.advance(60_000);
    await vi.waitUntil(async () => (await fetchMetrics(site)).includes("fenliu_router_check_up 1"), { timeout: 30_000 });
    const metrics = await fetchMetrics(site);
    expect(metrics).toContain('fenliu_router_finding{finding="vrf"} 1');
    expect(metrics).toContain('fenliu_router_finding{finding="server"} 0');
  });

  test("says why it cannot check", async () => {
    const { site, command, rest } = await serverFor({ password: "wrong" });
    const { code, err } = await command("check");
    expect({ code, err }).toEqual({ code: 1, err: expect.stringContaining("takes neither user nor password") });
    await rest.close();
    expect((await site.api("routeros/check")).status).toBe(502);
    const without = await siteWith({ admin: true });
    expect((await without.api("routeros/check")).status).toBe(404);
  });
});

describe("the client of the router", () => {
  async function failure(
    users: Parameters<typeof openRest>[1]["users"],
    account: Partial<RouterAccess>,
    tls: typeof TLS | null = TLS,
  ) {
    const server = await openRest(new Router(), { tls, users });
    const client = new RouterRest({ ...accessTo(server.url), ...account }, systemClock);
    const text = await client.call("GET", "ip/dns").then(
      () => "read",
      (error: Error) => error.message,
    );
    client.close();
    await server.close();
    return text;
  }
  const users = { fenliu: READER };
  const fingerprint = certificate.fingerprint256.replaceAll(":", "").toLowerCase();

  test.each([
    ["a wrong password", { password: "wrong" }, "takes neither user nor password"],
    ["an authority that it does not know", { ca: null }, "self-signed certificate"],
    ["another certificate than the pinned one", { ca: null, fingerprint: "00".repeat(32) }, `has the fingerprint ${fingerprint}`],
  ])("says what is wrong with %s", async (_, account, says) => {
    expect(await failure(users, account)).toContain(says);
  });

  test("believes a pinned certificate, and tells of a router that has none", async () => {
    expect(await failure(users, { ca: null, fingerprint })).toBe("read");
    expect(await failure(users, {}, null)).toContain("www-ssl has no certificate");
  });

  test("names the right that an account lacks", async () => {
    expect(await failure({ fenliu: { ...READER, policy: ["read", "rest-api"] } }, {})).toBe("std failure: not allowed (9)");
    expect(await failure({ fenliu: { ...READER, policy: ["api", "rest-api"] } }, {})).toBe("not enough permissions (9)");
  });
});
