import type { Database } from "../store/database.ts";
import { latencyBucket } from "../store/latency.ts";
import { firstIdAt, type Part } from "../store/schema.ts";
import type { IdRange } from "./parts.ts";
import { allRows, amongIds, type Sql } from "./rows.ts";

/** What the roll-ups of a part can say about a search. */
export interface MinuteConditions {
  /** Ids; null = any. */
  readonly kinds: readonly number[] | null;
  readonly clients: readonly number[] | null;
  readonly leastUs: number | null;
}

/**
 * The stretches of whole minutes, newest first, outside of which no row of the part meets the conditions; null where the roll-ups say nothing of them.
 * Within, rows may still fail.
 */
export function busyStretches(
  database: Database,
  { key }: Part,
  { kinds, clients, leastUs }: MinuteConditions,
): readonly IdRange[] | null {
  const sets = [
    // Id 0 stands for what was not counted by itself.
    kinds === null ? null : minutesOf(database, `kind_minutes_${key}`, amongIds("kind", [0, ...kinds])),
    clients === null ? null : minutesOf(database, `client_minutes_${key}`, amongIds("client", [0, ...clients])),
    leastUs === null
      ? null
      : minutesOf(database, `latency_minutes_${key}`, { text: "bucket >= ?", values: [latencyBucket(leastUs)] }),
  ].filter((set) => set !== null);
  const [first, ...others] = sets;
  if (first === undefined) return null;
  const minutes = others.reduce((common, set) => common.intersection(set), first);
  return stretchesOf([...minutes].sort((a, b) => b - a));
}

function minutesOf(database: Database, table: string, { text, values }: Sql): ReadonlySet<number> {
  const sql = `SELECT DISTINCT minute FROM ${table} WHERE ${text}`;
  return new Set(allRows<{ readonly minute: number }>(database, { text: sql, values }).map(({ minute }) => minute));
}

/** @param minutes newest first */
function stretchesOf(minutes: readonly number[]): readonly IdRange[] {
  const stretches: { from: number; to: number }[] = [];
  for (const minute of minutes) {
    const [from, to] = [firstIdAt(minute * 60_000), firstIdAt((minute + 1) * 60_000)];
    const last = stretches.at(-1);
    if (last?.from === to) last.from = from;
    else stretches.push({ from, to });
  }
  return stretches;
}
