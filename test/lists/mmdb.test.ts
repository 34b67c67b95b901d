import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { addressText, rangeFromText } from "../../src/dns/address.ts";
import { AddressSet } from "../../src/dns/address-set.ts";
import { readAddresses } from "../../src/lists/read-addresses.ts";
import { WarningLog } from "../../src/lists/warnings.ts";

/** A value of the data section. Numbers are written as uint32. */
type Value = string | number | readonly Value[] | { readonly [key: string]: Value };

function encoded(value: Value): Buffer {
  const headed = (type: number, size: number, body: readonly Buffer[] = []) => {
    const extended = size < 29 ? [] : [size - 29];
    const bits = Math.min(size, 29);
    const control = type < 8 ? [(type << 5) | bits] : [bits, type - 7];
    return Buffer.concat([Buffer.from([...control, ...extended]), ...body]);
  };
  if (typeof value === "string") return headed(2, Buffer.byteLength(value), [Buffer.from(value)]);
  if (typeof value === "number") {
    const octets = Buffer.alloc(4);
    octets.writeUInt32BE(value);
    return headed(6, 4, [octets]);
  }
  if (Array.isArray(value)) return headed(11, value.length, value.map(encoded));
  const entries = Object.entries(value);
  return headed(
    7,
    entries.length,
    entries.flatMap(([key, held]) => [encoded(key), encoded(held)]),
  );
}

/** Two places a node: another node, a record (its offset in the data section), or nothing. */
type Place = { readonly node: number } | { readonly data: number } | null;

interface Network {
  /** 16 octets; IPv4 in the last four. */
  readonly octets: Uint8Array;
  readonly bits: number;
  readonly record: Value;
}

/** Writes a database, of version 6. Networks must not enclose each other, nor anything under `aliasOfIpv4`. */
function database(networks: readonly Network[], recordBits: 24 | 28 | 32, aliasOfIpv4 = false): Buffer {
  const nodes: [Place, Place][] = [[null, null]];
  const data: Buffer[] = [];
  let dataOctets = 0;
  const nodeAt = (octets: Uint8Array, bits: number): [number, 0 | 1] => {
    let node = 0;
    for (let bit = 0; ; bit++) {
      const side = ((octets[bit >> 3] ?? 0) >> (7 - (bit % 8))) & 1 ? 1 : 0;
      if (bit === bits - 1) return [node, side];
      const next = nodes[node]?.[side] ?? null;
      if (next !== null && "node" in next) node = next.node;
      else {
        nodes.push([null, null]);
        const pair = nodes[node];
        if (pair !== undefined) pair[side] = { node: nodes.length - 1 };
        node = nodes.length - 1;
      }
    }
  };
  const put = ([node, side]: readonly [number, 0 | 1], place: Place) => {
    const pair = nodes[node];
    if (pair !== undefined) pair[side] = place;
  };
  for (const { octets, bits, record } of networks) {
    put(nodeAt(octets, bits), { data: dataOctets });
    data.push(encoded(record));
    dataOctets += data.at(-1)?.length ?? 0;
  }
  if (aliasOfIpv4) {
    const [node, side] = nodeAt(new Uint8Array(16), 96);
    put(nodeAt(Uint8Array.from([0x20, 0x02, ...new Uint8Array(14)]), 16), nodes[node]?.[side] ?? null);
  }
  const number = (place: Place) =>
    place === null ? nodes.length : "node" in place ? place.node : nodes.length + 16 + place.data;
  const tree = nodes.map(([left, right]) => {
    const hex = [left, right].map((place) =>
      number(place)
        .toString(16)
        .padStart(recordBits / 4, "0"),
    );
    const [first = "", second = ""] = hex;
    return Buffer.from(recordBits === 28 ? first.slice(1) + first.slice(0, 1) + second : first + second, "hex");
  });
  const metadata = encoded({ node_count: nodes.length, record_size: recordBits, ip_version: 6, database_type: "Test" });
  return Buffer.concat([...tree, Buffer.alloc(16), ...data, Buffer.from("\xab\xcd\xefMaxMind.com", "latin1"), metadata]);
}

function network(text: string, record: Value): Network {
  const range = rangeFromText(text);
  if (range === null) throw new Error(`${text} is no network`);
  const octets = Uint8Array.from([...new Uint8Array(16 - range.first.length), ...range.first]);
  return { octets, bits: Number(text.split("/")[1]) + (range.first.length === 4 ? 96 : 0), record };
}

function blocksOf(bytes: Buffer, category: string | null): string[] | string {
  const { ranges, problem } = readAddresses(bytes, category, new WarningLog());
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
        for (const [place, octet] of edits) bytes[place] = octet;
        const { ranges } = readAddresses(bytes, "cn", new WarningLog());
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
