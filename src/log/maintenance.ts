import { packBlocks } from "./blocks.ts";
import { type Database, inSnapshot, inTransaction } from "./database.ts";
import { convertOldRows, dropOldRows } from "./old-rows.ts";
import { dropPartTables, firstIdAt, nameIndex, type Partition, SELECT_PARTS } from "./schema.ts";

export interface PartitionLimits {
  readonly keepMs: number;
  readonly maxRows: number;
  /** Rows of a part; absent = as `maxRows` wants it. */
  readonly partRows?: number;
}

/**
 * Whole parts are dropped, so a limit holds as closely as a part is small: a 25th of the rows, a quarter of the time. Small parts also keep upkeep
 * short, and what has to be looked through for lack of an index; large ones keep searches through all of them quick.
 */
const PARTS_KEPT = { byRows: 25, byTime: 4 } as const;

/**
 * A part costs some milliseconds to make, to index and to drop, which small parts would spend on few rows. Where few rows are kept there are two parts,
 * and between half and all of the rows are there.
 */
const PART_ROWS = { least: 50_000, most: 500_000 } as const;
const DAY_MS = 86_400_000;

/** When a part is closed. */
export function partLimits({ keepMs, maxRows, partRows }: PartitionLimits): { readonly rows: number; readonly spanMs: number } {
  const least = Math.min(PART_ROWS.least, Math.floor(maxRows / 2));
  const wanted = partRows ?? Math.max(least, Math.floor(maxRows / PARTS_KEPT.byRows));
  return {
    rows: Math.max(1, Math.min(PART_ROWS.most, wanted)),
    spanMs: Math.min(DAY_MS, Math.floor(keepMs / PARTS_KEPT.byTime)),
  };
}

export function allParts(database: Database): readonly Partition[] {
  // The columns are those of `Part`.
  return database.prepare(SELECT_PARTS).all() as unknown as readonly Partition[];
}

/**
 * Does the next thing that is due to closed parts, in a transaction of its own: drops what is too old or too much, makes what stays quick to
 * search. Each takes well below a second on half a million rows, so that rows which wait to be added do not wait long.
 * @returns whether anything was due.
 */
export function runMaintenance(database: Database, limits: PartitionLimits, nowWallMs: number): boolean {
  return inTransaction(database, () => maintainPartitions(database, limits, nowWallMs)) || shrinkOnce(database);
}

function maintainPartitions(database: Database, limits: PartitionLimits, nowWallMs: number): boolean {
  const parts = allParts(database);
  const due = surplusPart(parts, limits, nowWallMs);
  if (due !== null) {
    dropPart(database, due);
    return true;
  }
  const closed = parts.find(({ state }) => state === "closed");
  if (closed === undefined) return false;
  finishPart(database, closed);
  return true;
}

/** Room that dropped parts leave is used by new ones. The file is made smaller only where most of it is empty, as when less is to be kept than before. */
function shrinkOnce(database: Database): boolean {
  const free = pragma(database, "freelist_count");
  if (free < SHRINK_PAGES.least || free < pragma(database, "page_count") / 2) return false;
  database.exec(`PRAGMA incremental_vacuum(${SHRINK_PAGES.atOnce})`);
  return pragma(database, "freelist_count") < free;
}

const SHRINK_PAGES = { least: 256, atOnce: 2000 } as const;

function pragma(database: Database, name: string): number {
  return Number(database.prepare(`PRAGMA ${name}`).get()?.[name]);
}

/**
 * A part that has to go: its last record is too old, or it is the first that was made and there are too many rows. Where the clock was ahead, a part is
 * of a time to come: that goes with what was made after it. null = none.
 */
function surplusPart(parts: readonly Partition[], { keepMs, maxRows }: PartitionLimits, nowWallMs: number): Partition | null {
  const closed = parts.filter(({ state }) => state !== "live").sort((a, b) => a.serial - b.serial);
  const empty = closed.find(({ lastId }) => lastId === null);
  if (empty !== undefined) return empty;
  const old = closed.findLast(({ lastId }) => (lastId ?? 0) < firstIdAt(nowWallMs - keepMs));
  if (old !== undefined)
    return closed.find(({ serial, firstId }) => serial < old.serial && (firstId ?? 0) > firstIdAt(nowWallMs)) ?? old;
  const rows = parts.reduce((sum, part) => sum + part.rows, 0);
  return rows > maxRows ? (closed[0] ?? null) : null;
}

function dropPart(database: Database, { key }: Partition): void {
  database.exec(`${dropPartTables(key)}\n${dropOldRows(key)}`);
  database.prepare("DELETE FROM parts WHERE key = ?").run(key);
}

/** One step towards a part that is quick to search; the last of them says so. */
function finishPart(database: Database, { key }: Partition): void {
  if (convertOldRows(database, key) || packBlocks(database, key)) return;
  database.exec(nameIndex(key));
  database.prepare("UPDATE parts SET state = 'indexed' WHERE key = ?").run(key);
}

/** Every version of configuration and lists that a record bears. @throws an error of SQLite. */
export function recordedVersions(database: Database): readonly string[] {
  const versions = new Set<string>();
  inSnapshot(database, () => {
    for (const { key } of allParts(database))
      for (const { version } of database.prepare(`SELECT DISTINCT version FROM kinds_${key} WHERE id > 0`).all())
        versions.add(String(version));
  });
  return [...versions];
}
