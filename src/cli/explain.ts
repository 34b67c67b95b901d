import { type ExplainRequest, ParameterError, type ParameterFault } from "../admin/control.ts";
import { explained } from "../admin/schemas/record.ts";
import type { Config } from "../config/types.ts";
import { explainBy } from "../control/explain.ts";
import { type Subject, subjectOf } from "../control/subject.ts";
import { openDecisions } from "../decisions.ts";
import { addressFromText } from "../dns/address.ts";
import { copiesOf } from "../lists/cache.ts";
import { operationsLog } from "../log/operations.ts";
import type { Explained } from "../log/record.ts";
import { decisionRefusalsOf } from "../refusals.ts";
import { ApiClient, ApiRefusal, ApiUnreachable } from "./api-client.ts";
import { configPath, readConfig } from "./config-path.ts";
import { explainedLines } from "./explain-text.ts";
import type { Invocation } from "./run.ts";
import { EXIT, type Terminal, UsageError } from "./terminal.ts";
import { apiFault } from "./with-api.ts";

/**
 * `fenliu explain NAME [TYPE]`: what becomes of a question, and why. The running server is asked, which knows its cache too; where none answers,
 * the configuration is evaluated here, and the output says so.
 */
export async function explain(invocation: Invocation, terminal: Terminal): Promise<number> {
  const request = requestOf(invocation);
  const subject = subjectFrom(request);
  const path = configPath(invocation.config, terminal);
  const config = readConfig(path, terminal, { warns: false });
  if (config === null) return EXIT.failed;
  const told = await explainedFor({ request, subject, path }, config, terminal);
  if (told === null) return EXIT.failed;
  terminal.out(
    invocation.json ? `${JSON.stringify(told, null, 2)}\n` : `${explainedLines(told, { color: terminal.colors }).join("\n")}\n`,
  );
  return EXIT.ok;
}

function requestOf({ words, client, resolve, under }: Invocation): ExplainRequest {
  const [name, type = "A", ...others] = words;
  if (name === undefined || others.length > 0) throw new UsageError("explain takes NAME [TYPE]");
  const isAddress = client !== null && addressFromText(client.split("%")[0] ?? "") !== null;
  return { name, type, client: isAddress ? client : null, clientId: isAddress ? null : client, resolve, version: under };
}

function subjectFrom(request: ExplainRequest): Subject {
  try {
    return subjectOf(request);
  } catch (error) {
    if (error instanceof ParameterError) throw new UsageError(error.faults.map(faultText).join("\n"));
    throw error;
  }
}

function faultText({ parameter, reason }: ParameterFault): string {
  return parameter === "clientId" ? `${reason}, and no address` : reason;
}

interface Wanted {
  readonly request: ExplainRequest;
  readonly subject: Subject;
  /** Where the configuration was read; null = the defaults. */
  readonly path: string | null;
}

/** null where nothing can be said, which the terminal has been told. */
async function explainedFor({ request, subject, path }: Wanted, config: Config, terminal: Terminal): Promise<Explained | null> {
  try {
    return await new ApiClient(config).read(explained, "explain", { query: parametersOf(request) });
  } catch (error) {
    if (error instanceof ApiRefusal) return failed(terminal, apiFault(error, config, path));
    if (!(error instanceof ApiUnreachable)) throw error;
    if (request.resolve || request.version !== null) {
      const option = request.resolve ? "--resolve" : "--under";
      return failed(terminal, `${error.message}; ${option} needs the running server`);
    }
    return await offline({ subject, reason: error.message }, config, terminal);
  }
}

function parametersOf({ name, type, client, clientId, resolve, version }: ExplainRequest): [string, string][] {
  const all = { name, type, client, clientId, resolve: resolve ? "true" : null, version };
  return Object.entries(all).flatMap(([key, value]) => (value === null ? [] : [[key, value]]));
}

/** By the configuration alone. */
async function offline(
  { subject, reason }: { readonly subject: Subject; readonly reason: string },
  config: Config,
  terminal: Terminal,
): Promise<Explained | null> {
  const [refusal] = decisionRefusalsOf(config);
  if (refusal !== undefined) return failed(terminal, refusal);
  const log = operationsLog("warn", (line) => terminal.err(line), true);
  const known = explainBy(await openDecisions(config, { copies: copiesOf(config), log }), subject, null);
  return {
    ...known,
    notes: [...known.notes, `This is what the configuration says; cache and verdicts are not known: ${reason}.`],
  };
}

function failed(terminal: Terminal, message: string): null {
  terminal.err(`fenliu: ${message}\n`);
  return null;
}
