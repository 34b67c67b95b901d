import { ttlAt } from "../dns/answer.ts";
import { readOptions } from "../dns/edns.ts";
import { nameEnd } from "../dns/name.ts";
import { HEADER_FLAG } from "../dns/query.ts";
import { rdataText, readRdata } from "../dns/rdata.ts";
import { extendedErrorTexts } from "../dns/text.ts";
import { rcodeName, TYPE, typeName } from "../dns/types.ts";
import { HEADER_BYTES, MessageNames, uint16, WireReader } from "../dns/wire.ts";

/** What a reply says, read from its bytes as they were sent. */
export interface Sent {
  readonly rcode: string;
  readonly truncated: boolean;
  /** As in `QueryRecord`. */
  readonly answers: readonly string[];
  /** The lesser of TTL and MINIMUM of the SOA in the authority section (RFC 2308 §5); null = there is none. */
  readonly soaSeconds: number | null;
  /** As in `QueryRecord`. */
  readonly ede: readonly string[];
}

/** Reads a reply of ours. The work is bounded by its bytes, of which names count as often as they are pointed to. */
export function sentOf(wire: Uint8Array): Sent {
  const { rcode, truncated, ttls, soaSeconds, ede } = scanReply(wire);
  const answers = answerTexts(wire).map((text, index) => withTtl(ttls[index], text));
  return { rcode: rcodeName(rcode), truncated, answers, soaSeconds, ede };
}

/** A record of an answer as people read it; the line that counts what is left out has no TTL. */
export function withTtl(ttlSeconds: number | string | null | undefined, text: string): string {
  return ttlSeconds === undefined || ttlSeconds === null || ttlSeconds === "" ? text : `${ttlSeconds} ${text}`;
}

/** What is told from the sections of a reply without turning its records into text. */
export interface ReplyScan {
  /** All twelve bits (RFC 6891 §6.1.3). */
  readonly rcode: number;
  readonly truncated: boolean;
  /** Of the records of the answer section that are shown. */
  readonly ttls: readonly number[];
  /** Where the TTLs of all records of the answer section stand. */
  readonly ttlOffsets: readonly number[];
  /** Where the answer section ends. */
  readonly answersEnd: number;
  readonly soaSeconds: number | null;
  readonly ede: readonly string[];
}

/** Records of one answer that are written out; the others are counted. */
const MAX_ANSWERS = 16;

/** Of one record, its TTL aside, and of one extended error. */
const MAX_CHARACTERS = 256;

/** Never throws, whatever the bytes; a section that ends early has the records before its end. */
export function scanReply(wire: Uint8Array): ReplyScan {
  const flags = uint16(wire, 2);
  const answerCount = uint16(wire, 6);
  const beforeAdditional = answerCount + uint16(wire, 8);
  const total = beforeAdditional + uint16(wire, 10);
  const ttls: number[] = [];
  const ttlOffsets: number[] = [];
  let soaSeconds: number | null = null;
  let extendedRcode = 0;
  let ede: readonly string[] = NONE;
  let position = questionsEnd(wire);
  let answersEnd = position;
  for (let index = 0; index < total; index++) {
    const fixed = nameEnd(wire, position);
    if (fixed < 0 || fixed + 10 > wire.length) break;
    const data = fixed + 10;
    position = Math.min(wire.length, data + uint16(wire, fixed + 8));
    if (index < answerCount) {
      ttlOffsets.push(fixed + 4);
      if (index < MAX_ANSWERS) ttls.push(ttlAt(wire, fixed + 4));
      answersEnd = position;
      continue;
    }
    const type = uint16(wire, fixed);
    if (index < beforeAdditional) {
      if (type === TYPE.SOA) soaSeconds ??= Math.min(ttlAt(wire, fixed + 4), ttlAt(wire, position - 4));
    } else if (type === TYPE.OPT) {
      extendedRcode = wire[fixed + 4] ?? 0;
      ede = position > data ? extendedErrors(wire, data, position) : NONE;
    }
  }
  const truncated = (flags & HEADER_FLAG.TC) !== 0;
  return { rcode: (extendedRcode << 4) | (flags & 15), truncated, ttls, ttlOffsets, answersEnd, soaSeconds, ede };
}

const NONE: readonly string[] = [];

/** The records of the answer section as `TYPE data`; of a long answer the first, and how many more there are. */
export function answerTexts(wire: Uint8Array): string[] {
  const count = uint16(wire, 6);
  const names = new MessageNames(wire);
  const texts: string[] = [];
  let position = questionsEnd(wire);
  for (let index = 0; index < Math.min(count, MAX_ANSWERS); index++) {
    const fixed = nameEnd(wire, position);
    if (fixed < 0 || fixed + 10 > wire.length) break;
    const type = uint16(wire, fixed);
    position = Math.min(wire.length, fixed + 10 + uint16(wire, fixed + 8));
    const data = rdataText(readRdata(type, new WireReader(wire, { start: fixed + 10, end: position }, names)));
    texts.push(shortened(`${typeName(type)} ${data}`.trimEnd()));
  }
  if (count > MAX_ANSWERS) texts.push(`… and ${count - MAX_ANSWERS} more`);
  return texts;
}

function questionsEnd(wire: Uint8Array): number {
  return uint16(wire, 4) === 0 ? HEADER_BYTES : nameEnd(wire, HEADER_BYTES) + 4;
}

function extendedErrors(wire: Uint8Array, start: number, end: number): readonly string[] {
  return extendedErrorTexts(readOptions(wire, start, end)).map(shortened);
}

function shortened(text: string): string {
  return text.length <= MAX_CHARACTERS ? text : `${text.slice(0, MAX_CHARACTERS)}…`;
}
