import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { AddressSet, networkOfAddress } from "../../src/dns/address.ts";
import { addressOfSocket, ClientsBehind, forwardedPeer } from "../../src/listen/client-address.ts";

test("an IPv4-mapped address of a socket becomes dotted, others stay as they are", () => {
  expect(["::ffff:10.0.0.1", "10.0.0.1", "::1", "fe80::1%eth0"].map(addressOfSocket)).toEqual([
    "10.0.0.1",
    "10.0.0.1",
    "::1",
    "fe80::1%eth0",
  ]);
});

test("clients are counted by IPv4 address and by IPv6 /64", () => {
  expect(networkOfAddress("192.0.2.1")).not.toBe(networkOfAddress("192.0.2.2"));
  expect(networkOfAddress("2001:db8::1")).toBe(networkOfAddress("2001:db8::ffff:1"));
  expect(networkOfAddress("2001:db8::1")).not.toBe(networkOfAddress("2001:db8:0:1::1"));
  expect(networkOfAddress("fe80::1%br-lan")).toBe(networkOfAddress("fe80::2%eth0.7"));
});

const proxy = { address: "127.0.0.1", port: 40_000 };
const trusted = AddressSet.of("127.0.0.0/8", "10.0.0.0/24", "fd00::/64");
const peerBy = (forwardedFor?: string, realIp?: string) => forwardedPeer(proxy, { forwardedFor, realIp }, trusted);

describe("behind a trusted proxy", () => {
  test.each([
    ["198.51.100.7", "198.51.100.7", 0],
    ["203.0.113.9, 198.51.100.7", "198.51.100.7", 0],
    ["203.0.113.9, 198.51.100.7, 10.0.0.2", "198.51.100.7", 0],
    ["203.0.113.9,198.51.100.7:4711 ,10.0.0.2", "198.51.100.7", 4711],
    ["2001:DB8::7", "2001:db8::7", 0],
    ["[2001:db8::7]", "2001:db8::7", 0],
    ['"[2001:db8::7]:53"', "2001:db8::7", 53],
    ["::ffff:198.51.100.7", "198.51.100.7", 0],
    ["10.0.0.3, 10.0.0.2", "10.0.0.3", 0],
  ])("%s speaks for %s, port %d", (header, address, port) => {
    expect(peerBy(header)).toEqual({ address, port });
  });

  test.each([
    ["unknown", "127.0.0.1"],
    ["198.51.100.7, unknown", "127.0.0.1"],
    ["198.51.100.7, _hidden, 10.0.0.2", "10.0.0.2"],
    ["198.51.100.7,", "127.0.0.1"],
    ["198.51.100.7:99999", "127.0.0.1"],
  ])("in %s the search ends at the last trusted hop, %s", (header, address) => {
    expect(peerBy(header).address).toBe(address);
  });

  test("X-Real-IP counts only without X-Forwarded-For", () => {
    expect(peerBy(undefined, "198.51.100.8").address).toBe("198.51.100.8");
    expect(peerBy(" ", "198.51.100.8").address).toBe("198.51.100.8");
    expect(peerBy("198.51.100.7", "198.51.100.8").address).toBe("198.51.100.7");
    expect(peerBy("nonsense", "198.51.100.8")).toEqual(proxy);
    expect(peerBy(undefined, "nonsense")).toEqual(proxy);
    expect(peerBy()).toEqual(proxy);
  });

  test("elements that a client adds at the left of X-Forwarded-For change nothing", () => {
    fc.assert(
      fc.property(fc.string(), (forged) => {
        expect(peerBy(`${forged}, 198.51.100.7, 10.0.0.2`).address).toBe("198.51.100.7");
      }),
    );
  });
});

const clients = new ClientsBehind(["127.0.0.0/8", "::1"]);
const NOTHING = { forwardedFor: undefined, realIp: undefined };

test.each([
  ["192.0.2.7", "192.0.2.7"],
  ["::ffff:192.0.2.7", "192.0.2.7"],
  ["2001:db8:1:2:3::4", "20010db800010002"],
  ["fe80::1%eth0", "fe80000000000000"],
])("%s counts as client %s", (peer, network) => {
  expect(clients.networkOf(peer, NOTHING)).toBe(network);
});

test.each(["127.0.0.1", "::1", "::ffff:127.0.0.1"])("the headers of %s, which is trusted, name the client", (peer) => {
  expect(clients.isProxy(peer)).toBe(true);
  expect(clients.networkOf(peer, { forwardedFor: "203.0.113.9, 192.0.2.7", realIp: undefined })).toBe("192.0.2.7");
  expect(clients.networkOf(peer, { forwardedFor: undefined, realIp: "192.0.2.7" })).toBe("192.0.2.7");
});

test("the headers of a peer that is not trusted are ignored", () => {
  expect(clients.isProxy("192.0.2.1")).toBe(false);
  expect(clients.networkOf("192.0.2.1", { forwardedFor: "192.0.2.7", realIp: "192.0.2.8" })).toBe("192.0.2.1");
});
