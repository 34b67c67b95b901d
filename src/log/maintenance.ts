import { type Database, inSnapshot, inTransaction } from "./database.ts";
import { dropPartTables, firstIdAt, hourOf, type Partition, partIndexes, SELECT_PARTS } from "./schema.ts";

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

/** How long after the end of an hour its names are counted: records wait that long at most unless something is wrong. */
const LATE_MS = 60_000;

/** When a part is closed. */
export function partLimits({ keepMs, maxRows, partRows }: PartitionLimits): { readonly rows: number; readonly spanMs: number } {
  const least = Math.min(PART_ROWS.least, Math.floor(maxRows / 2));
  const wanted = partRows ?? Math.max(least, Math.floor(maxRows / PARTS_KEPT.byRows));
  return {
    rows: Math.max(1, Math.min(PART_ROWS.most, wanted)),
    spanMs: Math.min(DAY_MS, Math.floor(keepMs / PARTS_KEPT.byTime)),
  };
}

/** Names that are kept of an hour, and of a part: the most asked, and besides the most blocked. All that are left are counted as one. */
const NAMES_KEPT = { hour: { asked: 2000, blocked: 500 }, total: { asked: 10_000, blocked: 2000 } } as const;

export function allParts(database: Database): readonly Partition[] {
  // The columns are those of `Part`.
  return database.prepare(SELECT_PARTS).all() as unknown as readonly Partition[];
}

/**
 * Does the next thing that is due to closed parts, in a transaction of its own: drops what is too old or too much, counts names, adds
 * indexes. Each takes well below a second on half a million rows, so that rows which wait to be added do not wait long.
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
  for (const part of parts) {
    if (part.state === "closed") {
      finishPart(database, part);
      return true;
    }
    if (part.state === "live" && part.hoursUntil < hourOf(firstIdAt(nowWallMs - LATE_MS)) && part.firstId !== null) {
      countNextHour(database, part);
      return true;
    }
  }
  return false;
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
  database.exec(dropPartTables(key));
  database.prepare("DELETE FROM parts WHERE key = ?").run(key);
}

/** One step towards a part that is quick to search; the last of them says so. */
function finishPart(database: Database, part: Partition): void {
  const { key, lastId } = part;
  if (lastId !== null && part.hoursUntil <= hourOf(lastId)) {
    countNextHour(database, part);
    return;
  }
  const there = database.prepare("SELECT count(*) AS there FROM sqlite_schema WHERE type = 'index' AND name = ?");
  for (const { name, statement } of partIndexes(key)) {
    if (there.get(name)?.["there"] === 0) {
      database.exec(statement);
      return;
    }
  }
  countNames(database, { part: key, into: `name_totals_${key}`, hour: null });
  database.prepare("UPDATE parts SET state = 'indexed' WHERE key = ?").run(key);
}

/** Counts the names of the first hour that is not counted yet, or has got further rows, and goes on behind it to the next that has rows. */
function countNextHour(database: Database, { key, hoursUntil }: Partition): void {
  database.prepare(`DELETE FROM name_hours_${key} WHERE hour = ?`).run(hoursUntil);
  countNames(database, { part: key, into: `name_hours_${key}`, hour: hoursUntil });
  const next = database.prepare(`SELECT min(id) AS id FROM q_${key} WHERE id >= ?`).get(hourStart(hoursUntil + 1))?.["id"];
  const hour = typeof next === "number" ? Math.max(hoursUntil + 1, hourOf(next)) : hoursUntil + 1;
  database.prepare("UPDATE parts SET hours_until = ? WHERE key = ?").run(hour, key);
}

/**
 * Writes how often each name was asked in an hour, or in the whole part. What was blocked is counted apart: without the kinds, an index by name tells
 * the rest by itself, which is five times as quick.
 */
function countNames(database: Database, { part, into, hour }: { part: string; into: string; hour: number | null }): void {
  const { asked, blocked } = hour === null ? NAMES_KEPT.total : NAMES_KEPT.hour;
  const columns = hour === null ? "" : "?3, ";
  const within = hour === null ? "TRUE" : "id >= ?4 AND id < ?5";
  const bounds = hour === null ? [] : [hour, hourStart(hour), hourStart(hour + 1)];
  database
    .prepare(
      `INSERT OR REPLACE INTO ${into}
       WITH asked AS (SELECT name, count(*) AS count FROM q_${part} WHERE ${within} GROUP BY name),
       blocked AS MATERIALIZED (
         SELECT name, count(*) AS count FROM q_${part} WHERE kind IN (SELECT id FROM kinds_${part} WHERE blocked) AND ${within} GROUP BY +name
       ), counted AS MATERIALIZED (
         SELECT asked.name AS name, asked.count AS count, coalesce(blocked.count, 0) AS blocked FROM asked LEFT JOIN blocked ON blocked.name = asked.name
       ), ranked AS (
         SELECT *, row_number() OVER (ORDER BY count DESC, name) AS by_count, row_number() OVER (ORDER BY blocked DESC, name) AS by_blocked
         FROM counted
       )
       SELECT ${columns} CASE WHEN by_count <= ?1 OR (blocked > 0 AND by_blocked <= ?2) THEN name ELSE 0 END AS kept, sum(count), sum(blocked)
       FROM ranked GROUP BY kept`,
    )
    .run(asked, blocked, ...bounds);
}

function hourStart(hour: number): number {
  return firstIdAt(hour * 3_600_000);
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
