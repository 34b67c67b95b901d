import { type AddressRange, rangeOfPrefix, unmapped } from "../dns/address.ts";
import { SLICE_ENTRIES, type Sliced } from "../lib/cooperative.ts";
import { MalformedFile, type WarningLog } from "./diagnostics.ts";
import type { DomainSink } from "./domain-set-builder.ts";

/** `cn@ads@!cn`: a category's code, and the attributes that an entry must carry, all of them. */
interface Category {
  readonly code: string;
  readonly attributes: readonly string[];
}

export function parseCategory(text: string): Category {
  const [code = "", ...attributes] = text.split("@");
  return { code: code.toUpperCase(), attributes: attributes.map((attribute) => attribute.toLowerCase()) };
}

interface EntryTakers {
  readonly sink: DomainSink;
  readonly warnings: WarningLog;
}

const GEOSITE = { code: 1, domain: 2 };
const DOMAIN = { type: 1, value: 2, attribute: 3 };
const ATTRIBUTE_KEY = 1;

/**
 * Reads one category of a V2Ray geosite file. An entry's number within its category serves as its line. false where there is no such category.
 * @throws MalformedFile
 */
export function* readGeosite(bytes: Buffer, { code, attributes }: Category, { sink, warnings }: EntryTakers): Sliced<boolean> {
  let found = false;
  for (const site = new ProtobufCursor(bytes); site.next(); ) {
    if (site.field !== 1 || codeOf(site.message()) !== code) continue;
    found = true;
    const fields = site.message();
    for (let number = 0; fields.next(); ) {
      if (fields.field !== GEOSITE.domain) continue;
      number++;
      if (number % SLICE_ENTRIES === 0) yield;
      const reason = readDomain(fields.message(), { attributes, number }, sink);
      if (reason !== null) warnings.add(number, reason);
    }
  }
  return found;
}

/** The code of a GeoSite or GeoIP message, in upper case. */
function codeOf(message: ProtobufCursor): string {
  while (message.next()) if (message.field === GEOSITE.code) return message.text().toUpperCase();
  return "";
}

function readDomain(
  domain: ProtobufCursor,
  { attributes, number }: { readonly attributes: readonly string[]; readonly number: number },
  sink: DomainSink,
): string | null {
  let type = 0;
  let value = { bytes: domain.bytes, start: 0, end: 0 };
  const carried: string[] = [];
  while (domain.next()) {
    if (domain.field === DOMAIN.type) type = domain.value;
    else if (domain.field === DOMAIN.value) value = { bytes: domain.bytes, start: domain.start, end: domain.end };
    else if (domain.field === DOMAIN.attribute && attributes.length > 0) carried.push(attributeKey(domain.message()));
  }
  if (!attributes.every((attribute) => carried.includes(attribute))) return null;
  switch (type) {
    case 0:
    case 1:
      return sink.text(type === 0 ? "keyword" : "regexp", value.bytes.toString("utf8", value.start, value.end), number);
    case 2:
      return sink.name("suffix", value, number);
    case 3:
      return sink.name("full", value, number);
    default:
      return "an entry of an unknown type";
  }
}

function attributeKey(attribute: ProtobufCursor): string {
  while (attribute.next()) if (attribute.field === ATTRIBUTE_KEY) return attribute.text().toLowerCase();
  return "";
}

const GEOIP = { cidr: 2, reverseMatch: 3 };
const CIDR = { address: 1, prefix: 2 };

/** What a geoip file says of a category: its blocks, or that these are what it leaves out. */
interface GeoipCategory {
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

/** Steps through the fields of one message between two offsets of a file, without copying anything. */
class ProtobufCursor {
  readonly bytes: Buffer;
  readonly #end: number;
  #position: number;
  /** Of the field that `next` has come to. */
  field = 0;
  /** The value of a number; 0 for other fields. */
  value = 0;
  /** Where the bytes of a length-delimited field stand; empty for numbers. */
  start = 0;
  end = 0;

  constructor(bytes: Buffer, start = 0, end = bytes.length) {
    this.bytes = bytes;
    this.#position = start;
    this.#end = end;
  }

  /** Goes on to the next field; false at the end. Fixed-width numbers are passed over. @throws MalformedFile */
  next(): boolean {
    if (this.#position === this.#end) return false;
    const key = this.#varint();
    this.field = key >>> 3;
    this.value = 0;
    this.start = this.#position;
    this.end = this.#position;
    switch (key & 7) {
      case 0:
        this.value = this.#varint();
        break;
      case 1:
        this.#skip(8);
        break;
      case 2: {
        const length = this.#varint();
        this.start = this.#position;
        this.#skip(length);
        this.end = this.#position;
        break;
      }
      case 5:
        this.#skip(4);
        break;
      default:
        throw new MalformedFile("not a protobuf message");
    }
    return true;
  }

  /** The message within the field at hand. */
  message(): ProtobufCursor {
    return new ProtobufCursor(this.bytes, this.start, this.end);
  }

  text(): string {
    return this.bytes.toString("utf8", this.start, this.end);
  }

  #skip(octets: number): void {
    if (octets > this.#end - this.#position) throw new MalformedFile("a protobuf message that is cut off");
    this.#position += octets;
  }

  // Exact up to 2^53; the formats read here hold nothing larger.
  #varint(): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < 10; count++) {
      const byte = this.#position < this.#end ? this.bytes[this.#position++] : undefined;
      if (byte === undefined) throw new MalformedFile("a protobuf message that is cut off");
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
    }
    throw new MalformedFile("not a protobuf message");
  }
}
