import { expect, test } from "vitest";
import { addressOfSocket, clientNetwork } from "../../src/listen/client-address.ts";

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
