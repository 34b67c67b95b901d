import { describe, expect, test } from "vitest";
import { quote, renderSetupScript } from "../../src/routeros/script.ts";
import { type RouterVersion, VERSIONS } from "../support/routeros/menus.ts";
import { Router, RouterError, type Row, without } from "../support/routeros/router.ts";
import { importScript } from "../support/routeros/script.ts";

const OURS = "10.0.0.2";
const URL_TEXT = "https://doh.example.com/dns-query";

const script = renderSetupScript({ url: new URL(URL_TEXT), addresses: [OURS, "fd00::2"] });

/** A router whose DoH server answers at the addresses that `answers` accepts. Without a DoH server its plain servers answer. */
function routerWith(answers: (address: string) => boolean, version: RouterVersion = "7.22"): Router {
  const router = new Router({ version });
  router.plant("ip/dns", { servers: "192.0.2.53" });
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

function routerBefore(name: string, version?: RouterVersion): Router {
  const router = routerWith((address) => [OURS, "192.0.2.9"].includes(address), version);
  BEFORE[name]?.(router);
  return router;
}

describe.each(Object.keys(BEFORE))("on a router %s", (name) => {
  test.each(VERSIONS)("of version %s the script makes Fenliu the DoH server, pinned, with verification", async (version) => {
    const router = routerBefore(name, version);
    await importScript(router, script);
    expect(router.record("ip/dns")).toMatchObject({ "use-doh-server": URL_TEXT, "verify-doh-cert": "true" });
    expect(pins(router)).toEqual([
      pin(OURS, "fenliu:pin:doh.example.com:10.0.0.2"),
      pin("fd00::2", "fenliu:pin:doh.example.com:fd00::2"),
    ]);
    expect(await resolves(router)).toBe(true);
  });

  test("a second import changes nothing", async () => {
    const router = routerBefore(name);
    await importScript(router, script);
    const once = router.snapshot();
    await importScript(router, script);
    expect(router.snapshot()).toBe(once);
  });

  test("an import that breaks off after any line leaves a router that resolves", async () => {
    const lines = script.split("\n");
    for (const [index] of lines.entries()) {
      const router = routerBefore(name);
      await importScript(router, script, index);
      expect(await resolves(router), lines[index]).toBe(true);
    }
  });
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
  const render = (url: string): string => renderSetupScript({ url: new URL(url), addresses: [] });
  expect(render("https://dns.example.net/dns-query")).toContain("look dns.example.net up");
  expect(render("https://10.0.0.2/dns-query")).not.toContain("look 10.0.0.2 up");
  expect(render("https://[fd00::2]/dns-query")).not.toContain("look [fd00::2] up");
});

test("a URL is quoted so that no part is a variable or ends the text", () => {
  const text = renderSetupScript({ url: new URL('https://10.0.0.2/$x"y'), addresses: [] });
  expect(text).toContain('use-doh-server="https://10.0.0.2/\\$x%22y"');
});

test("a question mark stands as it is, and bytes beyond ASCII are upper hex: RouterOS 7.1 and later refuse other escapes", () => {
  expect(quote('a?b"\\$é\n')).toBe('"a?b\\"\\\\\\$\\C3\\A9\\0A"');
});
