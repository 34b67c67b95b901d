import { isUtf8 } from "node:buffer";
import { printable } from "../lib/text.ts";
import { unreachable } from "../lib/unreachable.ts";
import { addressText } from "./address.ts";
import { type ClientSubnet, OPTION, readClientSubnet } from "./edns.ts";
import { hexText } from "./rdata-fields.ts";
import { WireReader, type WireWriter } from "./wire.ts";

/** An EDNS option (RFC 6891 §6.1.2), for people to read and tests to make. What serves queries is `edns.ts`, which reads less and faster. */
export type EdnsOption =
  /** RFC 5001. */
  | { readonly kind: "nsid"; readonly octets: Uint8Array }
  /** RFC 7871. */
  | { readonly kind: "clientSubnet"; readonly subnet: ClientSubnet }
  /** RFC 7873: 8 bytes of the client's, then none or 8 to 32 of the server's. */
  | { readonly kind: "cookie"; readonly client: Uint8Array; readonly server: Uint8Array }
  /** RFC 7314; null = asked for. */
  | { readonly kind: "expire"; readonly seconds: number | null }
  /** RFC 7828, a multiple of 100; null = asked for. */
  | { readonly kind: "tcpKeepalive"; readonly timeoutMs: number | null }
  /** RFC 7830. */
  | { readonly kind: "padding"; readonly length: number }
  /** RFC 8914. */
  | { readonly kind: "extendedError"; readonly code: number; readonly text: string }
  /** Any other, or one whose bytes do not fit its code, as `note` then says. */
  | { readonly kind: "unknown"; readonly code: number; readonly octets: Uint8Array; readonly note: string | null }
  /** The bytes left where an option is announced to be longer than they are. */
  | { readonly kind: "cutOff"; readonly octets: Uint8Array };

/** Reads the options of an OPT record, from `start` to `end`; whatever the bytes, it gives something for each of them. */
export function readOptions(message: Uint8Array, start: number, end: number): EdnsOption[] {
  const options: EdnsOption[] = [];
  const reader = new WireReader(message, { start, end }, null);
  while (reader.remaining > 0) {
    const optionStart = end - reader.remaining;
    const code = reader.uint16();
    const octets = reader.octets(reader.uint16());
    if (reader.failure !== null) options.push({ kind: "cutOff", octets: new Uint8Array(message.subarray(optionStart, end)) });
    else options.push(readOption(code, octets));
  }
  return options;
}

function readOption(code: number, octets: Uint8Array): EdnsOption {
  const reader = new WireReader(octets, { start: 0, end: octets.length }, null);
  const option = knownOption(code, octets, reader);
  if (option !== null && reader.failure === null && reader.remaining === 0) return option;
  const note = option === null && !knownCodes.has(code) ? null : "malformed";
  return { kind: "unknown", code, octets, note };
}

const EXPIRE = 9;
const NSID = 3;
const knownCodes = new Set<number>([EXPIRE, NSID, ...Object.values(OPTION)]);

/** null where the code is not known, or its bytes do not fit it; a fault may also be in `reader`, or bytes left over. */
function knownOption(code: number, octets: Uint8Array, reader: WireReader): EdnsOption | null {
  switch (code) {
    case NSID:
      return { kind: "nsid", octets: reader.octets(octets.length) };
    case OPTION.CLIENT_SUBNET: {
      reader.octets(octets.length);
      const subnet = readClientSubnet(octets, 0, octets.length);
      return subnet === null ? null : { kind: "clientSubnet", subnet };
    }
    case EXPIRE:
      return { kind: "expire", seconds: octets.length === 0 ? null : reader.uint32() };
    case OPTION.COOKIE: {
      const option = { kind: "cookie", client: reader.octets(8), server: reader.octets(reader.remaining) } as const;
      const { length } = option.server;
      return length === 0 || (length >= 8 && length <= 32) ? option : null;
    }
    case OPTION.TCP_KEEPALIVE:
      return { kind: "tcpKeepalive", timeoutMs: octets.length === 0 ? null : reader.uint16() * 100 };
    case OPTION.PADDING:
      // RFC 7830 §3 has zeros in it; anything else is kept as it is.
      return reader.octets(octets.length).every((byte) => byte === 0) ? { kind: "padding", length: octets.length } : null;
    case OPTION.EXTENDED_ERROR: {
      const infoCode = reader.uint16();
      const text = reader.octets(reader.remaining);
      return isUtf8(text) ? { kind: "extendedError", code: infoCode, text: Buffer.from(text).toString() } : null;
    }
    default:
      return null;
  }
}

/** @throws RangeError for a value that its field cannot hold. */
export function writeOption(writer: WireWriter, option: EdnsOption): void {
  if (option.kind === "cutOff") {
    writer.octets(option.octets);
    return;
  }
  writer.uint16(codeOf(option));
  writer.behindLength(() => writeContent(writer, option));
}

function codeOf(option: Exclude<EdnsOption, { kind: "cutOff" }>): number {
  return option.kind === "unknown" ? option.code : codes[option.kind];
}

const codes = {
  nsid: NSID,
  clientSubnet: OPTION.CLIENT_SUBNET,
  expire: EXPIRE,
  cookie: OPTION.COOKIE,
  tcpKeepalive: OPTION.TCP_KEEPALIVE,
  padding: OPTION.PADDING,
  extendedError: OPTION.EXTENDED_ERROR,
} as const;

function writeContent(writer: WireWriter, option: Exclude<EdnsOption, { kind: "cutOff" }>): void {
  switch (option.kind) {
    case "nsid":
    case "unknown":
      writer.octets(option.octets);
      break;
    case "clientSubnet": {
      const { family, sourcePrefix, scopePrefix, prefixHex } = option.subnet;
      writer.uint16(family);
      writer.uint8(sourcePrefix);
      writer.uint8(scopePrefix);
      writer.octets(Buffer.from(prefixHex, "hex"));
      break;
    }
    case "cookie":
      writer.octets(option.client);
      writer.octets(option.server);
      break;
    case "expire":
      if (option.seconds !== null) writer.uint32(option.seconds);
      break;
    case "tcpKeepalive":
      if (option.timeoutMs !== null) writer.uint16(option.timeoutMs / 100);
      break;
    case "padding":
      writer.octets(new Uint8Array(option.length));
      break;
    case "extendedError":
      writer.uint16(option.code);
      writer.octets(Buffer.from(option.text));
      break;
    default:
      unreachable(option);
  }
}

/** One line for people, such as "EDE: 15 (Blocked): ads". Control characters, which would reach a terminal, are shown as escapes. */
export function optionText(option: EdnsOption): string {
  switch (option.kind) {
    case "nsid":
      return `NSID: ${hexText(option.octets)} ("${printable(Buffer.from(option.octets).toString(), escapeCharacter)}")`;
    case "clientSubnet":
      return `CLIENT-SUBNET: ${clientSubnetText(option.subnet)}/${option.subnet.scopePrefix}`;
    case "cookie":
      return `COOKIE: ${hexText(option.client)}${hexText(option.server)}`;
    case "expire":
      return option.seconds === null ? "EXPIRE" : `EXPIRE: ${option.seconds} s`;
    case "tcpKeepalive":
      return option.timeoutMs === null ? "TCP-KEEPALIVE" : `TCP-KEEPALIVE: ${option.timeoutMs / 1000} s`;
    case "padding":
      return `PADDING: ${option.length} octets`;
    case "extendedError":
      return `EDE: ${extendedErrorText(option)}`;
    case "unknown":
      return `OPT=${option.code}: ${hexText(option.octets)}${option.note === null ? "" : ` (${option.note})`}`;
    case "cutOff":
      return `cut off: ${hexText(option.octets)}`;
    default:
      return unreachable(option);
  }
}

/** The subnet in CIDR notation, such as "192.0.2.0/24". */
export function clientSubnetText({ family, sourcePrefix, prefixHex }: ClientSubnet): string {
  const address = new Uint8Array(family === 1 ? 4 : 16);
  address.set(Buffer.from(prefixHex, "hex"));
  return `${addressText(address)}/${sourcePrefix}`;
}

/** An extended error with its meaning, such as "15 (Blocked): ads". */
export function extendedErrorText({ code, text }: { readonly code: number; readonly text: string }): string {
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

function escapeCharacter(character: string): string {
  return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
}
