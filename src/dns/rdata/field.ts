import ipaddr from "ipaddr.js";
import { addressFromText } from "../address.ts";
import { type Name, nameText } from "../name.ts";
import { PresentationError, type TextReader } from "./text-reader.ts";
import type { WireReader } from "./wire-reader.ts";
import type { WireWriter } from "./wire-writer.ts";

/** One field of a record's data, in its four directions. Fields that take all that is left stand last in their record. */
export interface Field<T> {
  /** A fault goes to `reader.fail`; what is returned then does not matter. */
  read(reader: WireReader): T;
  /** @throws RangeError for a value that the field cannot hold. */
  write(writer: WireWriter, value: T): void;
  /** Presentation format; empty where there is nothing to show. */
  text(value: T): string;
  /** @throws PresentationError */
  parse(text: TextReader): T;
}

export const uint8: Field<number> = {
  read: (reader) => reader.uint8(),
  write: (writer, value) => writer.uint8(value),
  text: String,
  parse: (text) => text.integer(0xff),
};

export const uint16: Field<number> = {
  read: (reader) => reader.uint16(),
  write: (writer, value) => writer.uint16(value),
  text: String,
  parse: (text) => text.integer(0xffff),
};

export const uint32: Field<number> = {
  read: (reader) => reader.uint32(),
  write: (writer, value) => writer.uint32(value),
  text: String,
  parse: (text) => text.integer(0xffff_ffff),
};

/**
 * How far a name may be compressed. `always` is for the types of RFC 1035; those after it are sent in full, and pointers in them are
 * followed only where older software may have put them (RFC 3597 §4).
 */
export function domain(compression: "always" | "onlyRead" | "never"): Field<Name> {
  return {
    read: (reader) => reader.name(compression !== "never"),
    write: (writer, name) => (compression === "always" ? writer.compressedName(name) : writer.plainName(name)),
    text: absoluteText,
    parse: (text) => text.domain(),
  };
}

/** A name as master files have it, with its final dot. */
export function absoluteText(name: Name): string {
  const text = nameText(name);
  return text === "." ? text : `${text}.`;
}

export const ipv4: Field<string> = {
  read: (reader) => reader.octets(4).join("."),
  write: (writer, address) => writer.octets(ipv4Octets(address)),
  text: (address) => address,
  parse: (text) => ipv4Octets(text.next().raw).join("."),
};

export const ipv6: Field<string> = {
  read: (reader) => ipv6Text(reader.octets(16)),
  write: (writer, address) => writer.octets(ipv6Octets(address)),
  text: (address) => address,
  parse: (text) => ipv6Text(ipv6Octets(text.next().raw)),
};

/** RFC 5952; an IPv4-mapped address stays IPv6, and is shown as its §5 recommends. Fewer than 16 octets give the empty text. */
export function ipv6Text(octets: Uint8Array): string {
  if (octets.length !== 16) return "";
  const isMapped = octets[10] === 0xff && octets[11] === 0xff && octets.subarray(0, 10).every((octet) => octet === 0);
  return isMapped ? `::ffff:${octets.subarray(12).join(".")}` : new ipaddr.IPv6([...octets]).toRFC5952String();
}

/** @throws PresentationError */
export function ipv4Octets(text: string): Uint8Array {
  const octets = text.includes(":") ? null : addressFromText(text);
  if (octets === null) throw new PresentationError(`${text} is no IPv4 address`);
  return octets;
}

/** @throws PresentationError */
export function ipv6Octets(text: string): Uint8Array {
  const octets = text.includes(":") ? addressFromText(text) : null;
  if (octets === null) throw new PresentationError(`${text} is no IPv6 address`);
  return octets.length === 16 ? octets : Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...octets);
}
