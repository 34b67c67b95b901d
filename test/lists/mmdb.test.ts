import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { AddressSet, addressText } from "../../src/dns/address.ts";
import { runSync } from "../../src/lib/cooperative.ts";
import { WarningLog } from "../../src/lists/diagnostics.ts";
import { readAddresses } from "../../src/lists/readers.ts";
import { database, network, type Value } from "./mmdb-file.ts";

function blocksOf(bytes: Buffer, category: string | null): string[] | string {
  const { ranges, problem } = runSync(readAddresses(bytes, category, new WarningLog()));
  return problem ?? [...new AddressSet(ranges).ranges()].map(({ first, last }) => `${addressText(first)}-${addressText(last)}`);
}

const CHINA = { country: { iso_code: "CN", names: { en: "China" } } };

describe("a MaxMind database", () => {
  test.each([24, 28, 32] as const)("with records of %d bits gives the networks of a country, IPv4 as IPv4", (recordBits) => {
    const bytes = database(
      [
        network("1.0.1.0/24", CHINA),
        network("1.0.2.0/23", CHINA),
        network("8.8.8.0/24", { country: { iso_code: "US" } }),
        network("2400:3200::/32", CHINA),
      ],
      recordBits,
    );
    expect(blocksOf(bytes, "cn")).toEqual(["1.0.1.0-1.0.3.255", "2400:3200::-2400:3200:ffff:ffff:ffff:ffff:ffff:ffff"]);
    expect(blocksOf(bytes, "US")).toEqual(["8.8.8.0-8.8.8.255"]);
    expect(blocksOf(bytes, "FR")).toEqual([]);
  });

  test.each<Value>([
    CHINA,
    { country_code: "CN" },
    { country: "CN" },
    "cn",
    ["us", "cn"],
    { long: "x".repeat(100), country_code: "CN" },
  ])("may say the country as %j", (record) => {
    expect(blocksOf(database([network("1.0.1.0/24", record)], 24), "cn")).toEqual(["1.0.1.0-1.0.1.255"]);
  });

  test("for IPv4 alone is read likewise", () => {
    const { octets, bits, record } = network("1.0.1.0/24", CHINA);
    const bytes = database([{ octets: octets.subarray(12), bits: bits - 96, record }], 24);
    const version = bytes.lastIndexOf("ip_version") + "ip_version".length + 4;
    bytes[version] = 4;
    expect(blocksOf(bytes, "cn")).toEqual(["1.0.1.0-1.0.1.255"]);
  });

  test("networks that only repeat IPv4 elsewhere are left out", () => {
    expect(blocksOf(database([network("1.0.1.0/24", CHINA)], 28, true), "cn")).toEqual(["1.0.1.0-1.0.1.255"]);
  });

  test("gives back whatever networks were written", () => {
    const cidr = fc.tuple(fc.nat(255), fc.nat(255)).map(([high, low]) => `${high}.${low}.0.0/16`);
    fc.assert(
      fc.property(fc.uniqueArray(cidr, { minLength: 1, maxLength: 30 }), fc.constantFrom(24, 28, 32), (cidrs, recordBits) => {
        const networks = cidrs.map((text, index) => network(text, index % 3 === 0 ? { country_code: "US" } : CHINA));
        const expected = AddressSet.of(...cidrs.filter((_, index) => index % 3 !== 0));
        expect(blocksOf(database(networks, recordBits), "cn")).toEqual(
          [...expected.ranges()].map(({ first, last }) => `${addressText(first)}-${addressText(last)}`),
        );
      }),
    );
  });

  test("without a country asked for it is a problem", () => {
    expect(blocksOf(database([network("1.0.1.0/24", CHINA)], 24), null)).toBe("a MaxMind database needs the country after #");
  });

  test("damaged, it is read or refused, and never without end", () => {
    const sound = database([network("1.0.1.0/24", CHINA), network("2400::/12", ["CN", "US"])], 24, true);
    const damage = fc.array(fc.tuple(fc.nat(sound.length - 1), fc.nat(255)), { maxLength: 8 });
    fc.assert(
      fc.property(damage, (edits) => {
        const bytes = Buffer.from(sound);
        for (const [place, byte] of edits) bytes[place] = byte;
        const { ranges } = runSync(readAddresses(bytes, "cn", new WarningLog()));
        for (const { first, last } of ranges) expect(Buffer.compare(first, last)).toBeLessThanOrEqual(0);
      }),
      { numRuns: 2000 },
    );
  });

  test("a tree that leads back to its root is refused", () => {
    const bytes = database([network("1.0.1.0/24", CHINA)], 24);
    bytes.fill(0, 0, 3);
    expect(blocksOf(bytes, "cn")).toBe("a database whose tree has no end");
  });
});
