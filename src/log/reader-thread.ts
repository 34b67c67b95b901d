import { accessSync, constants } from "node:fs";
import { dirname } from "node:path";
import { workerData } from "node:worker_threads";
import { serveThread } from "../lib/worker.ts";
import { type Database, faultOf, fileIdentity, openForReading, openUnchanging, primaryCode, StoreError } from "./database.ts";
import { exportText } from "./export.ts";
import { encodeRecord } from "./followers.ts";
import { recordedVersions } from "./maintenance.ts";
import type { Read, ReaderCalls, Reading } from "./reader.ts";
import { CursorError, countVolume, getRecord, readBatches, searchRecords } from "./search.ts";
import { summarize } from "./summary.ts";

/** How long a lock is waited for: in WAL mode only while a database is recovered or closed. */
const BUSY_TIMEOUT_MS = 1000;

/** How long is searched for one page, counted for a volume, and read for one batch; what was found by then is given. People see a page within three seconds. */
const BUDGET_MS = { page: 2500, volume: 3000, batch: 500 } as const;

/** Readings under way. The one that has rested longest is forgotten for a further one. */
const MAX_READINGS = 8;

const path = String(workerData);

/** SQLITE_CANTOPEN */
const CANNOT_OPEN = 14;

interface Connection {
  readonly database: Database;
  /** Of the file that was opened. */
  readonly identity: string;
  /** Whether it sees nothing that is written later. */
  readonly unchanging: boolean;
}

let connection: Connection | null = null;
/** Texts of records, of each reading that is under way. */
const readings = new Map<number, Iterator<string>>();

serveThread<ReaderCalls>({
  search: (request) =>
    read((database) => {
      const { records, cursor } = searchRecords(database, request, budgetOf(BUDGET_MS.page));
      return { records: records.map(encodeRecord), cursor };
    }),
  get: (id) => read((database) => getRecord(database, id)),
  next: ({ reading, begin }) =>
    read((database) => {
      const iterator = begin === null ? readings.get(reading) : textsOf(database, begin);
      if (iterator === undefined) throw new StoreError("other", "the reading was broken off");
      readings.delete(reading);
      const { done, value } = iterator.next();
      if (done === true) return null;
      for (const oldest of readings.keys()) if (readings.size >= MAX_READINGS) readings.delete(oldest);
      readings.set(reading, iterator);
      return value;
    }),
  end: (reading) => {
    readings.delete(reading);
    return null;
  },
  summary: (request) => read((database) => summarize(database, request)),
  volume: (request) => read((database) => countVolume(database, request, budgetOf(BUDGET_MS.volume))),
  versions: () => read(recordedVersions),
});

function* textsOf(database: Database, { filter, format }: Reading): Generator<string> {
  for (const records of readBatches(database, filter, budgetOf(BUDGET_MS.batch))) yield exportText(format, records);
}

function read<T>(work: (database: Database) => T): Read<T> {
  try {
    return { kind: "value", value: work(connected()) };
  } catch (error) {
    if (error instanceof CursorError) return { kind: "invalid", reason: error.message };
    const fault = faultOf(error);
    if (fault.kind !== "damaged") return { kind: "fault", fault };
  }
  // What looks like damage may be a file that was replaced while this connection was open.
  disconnect();
  try {
    return { kind: "value", value: work(connected()) };
  } catch (error) {
    const fault = faultOf(error);
    // Without its write-ahead log a file that is written to meanwhile looks damaged, and is not.
    return { kind: "fault", fault: connection?.unchanging === true ? { ...fault, kind: "other" } : fault };
  }
}

function connected(): Database {
  const identity = fileIdentity(path);
  if (connection !== null && connection.identity === identity && !connection.unchanging) return connection.database;
  if (identity === null) {
    disconnect();
    throw new StoreError("other", "there is no store");
  }
  return connect(identity);
}

/**
 * Where the folder cannot be written, the file is read as it stands, and each call tries anew whether it can be opened as it should be. Other reasons, such
 * as a lack of file descriptors, pass: the call fails.
 */
function connect(identity: string): Database {
  try {
    const database = openForReading(path, { busyTimeoutMs: BUSY_TIMEOUT_MS });
    disconnect();
    connection = { database, identity, unchanging: false };
  } catch (error) {
    if (primaryCode(error) !== CANNOT_OPEN || isWritable(dirname(path))) throw error;
    if (connection === null || connection.identity !== identity) {
      disconnect();
      connection = { database: openUnchanging(path), identity, unchanging: true };
    }
  }
  return connection.database;
}

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function disconnect(): void {
  readings.clear();
  connection?.database.close();
  connection = null;
}

function budgetOf(budgetMs: number): { readonly nowMs: () => number; readonly budgetMs: number } {
  return { nowMs: () => performance.now(), budgetMs };
}
