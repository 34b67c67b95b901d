import { errorText } from "../../lib/text.ts";
import { primaryCode, resultCode } from "./database.ts";

/** What keeps a store from storing, as far as it tells what to do about it. */
export type FaultKind =
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
