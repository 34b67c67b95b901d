import ipaddr from "ipaddr.js";
import { addressFromText } from "./address.ts";
import { type Name, nameText } from "./name.ts";
import { PresentationError, type TextReader, type Token } from "./text-reader.ts";
import { typeName, typeNumber } from "./types.ts";
import type { WireReader, WireWriter } from "./wire.ts";

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
  write: (writer, address) => writer.octets(ipv4Bytes(address)),
  text: (address) => address,
  parse: (text) => ipv4Bytes(text.next().raw).join("."),
};

export const ipv6: Field<string> = {
  read: (reader) => ipv6Text(reader.octets(16)),
  write: (writer, address) => writer.octets(ipv6Bytes(address)),
  text: (address) => address,
  parse: (text) => ipv6Text(ipv6Bytes(text.next().raw)),
};

/** RFC 5952; an IPv4-mapped address stays IPv6, and is shown as its §5 recommends. Fewer than 16 bytes give the empty text. */
export function ipv6Text(octets: Uint8Array): string {
  if (octets.length !== 16) return "";
  const isMapped = octets[10] === 0xff && octets[11] === 0xff && octets.subarray(0, 10).every((byte) => byte === 0);
  return isMapped ? `::ffff:${octets.subarray(12).join(".")}` : new ipaddr.IPv6([...octets]).toRFC5952String();
}

/** @throws PresentationError */
export function ipv4Bytes(text: string): Uint8Array {
  const octets = text.includes(":") ? null : addressFromText(text);
  if (octets === null) throw new PresentationError(`${text} is no IPv4 address`);
  return octets;
}

/** @throws PresentationError */
export function ipv6Bytes(text: string): Uint8Array {
  const octets = text.includes(":") ? addressFromText(text) : null;
  if (octets === null) throw new PresentationError(`${text} is no IPv6 address`);
  return octets.length === 16 ? octets : Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...octets);
}

/** A character-string (RFC 1035 §3.3): up to 255 bytes behind their number, as a string of one character (0 to 255) an byte. */
export const characterString: Field<string> = {
  read: (reader) => reader.byteText(reader.uint8()),
  write: writeCharacterString,
  text: quoted,
  parse: (text) => shortBytes(text.next()),
};

/** One character-string or more, to the end of the data. */
export const characterStrings: Field<readonly string[]> = {
  read(reader) {
    const strings: string[] = [];
    do strings.push(characterString.read(reader));
    while (reader.remaining > 0);
    return strings;
  },
  write(writer, strings) {
    for (const string of strings) writeCharacterString(writer, string);
  },
  text: (strings) => strings.map(quoted).join(" "),
  parse: (text) => [shortBytes(text.next()), ...text.rest().map(shortBytes)],
};

/** The tag of a CAA record: letters and digits, behind their number (RFC 8659 §4.1). */
export const caaTag: Field<string> = {
  read(reader) {
    const tag = reader.byteText(reader.uint8());
    if (!isCaaTag(tag)) reader.fail("a CAA tag is not made of letters and digits");
    return tag;
  },
  write: writeCharacterString,
  text: (tag) => tag,
  parse(text) {
    const { octets } = text.next();
    if (!isCaaTag(octets)) throw new PresentationError(`"${octets}" is no CAA tag`);
    return octets;
  },
};

/** All the bytes left, shown as one quoted string. */
export const quotedRest: Field<string> = {
  read: (reader) => reader.byteText(reader.remaining),
  write: (writer, text) => writer.byteText(text),
  text: quoted,
  parse: (text) => text.next().octets,
};

/** All the bytes left, in hexadecimal digits that may be divided by spaces. */
export const hexRest: Field<Uint8Array> = {
  read: readRest,
  write: writeBytes,
  text: hexText,
  parse: (text) => hexBytes(joined(text)),
};

/** All the bytes left, in base64 (RFC 4648 §4) that may be divided by spaces. */
export const base64Rest: Field<Uint8Array> = {
  read: readRest,
  write: writeBytes,
  text: base64Text,
  parse: (text) => base64Bytes(joined(text)),
};

/** The salt of NSEC3: up to 255 bytes behind their number, in hexadecimal, "-" for none (RFC 5155 §3.3). */
export const salt: Field<Uint8Array> = {
  read: (reader) => reader.octets(reader.uint8()),
  write: writeShort,
  text: (octets) => (octets.length === 0 ? "-" : hexText(octets)),
  parse(text) {
    const { raw } = text.next();
    return raw === "-" ? new Uint8Array() : limited(hexBytes(raw));
  },
};

/** The hashed owner of NSEC3: up to 255 bytes behind their number, in base32hex without padding (RFC 5155 §3.3). */
export const hashedOwner: Field<Uint8Array> = {
  read(reader) {
    const length = reader.uint8();
    if (length === 0) reader.fail("a hashed owner is empty");
    return reader.octets(length);
  },
  write: writeShort,
  text: base32hexText,
  parse: (text) => limited(base32hexBytes(text.next().raw)),
};

/** An byte string in quotation marks (RFC 1035 §5.1). */
function quoted(octets: string): string {
  return `"${escaped(octets, /["\\]/)}"`;
}

/** An byte string as a word without quotation marks. */
export function unquoted(octets: string): string {
  return escaped(octets, /["\\;()]/).replaceAll(" ", "\\032");
}

function escaped(octets: string, special: RegExp): string {
  let text = "";
  for (const character of octets) {
    const byte = character.charCodeAt(0);
    if (byte < 0x20 || byte >= 0x7f) text += `\\${String(byte).padStart(3, "0")}`;
    else text += special.test(character) ? `\\${character}` : character;
  }
  return text;
}

export function hexText(octets: Uint8Array): string {
  return bytesView(octets).toString("hex");
}

export function base64Text(octets: Uint8Array): string {
  return bytesView(octets).toString("base64");
}

/** @throws PresentationError */
function hexBytes(text: string): Uint8Array {
  if (!/^([0-9a-f]{2})*$/i.test(text)) throw new PresentationError(`${text} is not made of pairs of hexadecimal digits`);
  return new Uint8Array(Buffer.from(text, "hex"));
}

/** @throws PresentationError */
export function base64Bytes(text: string): Uint8Array {
  if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) throw new PresentationError(`${text} is no base64`);
  return new Uint8Array(Buffer.from(text, "base64"));
}

const BASE32HEX = "0123456789ABCDEFGHIJKLMNOPQRSTUV";

function base32hexText(octets: Uint8Array): string {
  let text = "";
  let bits = 0;
  let pending = 0;
  for (const byte of octets) {
    pending = ((pending << 8) | byte) & 0xfff;
    for (bits += 8; bits >= 5; bits -= 5) text += BASE32HEX.charAt((pending >> (bits - 5)) & 31);
  }
  return bits === 0 ? text : text + BASE32HEX.charAt((pending << (5 - bits)) & 31);
}

function base32hexBytes(text: string): Uint8Array {
  const octets: number[] = [];
  let bits = 0;
  let pending = 0;
  for (const character of text.toUpperCase()) {
    const digit = BASE32HEX.indexOf(character);
    if (digit < 0) throw new PresentationError(`${text} is no base32hex`);
    pending = ((pending << 5) | digit) & 0xfff;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      octets.push((pending >> bits) & 0xff);
    }
  }
  if (octets.length === 0) throw new PresentationError("a hashed owner is empty");
  return Uint8Array.from(octets);
}

function bytesView(octets: Uint8Array): Buffer {
  return Buffer.from(octets.buffer, octets.byteOffset, octets.length);
}

function joined(text: TextReader): string {
  return text
    .rest()
    .map(({ raw }) => raw)
    .join("");
}

function readRest(reader: WireReader): Uint8Array {
  return reader.octets(reader.remaining);
}

function writeBytes(writer: WireWriter, octets: Uint8Array): void {
  writer.octets(octets);
}

function writeShort(writer: WireWriter, octets: Uint8Array): void {
  writer.uint8(octets.length);
  writer.octets(octets);
}

function writeCharacterString(writer: WireWriter, octets: string): void {
  writer.uint8(octets.length);
  writer.byteText(octets);
}

function shortBytes({ octets }: Token): string {
  return limited(octets);
}

function limited<T extends { readonly length: number }>(octets: T): T {
  if (octets.length > 255) throw new PresentationError(`a string has ${octets.length} octets, more than 255`);
  return octets;
}

function isCaaTag(text: string): boolean {
  return /^[A-Za-z0-9]+$/.test(text);
}

/** A type by its mnemonic: what an RRSIG covers. */
export const typeField: Field<number> = {
  ...uint16,
  text: typeName,
  parse: (text) => typeOf(text.next().raw),
};

/** Seconds since 1970 modulo 2^32, shown as the moment in UTC that they mean before 2106 (RFC 4034 §3.2). */
export const timestamp: Field<number> = {
  ...uint32,
  text: (seconds) => new Date(seconds * 1000).toISOString().replace(/[-:T]|\.\d+Z$/g, ""),
  parse(text) {
    const token = text.peek()?.raw ?? "";
    const parts = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)$/.exec(token)?.slice(1).map(Number);
    if (parts === undefined) return text.integer(0xffff_ffff);
    text.next();
    const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = parts;
    const seconds = Date.UTC(year, month - 1, day, hour, minute, second) / 1000;
    // A thirteenth month would have rolled over into the next year.
    if (!(seconds >= 0 && seconds <= 0xffff_ffff) || timestamp.text(seconds) !== token)
      throw new PresentationError(`${token} is no moment from 1970 to 2106`);
    return seconds;
  },
};

/** The types that exist at a name, ascending (RFC 4034 §4.1.2): NSEC, NSEC3. */
export const typeBitmap: Field<readonly number[]> = {
  read(reader) {
    const types: number[] = [];
    let previousWindow = -1;
    while (reader.remaining > 0) {
      const window = reader.uint8();
      const octets = reader.octets(reader.uint8());
      if (window <= previousWindow || octets.length === 0 || octets.length > 32 || octets.at(-1) === 0)
        reader.fail("a type bitmap is not in its one right form");
      previousWindow = window;
      for (const [index, byte] of octets.entries())
        for (let bit = 0; bit < 8; bit++) if ((byte & (0x80 >> bit)) !== 0) types.push(window * 256 + index * 8 + bit);
    }
    return types;
  },
  write(writer, types) {
    const windows = Map.groupBy(types, (type) => type >> 8);
    for (const [window, members] of [...windows].toSorted(([left], [right]) => left - right)) {
      const octets = new Uint8Array((Math.max(...members.map((type) => type & 0xff)) >> 3) + 1);
      for (const type of members) octets[(type & 0xff) >> 3] = (octets[(type & 0xff) >> 3] ?? 0) | (0x80 >> (type & 7));
      writer.uint8(window);
      writer.uint8(octets.length);
      writer.octets(octets);
    }
  },
  text: (types) => types.map(typeName).join(" "),
  parse: (text) => [...new Set(text.rest().map(({ raw }) => typeOf(raw)))].sort((left, right) => left - right),
};

function typeOf(text: string): number {
  const type = /^\d+$/.test(text) ? null : typeNumber(text);
  if (type === null) throw new PresentationError(`${text} is no type`);
  return type;
}
