import { styleText } from "node:util";
import { type ExplainRequest, ParameterError, type ParameterFault } from "../admin/control.ts";
import type { CachedAnswer, Explained, ExplainedOutcome } from "../admin/schemas/record.ts";
import { explainedSchema } from "../admin/schemas/record.ts";
import type { Config } from "../config/types.ts";
import { atMoment, explainQuery, momentNotes } from "../control/explain.ts";
import { type HypotheticalQuery, hypotheticalQuery } from "../control/explain-live.ts";
import { addressFromText, withoutZone } from "../dns/address.ts";
import { saidText, say } from "../lib/said.ts";
import { printable } from "../lib/text.ts";
import { operationsLog } from "../log/operations.ts";
import type { TraceStep } from "../log/record.ts";
import { attemptText, milliseconds, stepText } from "../log/text.ts";
import { localMoment, parseMoment } from "../log/time.ts";
import { openPolicy } from "../server/policy.ts";
import { checkDecisions } from "../server/preflight.ts";
import { ApiClient, ApiRefusal, ApiUnreachable, apiFault } from "./api-client.ts";
import { type Command, configPath, EXIT, type Invocation, readConfig, type Terminal, UsageError } from "./invocation.ts";

export const explainCommand: Command = {
  usage: `  fenliu explain NAME [TYPE] [--client WHO] [--resolve] [--under VERSION] [--at TIME]
                                   what becomes of a question, and why; WHO is an address or a client id; --resolve asks it too
`,
  help: `The type is A where none is said. Without a running server the configuration alone is explained.

      --client WHO      as if this address, or this client id, asked
      --resolve         ask it as well, and show what came of it
      --under VERSION   as it was decided then: the version that \`fenliu log ID\` shows
      --at TIME         as if it were asked then: \`21:30\` today, \`2026-11-29T21:30\`; rules may have hours
`,
  options: ["config", "json", "client", "resolve", "under", "at"],
  run: explain,
};

/**
 * Shows how a question is decided, and why. The running server explains, because it knows its cache too. Where no server answers, the configuration is
 * evaluated here, and the output says so.
 */
async function explain(invocation: Invocation, terminal: Terminal): Promise<number> {
  const request = requestOf(invocation, Date.now());
  const subject = parseSubject(request);
  const path = configPath(invocation, terminal);
  const config = readConfig(path, terminal, { warns: false });
  if (config === null) return EXIT.failed;
  const explained = await fetchExplanation({ request, subject, path }, config, terminal);
  if (explained === null) return EXIT.failed;
  const text =
    invocation.json === true ? JSON.stringify(explained, null, 2) : block(explained, painter(terminal.colors)).join("\n");
  terminal.out(`${text}\n`);
  return EXIT.ok;
}

function requestOf(invocation: Invocation, nowMs: number): ExplainRequest {
  const { words, client = null, resolve = false, under = null, at } = invocation;
  const [name, type = "A", ...others] = words;
  if (name === undefined || others.length > 0) throw new UsageError("explain takes NAME [TYPE]");
  const isAddress = client !== null && addressFromText(withoutZone(client)) !== null;
  return {
    name,
    type,
    client: isAddress ? client : null,
    clientId: isAddress ? null : client,
    resolve,
    version: under,
    ...momentOf(at, nowMs),
  };
}

/** Without a zone the moment is one of this machine. A time alone is that of today. */
function momentOf(at: string | undefined, nowMs: number): Pick<ExplainRequest, "atMs"> {
  if (at === undefined) return {};
  const midnightMs = new Date(nowMs).setHours(0, 0, 0, 0);
  const atMs = localMoment(at, { nowMs, afterMs: midnightMs - 1 }) ?? parseMoment(at, nowMs);
  if (atMs === null) throw new UsageError(`\`${at}\` is no time: write 21:30, or 2026-11-29T21:30`);
  return { atMs };
}

function parseSubject(request: ExplainRequest): HypotheticalQuery {
  try {
    return hypotheticalQuery(request);
  } catch (error) {
    if (error instanceof ParameterError) throw new UsageError(error.faults.map(faultText).join("\n"));
    throw error;
  }
}

function faultText({ parameter, reason }: ParameterFault): string {
  return parameter === "clientId" ? `${reason}, and no address` : reason;
}

interface Subject {
  readonly request: ExplainRequest;
  readonly subject: HypotheticalQuery;
  /** Path of the configuration; null = the defaults. */
  readonly path: string | null;
}

/** null where there is no explanation; the terminal shows why. */
async function fetchExplanation(
  { request, subject, path }: Subject,
  config: Config,
  terminal: Terminal,
): Promise<Explained | null> {
  try {
    return await new ApiClient(config).read(explainedSchema, "explain", { query: parametersOf(request) });
  } catch (error) {
    if (error instanceof ApiRefusal) return failed(terminal, apiFault(error, config, path));
    if (!(error instanceof ApiUnreachable)) throw error;
    if (request.resolve || request.version !== null) {
      const option = request.resolve ? "--resolve" : "--under";
      return failed(terminal, `${error.message}; ${option} needs the running server`);
    }
    return await explainOffline({ request, subject, reason: error.message }, config, terminal);
  }
}

function parametersOf({ name, type, client, clientId, resolve, version, atMs }: ExplainRequest): [string, string][] {
  const all = {
    name,
    type,
    client,
    clientId,
    resolve: resolve ? "true" : null,
    version,
    at: atMs === undefined ? null : String(atMs),
  };
  return Object.entries(all).flatMap(([key, value]) => (value === null ? [] : [[key, value]]));
}

/** Explains by the configuration alone. */
async function explainOffline(
  { request, subject, reason }: Omit<Subject, "path"> & { readonly reason: string },
  config: Config,
  terminal: Terminal,
): Promise<Explained | null> {
  const [refusal] = checkDecisions(config);
  if (refusal !== undefined) return failed(terminal, refusal);
  const diagnostics = operationsLog("warn", (line) => terminal.err(line), true);
  const known = explainQuery(atMoment(await openPolicy(config, diagnostics), request), subject, null);
  return {
    ...known,
    notes: [...known.notes, ...momentNotes(request), say("note.configurationOnly", { reason })],
  };
}

function failed(terminal: Terminal, message: string): null {
  terminal.err(`fenliu: ${message}\n`);
  return null;
}

type Paint = (style: "bold" | "dim" | "green" | "yellow", text: string) => string;

function painter(colors: boolean): Paint {
  return (style, text) => (colors ? styleText(style, text, { validateStream: false }) : text);
}

/** An explanation as lines: the question and its summary, the steps of the decision, the other facts, and the same for the target of an alias. */
function block(explained: Explained, paint: Paint): string[] {
  const { question, summary, trace, target } = explained;
  const who = question.clientId === null ? question.client : `${question.client}, client id ${question.clientId}`;
  return [
    `${paint("bold", `${printable(question.name)} ${question.type}`)}  ${paint("dim", `asked by ${printable(who)}`)}`,
    printable(saidText(summary)),
    "",
    ...ladder(trace, paint),
    "",
    ...rowsOf(explained).flatMap(([title, lines]) => row(title, lines, paint)),
    ...(target === null ? [] : ["", ...block(target, paint).map((line) => (line === "" ? "" : `  ${line}`))]),
  ];
}

/** The steps of the decision in their order; the deciding step is marked. */
function ladder(trace: readonly TraceStep[], paint: Paint): string[] {
  const deciding = trace.findLast(decides) ?? trace.find(({ kind }) => kind === "special");
  return trace.map((step) => {
    const text = printable(stepText(step));
    if (step === deciding) return paint("green", `  > ${text}`);
    return hasEffect(step) ? paint("yellow", `  + ${text}`) : paint("dim", `  - ${text}`);
  });
}

/** A special zone decides only where no other step does. */
function decides(step: TraceStep): boolean {
  return step.kind === "rule" ? step.outcome === "decides" : step.kind !== "kept" && step.kind !== "special";
}

/** Whether the step changes the answer without deciding. */
function hasEffect(step: TraceStep): boolean {
  return step.kind === "rule" ? step.outcome === "modifies" : step.kind === "kept" || step.kind === "special";
}

function rowsOf(explained: Explained): readonly (readonly [string, readonly string[]])[] {
  const { decision, cache, notes, outcome, version } = explained;
  const { route, near, far, first, answer, action, settings } = decision;
  const both = first === "far" ? `${far}, then ${near}` : `${near} or ${far}`;
  return [
    ["route", route === null ? (near === null ? [] : [both]) : [route]],
    ["answer", answer === null ? [] : [answer]],
    ["action", action === "none" ? [] : [action]],
    ["settings", [settingsText(settings)]],
    ["cache", cache.map(cachedText)],
    ["note", notes.map(({ text }) => text)],
    ["asked", outcome === null ? [] : outcomeLines(outcome)],
    ["version", [version]],
  ];
}

function row(title: string, lines: readonly string[], paint: Paint): string[] {
  return lines.map((line, index) => `  ${paint("dim", (index === 0 ? title : "").padEnd(9))} ${printable(line)}`);
}

/** Settings as a rule writes them: `https: pass, ttl: { min: 0s, max: 1d }`. */
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
