import { unreachable } from "../lib/unreachable.ts";
import type { TraceMatch, TraceStep } from "./trace.ts";

/** A step on the way to a decision as one sentence for people, without a capital and a full stop: the same on the command line and the dashboard. */
export function stepText(step: TraceStep): string {
  switch (step.kind) {
    case "hosts":
      return `the hosts table has ${step.pattern}${placeText(step)}`;
    case "special":
      return `the name is in the special zone ${step.zone}, which only a pattern within the zone opens`;
    case "rule":
      return ruleStepText(step.rule, step.outcome, step.match);
    case "kept":
      return `the name does not get NXDOMAIN, because of ${keeperText(step.because)}`;
    case "first-group":
      return `no rule decides, so it goes to the first group, ${step.group}`;
    case "alias":
      return `it is an alias: what answers is ${step.target}, by its own decision`;
    case "compared":
      return comparisonText(step);
    default:
      return unreachable(step);
  }
}

/** `taobao.com, line 12 of list cn`, or `*.ads.example` alone where the rule itself has it. */
export function matchText(match: TraceMatch): string {
  return match.list === null
    ? match.pattern
    : `${match.pattern}, line ${match.line} of list ${match.list}${sourceText(match.source)}`;
}

type RuleOutcome = Extract<TraceStep, { kind: "rule" }>["outcome"];

function ruleStepText(rule: string, outcome: RuleOutcome, match: TraceMatch | null): string {
  const because = match === null ? "" : ` because of ${matchText(match)}`;
  switch (outcome) {
    case "decides":
      return `rule ${rule} decides${because}`;
    case "modifies":
      return `rule ${rule} matches${because}: its settings hold, and the rules after it decide`;
    case "closed":
      return `rule ${rule} matches${because}, but has no pattern within the special zone`;
    case "types":
      return `rule ${rule} is not for this type`;
    case "clients":
      return `rule ${rule} is not for this client`;
    case "domains":
      return `rule ${rule} has no pattern for the name`;
    case "excepted":
      return `rule ${rule} excepts the name${because}`;
    case "longest":
      return `rule ${rule} has no list that holds the name`;
    default:
      return unreachable(outcome);
  }
}

function comparisonText({ side, near, by }: Extract<TraceStep, { kind: "compared" }>): string {
  const finding = near === null ? "" : ` (near: ${near})`;
  switch (by) {
    case "comparison":
      return `both sides were asked, and the ${side} one answers${finding}`;
    case "verdict":
      return `the name is known for the ${side} side${finding}`;
    case "default":
      return `nothing is known of the name, so the ${side} side answers`;
    case "failure":
      return `the far side failed, and the ${side} one has the best that is left${finding}`;
    default:
      return unreachable(by);
  }
}

function keeperText(because: Extract<TraceStep, { kind: "kept" }>["because"]): string {
  if (because === "hosts") return "the hosts table";
  return because === "special" ? "a special name" : `rule ${because.rule}`;
}

function placeText({ source, line }: { readonly source: string; readonly line: number }): string {
  if (source === "") return "";
  return line > 0 ? `, line ${line} of ${source}` : `, of ${source}`;
}

function sourceText(source: string): string {
  return source === "" ? "" : ` (${source})`;
}
