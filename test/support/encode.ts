import type { Message, MessageEdns, ResourceRecord } from "../../src/dns/message.ts";
import { type Name, parentOf, ROOT } from "../../src/dns/name.ts";
import { HEADER_FLAG } from "../../src/dns/query.ts";
import type { Rdata } from "../../src/dns/rdata.ts";
import { type SvcParam, writeSvcParam } from "../../src/dns/svcb.ts";
import { TYPE } from "../../src/dns/types.ts";
import { MAX_MESSAGE_BYTES } from "../../src/dns/wire.ts";

/**
 * The bytes of a message, with names compressed as far as RFC 3597 §4 allows. OPT comes last.
 * @throws RangeError where a value does not fit its field, the rcode needs `edns`, a record is OPT, or the message exceeds 65535 bytes.
 */
export function encodeMessage(message: Message): Buffer {
  const { edns } = message;
  if (message.rcode > (edns === null ? 15 : 0xfff)) throw new RangeError(`rcode ${message.rcode} does not fit`);
  const writer = new WireWriter({ compressing: true });
  writeHeader(writer, message);
  for (const { name, type, class: klass } of message.questions) {
    writer.compressedName(name);
    writer.uint16(type);
    writer.uint16(klass);
  }
  for (const record of [...message.answers, ...message.authority, ...message.additional]) writeRecord(writer, record);
  if (edns !== null) writeOpt(writer, edns, message.rcode >> 4);
  return writer.finish();
}

function writeHeader(writer: WireWriter, message: Message): void {
  if (message.opcode > 15) throw new RangeError(`opcode ${message.opcode} does not fit`);
  writer.uint16(message.id);
  writer.uint16(
    (message.response ? HEADER_FLAG.QR : 0) |
      (message.opcode << 11) |
      (message.authoritative ? HEADER_FLAG.AA : 0) |
      (message.truncated ? HEADER_FLAG.TC : 0) |
      (message.recursionDesired ? HEADER_FLAG.RD : 0) |
      (message.recursionAvailable ? HEADER_FLAG.RA : 0) |
      (message.authenticData ? HEADER_FLAG.AD : 0) |
      (message.checkingDisabled ? HEADER_FLAG.CD : 0) |
      (message.rcode & 15),
  );
  writer.uint16(message.questions.length);
  writer.uint16(message.answers.length);
  writer.uint16(message.authority.length);
  writer.uint16(message.additional.length + (message.edns === null ? 0 : 1));
}

function writeRecord(writer: WireWriter, record: ResourceRecord): void {
  if (record.type === TYPE.OPT) throw new RangeError("an OPT record is given as edns");
  writer.compressedName(record.owner);
  writer.uint16(record.type);
  writer.uint16(record.class);
  writer.uint32(record.ttlSeconds);
  writer.behindLength(() => writeRdata(writer, record.data));
}

function writeOpt(writer: WireWriter, edns: MessageEdns, extendedRcode: number): void {
  writer.uint8(0);
  writer.uint16(TYPE.OPT);
  writer.uint16(edns.udpPayloadBytes);
  writer.uint8(extendedRcode);
  writer.uint8(edns.version);
  writer.uint16((edns.dnssecOk ? DO : 0) | edns.otherFlags);
  writer.behindLength(() => {
    for (const { code, data } of edns.options) {
      if (code === null) {
        writer.bytes(data);
      } else {
        writer.uint16(code);
        writer.behindLength(() => writer.bytes(data));
      }
    }
  });
}

const DO = 0x8000;

/** The bytes of a record's data, its names not compressed. */
export function rdataBytes(data: Rdata): Uint8Array {
  const writer = new WireWriter({ compressing: false });
  writeRdata(writer, data);
  return writer.finish();
}

function writeRdata(writer: WireWriter, data: Rdata): void {
  if (data.kind === "opaque") {
    writer.bytes(data.bytes);
    return;
  }
  // The table below pairs each type with its fields.
  for (const [field, write] of Object.entries(TYPES[data.kind] ?? {})) write(writer, Reflect.get(data, field) as never);
}

type Write = (writer: WireWriter, value: never) => void;

const byte: Write = (writer, value: number) => writer.uint8(value);
const short: Write = (writer, value: number) => writer.uint16(value);
const long: Write = (writer, value: number) => writer.uint32(value);
const name: Write = (writer, value: Name) => writer.compressedName(value);
const plainName: Write = (writer, value: Name) => writer.plainName(value);
const bytes: Write = (writer, value: Uint8Array) => writer.bytes(value);
const text: Write = (writer, value: string) => writer.byteText(value);

const shortText = (writer: WireWriter, value: string): void => {
  writer.uint8(value.length);
  writer.byteText(value);
};

const shortTexts: Write = (writer, values: readonly string[]) => {
  for (const value of values) shortText(writer, value);
};

const shortBytes: Write = (writer, value: Uint8Array) => {
  writer.uint8(value.length);
  writer.bytes(value);
};

const typeBitmap: Write = (writer, types: readonly number[]) => {
  const windows = Map.groupBy(types, (type) => type >> 8);
  for (const [window, members] of [...windows].toSorted(([left], [right]) => left - right)) {
    const map = new Uint8Array((Math.max(...members.map((type) => type & 0xff)) >> 3) + 1);
    for (const type of members) map[(type & 0xff) >> 3] = (map[(type & 0xff) >> 3] ?? 0) | (0x80 >> (type & 7));
    writer.uint8(window);
    writer.uint8(map.length);
    writer.bytes(map);
  }
};

const svcParams: Write = (writer, params: readonly SvcParam[]) => {
  for (const param of params) writer.bytes(writeSvcParam(param));
};

const binding = { priority: short, target: plainName, params: svcParams };
const delegation = { keyTag: short, algorithm: byte, digestType: byte, digest: bytes };
const publicKey = { flags: short, protocol: byte, algorithm: byte, key: bytes };

/** How the fields of each type are written, in their order. */
const TYPES: Readonly<Record<string, Readonly<Record<string, Write>>>> = {
  A: { address: bytes },
  NS: { name: name },
  CNAME: { name: name },
  SOA: {
    primary: name,
    mailbox: name,
    serial: long,
    refreshSeconds: long,
    retrySeconds: long,
    expireSeconds: long,
    minimumSeconds: long,
  },
  PTR: { name: name },
  HINFO: { cpu: shortText, os: shortText },
  MX: { preference: short, exchange: name },
  TXT: { strings: shortTexts },
  RP: { mailbox: plainName, text: plainName },
  AFSDB: { subtype: short, hostname: plainName },
  AAAA: { address: bytes },
  SRV: { priority: short, weight: short, port: short, target: plainName },
  NAPTR: { order: short, preference: short, flags: shortText, services: shortText, regexp: shortText, replacement: plainName },
  DNAME: { name: plainName },
  DS: delegation,
  SSHFP: { algorithm: byte, fingerprintType: byte, fingerprint: bytes },
  RRSIG: {
    covered: short,
    algorithm: byte,
    labels: byte,
    originalTtlSeconds: long,
    expiration: long,
    inception: long,
    keyTag: short,
    signer: plainName,
    signature: bytes,
  },
  NSEC: { next: plainName, types: typeBitmap },
  DNSKEY: publicKey,
  NSEC3: { algorithm: byte, flags: byte, iterations: short, salt: shortBytes, next: shortBytes, types: typeBitmap },
  NSEC3PARAM: { algorithm: byte, flags: byte, iterations: short, salt: shortBytes },
  TLSA: { usage: byte, selector: byte, matching: byte, certificate: bytes },
  CDS: delegation,
  CDNSKEY: publicKey,
  SVCB: binding,
  HTTPS: binding,
  SPF: { strings: shortTexts },
  URI: { priority: short, weight: short, target: text },
  CAA: { flags: byte, tag: shortText, value: text },
};

/** The highest offset of a compression pointer (RFC 1035 §4.1.4). */
const MAX_POINTER = 0x3fff;

/** Writes one message. Every method throws RangeError for a value outside its field, and where the message becomes too long. */
export class WireWriter {
  #wire = Buffer.alloc(512);
  #length = 0;
  /** Offsets of the names written so far, and of their parents. */
  readonly #places = new Map<Name, number>();
  readonly #compressing: boolean;

  constructor({ compressing }: { readonly compressing: boolean }) {
    this.#compressing = compressing;
  }

  /** A copy of the bytes written. */
  finish(): Buffer {
    return Buffer.from(this.#wire.subarray(0, this.#length));
  }

  uint8(value: number): void {
    const start = this.#claim(1);
    this.#wire.writeUInt8(value, start);
  }

  uint16(value: number): void {
    const start = this.#claim(2);
    this.#wire.writeUInt16BE(value, start);
  }

  uint32(value: number): void {
    const start = this.#claim(4);
    this.#wire.writeUInt32BE(value, start);
  }

  bytes(bytes: Uint8Array): void {
    const start = this.#claim(bytes.length);
    this.#wire.set(bytes, start);
  }

  /** Writes a string with one character (0 to 255) for each byte. */
  byteText(text: string): void {
    const start = this.#claim(text.length);
    this.#wire.write(text, start, "latin1");
  }

  /** Writes a name in full. Later names do not point into it, because pointers into the data of newer types are not allowed (RFC 3597 §4). */
  plainName(name: Name): void {
    this.byteText(name);
  }

  /** Writes a name. A compressing writer replaces the part that was written before by a pointer. */
  compressedName(name: Name): void {
    if (!this.#compressing) {
      this.plainName(name);
      return;
    }
    for (let rest = name; rest !== ROOT; rest = parentOf(rest)) {
      const place = this.#places.get(rest);
      if (place !== undefined) {
        this.uint16(0xc000 | place);
        return;
      }
      if (this.#length <= MAX_POINTER) this.#places.set(rest, this.#length);
      this.byteText(rest.slice(0, 1 + rest.charCodeAt(0)));
    }
    this.uint8(0);
  }

  /** Writes a length of two bytes, then what `write` writes. */
  behindLength(write: () => void): void {
    const start = this.#claim(2);
    write();
    this.#wire.writeUInt16BE(this.#length - start - 2, start);
  }

  /** @returns the start of the claimed bytes. May replace the buffer, so callers call `#claim` before they use `#wire`. */
  #claim(length: number): number {
    const start = this.#length;
    const end = start + length;
    if (end > MAX_MESSAGE_BYTES) throw new RangeError(`a message may have ${MAX_MESSAGE_BYTES} bytes at most`);
    if (end > this.#wire.length) {
      const larger = Buffer.alloc(Math.max(end, this.#wire.length * 2));
      larger.set(this.#wire.subarray(0, start));
      this.#wire = larger;
    }
    this.#length = end;
    return start;
  }
}
