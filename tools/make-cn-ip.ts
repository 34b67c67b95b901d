// Writes rules/cn-ip.txt from the CSV files of the npm package @ip-location-db/geo-whois-asn-country (first,last,country):
//   npm pack @ip-location-db/geo-whois-asn-country && tar xzf ip-location-db-*.tgz
//   node tools/make-cn-ip.ts 2026-06-17 package/geo-whois-asn-country-ipv4.csv package/geo-whois-asn-country-ipv6.csv > rules/cn-ip.txt

import { readFileSync } from "node:fs";
import { type AddressRange, AddressSet, addressText, rangeFromText } from "../src/dns/address.ts";

const COUNTRY = "CN";

const [asOf, ...files] = process.argv.slice(2);
if (asOf === undefined || files.length === 0) throw new Error("usage: node tools/make-cn-ip.ts DATE FILE…");

const ranges = files.flatMap((file) =>
  readFileSync(file, "utf8")
    .split("\n")
    .map((line) => line.trim().split(","))
    .filter(([, , country]) => country === COUNTRY)
    .map(([first, last]) => {
      const range = rangeFromText(`${first}-${last}`);
      if (range === null) throw new Error(`${file}: ${first}-${last} is no range`);
      return range;
    }),
);

const lines = [...new AddressSet(ranges).ranges()].flatMap(prefixesOf);
process.stdout.write(`# Address ranges registered or announced in mainland China, IPv4 and IPv6, merged. Made by tools/make-cn-ip.ts from the npm package
# @ip-location-db/geo-whois-asn-country, whose data is by the NRO (https://www.nro.net), CC BY 4.0. As of ${asOf}.
${lines.join("\n")}
`);

/** The fewest CIDRs that are just this range. */
function prefixesOf({ first, last }: AddressRange): string[] {
  const bits = first.length * 8;
  const end = numberOf(last);
  const prefixes: string[] = [];
  for (let start = numberOf(first); start <= end; ) {
    let free = 0;
    while (free < bits && (start & ((1n << BigInt(free + 1)) - 1n)) === 0n && start + (1n << BigInt(free + 1)) - 1n <= end)
      free++;
    prefixes.push(`${addressText(bytesOf(start, first.length))}/${bits - free}`);
    start += 1n << BigInt(free);
  }
  return prefixes;
}

function numberOf(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).toString("hex")}`);
}

function bytesOf(value: bigint, length: number): Uint8Array {
  return Buffer.from(value.toString(16).padStart(length * 2, "0"), "hex");
}
