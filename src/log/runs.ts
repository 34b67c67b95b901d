import type { Database } from "./database.ts";
import { allRows, type Sql } from "./dictionary-search.ts";
import { allParts } from "./maintenance.ts";
import { wallMsOf } from "./schema.ts";

/**
 * When the log recorded. A run is a stretch of time of which every record was stored; `alive` is when the server last said so, once a minute. Between two
 * runs the server was not running, or records were lost: nobody may take the silence for a time without queries. Versions of the server that know nothing
 * of this table leave it as it is.
 */
export const RUNS_TABLE = `
CREATE TABLE IF NOT EXISTS runs (
  id INTEGER PRIMARY KEY, started INTEGER NOT NULL, alive INTEGER NOT NULL, lost INTEGER NOT NULL
) STRICT`;

/** What the log says of itself at a moment. */
export interface RunMark {
  readonly wallMs: number;
  /** Whether another run begins: at the start, after records were lost, after the machine slept or its clock was set. */
  readonly isNew: boolean;
  /** Records that were lost since the mark before. */
  readonly lost: number;
}

/** A stretch of time of which the log knows nothing, or not everything. */
export interface Gap {
  readonly fromMs: number;
  readonly toMs: number;
  /** Records that were lost; 0 = the server, or its log, was not running. */
  readonly lost: number;
}

/** More would be a server that does nothing but start. */
const MOST_RUNS = 1000;

/** To be called within a transaction. @throws an error of SQLite. */
export function writeRun(database: Database, { wallMs, isNew, lost }: RunMark): void {
  const at = Math.floor(wallMs);
  const continued = isNew
    ? 0
    : database.prepare("UPDATE runs SET alive = ? WHERE id = (SELECT max(id) FROM runs)").run(at).changes;
  if (Number(continued) > 0) return;
  database.prepare("INSERT INTO runs (started, alive, lost) VALUES (?, ?, ?)").run(at, at, lost);
  database.prepare("DELETE FROM runs WHERE id <= (SELECT max(id) FROM runs) - ?").run(MOST_RUNS);
}

interface Run {
  readonly started: number;
  readonly alive: number;
  readonly lost: number;
}

/** A shorter one is no gap: a log that is replaced by a reload loses nothing. */
const SHORTEST_GAP_MS = 1000;

/** The gaps of a period, oldest first. @throws an error of SQLite. */
export function gapsWithin(database: Database, period: { readonly fromMs: number; readonly toMs: number }): readonly Gap[] {
  const runs = readRuns(database);
  const [first] = runs;
  if (first === undefined) return [];
  const gaps: Gap[] = [];
  // Records that are older than the first run are of a server that wrote no runs.
  let knownUntil = oldestRecordMs(database) < first.started ? first.started : period.fromMs;
  for (const { started, alive, lost } of runs) {
    const gap = { fromMs: Math.max(knownUntil, period.fromMs), toMs: Math.min(started, period.toMs), lost };
    if (gap.toMs - gap.fromMs >= SHORTEST_GAP_MS) gaps.push(gap);
    knownUntil = Math.max(knownUntil, alive);
  }
  return gaps;
}

function readRuns(database: Database): readonly Run[] {
  const there: Sql = { text: "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'runs'", values: [] };
  if (allRows(database, there).length === 0) return [];
  return allRows<Run>(database, { text: "SELECT started, alive, lost FROM runs ORDER BY started", values: [] });
}

function oldestRecordMs(database: Database): number {
  const ids = allParts(database).flatMap(({ firstId }) => (firstId === null ? [] : [firstId]));
  return wallMsOf(Math.min(...ids));
}
