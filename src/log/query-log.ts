/**
 * The query log: what was asked, kept in a database, searched and followed. `control/` opens it; the thread that answers writes into its feed.
 *
 * Read `ring.ts` (what the answering thread writes), `feed.ts`, this file, `writer.ts` with `writer-thread.ts` (store entries, tell followers),
 * `entries.ts` and `entry-batch.ts` (entries to rows), `problems.ts` with `problem-causes.ts` (what goes wrong again and again), `rows.ts` (rows to records), `store.ts` with `database.ts`, `schema.ts`,
 * `blocks.ts` and `columns.ts` (how rows lie in the file), `part-rows.ts`, `maintenance.ts` and `old-rows.ts`, then `reader.ts` with `reader-thread.ts`,
 * `search.ts` (with `filter.ts`, `filter-tests.ts`, `dictionary-search.ts`), `summary.ts` and `runs.ts` (when nothing was recorded). `followers.ts` tells of new records. `record.ts` is what people see of one, with
 * `sent.ts` (the reply), `outcome.ts` (one word), `text.ts` (plain words), `time.ts` (moments) and `export.ts`. `operations.ts` is the operator's log, which has nothing to do with it.
 */

import type { Clock } from "../lib/clock.ts";
import type { ExportFormat } from "./export.ts";
import type { QueryFeed } from "./feed.ts";
import type { Page, PageRequest, QueryFilter } from "./filter.ts";
import type { QueryLogOptions } from "./options.ts";
import type { FoundProblem, ProblemChange } from "./problems.ts";
import { ReadError, Reader, readErrorOf } from "./reader.ts";
import type { LogStatus, RecordText } from "./record.ts";
import type { FoundRecord } from "./rows.ts";
import { MAX_AHEAD_MS } from "./schema.ts";
import type { Volume, VolumeRequest } from "./search.ts";
import type { Summary, SummaryRequest } from "./summary.ts";
import { type LogEvent, Writer } from "./writer.ts";

interface QueryLogSurroundings {
  readonly clock: Clock;
  /** What the log stores, and tells followers of. */
  readonly feed: QueryFeed;
  /** Is told what the operator should know. Must not throw. */
  readonly report: (event: LogEvent) => void;
  /** Records since the start that found no room in the feed: they are missing, too. */
  readonly refused: () => number;
}

function readError(error: unknown): never {
  throw readErrorOf(error);
}

/** How long a search waits for what was appended before it; during upkeep it may do without. */
const FLUSH_MS = 500;

const OFF: LogStatus = { state: "off", fault: null, stored: 0, dropped: 0, waiting: 0, rows: 0, bytes: 0, oldestWallMs: null };

/**
 * The queries that were answered, in a database. Two threads do the work: one takes entries from the feed, stores them and tells followers; one reads, and
 * is begun by the first search. Nothing that happens to the database reaches further than `status`, `report` and the errors of what reads.
 */
export class QueryLog {
  readonly #clock: Clock;
  readonly #writer: Writer;
  /** null = nothing is stored. */
  readonly #reader: Reader | null;
  #closed: Promise<void> | null = null;

  private constructor(clock: Clock, writer: Writer, reader: Reader | null) {
    this.#clock = clock;
    this.#writer = writer;
    this.#reader = reader;
  }

  /** Never fails: a store that cannot be opened is a fault that is reported and tried again. Where the log is not wanted, followers are told all the same. */
  static async open(options: QueryLogOptions, surroundings: QueryLogSurroundings): Promise<QueryLog> {
    const { clock } = surroundings;
    const { enabled, store: path, keepMs, maxRows } = options;
    const writer = new Writer(enabled ? { path, keepMs, maxRows } : null, surroundings);
    const reader = enabled ? new Reader(path, { clock, damaged: (fault) => writer.damaged(fault) }) : null;
    await writer.open();
    return new QueryLog(clock, writer, reader);
  }

  /**
   * Finds what was written to the feed before as well, unless storing that takes long. Without an end it ends now: what was recorded while the clock was
   * ahead would stand before all that came since.
   * @param signal aborts when nobody waits for the page any more.
   * @throws ReadError, as all that read do.
   */
  async search({ filter, ...request }: PageRequest, signal?: AbortSignal): Promise<Page<RecordText>> {
    const reader = await this.#upToDate();
    const toMs = filter.toMs ?? Math.ceil(this.#clock.wallMs()) + MAX_AHEAD_MS;
    return reader.search({ ...request, filter: { ...filter, toMs } }, signal);
  }

  async get(id: number): Promise<FoundRecord | null> {
    return (await this.#upToDate()).get(id);
  }

  /** Everything that fits, newest first, in this format; a text may be empty. Ends early when the signal aborts. */
  async *read(filter: QueryFilter, format: ExportFormat, signal: AbortSignal): AsyncGenerator<string, void, undefined> {
    yield* (await this.#upToDate()).read(filter, format, signal);
  }

  async summary(request: SummaryRequest): Promise<Summary> {
    return (await this.#upToDate()).summary(request);
  }

  /** @param signal as for a search. */
  async volume(request: VolumeRequest, signal?: AbortSignal): Promise<Volume> {
    return (await this.#upToDate()).volume(request, signal);
  }

  /** What goes wrong again and again, as far as it is stored; none where nothing is. */
  async problems(): Promise<readonly FoundProblem[]> {
    await this.#upToDate();
    return await this.#writer.problems().catch(readError);
  }

  /** @returns whether there is such a problem. */
  async changeProblem(id: string, change: ProblemChange): Promise<boolean> {
    await this.#upToDate();
    return await this.#writer.changeProblem(id, change).catch(readError);
  }

  /** Changes when problems do. */
  get problemRevision(): number {
    return this.#writer.problemRevision;
  }

  /** Every version of configuration and lists that a record bears. @throws ReadError while records wait to be stored: who drops versions must not miss theirs. */
  async versions(): Promise<readonly string[]> {
    if (this.#reader !== null && !(await this.#writer.flush(FLUSH_MS)))
      throw new ReadError("slow", "records still wait to be stored");
    return (await this.#upToDate()).versions();
  }

  status(): LogStatus {
    return this.#reader === null ? OFF : this.#writer.status();
  }

  /** Stores what waits, within some seconds, and ends the threads. May be called again. @param patienceMs see `Writer.close`. */
  close(patienceMs?: number): Promise<void> {
    this.#closed ??= this.#close(patienceMs);
    return this.#closed;
  }

  async #close(patienceMs?: number): Promise<void> {
    await this.#reader?.close();
    await this.#writer.close(patienceMs);
  }

  async #upToDate(): Promise<Reader> {
    if (this.#reader === null) throw new ReadError("unavailable", "queries are not recorded: log.queries.enabled is false");
    await this.#writer.flush(FLUSH_MS);
    return this.#reader;
  }
}
