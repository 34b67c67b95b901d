import type { ClientSubnet, EdnsOption } from "../../src/dns/edns.ts";
import type { Message, MessageQuestion, ResourceRecord } from "../../src/dns/message.ts";
import { type Name, nameFromText } from "../../src/dns/name.ts";
import { CLASS, typeNumber } from "../../src/dns/types.ts";
import { encodeMessage } from "../support/encode.ts";
import { parseRecord } from "../support/master-file.ts";

/**
 * Records from lines such as "page.example A 192.0.2.7" or "page.example 60 AAAA 2001:db8::7", so that scripted upstreams read like a zone.
 * Names are absolute; the TTL is 300 where none is given. Throws for a line that is no record.
 */
export function zone(...lines: readonly string[]): ResourceRecord[] {
  return lines.map((line) => parseRecord(line, { ttlSeconds: 300 }));
}

/** "page.example" and "HTTPS" as a question of class IN. */
export function question(name: string, type = "A"): MessageQuestion {
  const number = typeNumber(type);
  if (number === null) throw new Error(`${type} is no type`);
  return { name: nameOf(name), type: number, class: CLASS.IN };
}

export function nameOf(text: string): Name {
  const name = nameFromText(text);
  if (name === null) throw new Error(`${text} is no name`);
  return name;
}

/** A query without anything in it: id 0, RD, no EDNS. */
export const blankQuery: Message = {
  id: 0,
  response: false,
  opcode: 0,
  authoritative: false,
  truncated: false,
  recursionDesired: true,
  recursionAvailable: false,
  authenticData: false,
  checkingDisabled: false,
  rcode: 0,
  edns: null,
  questions: [],
  answers: [],
  authority: [],
  additional: [],
};

/** A response without anything in it: id 0, RD, RA, NOERROR, no EDNS. */
export const blankResponse: Message = { ...blankQuery, response: true, recursionAvailable: true };

/** The wire form of `blankResponse` with these parts. */
export function responseWire(parts: Partial<Message>): Buffer {
  return encodeMessage({ ...blankResponse, ...parts });
}

/** An extended error (RFC 8914) as an option. */
export function extendedError(code: number, text = ""): EdnsOption {
  return { code: 15, data: Buffer.concat([Uint8Array.of(code >> 8, code & 255), Buffer.from(text)]) };
}

/** A client subnet (RFC 7871) as an option. */
export function subnetOption({ family, sourcePrefix, scopePrefix, prefixHex }: ClientSubnet): EdnsOption {
  return { code: 8, data: Buffer.concat([Uint8Array.of(0, family, sourcePrefix, scopePrefix), Buffer.from(prefixHex, "hex")]) };
}
