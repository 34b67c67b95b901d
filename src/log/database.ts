import { closeSync, openSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { pathToFileURL } from "node:url";
import { isMissingFile } from "../lib/files.ts";
import { errorText } from "../lib/text.ts";

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
function resultCode(error: unknown): number | null {
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

/** What keeps a store from storing, as far as it tells what to do about it. */
type FaultKind =
  /** The disk has no room. What is stored can be read. */
  | "full"
  /** The file or its folder cannot be written. */
  | "readonly"
  /** Another process holds a lock. */
  | "locked"
  /** The file is no database, or no longer a whole one. */
  | "damaged"
  /** The file was deleted, or another one put in its place. */
  | "moved"
  /** A database of another program: not to be touched. */
  | "foreign"
  /** Tables of another version of ours. */
  | "outdated"
  /** The thread of the store ended or does not answer. */
  | "thread"
  /** Anything else, such as a failure of the disk. */
  | "other";

export interface Fault {
  readonly kind: FaultKind;
  /** For people. */
  readonly reason: string;
}

/** A fault that is not SQLite's finding but ours. */
export class StoreError extends Error {
  readonly kind: FaultKind;

  constructor(kind: FaultKind, message: string) {
    super(message);
    this.name = "StoreError";
    this.kind = kind;
  }
}

/** By the result codes of SQLite, extended or primary. */
const FAULTS: ReadonlyMap<number, Fault> = new Map([
  [3, { kind: "readonly", reason: "the file cannot be written" }],
  [5, { kind: "locked", reason: "another process holds a lock on the file" }],
  [6, { kind: "locked", reason: "another process holds a lock on the file" }],
  [8, { kind: "readonly", reason: "the file cannot be written" }],
  [11, { kind: "damaged", reason: "the file is damaged" }],
  [13, { kind: "full", reason: "the disk is full" }],
  [14, { kind: "readonly", reason: "the file cannot be opened" }],
  [26, { kind: "damaged", reason: "the file is no database" }],
  // SQLITE_READONLY_DBMOVED
  [1032, { kind: "moved", reason: "the file was deleted or replaced while it was open" }],
  // SQLITE_IOERR_SHMSIZE: there is no room for the file that those who use the database share.
  [4874, { kind: "full", reason: "the disk is full" }],
]);

/** What an error of the store comes to. */
export function faultOf(error: unknown): Fault {
  if (error instanceof StoreError) return { kind: error.kind, reason: error.message };
  const known = FAULTS.get(resultCode(error) ?? 0) ?? FAULTS.get(primaryCode(error) ?? 0);
  if (known !== undefined) return known;
  if (systemCode(error) === "ENOSPC") return { kind: "full", reason: "the disk is full" };
  return { kind: "other", reason: errorText(error) };
}

function systemCode(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : null;
}

/** Files put aside that are kept: more would fill the disk where it is the disk that damages them. */
const KEPT = 2;

/**
 * Puts a database that cannot be used out of the way, its write-ahead log with it, so that a new one can take its place and somebody may
 * still look into the old one.
 * @returns where it is now; null where there was none. @throws the system's error.
 */
export function quarantine(path: string, why: string, wallMs: number): string | null {
  const stamp = new Date(wallMs).toISOString().slice(0, 19).replaceAll(":", "");
  const aside = `${path}.${why}-${stamp}Z`;
  const moved = move(path, aside);
  // Left behind, it would be taken for the log of the new file.
  move(`${path}-wal`, `${aside}-wal`);
  rmSync(`${path}-shm`, { force: true });
  forgetOldest(path, why, aside);
  return moved ? aside : null;
}

/** Removes the write-ahead log of a database that is gone, before another at its place takes it for its own. @throws the system's error. */
export function removeJournal(path: string): void {
  for (const suffix of ["-wal", "-shm"]) rmSync(`${path}${suffix}`, { force: true });
}

function move(from: string, to: string): boolean {
  try {
    renameSync(from, to);
    return true;
  } catch (error) {
    if (isMissingFile(error)) return false;
    throw error;
  }
}

/** The last one is kept whatever it is called: where the clock was ahead, others bear later times. */
function forgetOldest(path: string, why: string, last: string): void {
  const folder = dirname(path);
  const prefix = `${basename(path)}.${why}-`;
  const asides = readdirSync(folder).filter((name) => name.startsWith(prefix) && name.endsWith("Z") && name !== basename(last));
  for (const name of asides.sort().slice(0, 1 - KEPT))
    for (const suffix of ["", "-wal"]) rmSync(join(folder, `${name}${suffix}`), { force: true });
}
