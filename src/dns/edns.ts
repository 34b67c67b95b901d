import { isUtf8 } from "node:buffer";
import { printable } from "../lib/text.ts";
import { addressText } from "./address.ts";
import { TYPE } from "./types.ts";
import { MAX_MESSAGE_BYTES, uint16, uint32 } from "./wire.ts";

/** EDNS option codes (IANA, "DNS EDNS0 Option Codes") that are read or written here. */
export const OPTION = {
  NSID: 3,
  CLIENT_SUBNET: 8,
  EXPIRE: 9,
  COOKIE: 10,
  TCP_KEEPALIVE: 11,
  PADDING: 12,
  EXTENDED_ERROR: 15,
} as const;

/** The largest UDP message that is sent or asked for. It passes every path without fragments (DNS Flag Day 2020). */
export const UDP_PAYLOAD_BYTES = 1232;

/** The size limit of a UDP message without EDNS (RFC 1035 §2.3.4), and the lowest that a client may ask for (RFC 6891 §6.2.3). */
export const CLASSIC_UDP_BYTES = 512;

/** Replies over encrypted transports are padded to a multiple of this (RFC 8467 §4.1). */
const PADDING_BLOCK_BYTES = 468;

/** The network of the client for whom a question is asked (RFC 7871 §6). */
export interface ClientSubnet {
  /** 1 = IPv4, 2 = IPv6. */
  readonly family: 1 | 2;
  readonly sourcePrefix: number;
  readonly scopePrefix: number;
  /** `ceil(sourcePrefix / 8)` bytes in hex, the bits beyond the prefix zero. */
  readonly prefixHex: string;
}

/** The content of an OPT record (RFC 6891 §6.1). */
export interface Edns {
  readonly udpPayloadBytes: number;
  /** The upper eight bits of the twelve-bit rcode. */
  readonly extendedRcode: number;
  readonly version: number;
  readonly dnssecOk: boolean;
  readonly clientSubnet: ClientSubnet | null;
  /** Whether the sender padded its message: the reply is padded then (RFC 7830 §4). */
  readonly padded: boolean;
  readonly extendedErrors: readonly ExtendedError[];
}

/** RFC 8914 §2. */
export interface ExtendedError {
  readonly code: number;
  readonly text: string;
  /** Set by `resolve/classify.ts` and never read from a message: the error stands in place of a forged answer. */
  readonly isVoid?: true;
}

/**
 * Reads an OPT record; null where an option is malformed. The caller has checked that the whole record lies within `message`.
 * @param offset of the TYPE, after the owner.
 */
export function readEdns(message: Uint8Array, offset: number): Edns | null {
  const ttl = offset + 4;
  const end = offset + 10 + uint16(message, offset + 8);
  let clientSubnet: ClientSubnet | null = null;
  let padded = false;
  let extendedErrors: ExtendedError[] | null = null;
  const version = message[ttl + 1] ?? 0;
  // The options of another version are not read: they may have another form (RFC 6891 §6.1.3).
  for (let position = offset + 10; version === 0 && position < end; ) {
    const code = uint16(message, position);
    const start = position + 4;
    position = start + uint16(message, position + 2);
    if (start > end || position > end) return null;
    if (code === OPTION.CLIENT_SUBNET) {
      clientSubnet = readClientSubnet(message, start, position);
      if (clientSubnet === null) return null;
    } else if (code === OPTION.PADDING) {
      padded = true;
    } else if (code === OPTION.EXTENDED_ERROR) {
      if (position - start < 2) return null;
      extendedErrors ??= [];
      extendedErrors.push({ code: uint16(message, start), text: utf8(message, start + 2, position) });
    }
  }
  return {
    udpPayloadBytes: Math.max(CLASSIC_UDP_BYTES, uint16(message, offset + 2)),
    extendedRcode: message[ttl] ?? 0,
    version,
    dnssecOk: ((message[ttl + 2] ?? 0) & 0x80) !== 0,
    clientSubnet,
    padded,
    extendedErrors: extendedErrors ?? NO_ERRORS,
  };
}

const NO_ERRORS: readonly ExtendedError[] = [];

/** Reads a client subnet; null (FORMERR, RFC 7871 §6) where the address does not have the length of its prefix, or has bits beyond the prefix. */
function readClientSubnet(message: Uint8Array, start: number, end: number): ClientSubnet | null {
  if (end - start < 4) return null;
  // dig sends "no subnet" as family 0, which RFC 7871 does not define. An IPv4 prefix of 0 bits means the same.
  const family = uint16(message, start) === 0 && end - start === 4 ? 1 : uint16(message, start);
  const sourcePrefix = message[start + 2] ?? 0;
  const scopePrefix = message[start + 3] ?? 0;
  if (family !== 1 && family !== 2) return null;
  if (Math.max(sourcePrefix, scopePrefix) > (family === 1 ? 32 : 128) || end - start - 4 !== Math.ceil(sourcePrefix / 8))
    return null;
  const spareBits = -sourcePrefix & 7;
  if (((message[end - 1] ?? 0) & ((1 << spareBits) - 1)) !== 0 && sourcePrefix > 0) return null;
  return { family, sourcePrefix, scopePrefix, prefixHex: Buffer.from(message.subarray(start + 4, end)).toString("hex") };
}

/** The content of an OPT record to be made. */
export interface EdnsContent {
  readonly udpPayloadBytes: number;
  readonly extendedRcode: number;
  readonly dnssecOk: boolean;
  readonly clientSubnet: ClientSubnet | null;
  readonly extendedErrors: readonly ExtendedError[];
  /** The content of the cookie option (RFC 7873); absent = there is none. */
  readonly cookie?: Uint8Array;
  /** The message, with this record, is padded to a multiple of so many bytes; 0 = no padding. */
  readonly paddingBlockBytes: number;
}

/** Makes an OPT record that follows `precedingBytes` of message. */
export function ednsRecord(content: EdnsContent, precedingBytes: number): Buffer {
  const options: Buffer[] = [];
  for (const { code, text } of content.extendedErrors) options.push(option(OPTION.EXTENDED_ERROR, [code >> 8, code & 255], text));
  if (content.clientSubnet !== null) options.push(clientSubnetOption(content.clientSubnet));
  if (content.cookie !== undefined) options.push(option(OPTION.COOKIE, content.cookie, ""));
  const bytes = 11 + options.reduce((sum, { length }) => sum + length, 0);
  // RFC 8467 §4.1: not beyond the longest possible message.
  const room = MAX_MESSAGE_BYTES - (precedingBytes + bytes + 4);
  if (content.paddingBlockBytes > 0 && room >= 0) {
    const spare = -(precedingBytes + bytes + 4) % content.paddingBlockBytes;
    const padding = Math.min(room, (spare + content.paddingBlockBytes) % content.paddingBlockBytes);
    options.push(option(OPTION.PADDING, new Uint8Array(padding), ""));
  }
  const data = Buffer.concat(options);
  const record = Buffer.alloc(11 + data.length);
  record.writeUInt16BE(TYPE.OPT, 1);
  record.writeUInt16BE(content.udpPayloadBytes, 3);
  record[5] = content.extendedRcode;
  record[7] = content.dnssecOk ? 0x80 : 0;
  record.writeUInt16BE(data.length, 9);
  data.copy(record, 11);
  return record;
}

const plainContent: EdnsContent = {
  udpPayloadBytes: UDP_PAYLOAD_BYTES,
  extendedRcode: 0,
  dnssecOk: false,
  clientSubnet: null,
  extendedErrors: [],
  paddingBlockBytes: 0,
};

/** Nearly every reply and every question to an upstream ends in one of these two OPT records. To be read only. */
export const PLAIN_OPT = {
  plain: ednsRecord(plainContent, 0),
  dnssecOk: ednsRecord({ ...plainContent, dnssecOk: true }, 0),
} as const;

/** The block size for a reply; 0 where the client did not pad its query (RFC 8467 §4.1). */
export function replyPadding(padded: boolean): number {
  return padded ? PADDING_BLOCK_BYTES : 0;
}

function option(code: number, data: Uint8Array | readonly number[], text: string): Buffer {
  const body = Buffer.concat([Uint8Array.from(data), Buffer.from(text)]);
  const header = Buffer.alloc(4);
  header.writeUInt16BE(code, 0);
  header.writeUInt16BE(body.length, 2);
  return Buffer.concat([header, body]);
}

function clientSubnetOption(subnet: ClientSubnet): Buffer {
  const head = [0, subnet.family, subnet.sourcePrefix, subnet.scopePrefix];
  return option(OPTION.CLIENT_SUBNET, [...head, ...Buffer.from(subnet.prefixHex, "hex")], "");
}

function utf8(message: Uint8Array, start: number, end: number): string {
  return Buffer.from(message.buffer, message.byteOffset + start, end - start).toString("utf8");
}

/**
 * One option of an OPT record (RFC 6891 §6.1.2), for people to read; `readEdns` serves queries and reads less.
 * Code null: the bytes left where an option is announced to be longer than they are.
 */
export interface EdnsOption {
  readonly code: number | null;
  readonly data: Uint8Array;
}

/** Reads the options of an OPT record, from `start` to `end`. Their data are copies. */
export function readOptions(message: Uint8Array, start: number, end: number): EdnsOption[] {
  const options: EdnsOption[] = [];
  for (let position = start; position < end; ) {
    const dataStart = position + 4;
    const dataEnd = dataStart + uint16(message, position + 2);
    const isWhole = dataStart <= end && dataEnd <= end;
    const data = new Uint8Array(isWhole ? message.subarray(dataStart, dataEnd) : message.subarray(position, end));
    options.push({ code: isWhole ? uint16(message, position) : null, data });
    position = isWhole ? dataEnd : end;
  }
  return options;
}

/** One line for people, such as "EDE: 15 (Blocked): ads". Control characters, which would reach a terminal, are shown as escapes. */
export function optionText({ code, data }: EdnsOption): string {
  if (code === null) return `cut off: ${hexText(data)}`;
  const format = optionFormats.get(code);
  return format?.(data) ?? `OPT=${code}: ${hexText(data)}${format === undefined ? "" : " (malformed)"}`;
}

/** Writes the data of each known option as text; null where the data have not the form that the code asks for. */
const optionFormats = new Map<number, (data: Uint8Array) => string | null>([
  // RFC 5001.
  [OPTION.NSID, (data) => `NSID: ${hexText(data)} ("${printable(Buffer.from(data).toString(), escapeCharacter)}")`],
  [
    OPTION.CLIENT_SUBNET,
    (data) => {
      const subnet = readClientSubnet(data, 0, data.length);
      return subnet === null ? null : `CLIENT-SUBNET: ${clientSubnetText(subnet)}/${subnet.scopePrefix}`;
    },
  ],
  // RFC 7314; empty in a question.
  [
    OPTION.EXPIRE,
    (data) => {
      if (data.length === 0) return "EXPIRE";
      return data.length === 4 ? `EXPIRE: ${uint32(data, 0)} s` : null;
    },
  ],
  // RFC 7873: 8 bytes of the client's, then none or 8 to 32 of the server's.
  [OPTION.COOKIE, (data) => (data.length === 8 || (data.length >= 16 && data.length <= 40) ? `COOKIE: ${hexText(data)}` : null)],
  // RFC 7828, in tenths of a second; empty in a question.
  [
    OPTION.TCP_KEEPALIVE,
    (data) => {
      if (data.length === 0) return "TCP-KEEPALIVE";
      return data.length === 2 ? `TCP-KEEPALIVE: ${uint16(data, 0) / 10} s` : null;
    },
  ],
  // RFC 7830 §3 has zeros in it.
  [OPTION.PADDING, (data) => (data.every((byte) => byte === 0) ? `PADDING: ${data.length} bytes` : null)],
  [
    OPTION.EXTENDED_ERROR,
    (data) => {
      const error = extendedErrorOf({ code: OPTION.EXTENDED_ERROR, data });
      return error === null ? null : `EDE: ${extendedErrorText(error)}`;
    },
  ],
]);

/** null where the option is another one, or malformed. */
export function extendedErrorOf({ code, data }: EdnsOption): ExtendedError | null {
  if (code !== OPTION.EXTENDED_ERROR || data.length < 2 || !isUtf8(data.subarray(2))) return null;
  return { code: uint16(data, 0), text: utf8(data, 2, data.length) };
}

/** The subnet in CIDR notation, such as "192.0.2.0/24". */
export function clientSubnetText({ family, sourcePrefix, prefixHex }: ClientSubnet): string {
  const address = new Uint8Array(family === 1 ? 4 : 16);
  address.set(Buffer.from(prefixHex, "hex"));
  return `${addressText(address)}/${sourcePrefix}`;
}

/** An extended error with its meaning, such as "15 (Blocked): ads". */
export function extendedErrorText({ code, text }: ExtendedError): string {
  const meaning = extendedErrors[code];
  // RFC 8914 §2: the text may end in a zero byte.
  const shown = printable(text.replace(/\0+$/, ""), escapeCharacter);
  return `${code}${meaning === undefined ? "" : ` (${meaning})`}${shown === "" ? "" : `: ${shown}`}`;
}

/** IANA, "Extended DNS Error Codes", by code. */
const extendedErrors = [
  "Other Error",
  "Unsupported DNSKEY Algorithm",
  "Unsupported DS Digest Type",
  "Stale Answer",
  "Forged Answer",
  "DNSSEC Indeterminate",
  "DNSSEC Bogus",
  "Signature Expired",
  "Signature Not Yet Valid",
  "DNSKEY Missing",
  "RRSIGs Missing",
  "No Zone Key Bit Set",
  "NSEC Missing",
  "Cached Error",
  "Not Ready",
  "Blocked",
  "Censored",
  "Filtered",
  "Prohibited",
  "Stale NXDOMAIN Answer",
  "Not Authoritative",
  "Not Supported",
  "No Reachable Authority",
  "Network Error",
  "Invalid Data",
  "Signature Expired before Valid",
  "Too Early",
  "Unsupported NSEC3 Iterations Value",
  "Unable to conform to policy",
  "Synthesized",
  "Invalid Query Type",
] as const;

function hexText(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

function escapeCharacter(character: string): string {
  return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
}
