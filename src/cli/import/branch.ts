import type { Plugin } from "./bundle.ts";
import { alternativesOf } from "./conditions.ts";
import type { DraftModifiers } from "./draft.ts";
import type { Place } from "./findings.ts";
import type { Step, Steps } from "./steps.ts";

/** What a run of steps comes to that asks a server. */
export interface Branch {
  readonly forward: Plugin | null;
  /** Of the steps that hold for every question. */
  readonly modifiers: DraftModifiers;
  /** The list that keeps an answer of `forward`: one without an address in it is dropped, or asked of `other` instead. */
  readonly keptIf: string | null;
  readonly other: Plugin | null;
  /** Steps that hang on the answer and are not told by the rest. */
  readonly unused: readonly Place[];
}

export function branchOf(steps: Steps): Branch {
  const whole = flatten(steps);
  const end = whole.findIndex(({ kind }) => kind === "return");
  const flat = end === -1 ? whole : whole.slice(0, end);
  const forwards = flat.flatMap((step) => (step.kind === "forward" ? [step.plugin] : []));
  const [forward = null, second = null] = forwards;
  let judged: Judgement | null = null;
  const unused: Place[] = [];
  for (const step of flat) {
    if (step.kind === "fallback") unused.push(step.place);
    if (step.kind !== "if") continue;
    const found: Judgement | null = forward === null || judged !== null ? null : judgementOf(step, forward, second);
    if (found === null) unused.push(step.place);
    else judged = found;
  }
  const modifiers: DraftModifiers = Object.assign({}, ...flat.map((step) => (step.kind === "modify" ? step.modifiers : {})));
  return { forward, modifiers, keptIf: judged?.list ?? null, other: judged?.other ?? null, unused };
}

interface Judgement {
  readonly list: string;
  readonly other: Plugin | null;
}

/** Whether this step keeps only answers with an address in a list. */
function judgementOf(step: Extract<Step, { kind: "if" }>, forward: Plugin, next: Plugin | null): Judgement | null {
  const literals = (alternativesOf(step.condition) ?? []).flat();
  const lists = (negated: boolean) =>
    literals.flatMap((literal) => (literal.leaf.kind === "answer-in" && literal.negated === negated ? literal.leaf.lists : []));
  const body = flatten(step.then);
  const instead =
    body.flatMap((inner) => (inner.kind === "forward" && inner.plugin !== forward ? [inner.plugin] : []))[0] ?? null;
  const [outside] = lists(true);
  if (outside !== undefined && (instead !== null || body.some(({ kind }) => kind === "drop")))
    return { list: outside, other: instead ?? next };
  const [inside] = lists(false);
  const keeps = body.length > 0 && body.every(({ kind }) => kind === "return");
  return inside !== undefined && keeps && next !== null ? { list: inside, other: next } : null;
}

function flatten(steps: Steps): Steps {
  return steps.flatMap((step) => (step.kind === "call" ? flatten(step.steps) : [step]));
}
