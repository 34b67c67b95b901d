import type { Answer } from "./answer.ts";
import { type ClientSubnet, type Edns, ednsRecord, PLAIN_OPT, readEdns, UDP_PAYLOAD_BYTES } from "./edns.ts";
import { type Name, nameEnd, plainName, plainNameEnd } from "./name.ts";
import { CLASS, OPCODE, RCODE, TYPE } from "./types.ts";
import { HEADER_BYTES, recordEnd, uint16 } from "./wire.ts";

/** Masks of the second 16 bits of the header (RFC 1035 §4.1.1, RFC 4035 §3). */
export const HEADER_FLAG = { QR: 0x8000, AA: 0x0400, TC: 0x0200, RD: 0x0100, RA: 0x0080, AD: 0x0020, CD: 0x0010 } as const;

/** A client's question, parsed once. Immutable; `questionWire` is a view of the client's message. */
export interface Query extends Question {
  readonly id: number;
  readonly recursionDesired: boolean;
  /** AD in a query: the client understands AD in a reply (RFC 6840 §5.7). */
  readonly authenticData: boolean;
  /** QNAME in the client's letter case, QTYPE and QCLASS. */
  readonly questionWire: Uint8Array;
  /** null = the client sent no OPT, so the reply has none. */
  readonly edns: Edns | null;
}

/** A message whose reply is an error, with the parts that the reply repeats. */
export interface Rejection {
  readonly rejected: number;
  readonly id: number;
  readonly opcode: number;
  readonly recursionDesired: boolean;
  readonly checkingDisabled: boolean;
  /** null where the question is not readable. */
  readonly questionWire: Uint8Array | null;
  readonly edns: Edns | null;
}

/**
 * Parses a client's message. null = send no reply: the message is shorter than a header, or is a response (a reply to a response would let two servers
 * talk for ever). Never throws, whatever the bytes. The result keeps `message`, which must not change.
 */
export function parseQuery(message: Uint8Array): Query | Rejection | null {
  if (message.length < HEADER_BYTES) return null;
  const flags = uint16(message, 2);
  if ((flags & HEADER_FLAG.QR) !== 0) return null;
  const opcode = (flags >> 11) & 15;
  const reject = (rcode: number, questionWire: Uint8Array | null, edns: Edns | null): Rejection => ({
    rejected: rcode,
    id: uint16(message, 0),
    opcode,
    recursionDesired: (flags & HEADER_FLAG.RD) !== 0,
    checkingDisabled: (flags & HEADER_FLAG.CD) !== 0,
    questionWire,
    edns,
  });
  const nameStop = uint16(message, 4) === 1 ? plainNameEnd(message, HEADER_BYTES) : -1;
  const end = nameStop + 4;
  const questionWire = nameStop < 0 || end > message.length ? null : message.subarray(HEADER_BYTES, end);
  const edns =
    questionWire === null ? false : message.length === end ? noFurtherRecords(message) : readFurtherRecords(message, end);
  if (opcode !== OPCODE.QUERY) return reject(RCODE.NOTIMP, questionWire, edns === false ? null : edns);
  if (questionWire === null || edns === false) return reject(RCODE.FORMERR, questionWire, null);
  if (edns !== null && edns.version !== 0) return reject(RCODE.BADVERS, questionWire, edns);
  const type = uint16(message, nameStop);
  const refusal = questionRefusal(type, uint16(message, nameStop + 2));
  if (refusal !== RCODE.NOERROR) return reject(refusal, questionWire, edns);
  return {
    id: uint16(message, 0),
    name: plainName(message, HEADER_BYTES, nameStop),
    type,
    class: uint16(message, nameStop + 2),
    recursionDesired: (flags & HEADER_FLAG.RD) !== 0,
    authenticData: (flags & HEADER_FLAG.AD) !== 0,
    checkingDisabled: (flags & HEADER_FLAG.CD) !== 0,
    dnssecOk: edns?.dnssecOk ?? false,
    clientSubnet: edns?.clientSubnet ?? null,
    questionWire,
    edns,
  };
}

// Types that ask for something other than records of a name: zone transfers and transactions (RFC 5936, 8945, 2930).
function questionRefusal(type: number, klass: number): number {
  if (type === TYPE.AXFR || type === TYPE.IXFR) return RCODE.REFUSED;
  if (type === TYPE.OPT || type === TYPE.TSIG || type === 0) return RCODE.FORMERR;
  if (type === TYPE.TKEY || type === TYPE.MAILA || type === TYPE.MAILB) return RCODE.NOTIMP;
  return klass === CLASS.NONE || klass === 0 ? RCODE.FORMERR : RCODE.NOERROR;
}

function noFurtherRecords(message: Uint8Array): null | false {
  return uint16(message, 6) + uint16(message, 8) + uint16(message, 10) === 0 ? null : false;
}

/** Reads the OPT record after the question; null without one; false where the message is malformed or has two (RFC 6891 §6.1.1). */
function readFurtherRecords(message: Uint8Array, start: number): Edns | null | false {
  const beforeAdditional = uint16(message, 6) + uint16(message, 8);
  const total = beforeAdditional + uint16(message, 10);
  let edns: Edns | null = null;
  let position = start;
  for (let index = 0; index < total; index++) {
    const fixed = nameEnd(message, position);
    const end = recordEnd(message, fixed);
    if (end < 0) return false;
    if (uint16(message, fixed) === TYPE.OPT) {
      if (edns !== null || index < beforeAdditional || message[position] !== 0) return false;
      edns = readEdns(message, fixed);
      if (edns === null) return false;
    }
    position = end;
  }
  return position === message.length ? edns : false;
}

export function isRejection(parsed: Query | Rejection): parsed is Rejection {
  return "rejected" in parsed;
}

/** A question for upstreams and the cache: everything that may change the answer, and nothing else. */
export interface Question {
  readonly name: Name;
  readonly type: number;
  readonly class: number;
  /** DO: the client wants signatures (RFC 3225). */
  readonly dnssecOk: boolean;
  /** CD: the client validates itself (RFC 4035 §3.2.2). */
  readonly checkingDisabled: boolean;
  /** The subnet to send to upstreams (RFC 7871); null = none. */
  readonly clientSubnet: ClientSubnet | null;
}

/** Queries over encrypted transports are padded to a multiple of this (RFC 8467 §4.1). */
export const QUERY_PADDING_BYTES = 128;

interface AskOptions {
  readonly id: number;
  /** false for a rare server that answers FORMERR to EDNS (RFC 6891 §7). */
  readonly edns: boolean;
  /** Whether to pad to `QUERY_PADDING_BYTES`, on encrypted transports. */
  readonly padded: boolean;
  /** The content of the cookie option; absent = there is none. */
  readonly cookie?: Uint8Array;
}

const NO_OPT = Buffer.alloc(0);

/** The message for an upstream: RD and AD (RFC 6840 §5.7) are set; CD, DO and the client subnet are those of the question. */
export function askMessage(question: Question, { id, edns, padded, cookie }: AskOptions): Buffer {
  const questionEnd = HEADER_BYTES + question.name.length + 4;
  const { dnssecOk, clientSubnet } = question;
  const isPlain = edns && cookie === undefined && clientSubnet === null && !padded;
  const plainOpt = isPlain ? (dnssecOk ? PLAIN_OPT.dnssecOk : PLAIN_OPT.plain) : NO_OPT;
  const message = Buffer.alloc(questionEnd + plainOpt.length);
  message.writeUInt16BE(id, 0);
  message.writeUInt16BE(HEADER_FLAG.RD | HEADER_FLAG.AD | (question.checkingDisabled ? HEADER_FLAG.CD : 0), 2);
  message.writeUInt16BE(1, 4);
  message.write(question.name, HEADER_BYTES, "latin1");
  message.writeUInt16BE(question.type, questionEnd - 4);
  message.writeUInt16BE(question.class, questionEnd - 2);
  if (!edns) return message;
  message.writeUInt16BE(1, 10);
  message.set(plainOpt, questionEnd);
  if (isPlain) return message;
  const opt = ednsRecord(
    {
      udpPayloadBytes: UDP_PAYLOAD_BYTES,
      extendedRcode: 0,
      dnssecOk,
      clientSubnet,
      extendedErrors: [],
      ...(cookie === undefined ? {} : { cookie }),
      paddingBlockBytes: padded ? QUERY_PADDING_BYTES : 0,
    },
    questionEnd,
  );
  return Buffer.concat([message, opt]);
}

/** Whether a response repeats the question, without regard to letter case (RFC 4343). */
export function answersQuestion(answer: Answer, question: Question): boolean {
  return answer.name === question.name && answer.type === question.type && answer.class === question.class;
}
