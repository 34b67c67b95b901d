/**
 * The tables of the query log. Rows are kept in parts: one for each UTC day, and a further one whenever a part has as many rows or lasted as long
 * as it may (`partLimits`). A part is a set of tables of its own, its dictionaries and roll-ups included, so that what is too old goes by dropping
 * tables, and nothing that a dictionary holds outlives the rows that speak of it.
 *
 * In the name of each table stands the key of its part, here `K`: `20261121`, `20261121_1`, …
 *
 *     blocks_K       which blocks of rows there are, each with its lowest and its highest id
 *     columns_K      what is in the columns of each block (`blocks.ts`): a row of the table for each
 *     names_K        names, labels reversed (`reversedName`)
 *     clients_K      address and client id
 *     kinds_K        what few combinations of values there are: transport … version
 *     details_K      how a comparison chose, attempts, extended errors and edits, without what differs from query to query (`Details`)
 *     answers_K      answer sections without TTLs: `A 192.0.2.1` lines, one a record, parted by line feeds
 *     kind_minutes_K     queries by minute and kind: everything that a kind tells can be counted from it
 *     client_minutes_K   queries by minute and client
 *     latency_minutes_K  queries by minute and bucket of latency (`latencyBucket`), those that an upstream was asked for apart (`asked` = 1)
 *
 * A dictionary may hold the same text under two ids, because the memory of what it holds is bounded: conditions are to be written with
 * `IN`, sums to be grouped by text. In roll-ups the id 0 stands for all that found no room among the entries of its own: the clients and kinds of
 * this id bear the text of `OTHERS` in every column.
 *
 * Beside the parts stand `parts`, which of them there are, and `runs` (`runs.ts`), when the log recorded.
 *
 * Parts may overlap in time where the clock of the machine was set back, and so may the blocks of a part; those of an indexed one do not. Its
 * `names_K` has an index by text.
 */
export interface Partition {
  /** The end of its tables' names. */
  readonly key: string;
  /** `live`: rows are added. `closed`: no more. `indexed`: no more, and it is as quick to search as it gets. */
  readonly state: "live" | "closed" | "indexed";
  /** Of two parts the one that was made later has the higher one, whatever the clock said. */
  readonly serial: number;
  /** The lowest; null where it is empty. */
  readonly firstId: number | null;
  readonly lastId: number | null;
  readonly rows: number;
}

/** From one id up to another, which is not included. */
export interface IdRange {
  readonly from: number;
  readonly to: number;
}

/** Text of id 0 in `clients` and `kinds`. */
const OTHERS = "others";

/** `PRAGMA application_id` of our files: "FLLG" as an integer. */
export const APPLICATION_ID = 0x46_4c_4c_47;

/**
 * Goes up with every change to the tables; `PRAGMA user_version`. Up to version 2 each row was a row of a table; up to version 1 it bore its trace, in
 * `details` and `matches`. Both are brought into blocks (`old-rows.ts`).
 */
export const SCHEMA_VERSION = 3;

/** What the file holds besides parts: which of them there are. */
export const PARTS_TABLE = `
CREATE TABLE IF NOT EXISTS parts (
  key TEXT PRIMARY KEY, day INTEGER NOT NULL, sequence INTEGER NOT NULL, state TEXT NOT NULL,
  first_id INTEGER, last_id INTEGER, row_count INTEGER NOT NULL
) STRICT`;

/** Newest first; rows fit `Part`. */
export const SELECT_PARTS = `
SELECT key, state, rowid AS serial, first_id AS firstId, last_id AS lastId, row_count AS "rows"
FROM parts ORDER BY last_id DESC, day DESC, sequence DESC`;

/** The columns of `kinds_K` that describe a query, in their order. `blocked` is 1 where its action is `block` or `drop`. */
export const KIND_COLUMNS = [
  "transport",
  "http",
  "method",
  "type",
  "rcode",
  "source",
  "action",
  "rule",
  "list",
  "route",
  "upstream",
  "version",
] as const;

export type KindColumn = (typeof KIND_COLUMNS)[number];

/** The statements that make the tables of a part that hold its rows. */
export function blockTables(key: string): string {
  return `
CREATE TABLE blocks_${key} (
  block INTEGER PRIMARY KEY, first_id INTEGER NOT NULL, last_id INTEGER NOT NULL, row_count INTEGER NOT NULL
) STRICT;
CREATE TABLE columns_${key} (place INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT;
`;
}

/** The statements that make all tables of a part. */
export function partTables(key: string): string {
  return `${blockTables(key)}
CREATE TABLE names_${key} (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;
CREATE TABLE clients_${key} (id INTEGER PRIMARY KEY, address TEXT NOT NULL, client_id TEXT) STRICT;
CREATE TABLE kinds_${key} (
  id INTEGER PRIMARY KEY, ${KIND_COLUMNS.map((column) => `${column} TEXT`).join(", ")}, blocked INTEGER NOT NULL
) STRICT;
CREATE TABLE details_${key} (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;
CREATE TABLE answers_${key} (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;
CREATE TABLE kind_minutes_${key} (
  minute INTEGER NOT NULL, kind INTEGER NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (minute, kind)
) STRICT, WITHOUT ROWID;
CREATE TABLE client_minutes_${key} (
  minute INTEGER NOT NULL, client INTEGER NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (minute, client)
) STRICT, WITHOUT ROWID;
CREATE TABLE latency_minutes_${key} (
  minute INTEGER NOT NULL, asked INTEGER NOT NULL, bucket INTEGER NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (minute, asked, bucket)
) STRICT, WITHOUT ROWID;
INSERT INTO clients_${key} VALUES (0, '${OTHERS}', NULL);
INSERT INTO kinds_${key} VALUES (0, ${KIND_COLUMNS.map(() => `'${OTHERS}'`).join(", ")}, 0);
`;
}

const TABLES = [
  "blocks",
  "columns",
  "names",
  "clients",
  "kinds",
  "details",
  "answers",
  "kind_minutes",
  "client_minutes",
  "latency_minutes",
];

/** The statements that drop a part's tables. */
export function dropPartTables(key: string): string {
  return TABLES.map((table) => `DROP TABLE IF EXISTS ${table}_${key};`).join("\n");
}

/** The statement that makes the names of a closed part quick to find. */
export function nameIndex(key: string): string {
  return `CREATE INDEX IF NOT EXISTS names_${key}_text ON names_${key} (text)`;
}

/** Ids of a time: of all records made in this millisecond or later, none is lower. */
export function firstIdAt(wallMs: number): number {
  return wallMs * 1024;
}

export function wallMsOf(id: number): number {
  return Math.floor(id / 1024);
}

/** How far ids may run ahead of the clock: longer than any query waits for its answer, which is counted from when it came. */
export const MAX_AHEAD_MS = 60_000;

/** Each time that the clock is set back the counter of each millisecond begins elsewhere, so that ids of a time that comes again are others than before. */
const BEGINNINGS = { count: 8, apart: 128 } as const;

/**
 * Gives records their ids: the millisecond times 1024, plus a counter in steps of two. They rise, also where the wall clock is set back a little or more than 512 are
 * wanted in one millisecond: then they run ahead of the clock until it has caught up. Where it is set back by more than a minute they follow it, or
 * for as long as it was wrong no search by time would find what comes.
 */
export class RecordIds {
  readonly #lane: 0 | 1;
  #last = 0;
  #turn = 0;

  /** @param lane two threads give ids at the same time, one the even ones, the other the odd ones. */
  constructor(lane: 0 | 1 = 0) {
    this.#lane = lane;
  }

  /** @param wallMs when the query came, in whole milliseconds since 1970. */
  next(wallMs: number): number {
    if (firstIdAt(wallMs + MAX_AHEAD_MS) < this.#last) {
      this.#turn++;
      this.#last = 0;
    }
    const begun = firstIdAt(Math.floor(wallMs)) + (this.#turn % BEGINNINGS.count) * BEGINNINGS.apart + this.#lane;
    this.#last = Math.max(this.#last + 2, begun);
    return this.#last;
  }
}

/** The number in the column `minute` of roll-ups: minutes since 1970. */
export function minuteOf(id: number): number {
  return Math.floor(id / (1024 * 60_000));
}

/** Buckets to a doubling: each is wider than the one before by a fifth (2 ** 0.25 = 1.19). */
const BUCKETS_PER_OCTAVE = 4;

/** The last one holds all that lasted longer: 2 ** 31.75 microseconds are an hour. */
const LAST_BUCKET = 127;

/** The bucket of a duration in the histograms of the roll-ups, 0 to 127. */
export function latencyBucket(durationUs: number): number {
  if (durationUs < 1) return 0;
  return Math.min(LAST_BUCKET, Math.floor(Math.log2(durationUs) * BUCKETS_PER_OCTAVE));
}

/** The duration in microseconds that stands for all in a bucket: its middle on the scale of logarithms. */
export function bucketMiddleUs(bucket: number): number {
  return Math.round(2 ** ((bucket + 0.5) / BUCKETS_PER_OCTAVE));
}

/**
 * A name with its labels in reverse order, `www.example.com` as `com.example.www`, so that a name and all names below it stand together
 * in an index. Its own inverse. `.` and the empty text stay as they are.
 */
export function reversedName(name: string): string {
  if (name === ".") return name;
  return (name.includes("\\") ? labelsWithEscapes(name) : name.split(".")).reverse().join(".");
}

/**
 * The texts that `reversedName` gives for the names below this one: `from` included, `to` not, compared byte by byte. Everything lies
 * below the root.
 */
export function reversedBelow(name: string): { readonly from: string; readonly to: string } {
  if (name === ".") return { from: "", to: "\u{10ffff}" };
  const reversed = reversedName(name);
  // The character after the full stop.
  return { from: `${reversed}.`, to: `${reversed}/` };
}

/** In presentation form a backslash takes the special meaning of the full stop after it (RFC 1035 §5.1). */
function labelsWithEscapes(name: string): string[] {
  const labels: string[] = [];
  let start = 0;
  for (let index = 0; index < name.length; index++) {
    if (name[index] === "\\") index++;
    else if (name[index] === ".") {
      labels.push(name.slice(start, index));
      start = index + 1;
    }
  }
  labels.push(name.slice(start));
  return labels;
}
