import type { QueryRecord } from "../record.ts";
import type { Database } from "./database.ts";
import { rowOf, type StoredRow } from "./row.ts";
import { selectRecords } from "./schema.ts";

/** Ids of one millisecond: with so many taken one after the other, something else is wrong. */
const MAX_TRIES = 1024;

/**
 * The id under which a record can be stored: its own, or where another query bears that, the next that is free. Two queries get the same one where the
 * clock was set back while the process was not running, or where two processes add to one file. null = this very record is stored, as when a batch is
 * sent again because its thread ended before it could answer.
 * @throws RangeError where none is near; an error of SQLite.
 */
export function freeId(database: Database, record: QueryRecord): number | null {
  for (let id = record.id; id < record.id + MAX_TRIES; id++) {
    const stored = storedRow(database, id);
    if (stored === null) return id;
    if (isSame(stored, rowOf({ ...record, id }))) return null;
  }
  throw new RangeError(`no id is free from ${record.id} on`);
}

/** Looks into the live part whatever the table of parts says of it, which is not brought up to date before the end of a batch. */
function storedRow(database: Database, id: number): StoredRow | null {
  const parts = database.prepare("SELECT key FROM parts WHERE state = 'live' OR (first_id <= ?1 AND last_id >= ?1)").all(id);
  for (const { key } of parts) {
    // Most ids are free, and to prepare the whole statement takes longer than a record to be added.
    if (database.prepare(`SELECT 1 FROM q_${String(key)} WHERE id = ?`).get(id) === undefined) continue;
    const stored = database.prepare(`${selectRecords(String(key))} WHERE q.id = ?`).get(id);
    // The columns are those of `StoredRow`.
    if (stored !== undefined) return stored as unknown as StoredRow;
  }
  return null;
}

function isSame(stored: StoredRow, row: StoredRow): boolean {
  const values: Readonly<Record<string, unknown>> = { ...stored };
  return Object.entries(row).every(([column, value]) => values[column] === value);
}
