import type { Explained } from "../admin/schemas/record.ts";
import { outcomeOf } from "../dns/answer.ts";
import { rcodeName } from "../dns/types.ts";
import { type Said, say } from "../lib/said.ts";
import { unreachable } from "../lib/unreachable.ts";
import type { TraceMatch, TraceStep } from "../log/record.ts";
import type { CacheLookup } from "./explain-live.ts";

/** The parts of an explanation that its summary tells. */
type Summarized = Pick<Explained, "question" | "decision" | "trace" | "verdict" | "target"> & {
  /** The group that the rules chose, even if the query is answered here; of a comparison the near group. */
  readonly group: string | null;
  /** What switched the type off: a rule, or null = section `answers`. */
  readonly origin: { readonly rule: string | null } | null;
};

/** Says in some sentences what happens to the query. */
export function summarizeExplanation(explained: Summarized, cached: CacheLookup | null): Said[] {
  const tellsCache = cached !== null && explained.decision.action !== "loop";
  return [...decisionSaid(explained), ...(tellsCache ? [cacheSaid(cached)] : [])];
}

/** The step that decided. */
function decidingStep(trace: readonly TraceStep[]): TraceStep | null {
  return trace.findLast(({ kind }) => kind !== "kept") ?? null;
}

function decisionSaid(explained: Summarized): Said[] {
  const { decision, trace } = explained;
  const step = decidingStep(trace);
  const rule = decision.rule ?? "";
  switch (decision.kind) {
    case "reply":
      return replySaid(explained, step);
    case "drop":
      return [say("explain.drops", { rule }), ...matchSaid(step)];
    case "forward":
    case "compare":
      return forwardSaid(explained, step);
    default:
      return unreachable(decision.kind);
  }
}

function replySaid({ decision, question, target }: Summarized, step: TraceStep | null): Said[] {
  const answer = ANSWER_WORDS.get(decision.answer ?? "") ?? decision.answer ?? "";
  if (step?.kind === "hosts") {
    const { pattern, line, source } = step;
    const said =
      target === null
        ? say("explain.hosts", { pattern, answer })
        : say("explain.alias", { pattern, target: target.question.name });
    return [said, ...(line > 0 ? [say("explain.hostsLine", { line, source })] : [])];
  }
  if (decision.action === "any:minimal") return [say("explain.any", { type: question.type })];
  if (step?.kind === "rule" && target !== null)
    return [say("explain.ruleAlias", { rule: step.rule, target: target.question.name }), ...matchSaid(step)];
  if (step?.kind === "rule" && step.outcome === "decides")
    return [say("explain.answers", { rule: step.rule, answer }), ...matchSaid(step)];
  return [say("explain.special", { answer })];
}

const ANSWER_WORDS: ReadonlyMap<string, string> = new Map([
  ["nodata", "NODATA"],
  ["nxdomain", "NXDOMAIN"],
  ["refused", "REFUSED"],
  ["zero", "0.0.0.0 / ::"],
]);

function forwardSaid(explained: Summarized, step: TraceStep | null): Said[] {
  const { decision, question, origin } = explained;
  const { action } = decision;
  const group = explained.group ?? "";
  const route = routeSaid(explained, step);
  if (decision.answer === "nodata") {
    const rule = origin?.rule ?? null;
    const { type } = question;
    const filtered =
      rule === null ? say("explain.filteredBySection", { type, action }) : say("explain.filteredByRule", { type, action, rule });
    return [filtered, ...route];
  }
  if (action === "never") return [...route, say("explain.never", { group })];
  if (action === "loop") return [...route, say("explain.loop", { group })];
  return route;
}

function routeSaid({ decision, verdict, question, group }: Summarized, step: TraceStep | null): Said[] {
  const { kind, near, far, first, route } = decision;
  const rule = decision.rule ?? "";
  if (kind === "forward") {
    if (step?.kind === "first-group") return [say("explain.firstGroup", { group: step.group })];
    return [say("explain.sends", { rule, group: group ?? "" }), ...matchSaid(step)];
  }
  const compares = [say("explain.compares", { rule, near: near ?? "", far: far ?? "" }), ...matchSaid(step)];
  const answers = route === null ? [] : [say("explain.groupAnswers", { group: route })];
  if (verdict !== null) {
    const { ageSeconds, side, type, near: finding } = verdict;
    return [...compares, say("explain.verdict", { seconds: ageSeconds, side, type, finding }), ...answers];
  }
  const { type } = question;
  if (route !== null)
    return [...compares, say(route === near ? "explain.nearAddresses" : "explain.notCompared", { type }), ...answers];
  if (first === "far") return [...compares, say("explain.farAskedFirst", { near: near ?? "", far: far ?? "" })];
  return [...compares, say(type === "A" ? "explain.bothAsked" : "explain.bothAskedForA", {})];
}

function cacheSaid(cached: CacheLookup): Said {
  if (cached === "nothing") return say("cache.nothing", {});
  const { held, freshness, atOnce } = cached;
  const content = `${rcodeName(held.answer.rcode)}${outcomeOf(held.answer) === "nodata" ? " without records" : ""}`;
  // The extended errors say why: for example that an NXDOMAIN was not believed, or which failure is cached.
  const reasons = held.answer.extendedErrors.map(({ text }) => text).filter((text) => text !== "");
  const answer = [content, ...reasons].join(": ");
  switch (freshness.kind) {
    case "fresh":
      return say("cache.fresh", { answer, seconds: freshness.remainingSeconds });
    case "stale":
      return say(atOnce ? "cache.staleAtOnce" : "cache.stale", { answer });
    case "expired":
      return say("cache.expired", {});
    default:
      return unreachable(freshness);
  }
}

function matchSaid(step: TraceStep | null): Said[] {
  return step?.kind === "rule" && step.match !== null ? [matchedBy(step.match)] : [];
}

function matchedBy({ pattern, list, line, source }: TraceMatch): Said {
  return list === null ? say("explain.matchesPattern", { pattern }) : say("explain.matchesList", { pattern, line, list, source });
}
