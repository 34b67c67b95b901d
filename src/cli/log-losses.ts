import { type LogState, statistics } from "../admin/schemas/statistics.ts";
import { localTime } from "../log/text.ts";
import { type ApiClient, ApiRefusal, ApiUnreachable } from "./api-client.ts";
import type { Terminal } from "./terminal.ts";

/** Tells where the log lacks queries that were answered: its store fails, or was too slow. What is shown must not be taken for all there was. */
export async function tellOfLosses(api: ApiClient, terminal: Terminal, signal?: AbortSignal): Promise<void> {
  for (const loss of lossesOf(await stateOf(api, signal))) terminal.err(`fenliu: ${loss}\n`);
}

/** What is shown is right without it. */
const STATE_MS = 5000;

/** null where it is not to be had. */
async function stateOf(api: ApiClient, signal: AbortSignal | undefined): Promise<LogState | null> {
  try {
    const query = [["from", "1m"] as const, ["top", "1"] as const];
    const deadline = AbortSignal.timeout(STATE_MS);
    const until = signal === undefined ? deadline : AbortSignal.any([deadline, signal]);
    const { log } = await api.read(statistics, "stats", { query, signal: until });
    return log;
  } catch (error) {
    // Whoever asks has been told so by the search before, or is by what comes next.
    if (error instanceof ApiRefusal || error instanceof ApiUnreachable) return null;
    throw error;
  }
}

function lossesOf(state: LogState | null): readonly string[] {
  if (state === null) return [];
  const { fault, waiting, dropped } = state;
  const failing = fault === null ? [] : [failureText(fault, waiting)];
  const lost =
    dropped === 0
      ? []
      : [`${queries(dropped)} since the server's start could not be recorded, and ${dropped === 1 ? "is" : "are"} missing here`];
  return [...failing, ...lost];
}

function failureText({ reason, since }: { readonly reason: string; readonly since: string }, waiting: number): string {
  const held = waiting === 0 ? "" : `; ${queries(waiting)} wait${waiting === 1 ? "s" : ""} for it`;
  return `the query log stores nothing since ${localTime(since)}: ${reason}${held}`;
}

function queries(count: number): string {
  return count === 1 ? "one query" : `${count} queries`;
}
