import { ControlError, ParameterError, type QuerySource } from "../admin/control.ts";
import type { Page, PageRequest, QueryFilter } from "../log/filter.ts";
import { compileFilter } from "../log/filter-tests.ts";
import type { QueryLog } from "../log/query-log.ts";
import { ReadError } from "../log/reader.ts";
import type { LogStatus, QueryRecord } from "../log/record.ts";
import type { Summary, SummaryRequest } from "../log/summary.ts";
import type { QueryRecorder } from "./journal.ts";

interface QuerySourceParts {
  /** The one that records go to at the moment. */
  readonly queryLog: () => QueryLog;
  readonly journal: Pick<QueryRecorder, "follow" | "counters" | "catchUp">;
}

/** The queries of the past from the store, and those to come from the journal. */
export function querySourceOf({ queryLog, journal }: QuerySourceParts): QuerySource {
  const upToDate = (): QueryLog => {
    journal.catchUp();
    return queryLog();
  };
  return {
    search: (request: PageRequest): Promise<Page> => explained(upToDate().search(request)),
    get: (id: number): Promise<QueryRecord | null> => explained(upToDate().get(id)),
    read: (filter: QueryFilter, signal: AbortSignal) => readExplained(upToDate(), filter, signal),
    follow(filter: QueryFilter, told: (record: QueryRecord) => void): () => void {
      const fits = compileFilter(filter);
      return journal.follow((record) => {
        if (fits(record)) told(record);
      });
    },
    summary: (request: SummaryRequest): Promise<Summary> => explained(upToDate().summary(request)),
    // Records can be lost before the store hears of them.
    status(): LogStatus {
      const status = queryLog().status();
      return { ...status, dropped: status.dropped + journal.counters.recordsDropped };
    },
  };
}

async function* readExplained(
  log: QueryLog,
  filter: QueryFilter,
  signal: AbortSignal,
): AsyncGenerator<readonly QueryRecord[], void, undefined> {
  try {
    yield* log.read(filter, signal);
  } catch (error) {
    throw controlError(error);
  }
}

async function explained<T>(reading: Promise<T>): Promise<T> {
  try {
    return await reading;
  } catch (error) {
    throw controlError(error);
  }
}

function controlError(error: unknown): unknown {
  if (!(error instanceof ReadError)) return error;
  // Filters were read before: of a request only the cursor is still to be.
  if (error.kind === "invalid")
    return new ParameterError({ parameter: "cursor", reason: `${error.message}: give that of the page before, or none` });
  return new ControlError(error.kind, error.message);
}
