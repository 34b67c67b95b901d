import { type Answer, buildAnswer, indexAnswer } from "../dns/answer.ts";
import { hasPlainName } from "../dns/name.ts";
import { HEADER_FLAG, type Question } from "../dns/query.ts";
import { RCODE } from "../dns/types.ts";
import { HEADER_BYTES, uint16 } from "../dns/wire.ts";
import type { Clock } from "../lib/clock.ts";

/** DNS ids are below this number. */
export const ID_LIMIT = 0x1_0000;

/** How a message from a server relates to the pending question. */
type Reply =
  /** Not a response, another id, or another question. */
  | { readonly kind: "foreign" }
  /** The header and the question match, and TC is set. The records are not read. */
  | { readonly kind: "truncated"; readonly rcode: number }
  /** The header and the question match; the rest is broken. */
  | { readonly kind: "malformed" }
  | { readonly kind: "answer"; readonly answer: Answer };

/**
 * Compares a message with the question that was sent with `id`. Letter case does not matter (RFC 4343).
 * Takes ownership of `message`, which the answer may keep. `message` must not be a Buffer, whose `slice` does not copy, nor a part of a larger array.
 */
export function readReply(message: Uint8Array, id: number, question: Question): Reply {
  if (message.length < HEADER_BYTES || uint16(message, 0) !== id) return FOREIGN;
  const flags = uint16(message, 2);
  if ((flags & HEADER_FLAG.QR) === 0 || (flags & OPCODE_BITS) !== 0) return FOREIGN;
  if (uint16(message, 4) === 0) return errorWithoutQuestion(message, question);
  if (!repeatsQuestion(message, question)) return FOREIGN;
  if ((flags & HEADER_FLAG.TC) !== 0) return { kind: "truncated", rcode: flags & RCODE_BITS };
  const answer = indexAnswer(message);
  return answer === null ? { kind: "malformed" } : { kind: "answer", answer };
}

const FOREIGN: Reply = { kind: "foreign" };
const OPCODE_BITS = 0x7800;
const RCODE_BITS = 0x000f;

function repeatsQuestion(message: Uint8Array, { name, type, class: klass }: Question): boolean {
  const end = HEADER_BYTES + name.length;
  if (uint16(message, 4) !== 1 || end + 4 > message.length || !hasPlainName(message, HEADER_BYTES, name)) return false;
  return uint16(message, end) === type && uint16(message, end + 2) === klass;
}

// A server that cannot read a query, for example an old one that does not know EDNS, returns little more than a header (RFC 6891 §7). Such a
// message says nothing about a name, so a matching id is enough.
function errorWithoutQuestion(message: Uint8Array, { name, type, class: klass }: Question): Reply {
  const rcode = uint16(message, 2) & RCODE_BITS;
  const records = uint16(message, 6) + uint16(message, 8);
  if (records !== 0 || rcode === RCODE.NOERROR || rcode === RCODE.NXDOMAIN) return FOREIGN;
  return { kind: "answer", answer: buildAnswer({ name, type, class: klass, rcode, answers: [], authority: [] }) };
}

/** Whether the rcode says something about the name. All other rcodes say that the server has no answer. */
export function saysWhatIs({ rcode }: Answer): boolean {
  return rcode === RCODE.NOERROR || rcode === RCODE.NXDOMAIN;
}

/**
 * Returns the more telling of two bad answers. SERVFAIL is about the name; REFUSED, NOTIMP and FORMERR are about the server; extended errors
 * (RFC 8914) give the reason. Of two equal answers `next` wins.
 */
export function moreTelling(previous: Answer | null, next: Answer): Answer {
  return previous !== null && tellingScore(previous) > tellingScore(next) ? previous : next;
}

function tellingScore(answer: Answer): number {
  return (answer.rcode === RCODE.SERVFAIL ? 2 : 0) + (answer.extendedErrors.length > 0 ? 1 : 0);
}

/** How long a server without EDNS is asked without OPT. After that time it may have been replaced or repaired. */
const PLAIN_MS = 3_600_000;

/** Whether one server understands EDNS. A question that the server refuses is sent again without OPT (RFC 6891 §7). */
export class EdnsSupport {
  readonly #clock: Clock;
  #plainUntilMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Calls `ask` once or twice; `edns` says whether to send OPT. */
  async ask<Reply extends { readonly rcode: number }>(ask: (edns: boolean) => Promise<Reply>): Promise<Reply> {
    if (this.#clock.now() < this.#plainUntilMs) return ask(false);
    const answer = await ask(true);
    if (!isRefusal(answer)) return answer;
    const plain = await ask(false);
    if (!isRefusal(plain)) this.#plainUntilMs = this.#clock.now() + PLAIN_MS;
    return plain;
  }
}

function isRefusal({ rcode }: { readonly rcode: number }): boolean {
  return rcode === RCODE.FORMERR || rcode === RCODE.NOTIMP;
}
