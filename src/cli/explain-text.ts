import { styleText } from "node:util";
import type { CachedAnswer, Explained, ExplainedOutcome, TraceStep } from "../log/record.ts";
import { attemptText, milliseconds, printable, stepText } from "../log/text.ts";

export interface TextOptions {
  /** Whether the terminal shows colours. */
  readonly color: boolean;
}

/** An explanation for a terminal: what becomes of the question, the ladder of what was looked at, and what else is known. */
export function explainedLines(explained: Explained, { color }: TextOptions): string[] {
  return block(explained, color ? (style, text) => styleText(style, text, { validateStream: false }) : (_style, text) => text);
}

type Paint = (style: "bold" | "dim" | "green" | "yellow", text: string) => string;

function block(explained: Explained, paint: Paint): string[] {
  const { question, summary, trace, target } = explained;
  const who = question.clientId === null ? question.client : `${question.client}, client id ${question.clientId}`;
  return [
    `${paint("bold", `${printable(question.name)} ${question.type}`)}  ${paint("dim", `asked by ${printable(who)}`)}`,
    printable(summary),
    "",
    ...ladder(trace, paint),
    "",
    ...rowsOf(explained).flatMap(([title, lines]) => row(title, lines, paint)),
    ...(target === null ? [] : ["", ...block(target, paint).map((line) => (line === "" ? "" : `  ${line}`))]),
  ];
}

/** Each thing that was looked at, in order; the one that decided is marked. */
function ladder(trace: readonly TraceStep[], paint: Paint): string[] {
  const deciding = trace.findLast(decides) ?? trace.find(({ kind }) => kind === "special");
  return trace.map((step) => {
    const text = printable(stepText(step));
    if (step === deciding) return paint("green", `  > ${text}`);
    return hasEffect(step) ? paint("yellow", `  + ${text}`) : paint("dim", `  - ${text}`);
  });
}

/** A special zone decides only where nothing else does. */
function decides(step: TraceStep): boolean {
  return step.kind === "rule" ? step.outcome === "decides" : step.kind !== "kept" && step.kind !== "special";
}

/** Whether it changes what comes of the question without deciding it. */
function hasEffect(step: TraceStep): boolean {
  return step.kind === "rule" ? step.outcome === "modifies" : step.kind === "kept" || step.kind === "special";
}

function rowsOf(explained: Explained): readonly (readonly [string, readonly string[]])[] {
  const { decision, cache, notes, outcome, version } = explained;
  const { route, near, far, answer, action, settings } = decision;
  return [
    ["route", route === null ? (near === null ? [] : [`${near} or ${far}`]) : [route]],
    ["answer", answer === null ? [] : [answer]],
    ["action", action === "none" ? [] : [action]],
    ["settings", [settingsText(settings)]],
    ["cache", cache.map(cachedText)],
    ["note", notes],
    ["asked", outcome === null ? [] : outcomeLines(outcome)],
    ["version", [version]],
  ];
}

function row(title: string, lines: readonly string[], paint: Paint): string[] {
  return lines.map((line, index) => `  ${paint("dim", (index === 0 ? title : "").padEnd(9))} ${printable(line)}`);
}

/** As in a rule: `https: pass, ttl: { min: 0s, max: 1d }`. */
function settingsText(settings: Readonly<Record<string, unknown>>): string {
  return Object.entries(settings)
    .map(([key, value]) => `${key}: ${flow(value)}`)
    .join(", ");
}

function flow(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(flow).join(", ")}]`;
  if (typeof value === "object" && value !== null) return `{ ${settingsText({ ...value })} }`;
  return String(value);
}

function cachedText({
  type,
  route,
  rcode,
  outcome,
  remainingSeconds,
  answers,
  subnet,
  dnssecOk,
  checkingDisabled,
}: CachedAnswer): string {
  const life = remainingSeconds > 0 ? `fresh for ${remainingSeconds} s more` : `past its time since ${-remainingSeconds} s`;
  const kinds = [...(dnssecOk ? ["DO"] : []), ...(checkingDisabled ? ["CD"] : []), ...(subnet === null ? [] : [`for ${subnet}`])];
  const what = answers.length > 0 ? answers.join("; ") : outcome;
  return [`${type} from ${route}`, ...kinds, rcode, life, what].join(", ");
}

function outcomeLines({
  rcode,
  source,
  action,
  durationUs,
  answers,
  negativeTtl,
  ede,
  edits,
  attempts,
}: ExplainedOutcome): string[] {
  const way = action === "none" ? source : `${source}, ${action}`;
  return [
    `${rcode ?? "nothing was sent"} (${way}) after ${milliseconds(durationUs / 1000)}`,
    ...answers,
    ...(negativeTtl === null ? [] : [`may be held for ${negativeTtl} s`]),
    ...ede.map((text) => `error ${text}`),
    ...edits,
    ...attempts.map(attemptText),
  ];
}
