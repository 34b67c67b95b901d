import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type AddressRange, AddressSet, addressText, privateAddresses, rangeOfPrefix } from "../../src/dns/address.ts";
import { runs } from "../support/properties.ts";

// Few distinct bytes, so that blocks overlap, touch and enclose each other often.
const byte = fc.constantFrom(0, 1, 2, 127, 128, 254, 255);
const address = fc.oneof(
  fc.array(byte, { minLength: 4, maxLength: 4 }).map((octets) => Uint8Array.from(octets)),
  fc.array(byte, { minLength: 16, maxLength: 16 }).map((octets) => Uint8Array.from([0x20, ...octets.slice(1)])),
);
const prefixed = fc
  .tuple(address, fc.nat(128))
  .map(([octets, bits]) => rangeOfPrefix(octets, bits % (octets.length * 8 + 1)))
  .filter((range) => range !== null);
const spanned = fc
  .tuple(address, address)
  .filter(([left, right]) => left.length === right.length)
  .map(([left, right]) => (Buffer.compare(left, right) <= 0 ? { first: left, last: right } : { first: right, last: left }));
const blocks = fc.array(fc.oneof(prefixed, spanned), { maxLength: 20 });

function scan(ranges: readonly AddressRange[], octets: Uint8Array): boolean {
  return ranges.some(
    ({ first, last }) =>
      first.length === octets.length && Buffer.compare(first, octets) <= 0 && Buffer.compare(octets, last) <= 0,
  );
}

describe("a set of addresses", () => {
  test("agrees with a linear scan of its blocks", () => {
    fc.assert(
      fc.property(blocks, fc.array(address, { minLength: 1, maxLength: 20 }), (ranges, addresses) => {
        const set = new AddressSet(ranges);
        const ends = ranges.flatMap(({ first, last }) => [first, last]);
        for (const octets of [...addresses, ...ends]) {
          expect(set.has(octets)).toBe(scan(ranges, octets));
          expect(set.hasText(addressText(octets))).toBe(scan(ranges, octets));
        }
      }),
      { numRuns: runs(500) },
    );
  });

  test("keeps blocks that neither touch nor overlap, and a set of those blocks is the same set", () => {
    fc.assert(
      fc.property(blocks, (ranges) => {
        const kept = [...new AddressSet(ranges).ranges()];
        for (const [index, range] of kept.entries()) {
          const next = kept[index + 1];
          if (next === undefined || next.first.length !== range.last.length) continue;
          const gap =
            BigInt(`0x${Buffer.from(next.first).toString("hex")}`) - BigInt(`0x${Buffer.from(range.last).toString("hex")}`);
          expect(gap > 1n).toBe(true);
        }
        expect([...new AddressSet(kept).ranges()]).toEqual(kept);
      }),
    );
  });

  test("an IPv4-mapped address is looked up as IPv4, and ::/0 holds no IPv4", () => {
    const set = AddressSet.of("192.0.2.0/24");
    expect(set.hasText("::ffff:192.0.2.7")).toBe(true);
    expect(set.has(Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 7]))).toBe(true);
    expect(AddressSet.of("::/0").hasText("192.0.2.7")).toBe(false);
    expect(AddressSet.of("::/0").hasText("2001:db8::1")).toBe(true);
  });

  test("what is no address is in no set", () => {
    const all = AddressSet.of("0.0.0.0/0", "::/0");
    expect([all.hasText("example.com"), all.hasText(""), all.has(new Uint8Array(5))]).toEqual([false, false, false]);
    expect(() => AddressSet.of("300.0.0.1")).toThrow("300.0.0.1");
  });

  test("a zone does not matter", () => {
    expect(privateAddresses.hasText("fe80::1%eth0")).toBe(true);
  });

  test.each([
    "127.0.0.1",
    "10.9.8.7",
    "172.31.255.255",
    "192.168.1.1",
    "100.127.0.1",
    "169.254.1.1",
    "::1",
    "fe80::1",
    "fd00::6",
  ])("%s is private", (text) => {
    expect(privateAddresses.hasText(text)).toBe(true);
  });

  test.each(["172.32.0.1", "100.128.0.1", "8.8.8.8", "::2", "2001:db8::1", "fec0::1"])("%s is not private", (text) => {
    expect(privateAddresses.hasText(text)).toBe(false);
  });
});
