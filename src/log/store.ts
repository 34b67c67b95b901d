import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import type { Clock } from "../lib/clock.ts";
import { Remembered } from "../lib/recently-used.ts";
import { BlockWriter, PartBlocks } from "./blocks.ts";
import { type Database, fileIdentity, inTransaction, openForWriting, StoreError } from "./database.ts";
import { allParts, type PartitionLimits, partLimits, runMaintenance } from "./maintenance.ts";
import { adoptOldParts } from "./old-rows.ts";
import { PartRows } from "./part-rows.ts";
import { type RepeatedReply, type Row, type RowBatch, rowClient, rowKind, type StoredRow, storedRowOf } from "./rows.ts";
import { RUNS_TABLE, type RunMark, writeRun } from "./runs.ts";
import {
  APPLICATION_ID,
  firstIdAt,
  KIND_COLUMNS,
  latencyBucket,
  minuteOf,
  PARTS_TABLE,
  type Partition,
  partTables,
  SCHEMA_VERSION,
  wallMsOf,
} from "./schema.ts";

export interface StoreOptions extends PartitionLimits {
  readonly path: string;
}

/** What a store holds. */
export interface StoreState {
  readonly rows: number;
  readonly bytes: number;
  readonly oldestWallMs: number | null;
}

/** How long a lock of another process is waited for. The thread does nothing else meanwhile. */
const BUSY_TIMEOUT_MS = 1000;

const DAY_MS = 86_400_000;

/** The database of the query log, for adding. All of it is synchronous and belongs into a thread of its own. */
export class Store {
  readonly #database: Database;
  readonly #options: StoreOptions;
  /** Of the file that was opened: it may be moved or deleted under our hands, and SQLite would go on writing into nowhere. */
  readonly #identity: string | null;
  /** null = none was read or made yet, or what we know of it is not to be trusted. */
  #live: LivePart | null = null;
  /** The parts that are closed, the one that reaches furthest first; null = to be read again, with `#live`. */
  #closed: readonly Partition[] | null = null;
  /** Changes with every commit of another connection: what we remember of the live part is then to be read again. */
  #dataVersion: unknown = null;
  /** No row has an id between these two: set where a row was added below others. */
  #free = { after: 0, before: 0 };
  /** Of the parts in which ids were looked for. */
  readonly #blocks = new Map<string, PartBlocks>();

  /** @throws StoreError where nothing can be written, or the file is none of ours. */
  constructor(options: StoreOptions) {
    this.#options = options;
    mkdirSync(dirname(options.path), { recursive: true });
    this.#database = openForWriting(options.path, { busyTimeoutMs: BUSY_TIMEOUT_MS, check: checkOwner });
    this.#identity = fileIdentity(options.path);
    try {
      this.#prepare();
    } catch (error) {
      this.#database.close();
      throw error;
    }
  }

  /**
   * Adds rows in one transaction; when it throws, none of them. A row that is there already is left out; one whose id another row has gets the
   * next id that is free.
   * @returns whether there is more for `tidy` to do than before. @throws an error of SQLite, or StoreError.
   */
  insert(batch: RowBatch): boolean {
    this.#checkFile();
    const before = this.#live?.key;
    const { ids } = batch;
    // Where the clock was set, or a day ends, late questions bear the time before: in turn with others each would close a part and make another.
    const places = Array.from(ids, (_, place) => place).sort((a, b) => (ids[a] ?? 0) - (ids[b] ?? 0));
    this.#write(() => {
      for (const place of places) {
        const row = batch.rowAt(place);
        if (row !== null) this.#add(row);
      }
      this.#live?.finish();
    });
    return before !== this.#live?.key;
  }

  /**
   * Does one piece of what is due besides adding rows; each is short enough for rows to wait.
   * @param nowWallMs null = nobody knows: then nothing is too old, and no hour is over.
   * @returns whether there was anything to do. @throws an error of SQLite, or StoreError.
   */
  tidy(nowWallMs: number | null): boolean {
    this.#checkFile();
    const nowMs = nowWallMs ?? 0;
    const nowId = firstIdAt(nowMs);
    this.#write(() => {
      const live = this.#livePart();
      // Ids run ahead of a clock that was set back: then the part is over when they say so, and not with every call.
      if (live !== null && isOver(live, Math.max(nowId, live.lastId ?? 0), this.#options)) this.#close(live);
    });
    const isChanged = runMaintenance(this.#database, this.#options, nowMs);
    if (isChanged) this.#forget();
    return isChanged;
  }

  /** Notes that the log records at this moment. @throws an error of SQLite, or StoreError. */
  mark(mark: RunMark): void {
    this.#checkFile();
    this.#write(() => writeRun(this.#database, mark));
  }

  state(): StoreState {
    const parts = allParts(this.#database);
    const pages = this.#database.prepare("SELECT page_count * page_size AS bytes FROM pragma_page_count, pragma_page_size").get();
    const ids = parts.flatMap(({ firstId }) => (firstId === null ? [] : [firstId]));
    return {
      rows: parts.reduce((sum, { rows }) => sum + rows, 0),
      bytes: Number(pages?.["bytes"]),
      oldestWallMs: ids.length === 0 ? null : wallMsOf(Math.min(...ids)),
    };
  }

  close(): void {
    this.#database.close();
  }

  /** Makes the file ours where it is empty. Writes in any case, so that a file which can only be read is found out here. */
  #prepare(): void {
    const database = this.#database;
    inTransaction(database, () => {
      adoptOldParts(database);
      database.exec(
        `PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${SCHEMA_VERSION}; ${PARTS_TABLE}; ${RUNS_TABLE}`,
      );
    });
  }

  #checkFile(): void {
    const identity = fileIdentity(this.#options.path);
    if (identity !== this.#identity) throw new StoreError("moved", "the file was deleted or replaced while it was open");
  }

  #write(work: () => void): void {
    const database = this.#database;
    try {
      inTransaction(database, () => {
        const version = database.prepare("PRAGMA data_version").get()?.["data_version"];
        if (version !== this.#dataVersion) this.#forget();
        this.#dataVersion = version;
        work();
      });
    } catch (error) {
      this.#forget();
      throw error;
    }
  }

  #forget(): void {
    this.#live = null;
    this.#closed = null;
    this.#free = { after: 0, before: 0 };
    this.#blocks.clear();
  }

  #add(row: Row): void {
    const isFree = row.id > this.#free.after && row.id < this.#free.before;
    if (isFree || this.#isBeyondParts(row.id)) {
      this.#partFor(row.id).add(row);
      // Where the clock was set back all rows come below others, and looking for each id would take longer than they have.
      if (isFree) this.#free.after = row.id;
      return;
    }
    const found = this.#findFreeId(row);
    if (found === null) return;
    this.#partFor(found.id).add(found.id === row.id ? row : { ...row, id: found.id });
    this.#free = { after: found.id, before: found.nextTaken };
  }

  /**
   * The id under which a row can be stored: its own, or the next that is free where another query has that one, and the next that is not free. Two queries
   * get the same id where the clock was set back while the process was not running, or where two processes add to one file. null = this very row is stored,
   * as when its thread ended before it could say so.
   * @throws RangeError where none is near; an error of SQLite.
   */
  #findFreeId(row: Row): { readonly id: number; readonly nextTaken: number } | null {
    for (let id = row.id; id < row.id + MAX_TRIES; id++) {
      const nextTaken = this.#nextTaken(id);
      if (nextTaken > id) return { id, nextTaken };
      this.#live?.writeRows();
      const stored = storedRow(this.#database, id);
      if (stored !== null && isSame(stored, storedRowOf({ ...row, id }))) return null;
    }
    throw new RangeError(`no id is free from ${row.id} on`);
  }

  /** The lowest id of a row that is not below `id`, which may be infinite. */
  #nextTaken(id: number): number {
    this.#closed ??= allParts(this.#database).filter(({ state }) => state !== "live");
    const live = this.#livePart();
    let next = live === null ? Number.POSITIVE_INFINITY : Math.min(live.lowestWaiting(id), this.#lowestFrom(id, live.key));
    for (const { key, firstId, lastId } of this.#closed) {
      if (firstId === null || lastId === null || lastId < id || firstId >= next) continue;
      next = Math.min(next, firstId >= id ? firstId : this.#lowestFrom(id, key));
    }
    return next;
  }

  #lowestFrom(id: number, key: string): number {
    const blocks = this.#blocks.get(key) ?? new PartBlocks(this.#database, key);
    this.#blocks.set(key, blocks);
    return blocks.lowestFrom(id);
  }

  /** Whether no part can have this id: so it is with most, because they rise. */
  #isBeyondParts(id: number): boolean {
    if (id <= (this.#livePart()?.lastId ?? -1)) return false;
    this.#closed ??= allParts(this.#database).filter(({ state }) => state !== "live");
    for (const { firstId, lastId } of this.#closed) {
      if ((lastId ?? -1) < id) return true;
      if ((firstId ?? 0) <= id) return false;
    }
    return true;
  }

  /** The part that a record with this id goes to; closes the one before, and makes it, where need be. */
  #partFor(id: number): LivePart {
    const live = this.#livePart();
    if (live !== null && !isOver(live, id, this.#options)) return live;
    if (live !== null) this.#close(live);
    const made = this.#makePart(id);
    this.#live = made;
    return made;
  }

  #livePart(): LivePart | null {
    if (this.#live !== null) return this.#live;
    const found = this.#database
      .prepare('SELECT key, day, first_id AS firstId, last_id AS lastId, row_count AS "rows" FROM parts WHERE state = ? LIMIT 1')
      .get("live");
    // The columns are those of `LivePartState`.
    if (found !== undefined) this.#live = new LivePart(this.#database, found as unknown as LivePartState);
    return this.#live;
  }

  #close(live: LivePart): void {
    live.finish();
    this.#database.prepare("UPDATE parts SET state = 'closed' WHERE key = ?").run(live.key);
    this.#forget();
  }

  #makePart(id: number): LivePart {
    const day = dayOf(id);
    const last = this.#database.prepare("SELECT max(sequence) AS last FROM parts WHERE day = ?").get(day)?.["last"];
    const sequence = typeof last === "number" ? last + 1 : 0;
    const date = new Date(day * DAY_MS).toISOString().slice(0, 10).replaceAll("-", "");
    const key = sequence === 0 ? date : `${date}_${sequence}`;
    this.#database.exec(partTables(key));
    this.#database
      .prepare("INSERT INTO parts (key, day, sequence, state, row_count) VALUES (?, ?, ?, 'live', 0)")
      .run(key, day, sequence);
    return new LivePart(this.#database, { key, day, firstId: null, lastId: null, rows: 0 });
  }
}

/** @throws StoreError where a database is not ours, or not of this version. */
function checkOwner(database: Database): void {
  if (database.prepare("SELECT count(*) AS tables FROM sqlite_schema").get()?.["tables"] === 0) return;
  const pragma = (name: string) => database.prepare(`PRAGMA ${name}`).get()?.[name];
  if (pragma("application_id") !== APPLICATION_ID) throw new StoreError("foreign", "the file is a database of another program");
  const version = Number(pragma("user_version"));
  if (version < 1 || version > SCHEMA_VERSION)
    throw new StoreError("outdated", `the file was made by another version (${version}, not ${SCHEMA_VERSION})`);
}

/** Whether a part has its rows or its time, or another day has come, by the id of the next record. */
function isOver({ day, rows, firstId, lastId }: LivePart, id: number, limits: PartitionLimits): boolean {
  const { rows: maxRows, spanMs } = partLimits(limits);
  const span = Math.max(id, lastId ?? id) - Math.min(id, firstId ?? id);
  return rows >= maxRows || dayOf(id) !== day || span >= firstIdAt(spanMs);
}

function dayOf(id: number): number {
  return Math.floor(wallMsOf(id) / DAY_MS);
}

type Value = string | number | null;

/**
 * The part that rows are added to. Everything is to be called within a transaction; where something throws, the transaction is to be
 * undone and this be made anew, because it remembers what it wrote.
 */
class LivePart {
  readonly key: string;
  /** Days since 1970. */
  readonly day: number;
  /** The lowest; null where there is no row yet. */
  #firstId: number | null;
  #rows: number;
  #lastId: number | null;
  readonly #blocks: BlockWriter;
  readonly #update: ReturnType<Database["prepare"]>;
  readonly #names: Dictionary;
  readonly #clients: Dictionary;
  readonly #kinds: Dictionary;
  readonly #details: Dictionary;
  readonly #answers: Dictionary;
  readonly #rollUps: RollUps;

  constructor(database: Database, part: LivePartState) {
    const { key } = part;
    this.key = key;
    this.day = part.day;
    this.#firstId = part.firstId;
    this.#lastId = part.lastId;
    this.#rows = part.rows;
    this.#blocks = new BlockWriter(database, key);
    this.#update = database.prepare("UPDATE parts SET first_id = ?, last_id = ?, row_count = ? WHERE key = ?");
    const texts = (name: string, remembered: number) =>
      new Dictionary(database, { table: `${name}_${key}`, columns: ["text"], remembered, keyOf: ([text]) => String(text) });
    this.#names = texts("names", 16_384);
    this.#details = texts("details", 4096);
    this.#answers = texts("answers", 16_384);
    this.#clients = new Dictionary(database, {
      table: `clients_${key}`,
      columns: ["address", "client_id"],
      remembered: 4096,
      keyOf: ([address, clientId]) => rowClient(String(address), textOrNull(clientId)).key,
    });
    this.#kinds = new Dictionary(database, {
      table: `kinds_${key}`,
      columns: [...KIND_COLUMNS, "blocked"],
      remembered: 4096,
      keyOf: (values) => rowKind(kindValues(values.map(textOrNull))).key,
    });
    this.#rollUps = new RollUps(database, key);
  }

  get rows(): number {
    return this.#rows;
  }

  get firstId(): number | null {
    return this.#firstId;
  }

  get lastId(): number | null {
    return this.#lastId;
  }

  add(row: Row): void {
    const { id, client, kind, durationUs } = row;
    const clientNumber = this.#clients.find(client.key) ?? this.#clients.add(client.key, [client.address, client.clientId]);
    const kindNumber =
      this.#kinds.find(kind.key) ??
      this.#kinds.add(kind.key, [...KIND_COLUMNS.map((column) => kind.values[column]), kind.blocked ? 1 : 0]);
    const { name, details, answers } = this.#numbersOf(row);
    this.#blocks.add({
      id,
      name,
      client: clientNumber,
      kind: kindNumber,
      details,
      answers,
      ttls: row.ttls,
      durationUs,
      size: row.size,
      line: row.line,
      attemptMs: row.attemptMs,
      negativeTtl: row.negativeTtl,
      lagMs: row.lagMs,
      matches: null,
    });
    this.#rollUps.count({ id, kind: kindNumber, client: clientNumber, durationUs, asked: row.attemptMs !== null });
    this.#rows++;
    this.#firstId = Math.min(this.#firstId ?? id, id);
    this.#lastId = Math.max(this.#lastId ?? id, id);
  }

  /** The numbers of the texts of a row, once for all rows of a repeated reply. */
  #numbersOf({ reversed, details, answers, repeat }: Row): TextNumbers {
    if (repeat?.stored != null && repeat.stored.part === this) return repeat.stored;
    const numbers = {
      part: this,
      name: this.#names.idOf(reversed),
      details: details === null ? null : this.#details.idOf(details),
      answers: answers === null ? null : this.#answers.idOf(answers),
    };
    if (repeat !== null) repeat.stored = numbers;
    return numbers;
  }

  /** Ends a batch: brings the rows, the roll-ups and the table of parts up to date. */
  finish(): void {
    this.writeRows();
    this.#rollUps.write();
    this.#update.run(this.#firstId, this.#lastId, this.#rows, this.key);
  }

  /** Writes the rows that wait for more to be written with. */
  writeRows(): void {
    this.#blocks.write();
  }

  /** The lowest id that is not below `id`, of the rows that wait and of some that do not; infinite where there is none. */
  lowestWaiting(id: number): number {
    return this.#blocks.lowestFrom(id);
  }
}

function textOrNull(value: Value | undefined): string | null {
  return typeof value === "string" ? value : null;
}

function kindValues(values: readonly (string | null)[]): Row["kind"]["values"] {
  // Every column has its place.
  return Object.fromEntries(KIND_COLUMNS.map((column, index) => [column, values[index] ?? null])) as Row["kind"]["values"];
}

type TextNumbers = NonNullable<RepeatedReply["stored"]>;

/** A row of `parts`. */
interface LivePartState {
  readonly key: string;
  readonly day: number;
  readonly firstId: number | null;
  readonly lastId: number | null;
  readonly rows: number;
}

interface DictionaryTable {
  readonly table: string;
  /** Besides `id`. */
  readonly columns: readonly string[];
  /** How many entries are remembered at the least. One that is forgotten is written again when it comes again. */
  readonly remembered: number;
  /** The key of an entry, of its columns. */
  readonly keyOf: (values: readonly Value[]) => string;
}

/** Gives texts that come again and again short ids. Its memory is bounded, so the same text may get two ids. */
class Dictionary {
  readonly #insert: ReturnType<Database["prepare"]>;
  readonly #ids: Remembered<number>;
  #nextId = 1;

  /** Remembers what was written last, as after a restart. */
  constructor(database: Database, { table, columns, remembered, keyOf }: DictionaryTable) {
    const names = ["id", ...columns];
    this.#insert = database.prepare(`INSERT INTO ${table} (${names.join(", ")}) VALUES (${names.map(() => "?").join(", ")})`);
    this.#ids = new Remembered(remembered);
    const last = database.prepare(
      `SELECT * FROM (SELECT ${names.join(", ")} FROM ${table} ORDER BY id DESC LIMIT ?) ORDER BY id`,
    );
    last.setReturnArrays(true);
    for (const [id, ...values] of rowsOf(last.all(remembered))) {
      if (typeof id !== "number" || id === 0) continue;
      this.#ids.put(keyOf(values), id);
      this.#nextId = id + 1;
    }
  }

  find(key: string): number | undefined {
    return this.#ids.get(key);
  }

  /** @throws Error of SQLite where the entry cannot be written; the dictionary must then be made anew. */
  add(key: string, values: readonly Value[]): number {
    const id = this.#nextId++;
    this.#insert.run(id, ...values);
    return this.#ids.put(key, id);
  }

  /** For dictionaries of one column. @throws as `add`. */
  idOf(text: string): number {
    return this.#ids.get(text) ?? this.add(text, [text]);
  }
}

// The types of node:sqlite do not know that rows are arrays after `setReturnArrays`.
function rowsOf(rows: unknown): readonly (readonly Value[])[] {
  return rows as readonly (readonly Value[])[];
}

/** What of a query is counted. */
interface Counted {
  readonly id: number;
  readonly kind: number;
  readonly client: number;
  readonly durationUs: number;
  /** Whether an upstream was asked. */
  readonly asked: boolean;
}

/** Counts of their own in one minute, for kinds and for clients: what is beyond is counted under id 0. */
const MAX_PER_MINUTE = 1000;

/** Counts queries by minute, and adds the counts to the tables of a part at the end of each batch. */
class RollUps {
  readonly #kinds: MinuteCounts;
  readonly #clients: MinuteCounts;
  readonly #latencies: MinuteCounts;

  constructor(database: Database, part: string) {
    const upsert = (table: string, columns: readonly string[]) =>
      database.prepare(
        `INSERT INTO ${table}_${part} (${columns.join(", ")}, count) VALUES (${columns.map(() => "?").join(", ")}, ?)
         ON CONFLICT DO UPDATE SET count = count + excluded.count`,
      );
    const kinds = upsert("kind_minutes", ["minute", "kind"]);
    const clients = upsert("client_minutes", ["minute", "client"]);
    const latencies = upsert("latency_minutes", ["minute", "asked", "bucket"]);
    this.#kinds = new MinuteCounts((minute, kind, count) => kinds.run(minute, kind, count));
    this.#clients = new MinuteCounts((minute, client, count) => clients.run(minute, client, count));
    this.#latencies = new MinuteCounts((minute, key, count) => latencies.run(minute, key & 1, key >> 1, count));
  }

  count({ id, kind, client, durationUs, asked }: Counted): void {
    const minute = minuteOf(id);
    this.#kinds.add(minute, kind);
    this.#clients.add(minute, client);
    this.#latencies.add(minute, latencyBucket(durationUs) * 2 + (asked ? 1 : 0));
  }

  /** To be called within the transaction of the rows. @throws Error of SQLite; the roll-ups must then be made anew. */
  write(): void {
    this.#kinds.write();
    this.#clients.write();
    this.#latencies.write();
  }
}

interface MinuteCount {
  readonly minute: number;
  readonly key: number;
  /** Since the last `write`. */
  count: number;
}

/** Counts by minute and key since the last `write`. */
class MinuteCounts {
  readonly #write: (minute: number, key: number, count: number) => unknown;
  /** Of the latest minute, by key, over all batches since the part was opened: at most `MAX_PER_MINUTE`, and that of id 0. */
  readonly #counts = new Map<number, MinuteCount>();
  /** Those that are above 0. */
  #grown: MinuteCount[] = [];
  /** That of the last query: most are like the one before. */
  #last: MinuteCount | null = null;
  #minute = 0;

  constructor(write: (minute: number, key: number, count: number) => unknown) {
    this.#write = write;
  }

  add(minute: number, key: number): void {
    let counted = this.#last;
    if (counted === null || counted.key !== key || counted.minute !== minute) {
      counted = this.#find(minute, key);
      this.#last = counted;
    }
    if (counted.count === 0) this.#grown.push(counted);
    counted.count++;
  }

  #find(minute: number, key: number): MinuteCount {
    if (minute !== this.#minute) {
      this.#minute = minute;
      this.#counts.clear();
    }
    return this.#counts.get(key) ?? (this.#counts.size < MAX_PER_MINUTE ? this.#make(key) : this.#counts.get(0)) ?? this.#make(0);
  }

  #make(key: number): MinuteCount {
    const made = { minute: this.#minute, key, count: 0 };
    this.#counts.set(key, made);
    return made;
  }

  write(): void {
    const grown = this.#grown;
    this.#grown = [];
    for (const counted of grown) {
      this.#write(counted.minute, counted.key, counted.count);
      counted.count = 0;
    }
  }
}

/** Ids of one millisecond: with so many taken one after the other, something else is wrong. */
const MAX_TRIES = 1024;

/** Looks into the live part whatever the table of parts says of it, which is not brought up to date before the end of a batch. */
function storedRow(database: Database, id: number): StoredRow | null {
  const parts = database.prepare("SELECT key FROM parts WHERE state = 'live' OR (first_id <= ?1 AND last_id >= ?1)").all(id);
  for (const { key } of parts) {
    const stored = new PartRows(database, String(key)).find(id);
    if (stored !== null) return stored;
  }
  return null;
}

function isSame(stored: StoredRow, row: StoredRow): boolean {
  const values: Readonly<Record<string, unknown>> = { ...stored };
  return Object.entries(row).every(([column, value]) => values[column] === value);
}

/** For so long the clock is not believed after the start, and after it was moved: NTP sets right within minutes what a machine without a battery makes up. */
const DOUBT_MS = 3_600_000;

/** A clock that was moved by less is of no concern where hours are kept. */
const MOVED_MS = 60_000;

/** Tells the time to what cannot be undone, such as to drop what is too old. */
export class TrustedClock {
  readonly #clock: Clock;
  #aheadMs: number;
  #sinceMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#sinceMs = clock.now();
    this.#aheadMs = clock.wallMs() - this.#sinceMs;
  }

  /** Milliseconds since 1970; null while the clock on the wall has not gone evenly for an hour. To be asked every minute. */
  wallMs(): number | null {
    const nowMs = this.#clock.now();
    const wallMs = this.#clock.wallMs();
    if (Math.abs(wallMs - nowMs - this.#aheadMs) > MOVED_MS) {
      this.#aheadMs = wallMs - nowMs;
      this.#sinceMs = nowMs;
    }
    return nowMs - this.#sinceMs < DOUBT_MS ? null : wallMs;
  }
}
