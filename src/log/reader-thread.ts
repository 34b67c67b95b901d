import { accessSync, constants } from "node:fs";
import { dirname } from "node:path";
import { workerData } from "node:worker_threads";
import { serveThread } from "../lib/worker.ts";
import {
  type Database,
  type Fault,
  faultOf,
  fileIdentity,
  openForReading,
  openUnchanging,
  primaryCode,
  StoreError,
} from "./database.ts";
import { exportText } from "./export.ts";
import { encodeRecord } from "./followers.ts";
import { recordedVersions } from "./maintenance.ts";
import type { Export, Read, ReaderCalls, ReaderData, Slice } from "./reader.ts";
import { SCHEMA_VERSION } from "./schema.ts";
import { CursorError, countVolume, getRecord, readBatches, type SearchBudget, searchRecords } from "./search.ts";
import { summarize } from "./summary.ts";

/** How long a lock is waited for: in WAL mode only while a database is recovered or closed. */
const BUSY_TIMEOUT_MS = 1000;

/** Readings under way: of all calls that may wait, and some exports that rest. The one that has rested longest is forgotten for a further one. */
const MAX_READINGS = 40;

// The door makes it.
const { path, slice } = workerData as ReaderData;
const budget: SearchBudget = { nowMs: () => performance.now(), ...slice };

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
/** What goes on with the next call of each reading that is under way. */
const readings = new Map<number, Iterator<unknown>>();

serveThread<ReaderCalls>({
  search: ({ reading, begin }) =>
    read((database) => {
      const { value, isLast } = nextSlice(reading, begin === null ? null : searchRecords(database, begin, budget));
      return { value: { ...value, records: value.records.map(encodeRecord) }, isLast };
    }),
  volume: ({ reading, begin }) =>
    read((database) => nextSlice(reading, begin === null ? null : countVolume(database, begin, budget))),
  export: ({ reading, begin }) => read((database) => nextSlice(reading, begin === null ? null : textsOf(database, begin))),
  get: (id) => read((database) => getRecord(database, id)),
  end: (reading) => {
    readings.delete(reading);
    return null;
  },
  summary: (request) => read((database) => summarize(database, request)),
  versions: () => read(recordedVersions),
});

/** @param begun a reading that begins; null = it is under way. */
function nextSlice<T>(reading: number, begun: Iterator<T, T> | null): Slice<T> {
  // The calls of a reading are all of one kind.
  const iterator = begun ?? (readings.get(reading) as Iterator<T, T> | undefined);
  if (iterator === undefined) throw new BrokenOff();
  readings.delete(reading);
  const { done, value } = iterator.next();
  if (done === true) return { value, isLast: true };
  for (const oldest of readings.keys()) if (readings.size >= MAX_READINGS) readings.delete(oldest);
  readings.set(reading, iterator);
  return { value, isLast: false };
}

/** A reading does not go on with another connection. */
class BrokenOff extends StoreError {
  constructor() {
    super("other", "the reading was broken off");
  }
}

function* textsOf(database: Database, { filter, format }: Export): Generator<string, string> {
  for (const records of readBatches(database, filter, budget)) yield exportText(format, records);
  return "";
}

function read<T>(work: (database: Database) => T): Read<T> {
  let damage: Fault;
  try {
    return { kind: "value", value: work(connected()) };
  } catch (error) {
    if (error instanceof CursorError) return { kind: "invalid", reason: error.message };
    damage = faultOf(error);
    if (damage.kind !== "damaged") return { kind: "fault", fault: damage };
  }
  // What looks like damage may be a file that was replaced while this connection was open.
  const before = connection?.identity;
  disconnect();
  try {
    return { kind: "value", value: work(connected()) };
  } catch (error) {
    const fault = error instanceof BrokenOff && connection?.identity === before ? damage : faultOf(error);
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
  const version = Number(connection.database.prepare("PRAGMA user_version").get()?.["user_version"]);
  if (version < SCHEMA_VERSION) {
    disconnect();
    throw new StoreError(
      "outdated",
      "the file is of a version before this one, and is not brought up to date yet: who writes it does that",
    );
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
