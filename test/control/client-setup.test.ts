import { describe, expect, test } from "vitest";
import { appleProfile, placeOf, serviceUrl } from "../../src/control/client-setup.ts";
import { readRecords } from "../../src/hosts/parse.ts";
import { HostsTable } from "../../src/hosts/table.ts";

const hosts = new HostsTable([
  readRecords([{ name: "doh.example.com", addresses: ["10.0.0.2", "fd00::2"], cname: null, others: "nodata", https: null }])
    .entries,
]);

describe("the URL of the service", () => {
  test.each([
    ["http://doh.example.com", "no other than https"],
    ["doh.example.com", "no other than https"],
    ["https://me:word@doh.example.com", "neither user, password"],
    ["https://doh.example.com/dns-query?x=1", "neither user, password"],
    ["https://127.0.0.1", "127.0.0.1 is each client itself"],
    ["https://[::1]:9443/dns-query", "[::1] is each client itself"],
    ["https://localhost", "localhost is each client itself"],
  ])("%s is of no use to clients", (written, says) => {
    expect(serviceUrl(written)).toEqual(expect.stringContaining(says));
  });

  test("may have a port and a path", () => {
    expect(serviceUrl("https://10.0.0.2:8443/dns-query/tv")).toEqual(new URL("https://10.0.0.2:8443/dns-query/tv"));
  });
});

describe("the profile for Apple devices", () => {
  test("is the same for the same URL, and different for another URL", () => {
    const profile = (url: string): string => appleProfile(placeOf(new URL(url), hosts));
    const one = profile("https://doh.example.com/dns-query/phone");
    expect(profile("https://doh.example.com/dns-query/phone")).toBe(one);
    const uuids = (text: string) => text.match(/[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/g);
    expect(uuids(one)).toHaveLength(2);
    expect(uuids(profile("https://doh.example.com/dns-query"))).not.toEqual(uuids(one));
  });

  test("is well-formed and holds the URL and the addresses", () => {
    const profile = appleProfile(placeOf(new URL("https://doh.example.com/dns-query?a=1&b=2"), hosts));
    expect(profile).toContain("<key>ServerURL</key><string>https://doh.example.com/dns-query?a=1&amp;b=2</string>");
    expect(profile).toContain("<array><string>10.0.0.2</string><string>fd00::2</string></array>");
    for (const tag of ["dict", "array", "plist"])
      expect(profile.split(`<${tag}`).length, tag).toBe(profile.split(`</${tag}>`).length);
  });
});
