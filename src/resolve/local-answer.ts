import { emptyAnswer, negativeAnswer } from "../answers/negative.ts";
import { type Answer, type BuiltRecord, buildAnswer } from "../dns/answer.ts";
import type { ExtendedError } from "../dns/edns.ts";
import { nameWire } from "../dns/name.ts";
import type { Question } from "../dns/query.ts";
import { RCODE, TYPE } from "../dns/types.ts";
import { unreachable } from "../lib/unreachable.ts";
import type { Decision, LocalAnswer } from "../rules/decision.ts";
import type { QueryInProgress, Resolution } from "./types.ts";

/** A resolution that no upstream has a part in. */
export function resolveLocally(
  decision: Decision,
  { source, action, answer, extendedErrors }: Pick<Resolution, "source" | "action" | "answer" | "extendedErrors">,
): Resolution {
  const ttl = { kind: source === "failure" ? "failure" : "keep" } as const;
  return { decision, source, route: null, action, answer, ttl, authenticated: false, extendedErrors, attempts: [] };
}

/** SERVFAIL for a query for which no upstream was asked. */
export function answerServfail(
  { query, decision }: Pick<QueryInProgress, "query" | "decision">,
  extendedError: ExtendedError,
): Resolution {
  const answer = emptyAnswer(query, RCODE.SERVFAIL);
  return resolveLocally(decision, { source: "failure", action: "none", answer, extendedErrors: [extendedError] });
}

/** Builds the message of an answer from the hosts table, a special zone or a rule. */
export function localAnswer(question: Question, local: LocalAnswer): Answer {
  switch (local.kind) {
    case "addresses":
      return answerWith(
        question,
        local.addresses.map((data) => ({ type: question.type, ttlSeconds: local.ttlSeconds, data })),
      );
    case "alias":
      return answerWith(question, [{ type: TYPE.CNAME, ttlSeconds: local.ttlSeconds, data: nameWire(local.target) }]);
    case "pointer":
      return answerWith(question, [{ type: TYPE.PTR, ttlSeconds: local.ttlSeconds, data: nameWire(local.target) }]);
    case "svcb":
      return answerWith(
        question,
        local.data.map((data) => ({ type: question.type, ttlSeconds: local.ttlSeconds, data })),
      );
    case "minimal-any":
      return answerWith(question, [{ type: TYPE.HINFO, ttlSeconds: local.ttlSeconds, data: MINIMAL_ANY }]);
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

function answerWith({ name, type, class: klass }: Question, records: readonly Omit<BuiltRecord, "owner">[]): Answer {
  const answers = records.map((record) => ({ ...record, owner: name }));
  return buildAnswer({ name, type, class: klass, rcode: RCODE.NOERROR, answers, authority: [] });
}
