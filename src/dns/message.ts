import { optOf, type RecordPlace, recordPlaces, type Section, ttlAt } from "./answer.ts";
import { type EdnsOption, readOptions } from "./edns.ts";
import { type Name, nameEnd } from "./name.ts";
import { HEADER_FLAG } from "./query.ts";
import { type Rdata, readRdata } from "./rdata.ts";
import { HEADER_BYTES, MAX_MESSAGE_BYTES, MessageNames, uint16, WireReader } from "./wire.ts";

/** A whole message, taken apart for display or for edits. Queries are answered from bytes (`query.ts`, `answer.ts`). */
export interface Message {
  readonly id: number;
  /** QR. */
  readonly response: boolean;
  readonly opcode: number;
  readonly authoritative: boolean;
  readonly truncated: boolean;
  readonly recursionDesired: boolean;
  readonly recursionAvailable: boolean;
  readonly authenticData: boolean;
  readonly checkingDisabled: boolean;
  /** All twelve bits; above 15 only with `edns`. */
  readonly rcode: number;
  readonly edns: MessageEdns | null;
  readonly questions: readonly MessageQuestion[];
  readonly answers: readonly ResourceRecord[];
  readonly authority: readonly ResourceRecord[];
  /** Without the OPT record, whose content is `edns`. */
  readonly additional: readonly ResourceRecord[];
}

export interface MessageQuestion {
  readonly name: Name;
  readonly type: number;
  readonly class: number;
}

export interface ResourceRecord {
  readonly owner: Name;
  readonly type: number;
  readonly class: number;
  /** Below 2^31 (RFC 2181 §8). */
  readonly ttlSeconds: number;
  readonly data: Rdata;
}

/** The OPT record (RFC 6891 §6.1). */
export interface MessageEdns {
  readonly udpPayloadBytes: number;
  readonly version: number;
  readonly dnssecOk: boolean;
  /** The fifteen flags other than DO. */
  readonly otherFlags: number;
  readonly options: readonly EdnsOption[];
}

/**
 * Takes a message apart. null where the framing is broken: a name, a record that runs over the end, bytes left over, or an OPT record that is
 * misplaced or there twice. Data that do not fit their type are not fatal (`OpaqueRdata`). The result keeps nothing of `message`.
 */
export function decodeMessage(message: Uint8Array): Message | null {
  if (message.length < HEADER_BYTES || message.length > MAX_MESSAGE_BYTES) return null;
  const names = new MessageNames(message);
  const questions = readQuestions(message, names);
  const places = questions === null ? null : recordPlaces(message, questions.end);
  const opt = places === null ? null : optOf(places);
  if (questions === null || places === null || opt === "misplaced") return null;
  if ((places.at(-1)?.end ?? questions.end) !== message.length) return null;
  const sections: Record<Section, ResourceRecord[]> = { answer: [], authority: [], additional: [] };
  for (const place of places) {
    const owner = names.read(place.owner);
    if (owner === null) return null;
    if (place === opt) continue;
    const reader = new WireReader(message, { start: place.data, end: place.end }, names);
    const { type, class: klass } = place;
    const data = readRdata(type, reader);
    sections[place.section].push({ owner, type, class: klass, ttlSeconds: ttlAt(message, place.ttl), data });
  }
  if (names.exhausted) return null;
  return {
    ...readHeader(message, opt === null ? 0 : (message[opt.ttl] ?? 0)),
    edns: opt === null ? null : readOpt(message, opt),
    questions: questions.list,
    answers: sections.answer,
    authority: sections.authority,
    additional: sections.additional,
  };
}

function readHeader(message: Uint8Array, extendedRcode: number) {
  const flags = uint16(message, 2);
  return {
    id: uint16(message, 0),
    response: (flags & HEADER_FLAG.QR) !== 0,
    opcode: (flags >> 11) & 15,
    authoritative: (flags & HEADER_FLAG.AA) !== 0,
    truncated: (flags & HEADER_FLAG.TC) !== 0,
    recursionDesired: (flags & HEADER_FLAG.RD) !== 0,
    recursionAvailable: (flags & HEADER_FLAG.RA) !== 0,
    authenticData: (flags & HEADER_FLAG.AD) !== 0,
    checkingDisabled: (flags & HEADER_FLAG.CD) !== 0,
    rcode: (extendedRcode << 4) | (flags & 15),
  };
}

function readQuestions(message: Uint8Array, names: MessageNames): { list: MessageQuestion[]; end: number } | null {
  const list: MessageQuestion[] = [];
  let position = HEADER_BYTES;
  for (let count = uint16(message, 4); count > 0; count--) {
    const fixed = nameEnd(message, position);
    const name = fixed < 0 || fixed + 4 > message.length ? null : names.read(position);
    if (name === null) return null;
    list.push({ name, type: uint16(message, fixed), class: uint16(message, fixed + 2) });
    position = fixed + 4;
  }
  return { list, end: position };
}

function readOpt(message: Uint8Array, place: RecordPlace): MessageEdns {
  const flags = uint16(message, place.ttl + 2);
  return {
    udpPayloadBytes: place.class,
    version: message[place.ttl + 1] ?? 0,
    dnssecOk: (flags & DO) !== 0,
    otherFlags: flags & ~DO,
    options: readOptions(message, place.data, place.end),
  };
}

const DO = 0x8000;
