import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { hostAllowlist } from "../../src/admin/guards.ts";
import { anyString } from "../support/properties.ts";

const LOCAL = () => ["127.0.0.1", "192.168.88.5", "fd00::5", "fe80::1%eth0", "::1"];

function names(address: string, port: number, hosts: readonly string[] = []) {
  return hostAllowlist({ address, port }, hosts, LOCAL);
}

describe("the accepted hosts", () => {
  test("of one address are the address with its port", () => {
    const isOwnHost = names("192.168.88.5", 9080);
    expect(isOwnHost("192.168.88.5:9080")).toBe(true);
    for (const host of ["192.168.88.5", "192.168.88.5:80", "192.168.88.6:9080", "localhost:9080", "127.0.0.1:9080"])
      expect(isOwnHost(host)).toBe(false);
  });

  test("of a wildcard are all addresses of the machine, and localhost", () => {
    for (const wildcard of ["0.0.0.0", "::"]) {
      const isOwnHost = names(wildcard, 9080);
      for (const host of [
        "192.168.88.5:9080",
        "[fd00::5]:9080",
        "[FD00:0::5]:9080",
        "localhost:9080",
        "127.0.0.9:9080",
        "[::1]:9080",
        "[::ffff:192.168.88.5]:9080",
      ])
        expect(isOwnHost(host), host).toBe(true);
      for (const host of ["192.168.88.6:9080", "[fd00::6]:9080", "nas.lan:9080"]) expect(isOwnHost(host), host).toBe(false);
    }
  });

  test("on port 80 need no port", () => {
    const isOwnHost = names("127.0.0.1", 80);
    for (const host of ["127.0.0.1", "127.0.0.1:80", "localhost", "[::1]"]) expect(isOwnHost(host), host).toBe(true);
    expect(isOwnHost("127.0.0.1:8080")).toBe(false);
  });

  test("include admin.hosts, on any port, in any spelling", () => {
    const isOwnHost = names("127.0.0.1", 9080, ["dns.example.com", "fd00::9", "münchen.example", "10.0.0.9"]);
    for (const host of [
      "dns.example.com",
      "DNS.example.com:443",
      "dns.example.com.",
      "[fd00:0:0::9]:1",
      "xn--mnchen-3ya.example",
      "10.0.0.9:8080",
    ])
      expect(isOwnHost(host), host).toBe(true);
    for (const host of [
      "example.com",
      "x.dns.example.com",
      "dns.example.com@evil.example",
      "dns.example.com/evil",
      "dns.example.com:x",
    ])
      expect(isOwnHost(host), host).toBe(false);
  });

  test("include no random text", () => {
    const isOwnHost = names("0.0.0.0", 9080, ["dns.example.com"]);
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.domain(), fc.webAuthority({ withPort: true }), anyString()), (host) => {
        fc.pre(!/^(?:localhost|127|dns\.example\.com|0x7f|2130706433|\[)/i.test(host));
        return !isOwnHost(host);
      }),
    );
  });
});
