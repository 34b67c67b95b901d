import { addressText } from "../dns/address.ts";
import { nameText } from "../dns/name.ts";
import type { Question } from "../dns/query.ts";
import { unreachable } from "../lib/unreachable.ts";
import { localAnswer } from "../resolve/local-answer.ts";
import type { LocalAnswer } from "../rules/decision.ts";
import { sentOf } from "./record-of-sent.ts";

/** What is answered without asking anybody, as `ExplainedDecision.answer` has it: without TTLs. */
export function localAnswerText(question: Question, answer: LocalAnswer): string {
  switch (answer.kind) {
    case "addresses":
      return isZero(answer.addresses) ? "zero" : answer.addresses.map(addressText).join(", ");
    case "alias":
      return `CNAME ${nameText(answer.target)}`;
    case "pointer":
      return `PTR ${nameText(answer.target)}`;
    case "https": {
      const { answers } = sentOf(localAnswer(question, answer).wire);
      return answers.map((text) => text.replace(/^\d+ /, "")).join(", ");
    }
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
