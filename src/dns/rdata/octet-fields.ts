import type { Field } from "./field.ts";
import { PresentationError, type TextReader, type Token } from "./text-reader.ts";
import type { WireReader } from "./wire-reader.ts";
import type { WireWriter } from "./wire-writer.ts";

/** A character-string (RFC 1035 §3.3): up to 255 octets behind their number, as a string of one character (0 to 255) an octet. */
export const characterString: Field<string> = {
  read: (reader) => reader.octetText(reader.uint8()),
  write: writeCharacterString,
  text: quoted,
  parse: (text) => shortOctets(text.next()),
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
  parse: (text) => [shortOctets(text.next()), ...text.rest().map(shortOctets)],
};

/** The tag of a CAA record: letters and digits, behind their number (RFC 8659 §4.1). */
export const caaTag: Field<string> = {
  read(reader) {
    const tag = reader.octetText(reader.uint8());
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

/** All the octets left, shown as one quoted string. */
export const quotedRest: Field<string> = {
  read: (reader) => reader.octetText(reader.remaining),
  write: (writer, text) => writer.octetText(text),
  text: quoted,
  parse: (text) => text.next().octets,
};

/** All the octets left, in hexadecimal digits that may be divided by spaces. */
export const hexRest: Field<Uint8Array> = {
  read: readRest,
  write: writeOctets,
  text: hexText,
  parse: (text) => hexOctets(joined(text)),
};

/** All the octets left, in base64 (RFC 4648 §4) that may be divided by spaces. */
export const base64Rest: Field<Uint8Array> = {
  read: readRest,
  write: writeOctets,
  text: base64Text,
  parse: (text) => base64Octets(joined(text)),
};

/** The salt of NSEC3: up to 255 octets behind their number, in hexadecimal, "-" for none (RFC 5155 §3.3). */
export const salt: Field<Uint8Array> = {
  read: (reader) => reader.octets(reader.uint8()),
  write: writeShort,
  text: (octets) => (octets.length === 0 ? "-" : hexText(octets)),
  parse(text) {
    const { raw } = text.next();
    return raw === "-" ? new Uint8Array() : limited(hexOctets(raw));
  },
};

/** The hashed owner of NSEC3: up to 255 octets behind their number, in base32hex without padding (RFC 5155 §3.3). */
export const hashedOwner: Field<Uint8Array> = {
  read(reader) {
    const length = reader.uint8();
    if (length === 0) reader.fail("a hashed owner is empty");
    return reader.octets(length);
  },
  write: writeShort,
  text: base32hexText,
  parse: (text) => limited(base32hexOctets(text.next().raw)),
};

/** An octet string in quotation marks (RFC 1035 §5.1). */
export function quoted(octets: string): string {
  return `"${escaped(octets, /["\\]/)}"`;
}

/** An octet string as a word without quotation marks. */
export function unquoted(octets: string): string {
  return escaped(octets, /["\\;()]/).replaceAll(" ", "\\032");
}

function escaped(octets: string, special: RegExp): string {
  let text = "";
  for (const character of octets) {
    const octet = character.charCodeAt(0);
    if (octet < 0x20 || octet >= 0x7f) text += `\\${String(octet).padStart(3, "0")}`;
    else text += special.test(character) ? `\\${character}` : character;
  }
  return text;
}

export function hexText(octets: Uint8Array): string {
  return octetsView(octets).toString("hex");
}

export function base64Text(octets: Uint8Array): string {
  return octetsView(octets).toString("base64");
}

/** @throws PresentationError */
export function hexOctets(text: string): Uint8Array {
  if (!/^([0-9a-f]{2})*$/i.test(text)) throw new PresentationError(`${text} is not made of pairs of hexadecimal digits`);
  return new Uint8Array(Buffer.from(text, "hex"));
}

/** @throws PresentationError */
export function base64Octets(text: string): Uint8Array {
  if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) throw new PresentationError(`${text} is no base64`);
  return new Uint8Array(Buffer.from(text, "base64"));
}

const BASE32HEX = "0123456789ABCDEFGHIJKLMNOPQRSTUV";

function base32hexText(octets: Uint8Array): string {
  let text = "";
  let bits = 0;
  let pending = 0;
  for (const octet of octets) {
    pending = ((pending << 8) | octet) & 0xfff;
    for (bits += 8; bits >= 5; bits -= 5) text += BASE32HEX.charAt((pending >> (bits - 5)) & 31);
  }
  return bits === 0 ? text : text + BASE32HEX.charAt((pending << (5 - bits)) & 31);
}

function base32hexOctets(text: string): Uint8Array {
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

function octetsView(octets: Uint8Array): Buffer {
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

function writeOctets(writer: WireWriter, octets: Uint8Array): void {
  writer.octets(octets);
}

function writeShort(writer: WireWriter, octets: Uint8Array): void {
  writer.uint8(octets.length);
  writer.octets(octets);
}

function writeCharacterString(writer: WireWriter, octets: string): void {
  writer.uint8(octets.length);
  writer.octetText(octets);
}

function shortOctets({ octets }: Token): string {
  return limited(octets);
}

function limited<T extends { readonly length: number }>(octets: T): T {
  if (octets.length > 255) throw new PresentationError(`a string has ${octets.length} octets, more than 255`);
  return octets;
}

function isCaaTag(text: string): boolean {
  return /^[A-Za-z0-9]+$/.test(text);
}
