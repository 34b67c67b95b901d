import { type Answer, buildAnswer, indexAnswer } from "../dns/answer.ts";
import { plainName, plainNameEnd } from "../dns/name.ts";
import { FLAG, HEADER_OCTETS, type Question } from "../dns/query.ts";
import { RCODE } from "../dns/types.ts";
import { uint16 } from "../dns/wire.ts";

/** What a message from a server is to the question that waits. */
export type Reply =
  /** No response, another id, or another question: not ours. */
  | { readonly kind: "foreign" }
  /** Ours, cut at the size of a datagram (TC); what is left of it is not looked at. */
  | { readonly kind: "truncated"; readonly rcode: number }
  /** Ours by its header and question, and broken after that. */
  | { readonly kind: "malformed" }
  | { readonly kind: "answer"; readonly answer: Answer };

/**
 * Compares a message with the question that was sent under `id`. Letter case does not matter (RFC 4343).
 * Takes over `message`, which the answer may keep: no Buffer, whose `slice` does not copy, and no part of a larger one.
 */
export function readReply(message: Uint8Array, id: number, question: Question): Reply {
  if (message.length < HEADER_OCTETS || uint16(message, 0) !== id) return FOREIGN;
  const flags = uint16(message, 2);
  if ((flags & FLAG.QR) === 0 || (flags & OPCODE_BITS) !== 0) return FOREIGN;
  if (uint16(message, 4) === 0) return errorWithoutQuestion(message, question);
  if (!repeatsQuestion(message, question)) return FOREIGN;
  if ((flags & FLAG.TC) !== 0) return { kind: "truncated", rcode: flags & RCODE_BITS };
  const answer = indexAnswer(message);
  return answer === null ? { kind: "malformed" } : { kind: "answer", answer };
}

const FOREIGN: Reply = { kind: "foreign" };
const OPCODE_BITS = 0x7800;
const RCODE_BITS = 0x000f;

function repeatsQuestion(message: Uint8Array, question: Question): boolean {
  if (uint16(message, 4) !== 1) return false;
  const end = plainNameEnd(message, HEADER_OCTETS);
  return (
    end === HEADER_OCTETS + question.name.length &&
    end + 4 <= message.length &&
    uint16(message, end) === question.type &&
    uint16(message, end + 2) === question.class &&
    plainName(message, HEADER_OCTETS, end) === question.name
  );
}

// Servers that cannot read a query, above all old ones that meet EDNS, send back little more than a header (RFC 6891 §7). Such a message
// can say nothing about a name, so the id is proof enough.
function errorWithoutQuestion(message: Uint8Array, { name, type, class: klass }: Question): Reply {
  const rcode = uint16(message, 2) & RCODE_BITS;
  const records = uint16(message, 6) + uint16(message, 8);
  if (records !== 0 || rcode === RCODE.NOERROR || rcode === RCODE.NXDOMAIN) return FOREIGN;
  return { kind: "answer", answer: buildAnswer({ name, type, class: klass, rcode, answers: [], authority: [] }) };
}
