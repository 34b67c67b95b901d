import { type LogState, statistics } from "../admin/schemas/statistics.ts";
import { localTime } from "../log/text.ts";
import { type ApiClient, ApiRefusal } from "./api-client.ts";
import type { Terminal } from "./terminal.ts";

/** Tells where the log lacks queries that were answered: its store fails, or was too slow. What is shown must not be taken for all there was. */
export async function tellOfLosses(api: ApiClient, terminal: Terminal, signal?: AbortSignal): Promise<void> {
  for (const loss of lossesOf(await stateOf(api, signal))) terminal.err(`fenliu: ${loss}\n`);
}

/** null where it is not to be had. */
async function stateOf(api: ApiClient, signal: AbortSignal | undefined): Promise<LogState | null> {
  try {
    const query = [["from", "1m"] as const, ["top", "1"] as const];
    const { log } = await api.read(statistics, "stats", { query, ...(signal === undefined ? {} : { signal }) });
    return log;
  } catch (error) {
    // The search that came before was refused for the same reason, or nothing is wrong.
    if (error instanceof ApiRefusal) return null;
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
