import { isDeepStrictEqual } from "node:util";
import type { Clock } from "../lib/clock.ts";
import { unreachable } from "../lib/unreachable.ts";
import type { OperationsLog } from "../log/operations.ts";
import type { QueryLogOptions } from "../log/options.ts";
import { QueryLog } from "../log/query-log.ts";
import type { LogEvent } from "../log/writer.ts";
import type { Journal } from "./journal.ts";

export interface RecordKeepingParts {
  readonly journal: Journal;
  readonly clock: Clock;
  readonly log: OperationsLog;
}

/** The query log that the configuration wants, filled by the journal. */
export class RecordKeeping {
  readonly #parts: RecordKeepingParts;
  #options: QueryLogOptions;
  #log: QueryLog;

  private constructor(parts: RecordKeepingParts, options: QueryLogOptions, log: QueryLog) {
    this.#parts = parts;
    this.#options = options;
    this.#log = log;
  }

  /** A store that is out of order is told, and tried again: this never fails. The journal may be held until then. */
  static async open(options: QueryLogOptions, parts: RecordKeepingParts): Promise<RecordKeeping> {
    return new RecordKeeping(parts, options, await openLog(options, parts));
  }

  get queryLog(): QueryLog {
    return this.#log;
  }

  /** Goes by other options. The store stays open where nothing about it has changed. */
  async change(options: QueryLogOptions): Promise<void> {
    const before = this.#options;
    this.#options = options;
    const { journal } = this.#parts;
    if (isDeepStrictEqual({ ...options, clients: before.clients }, before)) {
      journal.use(sinkOf(options, this.#log), options.clients);
      return;
    }
    // The new one may be the same file, which must not have two writers.
    journal.hold(options.clients);
    await this.#log.close();
    this.#log = await openLog(options, this.#parts);
  }

  /** What waits is recorded first. May be called again. */
  async close(): Promise<void> {
    this.#parts.journal.use(null, this.#options.clients);
    await this.#log.close();
  }
}

async function openLog(options: QueryLogOptions, { journal, clock, log }: RecordKeepingParts): Promise<QueryLog> {
  const queryLog = await QueryLog.open(options, { clock, report: (event) => tell(log, event) });
  journal.use(sinkOf(options, queryLog), options.clients);
  return queryLog;
}

function sinkOf({ enabled }: QueryLogOptions, log: QueryLog): QueryLog | null {
  return enabled ? log : null;
}

function tell(log: OperationsLog, event: LogEvent): void {
  switch (event.kind) {
    case "failing":
      log.error({ file: event.file, reason: event.reason }, "queries are answered, but cannot be recorded");
      return;
    case "well":
      log.info({ file: event.file, dropped: event.dropped }, "queries are recorded again");
      return;
    case "lost":
      log.warn({ file: event.file, queries: event.records }, "the query log was closed before these could be recorded");
      return;
    case "renewed":
      log.warn({ file: event.file, aside: event.aside }, "the query log was damaged: it was put aside, and a new one begun");
      return;
    case "refused":
      log.error({ reason: event.reason }, "a query could not be recorded: please report it");
      return;
    default:
      unreachable(event);
  }
}
