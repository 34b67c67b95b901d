import { type AddressRange, rangeOfPrefix, unmapped } from "../../dns/address.ts";
import { SLICE_ENTRIES, type Sliced } from "../../lib/cooperative.ts";
import type { WarningLog } from "../warnings.ts";
import { codeOf } from "./geosite.ts";
import { ProtobufCursor } from "./protobuf.ts";

const GEOIP = { cidr: 2, reverseMatch: 3 };
const CIDR = { address: 1, prefix: 2 };

/** What a geoip file says of a category: its blocks, or that these are what it leaves out. */
export interface GeoipCategory {
  readonly ranges: readonly AddressRange[];
  readonly reversed: boolean;
}

/**
 * Reads one category (its code in upper case) of a V2Ray geoip file; null where there is none. A block's number within it serves as its line.
 * @throws MalformedFile
 */
export function* readGeoip(bytes: Buffer, code: string, warnings: WarningLog): Sliced<GeoipCategory | null> {
  let found = false;
  let reversed = false;
  const ranges: AddressRange[] = [];
  for (const entry = new ProtobufCursor(bytes); entry.next(); ) {
    if (entry.field !== 1 || codeOf(entry.message()) !== code) continue;
    found = true;
    const fields = entry.message();
    for (let number = 0; fields.next(); ) {
      if (fields.field === GEOIP.reverseMatch) reversed = fields.value !== 0;
      if (fields.field !== GEOIP.cidr) continue;
      number++;
      if (number % SLICE_ENTRIES === 0) yield;
      const range = readCidr(fields.message());
      if (range === null) warnings.add(number, "not a block of addresses");
      else ranges.push(range);
    }
  }
  return found ? { ranges, reversed } : null;
}

function readCidr(cidr: ProtobufCursor): AddressRange | null {
  let address: Buffer = Buffer.alloc(0);
  let bits = 0;
  while (cidr.next()) {
    if (cidr.field === CIDR.address) address = cidr.bytes.subarray(cidr.start, cidr.end);
    else if (cidr.field === CIDR.prefix) bits = cidr.value;
  }
  if (address.length !== 4 && address.length !== 16) return null;
  const plain = unmapped(address);
  return rangeOfPrefix(plain, plain.length < address.length ? bits - 96 : bits);
}
