import { type Answer, buildAnswer, negativeSoa, recordsOf, recordWire, reindexAnswer } from "../dns/answer.ts";
import { type Name, nameWire } from "../dns/name.ts";
import { HEADER_FLAG, type Question } from "../dns/query.ts";
import { RCODE } from "../dns/types.ts";
import { setUint16, setUint32, uint16 } from "../dns/wire.ts";

/** How a negative answer is made. */
interface NegativeTerms {
  readonly rcode: number;
  readonly soaOwner: Name;
  readonly ttlSeconds: number;
}

/** An answer whose only record is an SOA made here. The SOA lets caches hold the answer for `ttlSeconds` (RFC 2308 §5). */
export function negativeAnswer(question: Question, { rcode, soaOwner, ttlSeconds }: NegativeTerms): Answer {
  return buildAnswer({ ...question, rcode, answers: [], authority: [negativeSoa(soaOwner, ttlSeconds)] });
}

/** NODATA: the name has no records of this type, as far as the client may know. The name itself owns the SOA. */
export function nodataAnswer(question: Question, ttlSeconds: number): Answer {
  return negativeAnswer(question, { rcode: RCODE.NOERROR, soaOwner: question.name, ttlSeconds });
}

/** An answer without any record, such as REFUSED or SERVFAIL. */
export function emptyAnswer(question: Question, rcode: number): Answer {
  return buildAnswer({ ...question, rcode, answers: [], authority: [] });
}

/**
 * Adds an SOA made here to a negative answer that has none: without an SOA no downstream cache knows how long the answer holds.
 * CNAMEs stay. The records of the other sections go, for example those of a referral.
 */
export function addSoa(answer: Answer, ttlSeconds: number): Answer {
  const answersEnd = recordsOf(answer).find(({ section }) => section !== "answer")?.owner ?? answer.wire.length;
  const soa = recordWire(negativeSoa(answer.chainEnd, ttlSeconds), nameWire(answer.chainEnd));
  const wire = Buffer.concat([answer.wire.subarray(0, answersEnd), soa]);
  setUint16(wire, 8, 1);
  setUint16(wire, 10, 0);
  return reindexAnswer(wire, answer);
}

/**
 * Turns NXDOMAIN into NODATA, where the NXDOMAIN proved wrong (resolve/fetch.ts). AD is cleared, because AD vouches for the NXDOMAIN.
 * @param ttlSeconds the longest lifetime of the result; null = the SOA stays as it is.
 */
export function toNodata(nxdomain: Answer, ttlSeconds: number | null): Answer {
  const wire = Buffer.from(nxdomain.wire);
  setUint16(wire, 2, uint16(wire, 2) & ~(HEADER_FLAG.AD | 15));
  if (ttlSeconds !== null && nxdomain.soa === null) return addSoa(reindexAnswer(wire, nxdomain), ttlSeconds);
  if (ttlSeconds !== null && nxdomain.soa !== null)
    setUint32(wire, nxdomain.soa.ttlOffset, Math.min(nxdomain.soa.ttlSeconds, ttlSeconds));
  return reindexAnswer(wire, nxdomain);
}
