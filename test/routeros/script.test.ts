import { describe, expect, test } from "vitest";
import { quote, renderSetupScript } from "../../src/routeros/script.ts";
import { ScriptedRouter, type StaticEntry } from "../support/routeros/script.ts";

const OURS = "10.0.0.2";
const URL_TEXT = "https://doh.example.com/dns-query";

const script = renderSetupScript({ url: new URL(URL_TEXT), addresses: [OURS, "fd00::2"] });

function pin(address: string, comment: string, disabled = "no"): StaticEntry {
  return { name: "doh.example.com", type: address.includes(":") ? "AAAA" : "A", address, comment, disabled };
}

/** Routers before the import: as delivered, set up by a former script, and with a moved server. */
const BEFORE: Readonly<Record<string, (router: ScriptedRouter) => void>> = {
  "as delivered": () => {},
  "set up by a former script": (router) => {
    router.settings["use-doh-server"] = URL_TEXT;
    router.settings["servers"] = "";
    router.statics = [pin(OURS, "fenliu"), pin("fd00::2", "fenliu")];
  },
  "with another DoH server": (router) => {
    router.settings["use-doh-server"] = "https://192.0.2.9/dns-query";
    router.settings["servers"] = "";
  },
  "with the pin of an address that Fenliu has left": (router) => {
    router.settings["use-doh-server"] = "https://192.0.2.9/dns-query";
    router.settings["servers"] = "";
    router.statics = [pin("10.0.0.77", "fenliu:pin:doh.example.com:10.0.0.77")];
  },
};

function routerBefore(name: string): ScriptedRouter {
  const router = new ScriptedRouter((address) => [OURS, "192.0.2.9"].includes(address));
  BEFORE[name]?.(router);
  return router;
}

describe.each(Object.keys(BEFORE))("on a router %s", (name) => {
  test("the script makes Fenliu the DoH server, pinned, with verification", () => {
    const router = routerBefore(name);
    router.import(script);
    expect(router.settings).toMatchObject({ "use-doh-server": URL_TEXT, "verify-doh-cert": "yes" });
    expect(router.statics).toEqual([
      pin(OURS, "fenliu:pin:doh.example.com:10.0.0.2"),
      pin("fd00::2", "fenliu:pin:doh.example.com:fd00::2"),
    ]);
    expect(router.resolves()).toBe(true);
  });

  test("a second import changes nothing", () => {
    const router = routerBefore(name);
    router.import(script);
    const once = router.snapshot();
    router.import(script);
    expect(router.snapshot()).toBe(once);
  });

  test("an import that breaks off after any line leaves a router that resolves", () => {
    const lines = script.split("\n");
    for (const [index] of lines.entries()) {
      const router = routerBefore(name);
      router.import(lines.slice(0, index).join("\n"));
      expect(router.resolves(), lines[index]).toBe(true);
    }
  });
});

test("a router that cannot reach Fenliu keeps its settings, and the import says so", () => {
  const router = new ScriptedRouter((address) => address === "192.0.2.9");
  router.settings["use-doh-server"] = "https://192.0.2.9/dns-query";
  const before = { ...router.settings };
  expect(() => router.import(script)).toThrow("its DNS settings are as they were");
  expect(router.settings).toEqual(before);
  expect(router.resolves()).toBe(true);
});

test("an entry of the user's own with the same name and address is enabled and stays the user's", () => {
  const router = routerBefore("as delivered");
  router.statics = [pin(OURS, "mine", "yes")];
  router.import(script);
  expect(router.statics[0]).toEqual(pin(OURS, "mine"));
  expect(router.resolves()).toBe(true);
});

test("entries of other owners stay", () => {
  const router = routerBefore("as delivered");
  const other = { ...pin("10.0.0.9", "fenliu is nice"), name: "nas.lan" };
  router.statics = [other];
  router.import(script);
  expect(router.statics).toContainEqual(other);
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
