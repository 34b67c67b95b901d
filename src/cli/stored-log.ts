import { existsSync } from "node:fs";
import { queryRecordSchema } from "../admin/schemas/record.ts";
import type { Config } from "../config/types.ts";
import { systemClock } from "../lib/clock.ts";
import type { QueryFilter } from "../log/filter.ts";
import { ReadError, Reader } from "../log/reader.ts";
import type { QueryRecord } from "../log/record.ts";
import { type ApiClient, ApiSilent } from "./api-client.ts";

/** Records asked for at a time. */
const PAGE = 1000;

/** Whether there is a log to read although no server answers. */
export function isStoredLog(error: unknown, { log }: Pick<Config, "log">): boolean {
  return error instanceof ApiSilent && log.queries.enabled && existsSync(log.queries.store);
}

/** Runs `read` on the store of a server that does not run. @throws ApiSilent with the reason where the store cannot be read. */
export async function withStoredLog<T>({ log }: Pick<Config, "log">, read: (store: Reader) => Promise<T>): Promise<T> {
  // Damage is for the server to mend at its next start.
  const store = new Reader(log.queries.store, { clock: systemClock, damaged: () => {} });
  try {
    return await read(store);
  } catch (error) {
    throw error instanceof ReadError ? new ApiSilent(`no server answers, and ${error.message}`) : error;
  } finally {
    await store.close();
  }
}

/** The newest records that fit, newest first, and whether there may be more. */
export async function storedRecords(
  store: Reader,
  { api, filter, limit }: { readonly api: ApiClient; readonly filter: QueryFilter; readonly limit: number },
): Promise<{ readonly records: readonly QueryRecord[]; readonly mayBeMore: boolean }> {
  const records: QueryRecord[] = [];
  let cursor: string | null = null;
  do {
    const page = await store.search({ filter, limit: Math.min(PAGE, limit - records.length), cursor });
    records.push(...page.records.map(({ json }) => api.parse(queryRecordSchema, json)));
    cursor = page.cursor;
  } while (cursor !== null && records.length < limit);
  return { records, mayBeMore: cursor !== null };
}
