import { addressText } from "../dns/address.ts";
import { decodeMessage } from "../dns/message.ts";
import { nameText } from "../dns/name.ts";
import type { Question } from "../dns/question.ts";
import { rdataText } from "../dns/rdata/rdata.ts";
import { typeName } from "../dns/types.ts";
import { localAnswer } from "../resolve/local-answer.ts";
import type { LocalAnswer } from "../rules/decision.ts";
import { unreachable } from "../unreachable.ts";

/** Records of one answer that are written out. */
const MAX_RECORDS = 32;

/** The answer section of a message, each record as `TTL TYPE data`; of a long one the first, and how many more there are. */
export function answerTexts(wire: Uint8Array): string[] {
  const answers = decodeMessage(wire)?.answers ?? [];
  const texts = answers
    .slice(0, MAX_RECORDS)
    .map(({ ttlSeconds, type, data }) => `${ttlSeconds} ${typeName(type)} ${rdataText(data)}`.trimEnd());
  return answers.length > MAX_RECORDS ? [...texts, `and ${answers.length - MAX_RECORDS} more`] : texts;
}

/** What is answered without asking anybody, as `ExplainedDecision.answer` has it: without TTLs. */
export function localAnswerText(question: Question, answer: LocalAnswer): string {
  switch (answer.kind) {
    case "addresses":
      return isZero(answer.addresses) ? "zero" : answer.addresses.map(addressText).join(", ");
    case "alias":
      return `CNAME ${nameText(answer.target)}`;
    case "pointer":
      return `PTR ${nameText(answer.target)}`;
    case "https":
      return answerTexts(localAnswer(question, { ...answer, ttlSeconds: 0 }).wire)
        .map((text) => text.replace(/^0 /, ""))
        .join(", ");
    case "nodata":
    case "nxdomain":
    case "refused":
    case "minimal-any":
      return answer.kind;
    default:
      return unreachable(answer);
  }
}

function isZero(addresses: readonly Uint8Array[]): boolean {
  return addresses.every((address) => address.every((octet) => octet === 0));
}
