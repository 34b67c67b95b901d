import type { Explained } from "../admin/schemas/record.ts";
import { outcomeOf } from "../dns/answer.ts";
import { rcodeName } from "../dns/types.ts";
import { unreachable } from "../lib/unreachable.ts";
import type { TraceStep } from "../log/record.ts";
import { matchText, stepText } from "../log/text.ts";
import type { CacheLookup } from "./explain-live.ts";

/** The parts of an explanation that its summary tells. */
type Summarized = Pick<Explained, "question" | "decision" | "trace" | "verdict" | "target"> & {
  /** The group that the rules chose, even if the query is answered here; of a comparison the near group. */
  readonly group: string | null;
  /** The rule or section that switched the type off; null = none. */
  readonly origin: string | null;
};

/** Says in one or two sentences what happens to the query. */
export function summarizeExplanation(explained: Summarized, cached: CacheLookup | null): string {
  const cache = cached === null || explained.decision.action === "loop" ? null : cacheText(cached);
  return [capitalize(`${decisionText(explained)}.`), ...(cache === null ? [] : [cache])].join(" ");
}

/** The step that decided. */
function decidingStep(trace: readonly TraceStep[]): TraceStep | null {
  return trace.findLast(({ kind }) => kind !== "kept") ?? null;
}

function decisionText(explained: Summarized): string {
  const { decision, trace } = explained;
  const step = decidingStep(trace);
  switch (decision.kind) {
    case "reply":
      return replyText(explained, step);
    case "drop":
      return `${decider(step)} meets it with silence over UDP, and with REFUSED elsewhere${because(step)}`;
    case "forward":
    case "compare":
      return forwardText(explained, step);
    default:
      return unreachable(decision.kind);
  }
}

function replyText({ decision, question, target }: Summarized, step: TraceStep | null): string {
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

function forwardText(explained: Summarized, step: TraceStep | null): string {
  const { decision, question } = explained;
  const { action } = decision;
  const route = routeText(explained, step);
  if (decision.answer === "nodata")
    return `${question.type} is answered here with NODATA (${action}), as ${explained.origin} wants it; else ${route}`;
  if (action === "never") return `${route}, which must never get it: it is answered with SERVFAIL`;
  if (action === "loop") return `${route}, from where the question came: it is answered at once as a loop`;
  return route;
}

function routeText({ decision, verdict, question, group }: Summarized, step: TraceStep | null): string {
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

function cacheText(cached: CacheLookup): string {
  if (cached === "nothing") return "The cache does not hold the answer.";
  const { held, freshness, atOnce } = cached;
  const content = `${rcodeName(held.answer.rcode)}${outcomeOf(held.answer) === "nodata" ? " without records" : ""}`;
  // The extended errors say why: for example that an NXDOMAIN was not believed, or which failure is cached.
  const reasons = held.answer.extendedErrors.map(({ text }) => text).filter((text) => text !== "");
  const what = [content, ...reasons].join(": ");
  switch (freshness.kind) {
    case "fresh":
      return `The cache holds the answer (${what}), fresh for ${freshness.remainingSeconds} s more.`;
    case "stale":
      return atOnce
        ? `The answer in the cache (${what}) is past its time: it is given at once, as upstream failed or took long just now.`
        : `The answer in the cache (${what}) is past its time: it is given where upstream fails or takes long.`;
    case "expired":
      return "The answer in the cache is past its time.";
    default:
      return unreachable(freshness);
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

function capitalize(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
