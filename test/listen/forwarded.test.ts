import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { AddressSet } from "../../src/dns/address.ts";
import { forwardedPeer } from "../../src/listen/client-address.ts";

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

  test("nothing that a client writes on the left of the header matters", () => {
    fc.assert(
      fc.property(fc.string(), (forged) => {
        expect(peerBy(`${forged}, 198.51.100.7, 10.0.0.2`).address).toBe("198.51.100.7");
      }),
    );
  });
});
