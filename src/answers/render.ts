import { type Answer, ttlAt } from "../dns/answer.ts";
import { CLASSIC_UDP_BYTES, type ExtendedError, ednsRecord, PLAIN_OPT, replyPadding, UDP_PAYLOAD_BYTES } from "../dns/edns.ts";
import { HEADER_FLAG, type Query, type Rejection } from "../dns/query.ts";
import { RCODE } from "../dns/types.ts";
import { HEADER_BYTES, setUint16, setUint32, uint16 } from "../dns/wire.ts";
import { unreachable } from "../lib/unreachable.ts";
import type { TtlLimits } from "./options.ts";

/**
 * Shapes replies, section `answers`: `server/pipeline.ts` calls `render` for every reply, and `resolve/` makes and edits answers with `negative.ts`
 * (answers without records), `svcb.ts` (SVCB and HTTPS records) and `replace.ts` (addresses that a rule gives instead).
 */

/** What `render` does with the TTLs of an answer. */
export type TtlEdit =
  /** Made here for this very reply: the TTLs stay. */
  | { readonly kind: "keep" }
  /** A positive answer: TTLs are brought within the limits, then lowered by the age. */
  | { readonly kind: "age"; readonly ageSeconds: number; readonly limits: TtlLimits }
  /** A negative answer that may be cached for so long from now: no TTL is higher, and the SOA has the same value (RFC 2308 §5). */
  | { readonly kind: "negative"; readonly remainingSeconds: number }
  /** A stale answer (RFC 8767 §4), whose own TTLs have run out. */
  | { readonly kind: "stale"; readonly ttlSeconds: number }
  /** A failure: no cache may hold the reply. */
  | { readonly kind: "failure" };

/** An answer, with all that its reply to one client depends on. */
export interface Rendering {
  readonly query: Query;
  readonly answer: Answer;
  readonly ttl: TtlEdit;
  /** Whether AD may be passed on: the connection to the upstream is encrypted (RFC 6840 §5.8). */
  readonly authenticated: boolean;
  readonly extendedErrors: readonly ExtendedError[];
  /** Scope prefix for the subnet that the client sent (RFC 7871 §7.2.1); absent = 0, the answer fits every client. */
  readonly subnetScope?: number;
  /** The longest reply the transport takes; see `replyLimit`. */
  readonly limitBytes: number;
  /** Whether the transport hides sizes only by padding: DoT and DoH. */
  readonly encrypted: boolean;
}

export interface Rendered {
  /** A buffer of its own, which the caller may keep. */
  readonly wire: Uint8Array;
  /** For how many seconds an HTTP cache may hold the reply (RFC 8484 §5.1); null = not at all. */
  readonly maxAgeSeconds: number | null;
}

/** Bytes of the longest reply for a client. Over UDP the client sets the limit, up to the size that passes every path (RFC 6891 §6.2.5). */
export function replyLimit(query: Pick<Query, "edns">, overUdp: boolean): number {
  if (!overUdp) return 0xffff;
  return query.edns === null ? CLASSIC_UDP_BYTES : Math.min(query.edns.udpPayloadBytes, UDP_PAYLOAD_BYTES);
}

/**
 * Turns an answer into the bytes of a reply: a copy with the client's id, flags and question (in the client's letter case), with edited TTLs, with OPT
 * where the client sent one, truncated to the limit of the transport.
 */
export function render(rendering: Rendering): Rendered {
  const { query, answer } = rendering;
  const opt = fittingOpt(rendering);
  const whole = answer.wire.length + opt.length <= rendering.limitBytes;
  // RFC 2181 §9: records may be left out of the additional section without TC.
  const bodyBytes = whole ? answer.wire.length : answer.additionalOffset;
  if (bodyBytes + opt.length > rendering.limitBytes) return { wire: truncatedReply(rendering), maxAgeSeconds: null };
  const wire = Buffer.allocUnsafe(bodyBytes + opt.length);
  wire.set(bodyBytes === answer.wire.length ? answer.wire : answer.wire.subarray(0, bodyBytes));
  writeHeader(wire, rendering);
  wire.set(query.questionWire, HEADER_BYTES);
  const maxAgeSeconds = editTtls(wire, answer, rendering.ttl);
  wire.set(opt, bodyBytes);
  setUint16(wire, 10, (whole ? uint16(answer.wire, 10) : 0) + (opt.length === 0 ? 0 : 1));
  return { wire, maxAgeSeconds };
}

/** An empty reply with TC, which makes the client ask again over a stream. The reply over the stream has the extended errors. */
export function truncatedReply(rendering: Rendering): Uint8Array {
  const { questionWire } = rendering.query;
  const bodyBytes = HEADER_BYTES + questionWire.length;
  const opt = optRecord({ ...rendering, extendedErrors: [] }, bodyBytes);
  const wire = Buffer.alloc(bodyBytes + opt.length);
  wire.set(questionWire, HEADER_BYTES);
  writeHeader(wire, rendering);
  wire[2] = (wire[2] ?? 0) | (HEADER_FLAG.TC >> 8);
  setUint16(wire, 4, 1);
  setUint16(wire, 10, opt.length === 0 ? 0 : 1);
  wire.set(opt, bodyBytes);
  return wire;
}

function writeHeader(wire: Uint8Array, { query, answer, authenticated }: Rendering): void {
  const wantsAuthenticData = query.authenticData || query.dnssecOk;
  setUint16(wire, 0, query.id);
  setUint16(
    wire,
    2,
    HEADER_FLAG.QR |
      HEADER_FLAG.RA |
      (query.recursionDesired ? HEADER_FLAG.RD : 0) |
      (query.checkingDisabled ? HEADER_FLAG.CD : 0) |
      (answer.authenticData && authenticated && wantsAuthenticData ? HEADER_FLAG.AD : 0) |
      (answer.rcode > 15 && query.edns === null ? RCODE.SERVFAIL : answer.rcode & 15),
  );
}

/** @returns `Rendered.maxAgeSeconds`. */
function editTtls(wire: Uint8Array, answer: Answer, edit: TtlEdit): number | null {
  switch (edit.kind) {
    case "keep":
      return wholeLifetimeSeconds(answer);
    case "age":
      return ageTtls(wire, answer, edit);
    case "stale":
      for (const offset of answer.ttlOffsets) if (offset < wire.length) setUint32(wire, offset, edit.ttlSeconds);
      return null;
    case "negative":
      setNegativeTtl(wire, answer, edit.remainingSeconds);
      return edit.remainingSeconds;
    case "failure":
      return null;
    default:
      return unreachable(edit);
  }
}

function wholeLifetimeSeconds({ answered, lowestTtlSeconds, soa }: Answer): number | null {
  if (answered || soa === null) return lowestTtlSeconds;
  return Math.min(lowestTtlSeconds ?? soa.ttlSeconds, soa.ttlSeconds, soa.minimumSeconds);
}

function ageTtls(wire: Uint8Array, answer: Answer, edit: { readonly ageSeconds: number; readonly limits: TtlLimits }): number {
  const { minSeconds, maxSeconds } = edit.limits;
  let lowest = maxSeconds;
  for (let index = 0; index < answer.ttlOffsets.length; index++) {
    const offset = answer.ttlOffsets[index] ?? 0;
    if (offset >= wire.length) break;
    const ttl = Math.max(0, Math.min(maxSeconds, Math.max(minSeconds, ttlAt(answer.wire, offset))) - edit.ageSeconds);
    setUint32(wire, offset, ttl);
    if (index < answer.answerRecords && ttl < lowest) lowest = ttl;
  }
  return lowest;
}

// A signed answer keeps its MINIMUM, and its TTLs are only lowered: else the signatures would not verify. Caches take the smaller of the SOA's TTL and
// MINIMUM (RFC 2308 §3).
function setNegativeTtl(wire: Uint8Array, answer: Answer, remainingSeconds: number): void {
  for (const offset of answer.ttlOffsets) {
    if (offset >= wire.length) break;
    setUint32(wire, offset, Math.min(ttlAt(answer.wire, offset), remainingSeconds));
  }
  if (answer.soa === null || answer.signed) return;
  setUint32(wire, answer.soa.ttlOffset, remainingSeconds);
  setUint32(wire, answer.soa.minimumOffset, remainingSeconds);
}

const NO_BYTES = Buffer.alloc(0);

/** Extended errors must not push records out of a reply: first their texts are left out, then the errors. */
function fittingOpt(rendering: Rendering): Buffer {
  const { answer, extendedErrors, limitBytes } = rendering;
  const opt = optRecord(rendering, answer.wire.length);
  if (extendedErrors.length === 0 || answer.wire.length + opt.length <= limitBytes) return opt;
  const codes = extendedErrors.map(({ code }) => ({ code, text: "" }));
  const shorter = optRecord({ ...rendering, extendedErrors: codes }, answer.wire.length);
  if (answer.wire.length + shorter.length <= limitBytes) return shorter;
  return optRecord({ ...rendering, extendedErrors: [] }, answer.wire.length);
}

function optRecord({ query, answer, extendedErrors, encrypted, subnetScope = 0 }: Rendering, precedingBytes: number): Buffer {
  if (query.edns === null) return NO_BYTES;
  const paddingBlockBytes = replyPadding(encrypted && query.edns.padded);
  if (extendedErrors.length === 0 && paddingBlockBytes === 0 && answer.rcode < 16 && query.clientSubnet === null)
    return query.dnssecOk ? PLAIN_OPT.dnssecOk : PLAIN_OPT.plain;
  return ednsRecord(
    {
      udpPayloadBytes: UDP_PAYLOAD_BYTES,
      extendedRcode: answer.rcode >> 4,
      dnssecOk: query.dnssecOk,
      clientSubnet: query.clientSubnet === null ? null : { ...query.clientSubnet, scopePrefix: subnetScope },
      extendedErrors,
      paddingBlockBytes,
    },
    precedingBytes,
  );
}

/** The reply to a message that cannot be answered: FORMERR, NOTIMP, REFUSED, BADVERS. Has OPT where the client sent a readable OPT. */
export function rejectionReply(rejection: Rejection): Uint8Array {
  const question = rejection.questionWire ?? new Uint8Array();
  const opt = rejection.edns === null ? new Uint8Array() : rejectionOpt(rejection.rejected, rejection.edns.dnssecOk);
  const wire = Buffer.alloc(HEADER_BYTES + question.length + opt.length);
  setUint16(wire, 0, rejection.id);
  const echoed = (rejection.recursionDesired ? HEADER_FLAG.RD : 0) | (rejection.checkingDisabled ? HEADER_FLAG.CD : 0);
  setUint16(wire, 2, HEADER_FLAG.QR | HEADER_FLAG.RA | (rejection.opcode << 11) | echoed | (rejection.rejected & 15));
  setUint16(wire, 4, question.length === 0 ? 0 : 1);
  setUint16(wire, 10, opt.length === 0 ? 0 : 1);
  wire.set(question, HEADER_BYTES);
  wire.set(opt, HEADER_BYTES + question.length);
  return wire;
}

function rejectionOpt(rcode: number, dnssecOk: boolean): Buffer {
  const content = { udpPayloadBytes: UDP_PAYLOAD_BYTES, extendedRcode: rcode >> 4, dnssecOk, clientSubnet: null };
  return ednsRecord({ ...content, extendedErrors: [], paddingBlockBytes: 0 }, 0);
}
