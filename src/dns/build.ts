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
  readonly rcode: number;
  readonly answers: readonly BuiltRecord[];
  readonly authority: readonly BuiltRecord[];
}

/** Puts a response together as an Answer; its id is 0, and it is neither authoritative nor authenticated. */
export function buildAnswer(response: BuiltResponse): Answer {
  const records = [...response.answers, ...response.authority];
  const questionEnd = HEADER_OCTETS + response.name.length + 4;
  const octets = records.reduce((sum, record) => sum + ownerOctets(record, response) + 10 + record.data.length, questionEnd);
  const wire = new Uint8Array(octets);
  setUint16(wire, 2, FLAG.QR | FLAG.RA | response.rcode);
  setUint16(wire, 4, 1);
  setUint16(wire, 6, response.answers.length);
  setUint16(wire, 8, response.authority.length);
  wire.set(nameWire(response.name), HEADER_OCTETS);
  setUint16(wire, questionEnd - 4, response.type);
  setUint16(wire, questionEnd - 2, response.class);
  let position = questionEnd;
  for (const record of records) position = writeRecord(wire, position, { record, response });
  const answer = indexAnswer(wire);
  if (answer === null) throw new Error("a response made here is malformed");
  return answer;
}

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

const QUESTION_POINTER = 0xc000 | HEADER_OCTETS;

function ownerOctets(record: BuiltRecord, response: BuiltResponse): number {
  return record.owner === response.name && record.owner.length > 2 ? 2 : record.owner.length;
}

function writeRecord(
  wire: Uint8Array,
  start: number,
  { record, response }: { record: BuiltRecord; response: BuiltResponse },
): number {
  const fixed = start + ownerOctets(record, response);
  if (fixed === start + 2) setUint16(wire, start, QUESTION_POINTER);
  else wire.set(nameWire(record.owner), start);
  setUint16(wire, fixed, record.type);
  setUint16(wire, fixed + 2, CLASS.IN);
  setUint32(wire, fixed + 4, record.ttlSeconds);
  setUint16(wire, fixed + 8, record.data.length);
  wire.set(record.data, fixed + 10);
  return fixed + 10 + record.data.length;
}
