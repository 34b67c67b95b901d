import { describe, expect, test } from "vitest";
import { AddressMatcher, addressOfSocket, clientNetwork, parseAddress } from "../../src/listen/address.ts";

describe("an address from text", () => {
  test.each([
    ["192.0.2.1", "192.0.2.1"],
    ["2001:DB8:0:0::0001", "2001:db8::1"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["::FFFF:c000:0201", "192.0.2.1"],
    ["fe80::1%eth0", "fe80::1%eth0"],
    ["FE80:0::1%br-lan.7", "fe80::1%br-lan.7"],
  ])("%s is %s", (text, address) => {
    expect(parseAddress(text)).toBe(address);
  });

  test.each(["", "localhost", "192.0.2", "192.0.2.01", "0x7f.1", "1", "192.0.2.1:53", "[::1]", "::1/128", "unknown", " ::1"])(
    "%j is none",
    (text) => {
      expect(parseAddress(text)).toBeNull();
    },
  );
});

test("an IPv4-mapped address of a socket is told in dotted form, others as they are", () => {
  expect(["::ffff:10.0.0.1", "10.0.0.1", "::1", "fe80::1%eth0"].map(addressOfSocket)).toEqual([
    "10.0.0.1",
    "10.0.0.1",
    "::1",
    "fe80::1%eth0",
  ]);
});

test("clients are counted by IPv4 address and by IPv6 /64", () => {
  expect(clientNetwork("192.0.2.1")).not.toBe(clientNetwork("192.0.2.2"));
  expect(clientNetwork("2001:db8::1")).toBe(clientNetwork("2001:db8::ffff:1"));
  expect(clientNetwork("2001:db8::1")).not.toBe(clientNetwork("2001:db8:0:1::1"));
  expect(clientNetwork("fe80::1%br-lan")).toBe(clientNetwork("fe80::2%eth0.7"));
});

describe("a set of addresses", () => {
  const matcher = new AddressMatcher(["127.0.0.0/8", "::1", "192.0.2.7", "2001:db8::/32", "fe80::/64"]);

  test.each(["127.0.0.1", "127.255.0.9", "::1", "192.0.2.7", "2001:db8:1::1", "fe80::1%br-lan"])("has %s", (address) => {
    expect(matcher.has(address)).toBe(true);
  });

  test.each(["128.0.0.1", "::2", "192.0.2.8", "2001:db9::1", "fe80:0:0:1::1%eth0"])("does not have %s", (address) => {
    expect(matcher.has(address)).toBe(false);
  });

  test("takes 0.0.0.0/0 for IPv4 alone", () => {
    const everyIpv4 = new AddressMatcher(["0.0.0.0/0"]);
    expect([everyIpv4.has("203.0.113.1"), everyIpv4.has("::1")]).toEqual([true, false]);
  });
});
