import { X509Certificate } from "node:crypto";
import { describe, expect, test } from "vitest";
import { quote, renderRemovalScript, renderSetupScript, type SetupOptions } from "../../src/routeros/script.ts";
import { VERSIONS } from "../support/routeros/menus.ts";
import { Router, RouterError, type RouterSetup, type Row, without } from "../support/routeros/router.ts";
import { importScript, runLater, runScript } from "../support/routeros/script.ts";
import { testCertificate } from "../upstreams/scripted-server.ts";

const OURS = "10.0.0.2";
const URL_TEXT = "https://doh.example.com/dns-query";

const authority = {
  pem: testCertificate,
  fingerprint: new X509Certificate(testCertificate).fingerprint256.replaceAll(":", "").toLowerCase(),
};

const SETUP: SetupOptions = {
  url: new URL(URL_TEXT),
  addresses: [OURS, "fd00::2"],
  authority,
  failover: [],
  fallback: ["223.5.5.5"],
  without: [],
};

const script = renderSetupScript(SETUP);
const removal = renderRemovalScript(SETUP);

/** A router whose DoH server answers at the addresses that `answers` accepts. Without a DoH server its plain servers answer. */
function routerWith(answers: (address: string) => boolean, kind: RouterSetup = {}): Router {
  const router = new Router(kind);
  router.plant("ip/dns", { servers: "192.0.2.53,192.0.2.54" });
  router.plant("ip/address", { address: "192.168.88.1/24", interface: "bridge" });
  router.plant("ip/dhcp-server/network", { address: "192.168.88.0/24", gateway: "192.168.88.1" });
  router.plant("ip/dhcp-server/network", { address: "10.1.1.0/24", gateway: "10.1.1.1", "dns-server": "10.1.1.9" });
  router.plant("ipv6/nd", {});
  router.resolve = async () => {
    const { "use-doh-server": url = "", servers } = router.record("ip/dns");
    if (url === "" ? servers === "" : !addressesOf(router, url).some(answers))
      throw new RouterError("failure: dns server failure");
    return "192.0.2.1";
  };
  return router;
}

function addressesOf(router: Router, url: string): readonly string[] {
  const host = new URL(url).hostname.replace(/^\[|\]$/g, "");
  if (/^[\d.]+$|:/.test(host)) return [host];
  const pins = router.rows("ip/dns/static").filter((row) => row["name"] === host && row["disabled"] === "false");
  return pins.map(({ address = "" }) => address);
}

const resolves = (router: Router) =>
  router.resolve("www.qq.com").then(
    () => true,
    () => false,
  );

function pin(address: string, comment: string, disabled = "false"): Row {
  return {
    name: "doh.example.com",
    type: address.includes(":") ? "AAAA" : "A",
    address,
    comment,
    disabled,
    ttl: "1d",
    dynamic: "false",
  };
}

const pins = (router: Router) => router.rows("ip/dns/static").map((row) => without(row, ".id"));

/** Routers before the import: as delivered, set up by a former script, and with a moved server. */
const BEFORE: Readonly<Record<string, (router: Router) => void>> = {
  "as delivered": () => {},
  "set up by a former script": (router) => {
    router.plant("ip/dns", { "use-doh-server": URL_TEXT, servers: "" });
    for (const address of [OURS, "fd00::2"]) router.plant("ip/dns/static", pin(address, "fenliu"));
  },
  "with another DoH server": (router) => {
    router.plant("ip/dns", { "use-doh-server": "https://192.0.2.9/dns-query", servers: "" });
  },
  "with the pin of an address that Fenliu has left": (router) => {
    router.plant("ip/dns", { "use-doh-server": "https://192.0.2.9/dns-query", servers: "" });
    router.plant("ip/dns/static", pin("10.0.0.77", "fenliu:pin:doh.example.com:10.0.0.77"));
  },
};

function routerBefore(name: string, kind: RouterSetup = {}): Router {
  const router = routerWith((address) => [OURS, "192.0.2.9"].includes(address), kind);
  BEFORE[name]?.(router);
  return router;
}

const KINDS = VERSIONS.flatMap((version) => (["advanced", "home"] as const).map((deviceMode) => ({ version, deviceMode })));

describe.each(Object.keys(BEFORE))("on a router %s", (name) => {
  test.each(KINDS)(
    "of version $version, $deviceMode, the script makes Fenliu the DoH server, with all that it takes",
    async (kind) => {
      const router = routerBefore(name, kind);
      await importScript(router, script);
      expect(router.record("ip/dns")).toMatchObject({
        "use-doh-server": URL_TEXT,
        "verify-doh-cert": "true",
        "allow-remote-requests": "true",
        servers: "",
      });
      expect(pins(router)).toEqual([
        pin(OURS, "fenliu:pin:doh.example.com:10.0.0.2"),
        pin("fd00::2", "fenliu:pin:doh.example.com:fd00::2"),
      ]);
      expect(router.rows("certificate")).toMatchObject([{ name: "fenliu-ca", fingerprint: authority.fingerprint }]);
      expect(router.record("system/ntp/client")["enabled"]).toBe("true");
      expect(router.rows("system/ntp/client/servers").map(({ comment }) => comment)).toEqual(["fenliu:ntp", "fenliu:ntp"]);
      expect(router.rows("ip/dhcp-server/network").map((row) => row["dns-server"])).toEqual(["192.168.88.1", "10.1.1.9"]);
      expect(router.rows("ipv6/nd")).toMatchObject([{ "advertise-dns": "false" }]);
      expect(router.rows("ip/firewall/nat")).toMatchObject(
        ["udp", "tcp"].map((protocol) => ({
          action: "redirect",
          protocol,
          "src-address-list": "!fenliu-resolvers",
          "in-interface-list": "LAN",
        })),
      );
      expect(router.rows("ip/firewall/address-list")).toMatchObject([{ list: "fenliu-resolvers", address: OURS }]);
      expect(router.rows("system/scheduler")).toEqual([]);
      await runLater(router);
      expect(router.record("ip/dns")["use-doh-server"]).toBe(URL_TEXT);
      expect(await resolves(router)).toBe(true);
    },
  );

  test("a second import changes nothing", async () => {
    const router = routerBefore(name);
    await importScript(router, script);
    const once = router.snapshot();
    await importScript(router, script);
    expect(router.snapshot()).toBe(once);
  });

  test.each(KINDS)(
    "of version $version, $deviceMode, an import that breaks off after any line leaves a router that resolves, then and later",
    async (kind) => {
      for (const text of [script, removal]) {
        const lines = text.split("\n");
        for (const [index] of lines.entries()) {
          const router = routerBefore(name, kind);
          if (text === removal) await importScript(router, script);
          await importScript(router, text, index);
          expect(await resolves(router), lines[index]).toBe(true);
          await runLater(router);
          expect(await resolves(router), `later: ${lines[index]}`).toBe(true);
        }
      }
    },
  );

  test("the removal leaves nothing of Fenliu, and a router that resolves", async () => {
    const router = routerBefore(name);
    await importScript(router, script);
    await importScript(router, removal);
    expect(router.snapshot()).not.toContain("fenliu");
    expect(router.record("ip/dns")["use-doh-server"]).not.toBe(URL_TEXT);
    expect(await resolves(router)).toBe(true);
    const once = router.snapshot();
    await importScript(router, removal);
    expect(router.snapshot()).toBe(once);
  });
});

test("the removal gives back what was set before", async () => {
  const router = routerBefore("as delivered");
  await importScript(router, script);
  await importScript(router, removal);
  expect(router.record("ip/dns")).toMatchObject({
    "use-doh-server": "",
    servers: "192.0.2.53,192.0.2.54",
    "verify-doh-cert": "false",
  });
});

test("the removal goes back to Fenliu where the servers from before are dead", async () => {
  const router = routerBefore("with another DoH server");
  await importScript(router, script);
  router.resolve = async () => {
    if (router.record("ip/dns")["use-doh-server"] !== URL_TEXT) throw new RouterError("failure: dns server failure");
    return "192.0.2.1";
  };
  await expect(importScript(router, removal)).rejects.toThrow("still asks Fenliu");
  expect(router.record("ip/dns")).toMatchObject({ "use-doh-server": URL_TEXT, "verify-doh-cert": "true" });
});

test("a script is the same when it is made again", () => {
  expect(renderSetupScript(SETUP)).toBe(script);
});

test("parts that are left out are removed where an earlier script added them", async () => {
  const router = routerBefore("as delivered");
  await importScript(router, renderSetupScript({ ...SETUP, failover: ["223.5.5.5"] }));
  expect(router.rows("tool/netwatch")).toMatchObject([{ host: OURS, type: "tcp-conn", port: "443" }]);
  await importScript(router, renderSetupScript({ ...SETUP, without: ["redirect", "ntp"] }));
  for (const menu of [
    "tool/netwatch",
    "ip/firewall/nat",
    "ip/firewall/address-list",
    "ipv6/firewall/nat",
    "system/ntp/client/servers",
  ])
    expect(router.rows(menu), menu).toEqual([]);
  expect(await resolves(router)).toBe(true);
});

test("netwatch takes the plain servers while Fenliu does not answer, and Fenliu again afterwards", async () => {
  const router = routerBefore("as delivered");
  await importScript(router, renderSetupScript({ ...SETUP, failover: ["223.5.5.5", "119.29.29.29"] }));
  const [watch = {}] = router.rows("tool/netwatch");
  await runScript(router, watch["down-script"] ?? "");
  expect(router.record("ip/dns")).toMatchObject({ "use-doh-server": "", servers: "223.5.5.5,119.29.29.29" });
  await runScript(router, watch["up-script"] ?? "");
  expect(router.record("ip/dns")).toMatchObject({ "use-doh-server": URL_TEXT, servers: "" });
});

test("no question is redirected where Fenliu's own address is unknown, or the router has no list LAN", async () => {
  const unknown = routerBefore("as delivered");
  await importScript(unknown, renderSetupScript({ ...SETUP, url: new URL("https://10.0.0.2/dns-query"), addresses: [] }));
  expect(unknown.rows("ip/firewall/nat")).toHaveLength(2);
  expect(unknown.rows("ipv6/firewall/nat")).toEqual([]);
  const bare = routerBefore("as delivered");
  bare.remove(
    "interface/list",
    bare.rows("interface/list").map((row) => row[".id"] ?? ""),
  );
  await importScript(bare, script);
  expect(bare.rows("ip/firewall/nat")).toEqual([]);
  expect(bare.rows("log").map(({ message }) => message)).toContain(
    "fenliu: there is no interface list LAN, so no question is redirected",
  );
});

test("builtin authorities are allowed to DNS, whatever the version calls it", async () => {
  const restricted = routerBefore("as delivered", { version: "7.22" });
  restricted.plant("certificate/settings", { "builtin-trust-store": "fetch,email" });
  await importScript(restricted, script);
  expect(restricted.record("certificate/settings")["builtin-trust-store"]).toBe("fetch,email,dns");
  const closed = routerBefore("as delivered", { version: "7.22" });
  closed.plant("certificate/settings", { "builtin-trust-store": "untrusted" });
  await importScript(closed, script);
  expect(closed.record("certificate/settings")["builtin-trust-store"]).toBe("dns");
  const former = routerBefore("as delivered", { version: "7.20" });
  await importScript(former, script);
  expect(former.record("certificate/settings")["builtin-trust-anchors"]).toBe("trusted");
});

test("a router that cannot reach Fenliu keeps its settings, and the import says so", async () => {
  const router = routerWith((address) => address === "192.0.2.9");
  router.plant("ip/dns", { "use-doh-server": "https://192.0.2.9/dns-query" });
  const before = router.record("ip/dns");
  await expect(importScript(router, script)).rejects.toThrow("its DNS settings are as they were");
  expect(router.record("ip/dns")).toEqual(before);
  expect(await resolves(router)).toBe(true);
});

test("an entry of the user's own with the same name and address is enabled and stays the user's", async () => {
  const router = routerBefore("as delivered");
  router.plant("ip/dns/static", pin(OURS, "mine", "true"));
  await importScript(router, script);
  expect(pins(router)[0]).toEqual(pin(OURS, "mine"));
  expect(await resolves(router)).toBe(true);
});

test("entries of other owners stay", async () => {
  const router = routerBefore("as delivered");
  const other = { ...pin("10.0.0.9", "fenliu is nice"), name: "nas.lan" };
  router.plant("ip/dns/static", other);
  await importScript(router, script);
  expect(pins(router)).toContainEqual(other);
});

test("a name without an address in the hosts table gets a hint, a literal address gets none", () => {
  const render = (url: string): string => renderSetupScript({ ...SETUP, url: new URL(url), addresses: [] });
  expect(render("https://dns.example.net/dns-query")).toContain("look dns.example.net up");
  expect(render("https://10.0.0.2/dns-query")).not.toContain("look 10.0.0.2 up");
  expect(render("https://[fd00::2]/dns-query")).not.toContain("look [fd00::2] up");
});

test("a URL is quoted so that no part is a variable or ends the text", () => {
  const text = renderSetupScript({ ...SETUP, url: new URL('https://10.0.0.2/$x"y'), addresses: [] });
  expect(text).toContain('use-doh-server="https://10.0.0.2/\\$x%22y"');
});

test("a question mark stands as it is, and bytes beyond ASCII are upper hex: RouterOS 7.1 and later refuse other escapes", () => {
  expect(quote('a?b"\\$é\n')).toBe('"a?b\\"\\\\\\$\\C3\\A9\\0A"');
});
