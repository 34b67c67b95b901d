import type { Database } from "./database.ts";
import type { FilterMatcher, QueryFilter } from "./filter.ts";
import { type FilterTests, globLiteral, type KindFields } from "./filter-tests.ts";
import { type Partition, reversedBelow, reversedName } from "./schema.ts";

/**
 * Which entries of a dictionary the filter leaves. `all`: no condition concerns it. `ids`: these. `many`: more than are worth counting, or there was
 * no time to; rows are to be tried by their text.
 */
export type Chosen = { readonly kind: "all" | "many" } | { readonly kind: "ids"; readonly ids: readonly number[] };

/** With more names or answers than these, so many rows fit, most likely, that the newest are found at once. */
const MAX_IDS = 2000;

/**
 * Entries that are looked through between two looks at the clock. SQLite itself cannot be stopped; with a hundred patterns these take it some
 * tens of milliseconds.
 */
const CHUNK_ENTRIES = 2000;

/** What is looked up, and in which part. */
export interface Lookup {
  readonly database: Database;
  readonly part: Partition;
  readonly filter: QueryFilter;
  readonly tests: FilterTests;
  /** Whether names and answers are to be looked up no further: what the whole dictionary would say is then told row by row. */
  readonly expired: () => boolean;
}

export function chosenKinds({ database, part, tests }: Lookup): Chosen {
  if (tests.kind === null) return { kind: "all" };
  const text = `SELECT id, type, rcode, rule, upstream, route, source, action FROM kinds_${part.key} WHERE id > 0`;
  const kinds = allRows<KindFields & { readonly id: number }>(database, { text, values: [] });
  return { kind: "ids", ids: kinds.filter(tests.kind).map(({ id }) => id) };
}

export function chosenClients({ database, part, tests }: Lookup): Chosen {
  if (tests.client === null) return { kind: "all" };
  const text = `SELECT id, address AS client, client_id AS clientId FROM clients_${part.key} WHERE id > 0`;
  const clients = allRows<{ readonly id: number; readonly client: string; readonly clientId: string | null }>(database, {
    text,
    values: [],
  });
  return { kind: "ids", ids: clients.filter(tests.client).map(({ id }) => id) };
}

/** Looks through the dictionary, or with the index of a part that has one, through a stretch of it, until there are too many. */
export function chosenNames(lookup: Lookup): Chosen {
  const { part, filter, tests } = lookup;
  const test = tests.name;
  if (test === null) return { kind: "all" };
  const wanted = wantedOf(filter, "name");
  if (wanted === null) return { kind: "many" };
  const condition = eitherOf(wanted.map(nameCandidates));
  const byIndex = part.state === "indexed" && wanted.every(({ kind }) => kind === "equals" || kind === "within");
  const candidates = byIndex ? entriesOf(lookup, "names", condition) : entriesByChunks(lookup, "names", condition);
  return idsOf(candidates, (name) => test(reversedName(name)), lookup.expired);
}

export function chosenAnswers(lookup: Lookup): Chosen {
  const test = lookup.tests.answers;
  if (test === null) return { kind: "all" };
  const wanted = wantedOf(lookup.filter, "answer");
  if (wanted === null) return { kind: "many" };
  const candidates = entriesByChunks(lookup, "answers", eitherOf(wanted.map(answerCandidates)));
  return idsOf(candidates, (answers) => test(answers.split("\n")), lookup.expired);
}

type Texts = "names" | "answers";

interface Entry {
  readonly id: number;
  readonly text: string;
}

/** What must be found for a record to fit; null where it is only said what must not. */
function wantedOf({ conditions }: QueryFilter, field: "name" | "answer"): readonly FilterMatcher[] | null {
  return conditions.find((condition) => condition.field === field && !condition.negated)?.anyOf ?? null;
}

function idsOf(candidates: Iterable<Entry>, test: (text: string) => boolean, expired: () => boolean): Chosen {
  const ids: number[] = [];
  for (const { id, text } of candidates) {
    if (expired()) break;
    if (!test(text)) continue;
    if (ids.length === MAX_IDS) return { kind: "many" };
    ids.push(id);
  }
  return expired() ? { kind: "many" } : { kind: "ids", ids };
}

function entriesOf({ database, part }: Lookup, texts: Texts, { text, values }: Sql): Iterable<Entry> {
  return eachRow<Entry>(database, { text: `SELECT id, text FROM ${texts}_${part.key} WHERE id > 0 AND (${text})`, values });
}

/** Ends early when the time is used up. */
function* entriesByChunks({ database, part, expired }: Lookup, texts: Texts, { text, values }: Sql): Generator<Entry> {
  const table = `${texts}_${part.key}`;
  const last =
    firstRow<{ readonly id: number | null }>(database, { text: `SELECT max(id) AS id FROM ${table}`, values: [] })?.id ?? 0;
  for (let from = 1; from <= last && !expired(); from += CHUNK_ENTRIES)
    yield* eachRow<Entry>(database, {
      text: `SELECT id, text FROM ${table} WHERE id >= ? AND id < ? AND (${text})`,
      values: [from, from + CHUNK_ENTRIES, ...values],
    });
}

/** All names that may fit, and perhaps others. In the dictionary their labels are in reverse order. */
function nameCandidates(matcher: FilterMatcher): Sql {
  switch (matcher.kind) {
    case "equals":
      return { text: "text = ?", values: [reversedName(matcher.text)] };
    case "within": {
      const { from, to } = reversedBelow(matcher.text);
      return { text: "(text = ? OR (text >= ? AND text < ?))", values: [reversedName(matcher.text), from, to] };
    }
    case "glob": {
      // A stretch without a dot stands within one label, and there the same in reverse order of the labels.
      const literal = globLiteral(matcher.text.replaceAll(".", "*"));
      return { text: "instr(text, ?)", values: [literal] };
    }
    case "regexp":
    case "prefix":
    case "atLeast":
      return ANYTHING;
  }
}

const ANYTHING: Sql = { text: "TRUE", values: [] };

/** LIKE takes capital letters of the alphabet for small ones, and no others. */
function answerCandidates(matcher: FilterMatcher): Sql {
  if (!("text" in matcher) || !/^[\0-\x7f]*$/.test(matcher.text)) return ANYTHING;
  const literal = matcher.kind === "glob" ? globLiteral(matcher.text) : matcher.text;
  return { text: "text LIKE ? ESCAPE '\\'", values: [`%${literal.replace(/[\\%_]/g, "\\$&")}%`] };
}

function eitherOf(sources: readonly Sql[]): Sql {
  return { text: sources.map(({ text }) => text).join(" OR "), values: sources.flatMap(({ values }) => values) };
}

type SqlValue = string | number | null;

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
