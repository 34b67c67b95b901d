import type { Database } from "../store/database.ts";
import { reversedName } from "../store/reversed-name.ts";
import { firstIdAt, hourOf } from "../store/schema.ts";
import type { Count } from "../summary.ts";
import type { FilledPart, IdRange } from "./parts.ts";
import { allRows, type Sql } from "./rows.ts";
import type { Tally } from "./tally.ts";

export interface NameTallies {
  /** By names with their labels in reverse order. */
  readonly names: Tally;
  readonly blocked: Tally;
}

/** Names that are taken of one stretch of time: the most asked, and besides the most blocked. */
const NAMES_TAKEN = { asked: 2000, blocked: 500 } as const;

const HOUR_MS = 3_600_000;

/**
 * Adds how often names were asked within a range, as far as one part tells. Whole hours, and where all of it is within the range, the whole part are
 * counted already, the rarest names left out; the rest is counted here.
 */
export function countNames(database: Database, part: FilledPart, range: IdRange, { names, blocked }: NameTallies): void {
  for (const { text, values, isTable } of sourcesOf(part, range)) {
    // What has to be counted first is not to be counted twice.
    const most = `
      WITH counted AS ${isTable ? "NOT MATERIALIZED" : "MATERIALIZED"} (${text}), taken AS (
        SELECT * FROM (SELECT * FROM counted WHERE name > 0 ORDER BY count DESC LIMIT ${NAMES_TAKEN.asked})
        UNION SELECT * FROM (SELECT * FROM counted WHERE name > 0 AND blocked > 0 ORDER BY blocked DESC LIMIT ${NAMES_TAKEN.blocked})
      ) SELECT dictionary.text AS reversed, taken.count, taken.blocked FROM taken
      JOIN names_${part.key} AS dictionary ON dictionary.id = taken.name WHERE dictionary.text <> ''`;
    for (const row of allRows<NameCount>(database, { text: most, values })) {
      names.add(row.reversed, row.count);
      if (row.blocked > 0) blocked.add(row.reversed, row.blocked);
    }
  }
}

/** The names of a tally as they are written. */
export function topNames(tally: Tally, limit: number): Count[] {
  return tally.top(limit).map(({ key, count }) => ({ key: reversedName(key), count }));
}

interface NameCount {
  readonly reversed: string;
  readonly count: number;
  readonly blocked: number;
}

interface Source extends Sql {
  /** Whether it is read as it lies in the store. */
  readonly isTable: boolean;
}

/** Statements that give `name`, `count` and `blocked`, and together every row of the range once. */
function sourcesOf(part: FilledPart, range: IdRange): Source[] {
  const { key, state, firstId, lastId, hoursUntil } = part;
  if (state === "indexed" && range.from <= firstId && lastId < range.to)
    return [{ text: `SELECT name, count, blocked FROM name_totals_${key}`, values: [], isTable: true }];
  const fromHour = range.from <= firstId ? hourOf(firstId) : Math.ceil(range.from / HOUR_IDS);
  const untilHour = lastId < range.to ? hoursUntil : Math.min(hoursUntil, Math.floor(range.to / HOUR_IDS));
  if (untilHour <= fromHour) return [rowsOf(key, range)];
  return [
    rowsOf(key, { from: range.from, to: fromHour * HOUR_IDS }),
    {
      text: `SELECT name, sum(count) AS count, sum(blocked) AS blocked FROM name_hours_${key} WHERE hour >= ? AND hour < ? GROUP BY name`,
      values: [fromHour, untilHour],
      isTable: false,
    },
    rowsOf(key, { from: untilHour * HOUR_IDS, to: range.to }),
  ];
}

/** How far apart the ids of one hour's beginning and the next one's are. */
const HOUR_IDS = firstIdAt(HOUR_MS);

function rowsOf(key: string, { from, to }: IdRange): Source {
  return {
    text: `
      SELECT q.name AS name, count(*) AS count, sum(kinds.blocked) AS blocked FROM q_${key} AS q JOIN kinds_${key} AS kinds ON kinds.id = q.kind
      WHERE q.id >= ? AND q.id < ? GROUP BY q.name`,
    values: [from, to],
    isTable: false,
  };
}
