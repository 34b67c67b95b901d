import { type Answer, indexAnswer } from "./answer.ts";
import { type Name, nameWire } from "./name.ts";
import { setUint16, setUint32 } from "./octets.ts";
import { FLAG, HEADER_OCTETS } from "./query.ts";
import { CLASS, TYPE } from "./types.ts";

/** A record of a message that is made here. Names are written without compression, but for an owner equal to the name asked. */
export interface BuiltRecord {
  readonly owner: Name;
  readonly type: number;
  readonly ttlSeconds: number;
  readonly data: Uint8Array;
}

/** A response that is made here rather than received. */
export interface BuiltResponse {
  readonly name: Name;
  readonly type: number;
  readonly class: number;
  /** All twelve bits. */
  readonly rcode: number;
  readonly answers: readonly BuiltRecord[];
  readonly authority: readonly BuiltRecord[];
}

/** Puts a response together as an Answer; its id is 0, and it is neither authoritative nor authenticated. */
export function buildAnswer(response: BuiltResponse): Answer {
  const head = Buffer.alloc(HEADER_OCTETS + response.name.length + 4);
  setUint16(head, 2, FLAG.QR | FLAG.RA | (response.rcode & 15));
  setUint16(head, 4, 1);
  setUint16(head, 6, response.answers.length);
  setUint16(head, 8, response.authority.length);
  head.set(nameWire(response.name), HEADER_OCTETS);
  setUint16(head, head.length - 4, response.type);
  setUint16(head, head.length - 2, response.class);
  const records = [...response.answers, ...response.authority];
  const owner = (record: BuiltRecord) => (record.owner === response.name ? questionPointer : nameWire(record.owner));
  const answer = indexAnswer(Buffer.concat([head, ...records.map((record) => recordWire(record, owner(record)))]));
  if (answer === null) throw new Error("a response made here is malformed");
  // What an rcode has beyond four bits stands in OPT, which an Answer is without.
  return { ...answer, rcode: response.rcode };
}

/** One record; its owner is written as given, which may be a compression pointer. */
export function recordWire(record: BuiltRecord, owner: Uint8Array): Buffer {
  const fixed = Buffer.alloc(10);
  setUint16(fixed, 0, record.type);
  setUint16(fixed, 2, CLASS.IN);
  setUint32(fixed, 4, record.ttlSeconds);
  setUint16(fixed, 8, record.data.length);
  return Buffer.concat([owner, fixed, record.data]);
}

const questionPointer = Uint8Array.of(0xc0, HEADER_OCTETS);

/** Timers of an SOA that no secondary will ever read; the values of RFC 6303 §3. */
const NEGATIVE_SOA = { serial: 1, refresh: 3600, retry: 1200, expire: 604_800 };

/** An SOA that makes a negative answer hold for `ttlSeconds`: TTL and MINIMUM are the same (RFC 2308 §5). Its mailbox is that of RFC 6303 §3. */
export function negativeSoa(owner: Name, ttlSeconds: number): BuiltRecord {
  const mailbox = Buffer.from("\x06nobody\x07invalid\0", "latin1");
  const numbers = Buffer.alloc(20);
  const { serial, refresh, retry, expire } = NEGATIVE_SOA;
  for (const [index, value] of [serial, refresh, retry, expire, ttlSeconds].entries()) numbers.writeUInt32BE(value, index * 4);
  return { owner, type: TYPE.SOA, ttlSeconds, data: Buffer.concat([nameWire(owner), mailbox, numbers]) };
}
