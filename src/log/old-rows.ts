import { type BlockRow, BlockWriter } from "./blocks.ts";
import type { Database } from "./database.ts";
import { allRows } from "./dictionary-search.ts";
import { blockTables, SCHEMA_VERSION } from "./schema.ts";

/** Rows that are brought into blocks at a time: some tens of milliseconds. */
const STEP_ROWS = 20_000;

/**
 * Takes over the parts of a store of version 1 or 2, where each row was a row of a table `q_K`: they are closed, and their rows are to be brought into
 * blocks (`convertOldRows`) before they are found. To be called within a transaction.
 */
export function adoptOldParts(database: Database): void {
  const version = Number(database.prepare("PRAGMA user_version").get()?.["user_version"]);
  if (version === 0 || version === SCHEMA_VERSION) return;
  for (const { key } of database.prepare("SELECT key FROM parts").all()) database.exec(blockTables(String(key)));
  database.exec("ALTER TABLE parts DROP COLUMN hours_until; UPDATE parts SET state = 'closed'");
}

/** Brings some of the rows of a part into blocks, the newest first. @returns whether there were any tables of before. */
export function convertOldRows(database: Database, key: string): boolean {
  const there = database.prepare("SELECT count(*) AS tables FROM sqlite_schema WHERE name = ?").get(`q_${key}`);
  if (there?.["tables"] === 0) return false;
  database.exec(
    `DROP INDEX IF EXISTS q_${key}_client; DROP INDEX IF EXISTS q_${key}_name;
     DROP TABLE IF EXISTS name_hours_${key}; DROP TABLE IF EXISTS name_totals_${key}`,
  );
  const text = `SELECT id, name, client, kind, details, answers, ttls, duration_us AS durationUs, size, line, attempt_ms AS attemptMs,
    negative_ttl AS negativeTtl, lag_ms AS lagMs, matches FROM q_${key} ORDER BY id DESC LIMIT ${STEP_ROWS}`;
  const rows = allRows<BlockRow>(database, { text, values: [] });
  const writer = new BlockWriter(database, key);
  for (const row of rows.toReversed()) writer.add(row);
  writer.write();
  const lowest = rows.at(-1);
  if (lowest === undefined) database.exec(`DROP TABLE q_${key}`);
  else database.prepare(`DELETE FROM q_${key} WHERE id >= ?`).run(lowest.id);
  return true;
}

/** The statement that drops what is left of a part's tables of before. */
export function dropOldRows(key: string): string {
  return ["q", "name_hours", "name_totals"].map((table) => `DROP TABLE IF EXISTS ${table}_${key};`).join("\n");
}
