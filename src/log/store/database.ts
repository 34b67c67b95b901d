import { closeSync, openSync, statSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { pathToFileURL } from "node:url";

/** The connection to a database. The one place that knows `node:sqlite`: its class is to get another name. */
export type Database = DatabaseSync;

/** Kept small: what the log does are ranges of an index, one pass over a table, or rows added at the end. */
const CACHE_KIB = 8192;

/** What is left of the write-ahead log after a large transaction, such as an index. */
const MAX_JOURNAL_BYTES = 16 * 1024 * 1024;

/**
 * Opens a database for adding rows, and makes it where there is none. Nothing in it is changed before `check` has returned.
 * @throws Error with `errcode` of SQLite, and what `check` throws.
 */
export function openForWriting(
  path: string,
  { busyTimeoutMs, check }: { readonly busyTimeoutMs: number; readonly check?: (database: Database) => void },
): Database {
  makeFile(path);
  const database = new DatabaseSync(path, { timeout: busyTimeoutMs });
  return prepared(database, () => {
    check?.(database);
    // What a power cut takes are the last seconds; the file stays whole. How it is vacuumed can only be said before there is a table.
    database.exec(
      `PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = ${MAX_JOURNAL_BYTES}`,
    );
  });
}

/**
 * Opens a database that is there for reading alone, beside the connection that writes.
 * @throws Error with `errcode` of SQLite.
 */
export function openForReading(path: string, options: { readonly busyTimeoutMs: number }): Database {
  return openReadOnly(path, options);
}

/**
 * Opens a database that nobody can write for reading: the file is taken as it stands, without its write-ahead log and without locks. For a
 * folder that cannot be written, where WAL mode does not work. What is written later is not seen, or seen as damage.
 * @throws Error with `errcode` of SQLite.
 */
export function openUnchanging(path: string): Database {
  const url = pathToFileURL(path);
  url.search = "?immutable=1";
  return openReadOnly(url, { busyTimeoutMs: 0 });
}

/**
 * Makes the file where there is none, for its user alone: who asked for what is nobody else's business. SQLite would go by the umask, and gives
 * the files beside it the mode of this one. A file that is there is not opened: closing it again would end the locks of this process on it.
 */
function makeFile(path: string): void {
  try {
    closeSync(openSync(path, "ax", 0o600));
  } catch {
    // It is there, or cannot be made, of which SQLite tells.
  }
}

function openReadOnly(location: string | URL, { busyTimeoutMs }: { readonly busyTimeoutMs: number }): Database {
  const database = new DatabaseSync(location, { timeout: busyTimeoutMs, readOnly: true });
  return prepared(database, () => database.prepare("SELECT count(*) FROM sqlite_schema").get());
}

/** Writes all that `work` does, or nothing. @throws what `work` throws, and errors of SQLite. */
export function inTransaction<T>(database: Database, work: () => T): T {
  database.exec("BEGIN IMMEDIATE");
  try {
    const result = work();
    database.exec("COMMIT");
    return result;
  } catch (error) {
    undo(database);
    throw error;
  }
}

/** Everything that `work` reads is of one state of the database, whatever is added or dropped meanwhile. */
export function inSnapshot<T>(database: Database, work: () => T): T {
  database.exec("BEGIN");
  try {
    return work();
  } finally {
    undo(database);
  }
}

/** Ends a transaction; some errors of SQLite have ended it already. */
function undo(database: Database): void {
  try {
    database.exec("ROLLBACK");
  } catch {
    // There is nothing left to undo.
  }
}

/** The primary result code of SQLite (https://sqlite.org/rescode.html); null for what SQLite did not throw. */
export function primaryCode(error: unknown): number | null {
  const code = resultCode(error);
  return code === null ? null : code & 0xff;
}

/** The extended result code of SQLite; null for what SQLite did not throw. */
export function resultCode(error: unknown): number | null {
  return error instanceof Error && "errcode" in error && typeof error.errcode === "number" ? error.errcode : null;
}

/** Tells whether a path still leads to the same file. null = there is none. */
export function fileIdentity(path: string): string | null {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat === undefined ? null : `${stat.dev} ${stat.ino}`;
}

function prepared(database: Database, prepare: () => unknown): Database {
  try {
    database.exec(`PRAGMA cache_size = -${CACHE_KIB}; PRAGMA temp_store = MEMORY`);
    prepare();
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}
