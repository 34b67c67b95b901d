import { isIPv4 } from "node:net";
import { domainToASCII } from "node:url";

declare const nameBrand: unique symbol;

/**
 * A domain name in canonical form: the uncompressed wire format, ASCII letters in lower case, with one character (0 to 255) for each byte, the root
 * label included. Two names are equal as strings exactly if they are equal on the wire without regard to letter case (RFC 4343). The parent of a name is
 * a suffix of the name.
 */
export type Name = string & { readonly [nameBrand]: true };

export const ROOT = "\0" as Name;

/** Bytes of the longest name on the wire, and of the longest label without its length byte (RFC 1035 §2.3.4). */
export const MAX_NAME_LENGTH = 255;
export const MAX_LABEL_LENGTH = 63;

const scratch = Buffer.alloc(MAX_NAME_LENGTH);

/** The offset after an uncompressed name; -1 where the name is compressed, too long, or runs over the end. */
export function plainNameEnd(message: Uint8Array, offset: number): number {
  let position = offset;
  for (;;) {
    const length = message[position];
    if (length === undefined || length > MAX_LABEL_LENGTH) return -1;
    position += 1 + length;
    if (position - offset > MAX_NAME_LENGTH) return -1;
    if (length === 0) return position;
  }
}

/** Whether this very name stands at `offset`, uncompressed. Makes no string. */
export function hasPlainName(message: Uint8Array, offset: number, name: Name): boolean {
  if (offset + name.length > message.length) return false;
  for (let index = 0; index < name.length; index++)
    if (lowerCase(message[offset + index] ?? 0) !== name.charCodeAt(index)) return false;
  return true;
}

/** Makes a Name of the bytes from `offset` to `end`, which `plainNameEnd` has checked. */
export function plainName(message: Uint8Array, offset: number, end: number): Name {
  const length = end - offset;
  for (let index = 0; index < length; index++) scratch[index] = lowerCase(message[offset + index] ?? 0);
  return scratch.toString("latin1", 0, length) as Name;
}

/** The offset after a name, which may be compressed; -1 where its bytes run over the end. Does not follow pointers. */
export function nameEnd(message: Uint8Array, offset: number): number {
  let position = offset;
  for (;;) {
    const length = message[position];
    if (length === undefined) return -1;
    if (length === 0) return position + 1;
    if (length >= 0xc0) return position + 2 <= message.length ? position + 2 : -1;
    if (length > MAX_LABEL_LENGTH) return -1;
    position += 1 + length;
  }
}

/** Pointers followed in one name: as many as a name can have labels. In a hostile message thousands of pointers lead to pointers. */
const MAX_POINTERS = 127;

/**
 * Reads a name that may be compressed (RFC 1035 §4.1.4); null where it is malformed. Every pointer must lead to an earlier
 * place than the one before, so no message can make this loop.
 */
export function readName(message: Uint8Array, offset: number): Name | null {
  const length = walkName(message, offset, scratch);
  return length < 0 ? null : (scratch.toString("latin1", 0, length) as Name);
}

/** Whether `readName` would give a name. Makes no string. */
export function isName(message: Uint8Array, offset: number): boolean {
  return walkName(message, offset, null) >= 0;
}

/** Follows a name and writes its bytes, letters lowered, to `target`. @returns the length, or -1 where the name is malformed. */
function walkName(message: Uint8Array, offset: number, target: Uint8Array | null): number {
  let position = offset;
  let earliest = offset;
  let written = 0;
  let pointers = 0;
  for (;;) {
    const length = message[position];
    if (length === undefined) return -1;
    if (length >= 0xc0) {
      const low = message[position + 1];
      if (low === undefined) return -1;
      position = ((length & 0x3f) << 8) | low;
      if (position >= earliest || ++pointers > MAX_POINTERS) return -1;
      earliest = position;
      continue;
    }
    if (length > MAX_LABEL_LENGTH || written + 1 + length > MAX_NAME_LENGTH || position + 1 + length > message.length) return -1;
    if (target !== null)
      for (let index = 0; index <= length; index++) target[written + index] = lowerCase(message[position + index] ?? 0);
    written += 1 + length;
    if (length === 0) return written;
    position += 1 + length;
  }
}

// A length byte is at most 63, below "A", so all bytes of the wire format can be lowered alike.
function lowerCase(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
}

/** The uncompressed wire format, in a buffer of its own. */
export function nameWire(name: Name): Buffer {
  return Buffer.from(name, "latin1");
}

/** The name without its first label; the root is its own parent. */
export function parentOf(name: Name): Name {
  return name.length === 1 ? ROOT : (name.slice(1 + name.charCodeAt(0)) as Name);
}

/** Whether `name` is `zone` or lies below it. */
export function isWithin(name: Name, zone: Name): boolean {
  if (!name.endsWith(zone)) return false;
  let position = 0;
  const start = name.length - zone.length;
  while (position < start) position += 1 + name.charCodeAt(position);
  return position === start;
}

/** The labels as byte strings (one character for each byte), the leftmost first, without the root. */
export function labelsOf(name: Name): string[] {
  const labels: string[] = [];
  for (let position = 0; name.charCodeAt(position) !== 0; ) {
    const length = name.charCodeAt(position);
    labels.push(name.slice(position + 1, position + 1 + length));
    position += 1 + length;
  }
  return labels;
}

/** The inverse of `labelsOf`, with letters lowered; null where a label is empty or too long, or the name is too long. */
export function nameOfLabels(labels: readonly string[]): Name | null {
  let wire = "";
  for (const label of labels) {
    if (label.length === 0 || label.length > MAX_LABEL_LENGTH) return null;
    wire += String.fromCharCode(label.length) + label.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
  }
  return wire.length < MAX_NAME_LENGTH ? (`${wire}\0` as Name) : null;
}

/** Presentation format (RFC 1035 §5.1, RFC 4343 §2.1) without the final dot; the root is ".". */
export function nameText(name: Name): string {
  if (name.length === 1) return ".";
  return labelsOf(name).map(labelText).join(".");
}

/** Presentation format with the final dot, as in master files. */
export function absoluteText(name: Name): string {
  return name.length === 1 ? "." : `${nameText(name)}.`;
}

function labelText(label: string): string {
  return /^[\w-]*$/.test(label) ? label : escapeBytes(label, /[."\\;()@$]/);
}

/**
 * A byte string as presentation format writes it (RFC 1035 §5.1): a backslash before `special` characters, `\123` for bytes that are not printable.
 * @param firstPlain the lowest printable byte: 0x20 where a space may stand as it is.
 */
export function escapeBytes(bytes: string, special: RegExp, firstPlain = 0x21): string {
  let text = "";
  for (const character of bytes) {
    const byte = character.charCodeAt(0);
    if (byte < firstPlain || byte >= 0x7f) text += `\\${String(byte).padStart(3, "0")}`;
    else text += special.test(character) ? `\\${character}` : character;
  }
  return text;
}

/**
 * Reads presentation format: a final dot is optional, `\.` and `\123` are bytes of a label, and letters beyond ASCII become A-labels (RFC 5890).
 * null where the text is no name.
 */
export function nameFromText(text: string): Name | null {
  if (text === "." || text === "") return text === "." ? ROOT : null;
  const ascii = /^[\0-\x7f]*$/.test(text) ? text : asciiForm(text);
  if (ascii === null) return null;
  if (!ascii.includes("\\")) return nameOfLabels((ascii.endsWith(".") ? ascii.slice(0, -1) : ascii).split("."));
  const labels = unescapedLabels(ascii);
  return labels === null ? null : nameOfLabels(labels);
}

/** null where `text` is no internationalized name. */
function asciiForm(text: string): string | null {
  // domainToASCII expects the host of a URL: it drops the text after "/", "?", "#" or a backslash, and turns "１２７.１" into an address.
  if (/[^\w.*\x80-\u{10ffff}-]/u.test(text)) return null;
  const ascii = domainToASCII(text);
  return ascii === "" || isIPv4(ascii) ? null : ascii;
}

function unescapedLabels(text: string): string[] | null {
  const labels: string[] = [];
  let label = "";
  for (let index = 0; index < text.length; index++) {
    const character = text.charAt(index);
    if (character === ".") {
      labels.push(label);
      label = "";
    } else if (character !== "\\") {
      label += character;
    } else {
      const digits = /^\d{3}/.exec(text.slice(index + 1, index + 4))?.[0];
      const byte = digits === undefined ? text.charCodeAt(index + 1) : Number(digits);
      // RFC 1035 §5.1: a backslash stands before three digits, or before a character that is none.
      if (Number.isNaN(byte) || byte > 255 || (digits === undefined && byte >= 0x30 && byte <= 0x39)) return null;
      label += String.fromCharCode(byte);
      index += digits === undefined ? 1 : 3;
    }
  }
  if (label !== "") labels.push(label);
  return labels;
}
