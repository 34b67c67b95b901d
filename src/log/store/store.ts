import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import type { QueryRecord } from "../record.ts";
import { type Database, fileIdentity, inTransaction, openForWriting, primaryCode } from "./database.ts";
import { StoreError } from "./fault.ts";
import { freeId } from "./free-id.ts";
import { LivePart, type LivePartState } from "./live-part.ts";
import { APPLICATION_ID, firstIdAt, hourOf, PARTS_TABLE, type Part, partTables, SCHEMA_VERSION, wallMsOf } from "./schema.ts";
import { allParts, type Limits, partLimits, tidyOnce } from "./upkeep.ts";

export interface StoreOptions extends Limits {
  readonly path: string;
}

/** What a store holds. */
export interface StoreState {
  readonly rows: number;
  readonly bytes: number;
  readonly oldestWallMs: number | null;
}

export interface Inserted {
  /** Why records were left out, one error each. */
  readonly refused: readonly unknown[];
  /** Whether there is more for `tidy` to do than before. */
  readonly partClosed: boolean;
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
  #closed: readonly Part[] | null = null;
  /** Changes with every commit of another connection: what we remember of the live part is then to be read again. */
  #dataVersion: unknown = null;

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
   * Adds records in one transaction; when it throws, none of them. A record that is not as its type says is left out, and so is one that is there; one
   * whose id another has gets the next that is free.
   * @throws an error of SQLite, or StoreError.
   */
  insert(records: readonly QueryRecord[]): Inserted {
    this.#checkFile();
    const refused: unknown[] = [];
    const before = this.#live?.key;
    this.#write(() => {
      for (const record of records) {
        try {
          this.#add(record);
        } catch (error) {
          if (!concernsRecord(error)) throw error;
          refused.push(error);
        }
      }
      this.#live?.finish();
    });
    return { refused, partClosed: before !== this.#live?.key };
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
    return tidyOnce(this.#database, this.#options, nowMs);
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
    inTransaction(database, () =>
      database.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${SCHEMA_VERSION}; ${PARTS_TABLE}`),
    );
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
  }

  #add(record: QueryRecord): void {
    if (!Number.isSafeInteger(record.id) || record.id < 0) throw new RangeError(`${record.id} is no id`);
    const id = this.#isBeyondParts(record.id) ? record.id : freeId(this.#database, record);
    if (id !== null) this.#partFor(id).add(id === record.id ? record : { ...record, id });
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
      .prepare("INSERT INTO parts (key, day, sequence, state, row_count, hours_until) VALUES (?, ?, ?, 'live', 0, ?)")
      .run(key, day, sequence, hourOf(id));
    return new LivePart(this.#database, { key, day, firstId: null, lastId: null, rows: 0 });
  }
}

/** @throws StoreError where a database is not ours, or not of this version. */
function checkOwner(database: Database): void {
  if (database.prepare("SELECT count(*) AS tables FROM sqlite_schema").get()?.["tables"] === 0) return;
  const pragma = (name: string) => database.prepare(`PRAGMA ${name}`).get()?.[name];
  if (pragma("application_id") !== APPLICATION_ID) throw new StoreError("foreign", "the file is a database of another program");
  const version = pragma("user_version");
  if (version !== SCHEMA_VERSION)
    throw new StoreError("outdated", `the file was made by another version (${String(version)}, not ${SCHEMA_VERSION})`);
}

/** Whether a part has its rows or its time, or another day has come, by the id of the next record. */
function isOver({ day, rows, firstId, lastId }: LivePart, id: number, limits: Limits): boolean {
  const { rows: maxRows, spanMs } = partLimits(limits);
  const span = Math.max(id, lastId ?? id) - Math.min(id, firstId ?? id);
  return rows >= maxRows || dayOf(id) !== day || span >= firstIdAt(spanMs);
}

/** SQLITE_CONSTRAINT and SQLITE_MISMATCH. */
const REFUSED_VALUES: readonly (number | null)[] = [19, 20];

/** Whether an error means that the values were not as they should be: then only this statement is undone, and the transaction goes on. */
function concernsRecord(error: unknown): boolean {
  const code = primaryCode(error);
  return code === null || REFUSED_VALUES.includes(code);
}

function dayOf(id: number): number {
  return Math.floor(wallMsOf(id) / DAY_MS);
}
