import type { Answer } from "../dns/answer.ts";
import { answersQuestion, type Question } from "../dns/query.ts";
import { RCODE } from "../dns/types.ts";
import { type Errand, type Upstream, UpstreamError, type UpstreamFailure } from "./upstream.ts";

/** How the asking of one member ended. */
export type Ending =
  /** NOERROR or NXDOMAIN, whole, to the right question. */
  | { readonly kind: "good"; readonly answer: Answer }
  /** Another rcode, or an answer that the errand refuses: the member replied, and is of no use for this question. */
  | { readonly kind: "bad"; readonly answer: Answer }
  | { readonly kind: "failed"; readonly failure: UpstreamFailure }
  /** We stopped waiting; `silent`: not before the member had its `attemptMs`. */
  | { readonly kind: "abandoned"; readonly silent: boolean };

/** Asks `upstream` and judges what comes. @throws what is no UpstreamError: only a bug can bring that. */
export async function ask(upstream: Upstream, question: Question, errand: Errand): Promise<Ending> {
  try {
    return judge(await upstream.exchange(question, errand), question, errand);
  } catch (error) {
    if (error instanceof UpstreamError) return { kind: "failed", failure: error.failure };
    throw error;
  }
}

// A truncated answer lacks records, and what it lacks must neither reach a client nor the cache.
function judge(answer: Answer, question: Question, { refuses }: Errand): Ending {
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
