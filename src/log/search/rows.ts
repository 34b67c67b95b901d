import type { Database } from "../store/database.ts";

export type SqlValue = string | number | null;

/** A condition or a source of rows, its values left out of the text. */
export interface Sql {
  readonly text: string;
  readonly values: readonly SqlValue[];
}

export function allRows<Row>(database: Database, { text, values }: Sql): readonly Row[] {
  // What columns a statement gives, its writer knows; the types of node:sqlite do not.
  return database.prepare(text).all(...values) as unknown as readonly Row[];
}

/** Rows of numbers as arrays, which cost a third of what objects do: for what is read by the hundred thousand. */
export function numberRows(database: Database, { text, values }: Sql): readonly (readonly number[])[] {
  const statement = database.prepare(text);
  statement.setReturnArrays(true);
  // As in `allRows`.
  return statement.all(...values) as unknown as readonly (readonly number[])[];
}

export function firstRow<Row>(database: Database, sql: Sql): Row | null {
  return allRows<Row>(database, sql)[0] ?? null;
}

/** Rows one by one, for those who may stop early: nothing is read ahead. */
export function eachRow<Row>(database: Database, { text, values }: Sql): Iterable<Row> {
  // As in `allRows`.
  return database.prepare(text).iterate(...values) as unknown as Iterable<Row>;
}

/** `column IN (…)` for any number of ids. */
export function amongIds(column: string, ids: Iterable<number>): Sql {
  return { text: `${column} IN (SELECT value FROM json_each(?))`, values: [JSON.stringify([...ids])] };
}

/** All of these conditions; without any, no restriction. */
export function allOf(conditions: readonly Sql[]): Sql {
  return {
    text: conditions.length === 0 ? "TRUE" : conditions.map(({ text }) => text).join(" AND "),
    values: conditions.flatMap(({ values }) => values),
  };
}
