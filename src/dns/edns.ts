import { TYPE } from "./types.ts";
import { MAX_MESSAGE_BYTES, uint16 } from "./wire.ts";

/** EDNS option codes (IANA, "DNS EDNS0 Option Codes") that are read or written here. */
export const OPTION = { CLIENT_SUBNET: 8, COOKIE: 10, TCP_KEEPALIVE: 11, PADDING: 12, EXTENDED_ERROR: 15 } as const;

/** The largest UDP reply that is sent and asked for: it fits every path without fragments (DNS Flag Day 2020). */
export const UDP_PAYLOAD_BYTES = 1232;

/** The size of a UDP message without EDNS (RFC 1035 §2.3.4), and the least any requestor may name (RFC 6891 §6.2.3). */
export const CLASSIC_UDP_BYTES = 512;

/** Replies over encrypted transports are padded to a multiple of this (RFC 8467 §4.1). */
const PADDING_BLOCK_BYTES = 468;

/** The network a question is asked for (RFC 7871 §6). */
export interface ClientSubnet {
  /** 1 = IPv4, 2 = IPv6. */
  readonly family: 1 | 2;
  readonly sourcePrefix: number;
  readonly scopePrefix: number;
  /** `ceil(sourcePrefix / 8)` bytes in hex, the bits beyond the prefix zero. */
  readonly prefixHex: string;
}

/** What an OPT record says (RFC 6891 §6.1). */
export interface Edns {
  readonly udpPayloadBytes: number;
  /** The upper eight bits of the twelve-bit rcode. */
  readonly extendedRcode: number;
  readonly version: number;
  readonly dnssecOk: boolean;
  readonly clientSubnet: ClientSubnet | null;
  /** Whether the sender padded its message, and so wants the reply padded (RFC 7830 §4). */
  readonly padded: boolean;
  readonly extendedErrors: readonly ExtendedError[];
}

/** RFC 8914 §2. */
export interface ExtendedError {
  readonly code: number;
  readonly text: string;
}

/**
 * Reads the OPT record whose owner ends at `offset` (where its TYPE stands); null where an option is malformed.
 * The caller has checked that the whole record lies within `message`.
 */
export function readEdns(message: Uint8Array, offset: number): Edns | null {
  const ttl = offset + 4;
  const end = offset + 10 + uint16(message, offset + 8);
  let clientSubnet: ClientSubnet | null = null;
  let padded = false;
  let extendedErrors: ExtendedError[] | null = null;
  for (let position = offset + 10; position < end; ) {
    if (position + 4 > end) return null;
    const code = uint16(message, position);
    const start = position + 4;
    position = start + uint16(message, position + 2);
    if (position > end) return null;
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
    version: message[ttl + 1] ?? 0,
    dnssecOk: ((message[ttl + 2] ?? 0) & 0x80) !== 0,
    clientSubnet,
    padded,
    extendedErrors: extendedErrors ?? NO_ERRORS,
  };
}

const NO_ERRORS: readonly ExtendedError[] = [];

/** Reads the content of an ECS option. null (FORMERR, RFC 7871 §6) where the address has the wrong length for its prefix, or bits beyond it. */
export function readClientSubnet(message: Uint8Array, start: number, end: number): ClientSubnet | null {
  if (end - start < 4) return null;
  // dig sends "no subnet" as family 0, which RFC 7871 does not name; an IPv4 prefix of no bits says the same.
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

/** What an OPT record of ours is to say. */
export interface EdnsContent {
  readonly udpPayloadBytes: number;
  readonly extendedRcode: number;
  readonly dnssecOk: boolean;
  readonly clientSubnet: ClientSubnet | null;
  readonly extendedErrors: readonly ExtendedError[];
  /** Pads the message, this record included, to a whole number of blocks of so many bytes; 0 = no padding. */
  readonly paddingBlockBytes: number;
}

/** An OPT record, to be put after `precedingBytes` of message. */
export function ednsRecord(content: EdnsContent, precedingBytes: number): Buffer {
  const options: Buffer[] = [];
  for (const { code, text } of content.extendedErrors) options.push(option(OPTION.EXTENDED_ERROR, [code >> 8, code & 255], text));
  if (content.clientSubnet !== null) options.push(clientSubnetOption(content.clientSubnet));
  const octets = 11 + options.reduce((sum, { length }) => sum + length, 0);
  // RFC 8467 §4.1: never beyond the longest message there can be.
  const room = MAX_MESSAGE_BYTES - (precedingBytes + octets + 4);
  if (content.paddingBlockBytes > 0 && room >= 0) {
    const spare = -(precedingBytes + octets + 4) % content.paddingBlockBytes;
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

/** The block size for a reply to a client that padded its query; 0 for those that did not (RFC 8467 §4.1). */
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
