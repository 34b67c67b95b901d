import { ControlError, ParameterError, type QuerySource } from "../admin/control.ts";
import type { QueryLog } from "../log/query-log.ts";
import { ReadError } from "../log/reader.ts";
import type { QueryRecord } from "../log/record.ts";
import type { FoundRecord } from "../log/rows.ts";
import type { SummaryRequest } from "../log/summary.ts";
import type { Policy } from "../server/policy.ts";
import type { QueryRecorder } from "./recorder.ts";
import { traceOfRecord } from "./records.ts";

interface QuerySourceParts {
  /** The one that records go to at the moment. */
  readonly queryLog: () => QueryLog;
  readonly recorder: Pick<QueryRecorder, "feed" | "counters">;
  /** Where the groups of the configuration in force are. */
  readonly sideOf: () => SummaryRequest["sideOf"];
  /** The policy of a version; null where the version is not kept. */
  readonly policyOf: (version: string) => Promise<Pick<Policy, "decider"> | null>;
}

/** The queries of the past from the store, and those to come from the feed. */
export function querySourceOf({ queryLog, recorder, policyOf, sideOf }: QuerySourceParts): QuerySource {
  return {
    search: (request, signal) => withLog(queryLog().search(request, signal)),
    get: async (id) => {
      const found = await withLog(queryLog().get(id));
      return found === null ? null : withTrace(found, policyOf);
    },
    read: (filter, format, signal) => readExplained(queryLog().read(filter, format, signal)),
    follow: (filter, listener, perSecond) => recorder.feed.followers.add(filter, listener, perSecond),
    summary: (request) => withLog(queryLog().summary({ ...request, sideOf: sideOf() })),
    volume: (request, signal) => withLog(queryLog().volume(request, signal)),
    // The recorder also drops a query when the feed has no room for its entry.
    status() {
      const status = queryLog().status();
      return { ...status, dropped: status.dropped + recorder.counters.recordsDropped };
    },
  };
}

/** Works the trace out under the version of the time; null remains where that is gone. */
async function withTrace(found: FoundRecord, policyOf: QuerySourceParts["policyOf"]): Promise<QueryRecord> {
  const { record } = found;
  if (record.trace !== null) return record;
  const policy = await policyOf(record.version);
  return policy === null ? record : { ...record, trace: traceOfRecord(policy.decider, found) };
}

async function* readExplained(texts: AsyncIterable<string>): AsyncGenerator<string, void, undefined> {
  try {
    yield* texts;
  } catch (error) {
    throw controlError(error);
  }
}

/** Rejects with `ControlError` where the log cannot be read. */
export async function withLog<T>(reading: Promise<T>): Promise<T> {
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
