import { type Answer, buildAnswer, indexAnswer } from "../dns/answer.ts";
import { plainName, plainNameEnd } from "../dns/name.ts";
import { answersQuestion, HEADER_BYTES, HEADER_FLAG, type Question } from "../dns/query.ts";
import { RCODE } from "../dns/types.ts";
import { uint16 } from "../dns/wire.ts";
import type { Clock } from "../lib/clock.ts";
import { type Attempt, type ExchangeOptions, type Upstream, UpstreamError, type UpstreamFailure } from "./upstream.ts";

/** What a message from a server is to the question that waits. */
type Reply =
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

function repeatsQuestion(message: Uint8Array, question: Question): boolean {
  if (uint16(message, 4) !== 1) return false;
  const end = plainNameEnd(message, HEADER_BYTES);
  return (
    end === HEADER_BYTES + question.name.length &&
    end + 4 <= message.length &&
    uint16(message, end) === question.type &&
    uint16(message, end + 2) === question.class &&
    plainName(message, HEADER_BYTES, end) === question.name
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

/** How the asking of one member ended. */
export type AttemptOutcome =
  /** NOERROR or NXDOMAIN, whole, to the right question. */
  | { readonly kind: "good"; readonly answer: Answer }
  /** Another rcode, or an answer that the errand refuses: the member replied, and is of no use for this question. */
  | { readonly kind: "bad"; readonly answer: Answer }
  | { readonly kind: "failed"; readonly failure: UpstreamFailure }
  /** We stopped waiting; `silent`: not before the member had its `attemptMs`. */
  | { readonly kind: "abandoned"; readonly silent: boolean };

/** Asks `upstream` and judges what comes. @throws what is no UpstreamError: only a bug can bring that. */
export async function ask(upstream: Upstream, question: Question, errand: ExchangeOptions): Promise<AttemptOutcome> {
  try {
    return judge(await upstream.exchange(question, errand), question, errand);
  } catch (error) {
    if (error instanceof UpstreamError) return { kind: "failed", failure: error.failure };
    throw error;
  }
}

// A truncated answer lacks records, and what it lacks must neither reach a client nor the cache.
function judge(answer: Answer, question: Question, { refuses }: ExchangeOptions): AttemptOutcome {
  if (!answersQuestion(answer, question) || answer.truncated) return { kind: "failed", failure: "malformed" };
  const good = saysWhatIs(answer);
  if (good && refuses?.(answer) === true) return { kind: "bad", answer };
  return { kind: good ? "good" : "bad", answer };
}

/** Whether the rcode is about the name: all others say that the server has no answer. */
export function saysWhatIs({ rcode }: Answer): boolean {
  return rcode === RCODE.NOERROR || rcode === RCODE.NXDOMAIN;
}

/**
 * The more telling of two answers that are not good. SERVFAIL speaks of the name, where REFUSED, NOTIMP and FORMERR speak of the server;
 * extended errors (RFC 8914) say why. Between equals the later one, `next`, wins.
 */
export function moreTelling(previous: Answer | null, next: Answer): Answer {
  return previous !== null && telling(previous) > telling(next) ? previous : next;
}

function telling(answer: Answer): number {
  return (answer.rcode === RCODE.SERVFAIL ? 2 : 0) + (answer.extendedErrors.length > 0 ? 1 : 0);
}

/** What stays the same in all attempts at one server. */
export interface AttemptSubject {
  readonly server: string;
  readonly transport: Attempt["transport"];
  readonly clock: Clock;
}

/** Asks, and notes in `errand.attempts` how it went. The group is left null: a group fills in its own name. */
export async function noteAttempt<T extends { readonly rcode: number }>(
  errand: ExchangeOptions,
  { server, transport, clock }: AttemptSubject,
  ask: () => Promise<T>,
): Promise<T> {
  const startedMs = clock.now();
  const note = (rcode: number | null, failure: Attempt["failure"]): void => {
    errand.attempts.push({ group: null, server, transport, elapsedMs: clock.now() - startedMs, rcode, failure });
  };
  try {
    const reply = await ask();
    note(reply.rcode, null);
    return reply;
  } catch (error) {
    // Anything else is a bug, and no failure of the server.
    if (error instanceof UpstreamError) note(null, error.failure);
    throw error;
  }
}

/** How long a server found to be without EDNS is asked without it; after that it may have been replaced or mended. */
const PLAIN_MS = 3_600_000;

/** Whether one server understands EDNS. What it refuses with OPT it is asked once more without (RFC 6891 §7). */
export class EdnsSupport {
  readonly #clock: Clock;
  #plainUntilMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async ask(ask: (edns: boolean) => Promise<Answer>): Promise<Answer> {
    if (this.#clock.now() < this.#plainUntilMs) return ask(false);
    const answer = await ask(true);
    if (!isRefusal(answer)) return answer;
    const plain = await ask(false);
    if (!isRefusal(plain)) this.#plainUntilMs = this.#clock.now() + PLAIN_MS;
    return plain;
  }
}

function isRefusal({ rcode }: Answer): boolean {
  return rcode === RCODE.FORMERR || rcode === RCODE.NOTIMP;
}
