import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseProxy, parseServer } from "../../src/config/server.ts";
import { parseDuration, parseSize } from "../../src/config/units.ts";
import { parseClient, parseDomainPattern, parseEndpoint, parseNetwork } from "../../src/config/values.ts";
import { canonicalAddress } from "../../src/dns/address.ts";
import { formatDuration } from "../../src/lib/duration.ts";
import { closest } from "../../src/lib/text.ts";

describe("servers", () => {
  test.each([
    ["223.5.5.5", "udp", "223.5.5.5", 53, ""],
    ["223.5.5.5:5353", "udp", "223.5.5.5", 5353, ""],
    ["2400:3200::1", "udp", "2400:3200::1", 53, ""],
    ["[2400:3200::1]", "udp", "2400:3200::1", 53, ""],
    ["[2400:3200::1]:53", "udp", "2400:3200::1", 53, ""],
    ["fe80::1%eth0", "udp", "fe80::1%eth0", 53, ""],
    ["udp://192.168.88.1:53", "udp", "192.168.88.1", 53, ""],
    ["udp://router.lan", "udp", "router.lan", 53, ""],
    ["tcp://9.9.9.9", "tcp", "9.9.9.9", 53, ""],
    ["tls://8.8.8.8", "tls", "8.8.8.8", 853, ""],
    ["tls://dns.google:8853", "tls", "dns.google", 8853, ""],
    ["TLS://[2001:4860:4860::8888]/", "tls", "2001:4860:4860::8888", 853, ""],
    ["https://1.1.1.1/dns-query", "https", "1.1.1.1", 443, "/dns-query"],
    ["https://dns.google", "https", "dns.google", 443, "/dns-query"],
    ["https://dns.google/dns-query/", "https", "dns.google", 443, "/dns-query/"],
    ["system", "system", "", 0, ""],
  ])("%s is read", (label, protocol, host, port, path) => {
    expect(parseServer(label)).toEqual({ value: { label, protocol, host, port, path } });
  });

  test.each([
    ["https://[2606:4700:4700::1111]:8443/q?a=b", "https://[2606:4700:4700::1111]:8443/***?***", "/q?a=b"],
    ["https://dns.example/abc123", "https://dns.example/***", "/abc123"],
    ["https://dns.example/abc123/My%20phone", "https://dns.example/***", "/abc123/My%20phone"],
    ["https://dns.example/dns-query/abc123", "https://dns.example/dns-query/***", "/dns-query/abc123"],
    ["https://dns.example/dns-query?key=abc123", "https://dns.example/dns-query?***", "/dns-query?key=abc123"],
    ["https://dns.example/dns-query-abc123", "https://dns.example/***", "/dns-query-abc123"],
  ])("the label of %s hides what may be a key", (written, label, path) => {
    expect(parseServer(written)).toMatchObject({ value: { label, path } });
  });

  test.each([
    "",
    "dns.google",
    "1.1.1",
    "quic://1.1.1.1",
    "udp://",
    "udp://a b",
    "tls://1.1.1.1:99999",
    "tls://1.1.1.1:0",
    "https://",
    "https://x:0/",
    "http://1.1.1.1",
    "1.1.1.1:0",
  ])("%j is no server", (text) => {
    expect(parseServer(text)).toHaveProperty("wrong");
  });
});

describe("proxies", () => {
  test.each([
    ["socks5://127.0.0.1:7890", "socks5", "127.0.0.1", null, null],
    ["http://proxy.lan:8080/", "http", "proxy.lan", null, null],
    ["socks5://user:p%40ss@[::1]:7890", "socks5", "::1", "user", "p@ss"],
    ["socks5://user@[::1]:7890", "socks5", "::1", "user", null],
  ])("%s is read", (text, protocol, host, username, password) => {
    expect(parseProxy(text)).toMatchObject({ value: { protocol, host, username, password } });
  });

  test.each([
    "127.0.0.1:7890",
    "socks5://127.0.0.1",
    "socks4://127.0.0.1:1",
    "http://%zz@a:1",
    "https://a:1",
    "socks5://a:b:c:1",
  ])("%j is no proxy", (text) => {
    expect(parseProxy(text)).toHaveProperty("wrong");
  });
});

describe("listeners and networks", () => {
  test("addresses and ports come apart, whatever the family", () => {
    expect(parseEndpoint("127.0.0.1:0")).toEqual({ value: { address: "127.0.0.1", port: 0 } });
    expect(parseEndpoint("[::]:53")).toEqual({ value: { address: "::", port: 53 } });
    expect(parseEndpoint("[fe80::1%eth0]:53")).toEqual({ value: { address: "fe80::1%eth0", port: 53 } });
  });

  test("spellings of one address are equal", () => {
    expect(canonicalAddress("0:0::1")).toBe(canonicalAddress("::1"));
    expect(canonicalAddress("::ffff:127.0.0.1")).toBe(canonicalAddress("127.0.0.1"));
    expect(canonicalAddress("fe80::1%a")).not.toBe(canonicalAddress("fe80::1%b"));
  });

  test("an address is a network of its own", () => {
    expect(parseNetwork("10.0.0.5")).toEqual({ value: "10.0.0.5/32" });
    expect(parseNetwork("fd00::5")).toEqual({ value: "fd00::5/128" });
  });

  test.each(["10.0.0", "10.0.0.0/33", "fd00::/129", "fe80::1%eth0", "a/8", "/8", "010.0.0.1"])("%j is no network", (text) => {
    expect(parseNetwork(text)).toHaveProperty("wrong");
  });

  test("a client is a network, an address or an id", () => {
    expect(parseClient("tv")).toEqual({ value: "tv" });
    expect(parseClient("10.0.7.0/24")).toEqual({ value: "10.0.7.0/24" });
    expect(parseClient("10.0.7")).toHaveProperty("wrong");
  });
});

describe("patterns", () => {
  test.each([
    ".",
    "!.",
    "lan",
    "example.com.",
    "_dmarc.example.com",
    "广告.中国",
    "full:www.example.com",
    "keyword:tracker",
    "regexp:^ad[0-9]+\\.",
    "list:cn",
    "!list:cn",
    "!full:a.b",
  ])("%s is kept as written", (text) => {
    expect(parseDomainPattern(text)).toEqual({ value: text });
  });

  test.each([
    "",
    "!",
    "a..b",
    ".a",
    "*.a",
    "a b",
    "a/b",
    "10.0.0.1",
    `${"a".repeat(64)}.b`,
    "full:",
    "keyword:",
    "regexp:(",
    "list:",
    "domain:a",
    "a.".repeat(128),
  ])("%j is no pattern", (text) => {
    expect(parseDomainPattern(text)).toHaveProperty("wrong");
  });
});

describe("units", () => {
  test.each([
    ["250ms", 250],
    ["30s", 30_000],
    ["5m", 300_000],
    ["1h", 3_600_000],
    ["7d", 604_800_000],
  ])("%s is %d ms", (text, ms) => {
    expect(parseDuration(text)).toEqual({ value: ms });
    expect(formatDuration(ms)).toBe(text);
  });

  test("a size is counted in powers of two", () => {
    expect([parseSize("1KiB"), parseSize("64MiB"), parseSize("2GiB")]).toEqual([
      { value: 1024 },
      { value: 67_108_864 },
      { value: 2_147_483_648 },
    ]);
  });

  test.each([
    ["60", "60s"],
    ["1.5h", "90m"],
    ["5min", "5m"],
    ["2 Weeks", "14d"],
    ["0", "0s"],
  ])("%s is refused, and %s is offered", (text, meant) => {
    expect(parseDuration(text)).toMatchObject({ fix: `write \`${meant}\`` });
  });

  test.each([
    ["64MB", "64MiB"],
    ["1g", "1GiB"],
    ["67108864", "64MiB"],
  ])("%s is refused, and %s is offered", (text, meant) => {
    expect(parseSize(text)).toMatchObject({ fix: `write \`${meant}\`` });
  });

  test("every duration is printed in a form that is read as the same duration", () => {
    fc.assert(
      fc.property(fc.nat(999_999_999), (ms) => {
        expect(parseDuration(formatDuration(ms))).toEqual({ value: ms });
      }),
    );
  });
});

describe("likely words", () => {
  const keys = ["upstreams", "listen", "lists", "log"];

  test.each([
    ["upstrems", "upstreams"],
    ["upsterams", "upstreams"],
    ["LISTEN", "listen"],
    ["list", "lists"],
    ["logg", "log"],
  ])("%s was meant to be %s", (word, meant) => {
    expect(closest(word, keys)).toBe(meant);
  });

  test("a word that is similar to none has no guess", () => {
    expect(closest("colour", keys)).toBeNull();
  });
});
