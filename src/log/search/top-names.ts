import type { Database } from "../store/database.ts";
import { reversedName } from "../store/reversed-name.ts";
import { firstIdAt, hourOf } from "../store/schema.ts";
import type { FilledPart, IdRange } from "./parts.ts";
import { allRows, type Sql } from "./rows.ts";
import type { Tally } from "./tally.ts";

export interface NameTallies {
  readonly names: Tally;
  readonly blocked: Tally;
}

/** Names that are taken of one stretch of rows: as many as the roll-ups keep of a whole part. */
const MAX_NAMES = 10_000;

const HOUR_MS = 3_600_000;

/**
 * Adds how often names were asked within a range, as far as one part tells. Whole hours, and where it is within the range, the whole part are counted
 * already, the rarest names left out; the rest is counted here.
 */
export function countNames(database: Database, part: FilledPart, range: IdRange, tallies: NameTallies): void {
  for (const source of sourcesOf(part, range)) {
    const text = `
      SELECT names.text AS reversed, counted.count, counted.blocked FROM (${source.text}) AS counted
      JOIN names_${part.key} AS names ON names.id = counted.name WHERE counted.name > 0 AND names.text <> ''`;
    for (const { reversed, count, blocked } of allRows<NameCount>(database, { text, values: source.values })) {
      const name = reversedName(reversed);
      tallies.names.add(name, count);
      tallies.blocked.add(name, blocked);
    }
  }
}

interface NameCount {
  readonly reversed: string;
  readonly count: number;
  readonly blocked: number;
}

/** Statements that give `name`, `count` and `blocked`, and together every row of the range once. */
function sourcesOf(part: FilledPart, range: IdRange): Sql[] {
  const { key, state, firstId, lastId, hoursUntil } = part;
  if (state === "indexed" && range.from <= firstId && lastId < range.to)
    return [{ text: `SELECT name, count, blocked FROM name_totals_${key}`, values: [] }];
  const fromHour = range.from <= firstId ? hourOf(firstId) : Math.ceil(range.from / HOUR_IDS);
  const untilHour = lastId < range.to ? hoursUntil : Math.min(hoursUntil, Math.floor(range.to / HOUR_IDS));
  if (untilHour <= fromHour) return [rowsOf(key, range)];
  return [
    rowsOf(key, { from: range.from, to: fromHour * HOUR_IDS }),
    {
      text: `SELECT name, sum(count) AS count, sum(blocked) AS blocked FROM name_hours_${key} WHERE hour >= ? AND hour < ? GROUP BY name`,
      values: [fromHour, untilHour],
    },
    rowsOf(key, { from: untilHour * HOUR_IDS, to: range.to }),
  ];
}

/** How far apart the ids of one hour's beginning and the next one's are. */
const HOUR_IDS = firstIdAt(HOUR_MS);

function rowsOf(key: string, { from, to }: IdRange): Sql {
  return {
    text: `
      SELECT q.name AS name, count(*) AS count, sum(kinds.blocked) AS blocked FROM q_${key} AS q JOIN kinds_${key} AS kinds ON kinds.id = q.kind
      WHERE q.id >= ? AND q.id < ? GROUP BY q.name ORDER BY count DESC LIMIT ${MAX_NAMES}`,
    values: [from, to],
  };
}
