import { describe, expect, test } from "vitest";
import { addressOfSocket, clientNetwork, parsePeerAddress } from "../../src/listen/client-address.ts";

describe("an address from text", () => {
  test.each([
    ["192.0.2.1", "192.0.2.1"],
    ["2001:DB8:0:0::0001", "2001:db8::1"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["::FFFF:c000:0201", "192.0.2.1"],
    ["fe80::1%eth0", "fe80::1%eth0"],
    ["FE80:0::1%br-lan.7", "fe80::1%br-lan.7"],
  ])("%s is %s", (text, address) => {
    expect(parsePeerAddress(text)).toBe(address);
  });

  test.each(["", "localhost", "192.0.2", "192.0.2.01", "0x7f.1", "1", "192.0.2.1:53", "[::1]", "::1/128", "unknown", " ::1"])(
    "%j is none",
    (text) => {
      expect(parsePeerAddress(text)).toBeNull();
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
