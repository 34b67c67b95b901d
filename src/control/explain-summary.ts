import type { Explained } from "../admin/schemas/record.ts";
import { outcomeOf } from "../dns/answer.ts";
import { rcodeName } from "../dns/types.ts";
import { unreachable } from "../lib/unreachable.ts";
import type { TraceStep } from "../log/record.ts";
import { matchText, stepText } from "../log/text.ts";
import type { Holding } from "./explain-live.ts";

/** What a summary is made of. */
type Explaining = Pick<Explained, "question" | "decision" | "trace" | "verdict" | "target"> & {
  /** The group that the rules chose, also where the answer is made here; of a comparison the near one. */
  readonly group: string | null;
  /** Who switched the type off; null where nobody did. */
  readonly setter: string | null;
};

/** What becomes of the question, in one or two sentences. */
export function summaryOf(
  explained: Omit<Explaining, "group" | "setter">,
  { holding, ...more }: Pick<Explaining, "group" | "setter"> & { readonly holding: Holding | null },
): string {
  const explaining = { ...explained, ...more };
  const held = holding === null || explaining.decision.action === "loop" ? null : holdingText(holding);
  return [capital(`${decisionText(explaining)}.`), ...(held === null ? [] : [held])].join(" ");
}

/** The step that brought the decision about. */
function decidingStep(trace: readonly TraceStep[]): TraceStep | null {
  const last = trace.findLast(({ kind }) => kind !== "kept");
  return last ?? null;
}

function decisionText(explaining: Explaining): string {
  const { decision, trace } = explaining;
  const step = decidingStep(trace);
  switch (decision.kind) {
    case "reply":
      return replyText(explaining, step);
    case "drop":
      return `${decider(step)} meets it with silence over UDP, and with REFUSED elsewhere${because(step)}`;
    case "forward":
    case "compare":
      return sentText(explaining, step);
    default:
      return unreachable(decision.kind);
  }
}

function replyText({ decision, question, target }: Explaining, step: TraceStep | null): string {
  if (target !== null) return `${placeText(step)}: it is an alias of ${target.question.name}, which goes its own way`;
  const answer = ANSWER_TEXTS.get(decision.answer ?? "") ?? decision.answer ?? "";
  if (decision.action === "any:minimal") return `${question.type} is answered here with ${answer}`;
  if (step?.kind === "rule" && step.outcome === "decides") return `${decider(step)} answers with ${answer}${because(step)}`;
  if (step?.kind === "hosts") return `${placeText(step)}: it is answered here with ${answer}`;
  return `it is a special name that nothing lets out: it is answered here with ${answer}`;
}

const ANSWER_TEXTS: ReadonlyMap<string, string> = new Map([
  ["nodata", "NODATA"],
  ["nxdomain", "NXDOMAIN"],
  ["refused", "REFUSED"],
  ["zero", "the address of nobody (all zeros)"],
  ["minimal-any", "one HINFO record in place of all there is (RFC 8482)"],
]);

function sentText(explaining: Explaining, step: TraceStep | null): string {
  const { decision, question } = explaining;
  const { action } = decision;
  const way = wayText(explaining, step);
  if (decision.answer === "nodata")
    return `${question.type} is answered here with NODATA (${action}), as ${explaining.setter} wants it; else ${way}`;
  if (action === "never") return `${way}, which must never get it: it is answered with SERVFAIL`;
  if (action === "loop") return `${way}, from where the question came: it is answered at once as a loop`;
  return way;
}

function wayText({ decision, verdict, question, group }: Explaining, step: TraceStep | null): string {
  const { kind, near, far, route } = decision;
  if (kind === "forward") {
    if (step?.kind === "first-group") return `no rule decides, so it goes to the first group, ${step.group}`;
    return `${decider(step)} sends it to ${group}${because(step)}`;
  }
  const compares = `${decider(step)} compares ${near} with ${far}${because(step)}`;
  if (verdict !== null)
    return `${compares}; since ${verdict.ageSeconds} s it is known for ${verdict.side} (${verdict.type} ${verdict.near})${route === null ? "" : `, so ${route} answers`}`;
  if (route !== null) {
    const known = route === near ? "no verdict is held, but addresses of the near side are" : "nothing is known of the name";
    return `${compares}; ${known}, and ${question.type} is not compared, so ${route} answers`;
  }
  const first = question.type === "A" ? "" : " for A first";
  return `${compares}; nothing is known of the name yet, so both are asked${first}`;
}

function holdingText(holding: Holding): string | null {
  if (holding === "nothing") return "The cache does not hold the answer.";
  const { held, state, atOnce } = holding;
  const content = `${rcodeName(held.answer.rcode)}${outcomeOf(held.answer) === "nodata" ? " without records" : ""}`;
  // Why it is so, where anybody said: that an NXDOMAIN was not believed, or what failed.
  const reasons = held.answer.extendedErrors.map(({ text }) => text).filter((text) => text !== "");
  const what = [content, ...reasons].join(": ");
  switch (state.kind) {
    case "fresh":
      return `The cache holds the answer (${what}), fresh for ${state.remainingSeconds} s more.`;
    case "stale":
      return atOnce
        ? `The answer in the cache (${what}) is past its time: it is given at once, as upstream failed or took long just now.`
        : `The answer in the cache (${what}) is past its time: it is given where upstream fails or takes long.`;
    case "expired":
      return "The answer in the cache is past its time.";
    default:
      return unreachable(state);
  }
}

function decider(step: TraceStep | null): string {
  return step?.kind === "rule" ? `rule ${step.rule}` : "the rules";
}

function because(step: TraceStep | null): string {
  return step?.kind === "rule" && step.match !== null ? ` because of ${matchText(step.match)}` : "";
}

function placeText(step: TraceStep | null): string {
  return step === null ? "the hosts table has it" : stepText(step);
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
