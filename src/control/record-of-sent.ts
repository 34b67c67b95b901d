import { ttlAt } from "../dns/answer.ts";
import { extendedErrorText, readOptions } from "../dns/edns-options.ts";
import { nameEnd } from "../dns/name.ts";
import { FLAG, HEADER_OCTETS } from "../dns/query.ts";
import { rdataText, readRdata } from "../dns/rdata.ts";
import { rcodeName, TYPE, typeName } from "../dns/types.ts";
import { MessageNames, uint16, WireReader } from "../dns/wire.ts";

/** What a reply says, read from its octets as they were sent. */
export interface Sent {
  readonly rcode: string;
  readonly truncated: boolean;
  /** As in `QueryRecord`. */
  readonly answers: readonly string[];
  /** The lesser of TTL and MINIMUM of the SOA in the authority section (RFC 2308 §5); null = it has none. */
  readonly soaSeconds: number | null;
  readonly ede: readonly string[];
}

/** Records of one answer that are written out; the others are counted. */
const MAX_ANSWERS = 16;

/** Of one record, and of one extended error. */
const MAX_CHARACTERS = 256;

/** Reads a reply of ours. The work is bounded by its octets, of which names count as often as they are pointed to. */
export function sentOf(wire: Uint8Array): Sent {
  const flags = uint16(wire, 2);
  const answerCount = uint16(wire, 6);
  const beforeAdditional = answerCount + uint16(wire, 8);
  const total = beforeAdditional + uint16(wire, 10);
  const names = new MessageNames(wire);
  const answers: string[] = [];
  let soaSeconds: number | null = null;
  let extendedRcode = 0;
  let ede: string[] = [];
  let position = questionsEnd(wire);
  for (let index = 0; index < total; index++) {
    const fixed = nameEnd(wire, position);
    if (fixed < 0 || fixed + 10 > wire.length) break;
    const type = uint16(wire, fixed);
    const data = fixed + 10;
    position = Math.min(wire.length, data + uint16(wire, fixed + 8));
    if (index < answerCount) {
      if (index < MAX_ANSWERS)
        answers.push(recordText(wire, { type, ttlSeconds: ttlAt(wire, fixed + 4), data, end: position }, names));
    } else if (index < beforeAdditional) {
      if (type === TYPE.SOA) soaSeconds ??= Math.min(ttlAt(wire, fixed + 4), ttlAt(wire, position - 4));
    } else if (type === TYPE.OPT) {
      extendedRcode = wire[fixed + 4] ?? 0;
      ede = extendedErrors(wire, data, position);
    }
  }
  if (answerCount > MAX_ANSWERS) answers.push(`… and ${answerCount - MAX_ANSWERS} more`);
  return {
    rcode: rcodeName((extendedRcode << 4) | (flags & 15)),
    truncated: (flags & FLAG.TC) !== 0,
    answers,
    soaSeconds,
    ede,
  };
}

function questionsEnd(wire: Uint8Array): number {
  return uint16(wire, 4) === 0 ? HEADER_OCTETS : nameEnd(wire, HEADER_OCTETS) + 4;
}

interface SentRecord {
  readonly type: number;
  readonly ttlSeconds: number;
  readonly data: number;
  readonly end: number;
}

function recordText(wire: Uint8Array, { type, ttlSeconds, data, end }: SentRecord, names: MessageNames): string {
  const text = rdataText(readRdata(type, new WireReader(wire, { start: data, end }, names)));
  return shortened(`${ttlSeconds} ${typeName(type)} ${text}`.trimEnd());
}

function extendedErrors(wire: Uint8Array, start: number, end: number): string[] {
  return readOptions(wire, start, end).flatMap((option) =>
    option.kind === "extendedError" ? [shortened(extendedErrorText(option))] : [],
  );
}

function shortened(text: string): string {
  return text.length <= MAX_CHARACTERS ? text : `${text.slice(0, MAX_CHARACTERS)}…`;
}
