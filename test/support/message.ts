import { addressFromText } from "../../src/dns/address.ts";
import { type ClientSubnet, extendedErrorOf } from "../../src/dns/edns.ts";
import { decodeMessage, type MessageEdns, type ResourceRecord } from "../../src/dns/message.ts";
import { nameText } from "../../src/dns/name.ts";
import { rdataText } from "../../src/dns/rdata.ts";
import { recordText } from "../../src/dns/text.ts";
import { rcodeName, TYPE, typeNumber } from "../../src/dns/types.ts";
import { blankQuery, nameOf, subnetOption } from "../dns/zone.ts";
import { encodeMessage } from "./encode.ts";

export interface AskOptions {
  readonly id?: number;
  readonly class?: number;
  readonly rd?: boolean;
  readonly ad?: boolean;
  readonly cd?: boolean;
  /** Implies EDNS. */
  readonly do?: boolean;
  /** The subnet to ask for, such as "203.0.113.0/24" (RFC 7871). */
  readonly subnet?: string;
  /** The UDP size in the OPT record; absent = 1232, null = no OPT. */
  readonly edns?: number | null;
}

let lastId = 0;

/** A query. The letters of `name` keep their case. */
export function queryWire(name: string, type: string, options: AskOptions = {}): Buffer {
  const number = typeNumber(type);
  if (number === null) throw new Error(`${type} is no type`);
  const { edns = 1232 } = options;
  lastId = (lastId % 0xffff) + 1;
  const wire = encodeMessage({
    ...blankQuery,
    id: options.id ?? lastId,
    recursionDesired: options.rd ?? true,
    authenticData: options.ad ?? false,
    checkingDisabled: options.cd ?? false,
    edns: edns === null ? null : ednsOf(edns, options),
    questions: [{ name: nameOf(name), type: number, class: options.class ?? 1 }],
  });
  return withLetters(wire, name);
}

function ednsOf(udpPayloadBytes: number, { do: dnssecOk = false, subnet }: AskOptions): MessageEdns {
  const options = subnet === undefined ? [] : [subnetOption(subnetOf(subnet))];
  return { udpPayloadBytes, version: 0, dnssecOk, otherFlags: 0, options };
}

/** From a network, or from an address with prefix 0. */
export function subnetOf(text: string): ClientSubnet {
  const [address = "", prefix = ""] = text.split("/");
  const bytes = addressFromText(address);
  if (bytes === null) throw new Error(`${text} is no network`);
  const prefixHex = Buffer.from(bytes.subarray(0, Math.ceil(Number(prefix) / 8))).toString("hex");
  return { family: bytes.length === 4 ? 1 : 2, sourcePrefix: Number(prefix), scopePrefix: 0, prefixHex };
}

// Names are stored in lower case; the wire bytes of a plain name are those of its text, shifted by one.
function withLetters(wire: Buffer, name: string): Buffer {
  for (const { 0: letter, index } of name.matchAll(/[A-Z]/g)) wire[13 + index] = letter.charCodeAt(0);
  return wire;
}

/** A reply as a test reads it. */
export interface Reply {
  readonly id: number;
  readonly rcode: string;
  /** The flags that are set, such as "qr rd ra". */
  readonly flags: string;
  /** As in the reply, with its letter case: "PaGe.example". */
  readonly question: string;
  /** The data of the answers without aliases: "192.0.2.7". */
  readonly answers: readonly string[];
  /** The whole answer section: "page.example. 300 IN A 192.0.2.7". */
  readonly records: readonly string[];
  readonly authority: readonly string[];
  readonly additional: readonly string[];
  /** The only record of the authority section that is an SOA. */
  readonly soa: { readonly owner: string; readonly ttl: number; readonly minimum: number } | null;
  /** The lowest TTL of the answers; null without any. */
  readonly ttl: number | null;
  readonly edns: MessageEdns | null;
  /** Codes of the extended errors. */
  readonly ede: readonly number[];
  readonly edeTexts: readonly string[];
  readonly wire: Uint8Array;
}

/** @throws Error for what is no message. */
export function readReply(wire: Uint8Array): Reply {
  const message = decodeMessage(wire);
  if (message === null) throw new Error(`not a message: ${Buffer.from(wire).toString("hex")}`);
  const { answers, authority, additional, edns } = message;
  const errors = (edns?.options ?? []).map(extendedErrorOf).filter((error) => error !== null);
  return {
    id: message.id,
    rcode: rcodeName(message.rcode),
    flags: flagsOf(wire),
    question: message.questions.length === 0 ? "" : lettersOf(wire),
    answers: answers.filter(({ type }) => type !== TYPE.CNAME).map(({ data }) => rdataText(data)),
    records: answers.map(recordText),
    authority: authority.map(recordText),
    additional: additional.map(recordText),
    soa: soaOf(authority),
    ttl: answers.length === 0 ? null : Math.min(...answers.map(({ ttlSeconds }) => ttlSeconds)),
    edns,
    ede: errors.map(({ code }) => code),
    edeTexts: errors.map(({ text }) => text),
    wire,
  };
}

function flagsOf(wire: Uint8Array): string {
  const bits = ((wire[2] ?? 0) << 8) | (wire[3] ?? 0);
  const names = { qr: 0x8000, aa: 0x400, tc: 0x200, rd: 0x100, ra: 0x80, ad: 0x20, cd: 0x10 };
  return Object.entries(names)
    .filter(([, mask]) => (bits & mask) !== 0)
    .map(([name]) => name)
    .join(" ");
}

function lettersOf(wire: Uint8Array): string {
  const labels: string[] = [];
  for (let position = 12; wire[position] !== 0; position += 1 + (wire[position] ?? 0)) {
    labels.push(Buffer.from(wire.subarray(position + 1, position + 1 + (wire[position] ?? 0))).toString("latin1"));
  }
  return labels.length === 0 ? "." : labels.join(".");
}

function soaOf(authority: readonly ResourceRecord[]): Reply["soa"] {
  const [soa, ...others] = authority.filter(({ type }) => type === TYPE.SOA);
  if (soa === undefined || others.length > 0 || soa.data.kind !== "SOA") return null;
  return { owner: nameText(soa.owner), ttl: soa.ttlSeconds, minimum: soa.data.minimumSeconds };
}
