import { DatabaseSync } from "node:sqlite";

/** The connection to a database. The one place that knows `node:sqlite`: its class is to get another name. */
export type Database = DatabaseSync;

/** Kept small: the reads of the log are ranges of an index or one pass over a table. */
const CACHE_KIB = 8192;

/**
 * Opens a database for adding rows, in WAL mode, and makes it where there is none.
 * @throws Error with `errcode` of SQLite.
 */
export function openForWriting(path: string, options: { readonly busyTimeoutMs: number }): Database {
  const database = new DatabaseSync(path, { timeout: options.busyTimeoutMs });
  try {
    // What is lost at a power cut are the last seconds; the file stays whole (WAL).
    database.exec(
      `PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -${CACHE_KIB}; PRAGMA temp_store = MEMORY`,
    );
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/**
 * Opens a database that is there for reading alone, beside the connection that writes.
 * @throws Error with `errcode` of SQLite.
 */
export function openForReading(path: string, options: { readonly busyTimeoutMs: number }): Database {
  const database = new DatabaseSync(path, { timeout: options.busyTimeoutMs, readOnly: true });
  database.exec(`PRAGMA cache_size = -${CACHE_KIB}; PRAGMA temp_store = MEMORY`);
  return database;
}
