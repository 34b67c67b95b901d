import { isIPv4, isIPv6 } from "node:net";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type AddressRange,
  AddressSet,
  AddressSetBuilder,
  addressFromText,
  addressText,
  canonicalAddress,
  endpointText,
  isLoopback,
  privateAddresses,
  rangeFromText,
  rangeOfPrefix,
  reverseName,
} from "../../src/dns/address.ts";
import { nameText } from "../../src/dns/name.ts";
import { runSync } from "../../src/lib/cooperative.ts";
import { runs } from "../support/properties.ts";

const bytes4 = fc.uint8Array({ minLength: 4, maxLength: 4 });
const bytes16 = fc.uint8Array({ minLength: 16, maxLength: 16 });

function rangeText(text: string): string | null {
  const range = rangeFromText(text);
  return range === null ? null : `${addressText(range.first)}-${addressText(range.last)}`;
}

describe("addresses as text", () => {
  test.each([
    ["192.0.2.7", "192.0.2.7"],
    ["2001:DB8:0:0:0:0:0:7", "2001:db8::7"],
    ["::ffff:192.0.2.7", "192.0.2.7"],
    ["::ffff:c000:207", "192.0.2.7"],
    ["64:ff9b::192.0.2.7", "64:ff9b::c000:207"],
    ["::192.0.2.7", "::c000:207"],
    ["::", "::"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
  ])("%s is written %s", (text, canonical) => {
    expect(addressText(addressFromText(text) ?? new Uint8Array())).toBe(canonical);
  });

  test.each([
    "",
    "1.2.3",
    "1.2.3.4.5",
    "01.2.3.4",
    "1.2.3.256",
    "0x7f.1",
    "1.2.3.4 ",
    "127.1",
    "1..2.3",
    ".1.2.3.4",
    "fe80::1%eth0",
    "::1::",
    "host",
    "12345::",
    "::ffff:010.0.0.1",
    "64:ff9b::1.2.3",
    "1:2:3:4:5:6:7:1.2.3.4",
  ])("%j is no address", (text) => {
    expect(addressFromText(text)).toBeNull();
  });

  test("every address is read back from its own text", () => {
    fc.assert(
      fc.property(fc.oneof(bytes4, bytes16), (bytes) => {
        const text = addressText(bytes);
        expect(bytes.length === 4 || text.includes(".") ? isIPv4(text) : isIPv6(text)).toBe(true);
        expect(addressText(addressFromText(text) ?? new Uint8Array())).toBe(text);
      }),
    );
  });

  test("a text is an address exactly if the operating system's parser takes it", () => {
    const part = fc.oneof(fc.stringMatching(/^[0-9a-fA-F]{0,5}$/), fc.constantFrom("", "192.0.2.7", "192.0.02.7"));
    const parts = fc.array(part, { maxLength: 10 }).map((list) => list.join(":"));
    const nearlyAddress = fc.oneof(fc.stringMatching(/^[0-9a-f:.]{0,20}$/), parts);
    fc.assert(
      fc.property(nearlyAddress, (text) => {
        expect(addressFromText(text) !== null).toBe(isIPv4(text) || isIPv6(text));
      }),
      { numRuns: runs(2000) },
    );
  });
});

describe("blocks as text", () => {
  test.each([
    ["10.0.0.0/8", "10.0.0.0-10.255.255.255"],
    ["10.1.2.3/8", "10.0.0.0-10.255.255.255"],
    ["0.0.0.0/0", "0.0.0.0-255.255.255.255"],
    ["192.0.2.7", "192.0.2.7-192.0.2.7"],
    ["192.0.2.7/32", "192.0.2.7-192.0.2.7"],
    ["192.0.2.1-192.0.2.9", "192.0.2.1-192.0.2.9"],
    ["192.0.2.1 - 192.0.2.9", "192.0.2.1-192.0.2.9"],
    ["2001:db8::/33", "2001:db8::-2001:db8:7fff:ffff:ffff:ffff:ffff:ffff"],
    ["::ffff:10.0.0.0/104", "10.0.0.0-10.255.255.255"],
  ])("%s is %s", (text, expected) => {
    expect(rangeText(text)).toBe(expected);
  });

  test.each([
    "10.0.0.0/33",
    "10.0.0.0/",
    "10.0.0.0/-1",
    "10.0.0.0/8.0",
    "::/129",
    "::ffff:10.0.0.0/95",
    "192.0.2.9-192.0.2.1",
    "1.1.1.1-::1",
    "x/8",
    "-",
  ])("%j is no block", (text) => {
    expect(rangeFromText(text)).toBeNull();
  });

  test("a block holds as many addresses as its prefix leaves bits", () => {
    const wide = (bytes: Uint8Array) => BigInt(`0x${Buffer.from(bytes).toString("hex")}`);
    fc.assert(
      fc.property(fc.oneof(bytes4, bytes16), fc.nat(128), (bytes, prefix) => {
        const bits = prefix % (bytes.length * 8 + 1);
        const range = rangeOfPrefix(bytes, bits);
        expect(range).not.toBeNull();
        if (range === null) return;
        expect(wide(range.last) - wide(range.first) + 1n).toBe(1n << BigInt(bytes.length * 8 - bits));
        expect(wide(range.first) <= wide(bytes) && wide(bytes) <= wide(range.last)).toBe(true);
      }),
    );
  });
});

describe("the canonical text of an address keeps its zone", () => {
  test.each([
    ["192.0.2.1", "192.0.2.1"],
    ["2001:DB8:0:0::0001", "2001:db8::1"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["::FFFF:c000:0201", "192.0.2.1"],
    ["fe80::1%eth0", "fe80::1%eth0"],
    ["FE80:0::1%br-lan.7", "fe80::1%br-lan.7"],
  ])("%s is %s", (text, address) => {
    expect(canonicalAddress(text)).toBe(address);
  });

  test.each([
    "",
    "localhost",
    "192.0.2",
    "192.0.2.01",
    "0x7f.1",
    "1",
    "192.0.2.1:53",
    "[::1]",
    "::1/128",
    "unknown",
    " ::1",
    "fe80::1%",
    "192.0.2.1%eth0",
  ])("%j is none", (text) => {
    expect(canonicalAddress(text)).toBeNull();
  });
});

test("an endpoint is written with brackets round IPv6", () => {
  expect([endpointText("192.0.2.1", 53), endpointText("2001:db8::1", 853)]).toEqual(["192.0.2.1:53", "[2001:db8::1]:853"]);
});

test.each([
  ["127.0.0.1", true],
  ["127.8.8.8", true],
  ["::1", true],
  ["::ffff:127.0.0.1", true],
  ["::1%lo", true],
  ["0.0.0.0", false],
  ["192.0.2.1", false],
  ["fe80::1%lo", false],
  ["localhost", false],
])("that only this host can reach %s is %s", (text, expected) => {
  expect(isLoopback(text)).toBe(expected);
});

// Few distinct bytes, so that blocks overlap, touch and enclose each other often.
const byte = fc.constantFrom(0, 1, 2, 127, 128, 254, 255);
const address = fc.oneof(
  fc.array(byte, { minLength: 4, maxLength: 4 }).map((bytes) => Uint8Array.from(bytes)),
  fc.array(byte, { minLength: 16, maxLength: 16 }).map((bytes) => Uint8Array.from([0x20, ...bytes.slice(1)])),
);
const prefixed = fc
  .tuple(address, fc.nat(128))
  .map(([bytes, bits]) => rangeOfPrefix(bytes, bits % (bytes.length * 8 + 1)))
  .filter((range) => range !== null);
const spanned = fc
  .tuple(address, address)
  .filter(([left, right]) => left.length === right.length)
  .map(([left, right]) => (Buffer.compare(left, right) <= 0 ? { first: left, last: right } : { first: right, last: left }));
const blocks = fc.array(fc.oneof(prefixed, spanned), { maxLength: 20 });

function scan(ranges: readonly AddressRange[], bytes: Uint8Array): boolean {
  return ranges.some(
    ({ first, last }) => first.length === bytes.length && Buffer.compare(first, bytes) <= 0 && Buffer.compare(bytes, last) <= 0,
  );
}

describe("a set of addresses", () => {
  test("agrees with a linear scan of its blocks", () => {
    fc.assert(
      fc.property(blocks, fc.array(address, { minLength: 1, maxLength: 20 }), (ranges, addresses) => {
        const set = new AddressSet(ranges);
        const ends = ranges.flatMap(({ first, last }) => [first, last]);
        for (const bytes of [...addresses, ...ends]) {
          expect(set.has(bytes)).toBe(scan(ranges, bytes));
          expect(set.hasText(addressText(bytes))).toBe(scan(ranges, bytes));
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

  test("is the same set, made in one go and of the sets of its parts", () => {
    // Addresses near each other, so that the parts touch and overlap.
    const near = fc.record({ sixth: fc.boolean(), from: fc.nat(300), length: fc.nat(3) }).map(({ sixth, from, length }) => {
      const at = (number: number) =>
        sixth ? [...Array(13).fill(255), 255, number >> 8, number & 255] : [10, 255, number >> 8, number & 255];
      return { first: Uint8Array.from(at(from)), last: Uint8Array.from(at(from + length)) };
    });
    fc.assert(
      fc.property(fc.array(fc.oneof(near, prefixed), { maxLength: 40 }), (ranges) => {
        const whole = new AddressSet(ranges);
        const parts = ranges.map((range) => new AddressSet([range]));
        const union = runSync(AddressSet.union(parts));
        expect([...union.ranges()]).toEqual([...whole.ranges()]);
        expect(union.fingerprint).toBe(whole.fingerprint);
      }),
      { numRuns: runs(300) },
    );
  });

  test("of a quarter of a million blocks is built in slices", () => {
    const block = (index: number): AddressRange => {
      const first = Uint8Array.of(index >> 15, (index >> 7) & 255, (index << 1) & 255, 0);
      return { first, last: first };
    };
    const builder = new AddressSetBuilder();
    for (let index = 0; index < 250_000; index++) builder.add(block((index * 7919) % 250_000));
    const work = builder.build();
    let slices = 1;
    let step = work.next();
    for (; step.done !== true; step = work.next()) slices++;
    expect(step.value.size).toBe(250_000);
    expect(slices).toBeGreaterThan(60);
  });

  test("an IPv4-mapped address is looked up as IPv4, and ::/0 holds no IPv4", () => {
    const set = AddressSet.of("192.0.2.0/24");
    expect(set.hasText("::ffff:192.0.2.7")).toBe(true);
    expect(set.has(Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 7]))).toBe(true);
    expect(AddressSet.of("::/0").hasText("192.0.2.7")).toBe(false);
    expect(AddressSet.of("::/0").hasText("2001:db8::1")).toBe(true);
  });

  test("bytes of another length, and text that is no address, are in no set", () => {
    const all = AddressSet.of("0.0.0.0/0", "::/0");
    expect([all.hasText("example.com"), all.hasText(""), all.has(new Uint8Array(5))]).toEqual([false, false, false]);
    expect(() => AddressSet.of("300.0.0.1")).toThrow("300.0.0.1");
  });

  test("a zone is ignored", () => {
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

describe("the name of an address's PTR", () => {
  test.each([
    ["192.0.2.7", "7.2.0.192.in-addr.arpa"],
    ["2001:db8::567:89ab", "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"],
  ])("%s has its PTR at %s", (address, name) => {
    expect(nameText(reverseName(addressFromText(address) ?? new Uint8Array()))).toBe(name);
  });
});
