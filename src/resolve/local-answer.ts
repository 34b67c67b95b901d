import { emptyAnswer, negativeAnswer } from "../answers/negative.ts";
import { type Answer, type BuiltRecord, buildAnswer } from "../dns/answer.ts";
import { nameWire } from "../dns/name.ts";
import type { Question } from "../dns/query.ts";
import { RCODE, TYPE } from "../dns/types.ts";
import { unreachable } from "../lib/unreachable.ts";
import type { LocalAnswer } from "../rules/decision.ts";

/** The message for an answer that the hosts table, a special name or a rule gives by itself. */
export function localAnswer(question: Question, local: LocalAnswer): Answer {
  switch (local.kind) {
    case "addresses":
      return records(
        question,
        local.addresses.map((octets) => ({ type: question.type, ttlSeconds: local.ttlSeconds, data: octets })),
      );
    case "alias":
      return records(question, [{ type: TYPE.CNAME, ttlSeconds: local.ttlSeconds, data: nameWire(local.target) }]);
    case "pointer":
      return records(question, [{ type: TYPE.PTR, ttlSeconds: local.ttlSeconds, data: nameWire(local.target) }]);
    case "https":
      return records(question, [{ type: question.type, ttlSeconds: local.ttlSeconds, data: local.data }]);
    case "minimal-any":
      return records(question, [{ type: TYPE.HINFO, ttlSeconds: local.ttlSeconds, data: MINIMAL_ANY }]);
    case "nodata":
      return negativeAnswer(question, { ...local, rcode: RCODE.NOERROR });
    case "nxdomain":
      return negativeAnswer(question, { ...local, rcode: RCODE.NXDOMAIN });
    case "refused":
      return emptyAnswer(question, RCODE.REFUSED);
    default:
      return unreachable(local);
  }
}

// RFC 8482 §4.2: CPU "RFC8482", an empty OS.
const MINIMAL_ANY = Buffer.from("\x07RFC8482\0", "latin1");

function records(question: Question, answers: readonly Omit<BuiltRecord, "owner">[]): Answer {
  const { name, type, class: klass } = question;
  return buildAnswer({
    name,
    type,
    class: klass,
    rcode: RCODE.NOERROR,
    answers: answers.map((record) => ({ ...record, owner: name })),
    authority: [],
  });
}
