import { type Answer, buildAnswer, indexAnswer, negativeSoa, recordsOf, recordWire } from "../dns/answer.ts";
import { type Name, nameWire } from "../dns/name.ts";
import { HEADER_FLAG, type Question } from "../dns/query.ts";
import { RCODE } from "../dns/types.ts";
import { setUint16, setUint32, uint16 } from "../dns/wire.ts";

/** An answer without records but for an SOA of ours, which makes it hold for `ttlSeconds` (RFC 2308 §5). */
export function negativeAnswer(question: Question, made: { rcode: number; soaOwner: Name; ttlSeconds: number }): Answer {
  const authority = [negativeSoa(made.soaOwner, made.ttlSeconds)];
  return buildAnswer({ ...asked(question), rcode: made.rcode, answers: [], authority });
}

/** NODATA: the name exists, or is not to be spoken of, and has no records of this type. The SOA's owner is the name itself. */
export function nodataAnswer(question: Question, ttlSeconds: number): Answer {
  return negativeAnswer(question, { rcode: RCODE.NOERROR, soaOwner: question.name, ttlSeconds });
}

/** An answer that says nothing but its rcode: REFUSED, SERVFAIL. */
export function bareAnswer(question: Question, rcode: number): Answer {
  return buildAnswer({ ...asked(question), rcode, answers: [], authority: [] });
}

/**
 * The same answer with an SOA of ours, for negatives that came without one: without it nobody behind us knows how long they hold.
 * CNAMEs stay; whatever stood in the other sections, a referral for instance, goes.
 */
export function withMadeSoa(answer: Answer, ttlSeconds: number): Answer {
  const answersEnd = recordsOf(answer).find(({ section }) => section !== "answer")?.owner ?? answer.wire.length;
  const soa = recordWire(negativeSoa(answer.chainEnd, ttlSeconds), nameWire(answer.chainEnd));
  const wire = Buffer.concat([answer.wire.subarray(0, answersEnd), soa]);
  setUint16(wire, 8, 1);
  setUint16(wire, 10, 0);
  return reindexed(wire, answer);
}

/**
 * The same answer with NOERROR for its rcode: NODATA where NXDOMAIN was not believed (resolve/guard.ts). AD speaks of the old one
 * and goes. With `ttlSeconds` it holds no longer than that.
 */
export function asNodata(nxdomain: Answer, ttlSeconds: number | null): Answer {
  const wire = Buffer.from(nxdomain.wire);
  setUint16(wire, 2, uint16(wire, 2) & ~(HEADER_FLAG.AD | 15));
  if (ttlSeconds === null) return reindexed(wire, nxdomain);
  if (nxdomain.soa === null) return withMadeSoa(reindexed(wire, nxdomain), ttlSeconds);
  setUint32(wire, nxdomain.soa.ttlOffset, Math.min(nxdomain.soa.ttlSeconds, ttlSeconds));
  return reindexed(wire, nxdomain);
}

function reindexed(wire: Uint8Array, original: Answer): Answer {
  const answer = indexAnswer(wire);
  if (answer === null) throw new Error("an edited answer is malformed");
  return { ...answer, extendedErrors: original.extendedErrors };
}

function asked({ name, type, class: klass }: Question) {
  return { name, type, class: klass };
}
