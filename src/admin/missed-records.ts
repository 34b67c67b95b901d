import type { Page, PageRequest, QueryFilter } from "../log/filter.ts";
import { compileFilter } from "../log/filter-tests.ts";
import type { QueryRecord } from "../log/record.ts";
import { wallMsOf } from "../log/schema.ts";
import { ControlError, type QuerySource } from "./control.ts";
import type { RecentRecords } from "./recent-records.ts";

export interface Missed {
  /** Oldest first. */
  readonly records: readonly QueryRecord[];
  /** Whether there are others before them, or may be. */
  readonly more: boolean;
}

export interface MissedRequest {
  /** Id of the last record that the reader had. */
  readonly last: number;
  readonly filter: QueryFilter;
  /** The newest are given. */
  readonly limit: number;
}

/** What a reader missed that comes again: from memory as far as that reaches, and else from the store. */
export async function missedRecords(
  { last, filter, limit }: MissedRequest,
  { queries, recent }: { readonly queries: QuerySource; readonly recent: RecentRecords },
): Promise<Missed> {
  const since = recent.since(last);
  if (since === null) return { records: [], more: true };
  const { records, complete } = since;
  const fits = compileFilter(filter);
  const remembered = records.filter(fits);
  if (complete) return newest(remembered, limit);
  const held = recent.size;
  const before = queries.status();
  // One more than is sent shows whether there were more.
  const page = await searched(queries, { filter: { ...filter, fromMs: wallMsOf(last) }, limit: limit + 1, cursor: null });
  const stored = page?.records.filter(({ id }) => id > last) ?? [];
  const all = new Map([...stored, ...remembered].map((record) => [record.id, record]));
  const missed = newest(
    [...all.values()].sort((one, other) => one.id - other.id),
    limit,
  );
  // The search may have ended before it came to the last record.
  const isCut = page === null || (page.cursor !== null && stored.length === page.records.length);
  // What waited for the store was the newest, but may be more than is held in memory.
  const unstored = before.waiting - (queries.status().stored - before.stored);
  return { records: missed.records, more: missed.more || isCut || unstored > held };
}

function newest(records: readonly QueryRecord[], limit: number): Missed {
  return { records: records.slice(-limit), more: records.length > limit };
}

/** null = the log cannot be read. */
async function searched(queries: QuerySource, request: PageRequest): Promise<Page | null> {
  try {
    return await queries.search(request);
  } catch (error) {
    if (!(error instanceof ControlError)) throw error;
    return null;
  }
}
