import type { Clock } from "../lib/clock.ts";
import type { Page, PageRequest, QueryFilter } from "./filter.ts";
import type { QueryLogOptions } from "./options.ts";
import { ReadError, Reader } from "./reader.ts";
import type { LogStatus, QueryRecord } from "./record.ts";
import { MAX_AHEAD_MS } from "./record-ids.ts";
import type { Summary, SummaryRequest } from "./summary.ts";
import { type LogEvent, Writer } from "./writer.ts";

interface QueryLogSurroundings {
  readonly clock: Clock;
  /** Is told what the operator should know. Must not throw. */
  readonly report: (event: LogEvent) => void;
}

/** How long a search waits for what was appended before it; during upkeep it may do without. */
const FLUSH_MS = 500;

const OFF: LogStatus = { state: "off", fault: null, stored: 0, dropped: 0, waiting: 0, rows: 0, bytes: 0, oldestWallMs: null };

/**
 * The queries that were answered, in a database. Two threads do the work, one adds and one reads, so that neither delays the other or any answer.
 * Nothing that happens to the database reaches further than `status`, `report` and the errors of what reads.
 */
export class QueryLog {
  readonly #clock: Clock;
  readonly #threads: { readonly writer: Writer; readonly reader: Reader } | null;
  #closed: Promise<void> | null = null;

  private constructor(clock: Clock, threads: { readonly writer: Writer; readonly reader: Reader } | null) {
    this.#clock = clock;
    this.#threads = threads;
  }

  /** Never fails: a store that cannot be opened is a fault that is reported and tried again. Where the log is not wanted, nothing is begun. */
  static async open(options: QueryLogOptions, surroundings: QueryLogSurroundings): Promise<QueryLog> {
    if (!options.enabled) return new QueryLog(surroundings.clock, null);
    const { store: path, keepMs, maxRows } = options;
    const writer = new Writer({ path, keepMs, maxRows }, surroundings);
    const reader = new Reader(path, { clock: surroundings.clock, damaged: (fault) => writer.damaged(fault) });
    await writer.open();
    return new QueryLog(surroundings.clock, { writer, reader });
  }

  /** Takes records; returns at once. What finds no room is dropped and counted. */
  append(records: readonly QueryRecord[]): void {
    this.#threads?.writer.append(records);
  }

  /**
   * Finds what was appended before as well, unless storing that takes long. Without an end it ends now: what was recorded while the clock was ahead
   * would stand before all that came since.
   * @throws ReadError, as all that read do.
   */
  async search({ filter, ...request }: PageRequest): Promise<Page> {
    const reader = await this.#upToDate();
    const toMs = filter.toMs ?? Math.ceil(this.#clock.wallMs()) + MAX_AHEAD_MS;
    return reader.search({ ...request, filter: { ...filter, toMs } });
  }

  async get(id: number): Promise<QueryRecord | null> {
    return (await this.#upToDate()).get(id);
  }

  /** Everything that fits, newest first; a batch may be empty. Ends early when the signal aborts. */
  async *read(filter: QueryFilter, signal: AbortSignal): AsyncGenerator<readonly QueryRecord[], void, undefined> {
    yield* (await this.#upToDate()).read(filter, signal);
  }

  async summary(request: SummaryRequest): Promise<Summary> {
    return (await this.#upToDate()).summary(request);
  }

  /** Every version of configuration and lists that a record in the store bears. */
  async versions(): Promise<readonly string[]> {
    return (await this.#upToDate()).versions();
  }

  status(): LogStatus {
    return this.#threads?.writer.status() ?? OFF;
  }

  /** Stores what waits, within some seconds, and ends the threads. May be called again. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    await this.#threads?.reader.close();
    await this.#threads?.writer.close();
  }

  async #upToDate(): Promise<Reader> {
    if (this.#threads === null) throw new ReadError("unavailable", "queries are not recorded: log.queries.enabled is false");
    await this.#threads.writer.flush(FLUSH_MS);
    return this.#threads.reader;
  }
}
