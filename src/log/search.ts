import { type Database, inSnapshot } from "./database.ts";
import {
  allOf,
  allRows,
  amongIds,
  type Chosen,
  chosenAnswers,
  chosenClients,
  chosenKinds,
  chosenNames,
  eachRow,
  firstRow,
  type Lookup,
  numberRows,
  type Sql,
} from "./dictionary-search.ts";
import type { Page, PageRequest, QueryFilter } from "./filter.ts";
import { type FilterTests, filterTests, leastDurationUs } from "./filter-tests.ts";
import { allParts } from "./maintenance.ts";
import type { QueryRecord } from "./record.ts";
import { decodeRow, type FoundRecord, type StoredRow } from "./rows.ts";
import { type Gap, gapsWithin } from "./runs.ts";
import { firstIdAt, latencyBucket, minuteOf, type Partition, reversedName, selectRecords, wallMsOf } from "./schema.ts";

/** How much is done at a stretch, before others have their turn. */
export interface SliceBudget {
  /** Each slice comes further, and overruns this by one step: some tens of milliseconds, rarely more. */
  readonly budgetMs: number;
  /** The first slice that comes to a part may look texts up in its dictionaries for so long, whatever its budget is; half the budget if absent. */
  readonly lookupMs?: number;
  /** Rows that are looked at before the clock is, at first; 20,000 take some milliseconds. */
  readonly stepRows?: number;
}

export interface SearchBudget extends SliceBudget {
  /** Milliseconds on a scale that never runs backwards. */
  readonly nowMs: () => number;
}

const STEP_ROWS = 20_000;

/**
 * The newest records that fit, before the cursor. Yields the page as it is after each slice, and returns it when it is whole. Each slice is read from one
 * state of the database; between slices nothing is held open.
 * @throws CursorError; an error of SQLite.
 */
export function* searchRecords(
  database: Database,
  { filter, limit, cursor }: PageRequest,
  budget: SearchBudget,
): Generator<Page, Page> {
  const search = new Search(database, filter);
  const records: QueryRecord[] = [];
  for (let below = cursor === null ? Number.MAX_SAFE_INTEGER : idOfCursor(cursor); ; ) {
    const found = search.page(below, limit - records.length, budget);
    records.push(...found.records);
    if (found.nextBelow === null) return { records, cursor: null };
    below = found.nextBelow;
    const page = { records: [...records], cursor: String(below) };
    if (records.length === limit) return page;
    yield page;
  }
}

/** A cursor that no page ended with. */
export class CursorError extends Error {
  constructor() {
    super("the cursor is none that a search gave");
    this.name = "CursorError";
  }
}

/** Records of the next page have ids below this one. @throws CursorError */
function idOfCursor(cursor: string): number {
  const id = /^[1-9]\d{0,15}$/.test(cursor) ? Number(cursor) : Number.NaN;
  if (!Number.isSafeInteger(id)) throw new CursorError();
  return id;
}

/** The record with this id; null where there is none. */
export function getRecord(database: Database, id: number): FoundRecord | null {
  return inSnapshot(database, () => {
    for (const { key } of partsWithin(database, { from: id, to: id + 1 })) {
      const row = firstRow<StoredRow>(database, { text: `${selectRecords(key)} WHERE q.id = ?`, values: [id] });
      if (row !== null) return decodeRow(row);
    }
    return null;
  });
}

/** How many records fit, and how many of them failed, step by step. */
export interface Volume {
  readonly fromMs: number;
  readonly stepMs: number;
  readonly samples: readonly { readonly total: number; readonly failed: number }[];
  /** When nothing was recorded, or not everything. */
  readonly gaps: readonly Gap[];
  /** From when on everything is counted: where the time was used up, the steps before hold nothing. */
  readonly countedFromMs: number;
}

export interface VolumeRequest {
  /** Its period is bounded on both sides. */
  readonly filter: QueryFilter & { readonly fromMs: number; readonly toMs: number };
  /** In whole minutes, at least one; longer where there would be more than 2,000 samples. */
  readonly stepMs: number;
}

const MINUTE_MS = 60_000;
const MAX_SAMPLES = 2000;

/**
 * Counts the records that fit, in whole minutes, newest first. Yields what is counted after each slice, and returns it when all is.
 * @throws an error of SQLite.
 */
export function* countVolume(
  database: Database,
  { filter, stepMs: wishedMs }: VolumeRequest,
  budget: SearchBudget,
): Generator<Volume, Volume> {
  const fromMs = Math.max(0, Math.floor(filter.fromMs / MINUTE_MS) * MINUTE_MS);
  const toMs = Math.max(fromMs, Math.ceil(filter.toMs / MINUTE_MS) * MINUTE_MS);
  const stepMs = Math.ceil(Math.max(1, wishedMs / MINUTE_MS, (toMs - fromMs) / MINUTE_MS / MAX_SAMPLES)) * MINUTE_MS;
  const samples = Array.from({ length: Math.ceil((toMs - fromMs) / stepMs) }, () => ({ total: 0, failed: 0 }));
  const add = (id: number, count: number, failed: boolean): void => {
    const sample = samples[Math.floor((wallMsOf(id) - fromMs) / stepMs)];
    if (sample === undefined) return;
    sample.total += count;
    if (failed) sample.failed += count;
  };
  const gaps = gapsWithin(database, { fromMs, toMs });
  const counts = new Search(database, { ...filter, fromMs, toMs }).count(add, budget);
  for (const counted of counts) yield { fromMs, stepMs, samples, gaps, countedFromMs: wallMsOf(counted) };
  return { fromMs, stepMs, samples, gaps, countedFromMs: fromMs };
}

/** Records of one batch of an export. */
const BATCH_RECORDS = 1000;

/**
 * All records that fit and are there when reading begins, newest first. A batch may be empty: then nothing was found within the budget, and whoever reads
 * can still stop. Between batches nothing is held open, so days may be dropped meanwhile; they are then missing at the end.
 */
export function* readBatches(database: Database, filter: QueryFilter, budget: SearchBudget): Generator<readonly QueryRecord[]> {
  const search = new Search(database, filter);
  for (let below: number | null = Number.MAX_SAFE_INTEGER; below !== null; ) {
    const { records, nextBelow } = search.page(below, BATCH_RECORDS, budget);
    yield records;
    below = nextBelow;
  }
}

interface FoundRecords {
  readonly records: readonly QueryRecord[];
  /** Records from this id on are known by now; null = all are. */
  readonly nextBelow: number | null;
}

interface PageWanted extends Wanted {
  readonly budget: SearchBudget;
}

interface Found {
  readonly id: number;
  readonly part: Partition;
}

/** A filter over the whole database, page after page. */
class Search {
  readonly #database: Database;
  readonly #filter: QueryFilter;
  readonly #tests: FilterTests;
  readonly #within: IdRange;
  /** What was worked out for parts while pages follow one another towards older records. */
  readonly #parts = new Map<string, PartSearch>();

  constructor(database: Database, filter: QueryFilter) {
    this.#database = database;
    this.#filter = filter;
    this.#tests = filterTests(filter);
    this.#within = {
      from: filter.fromMs === null ? 0 : firstIdAt(filter.fromMs),
      to: filter.toMs === null ? Number.MAX_SAFE_INTEGER : firstIdAt(filter.toMs),
    };
  }

  page(below: number, limit: number, budget: SearchBudget): FoundRecords {
    const { nowMs, budgetMs, stepRows = STEP_ROWS } = budget;
    const expired = endOf(nowMs, budgetMs);
    const range = { from: this.#within.from, to: Math.min(this.#within.to, below) };
    return inSnapshot(this.#database, () => {
      // One more tells whether a further page has any.
      const { found, searchedFrom } = this.#find({ ...range, limit: limit + 1, stepRows, expired, budget });
      const certain = found.filter(({ id }) => id >= searchedFrom);
      const page = certain.slice(0, limit);
      const last = page.at(-1);
      const nextBelow = certain.length > limit && last !== undefined ? last.id : searchedFrom > range.from ? searchedFrom : null;
      return { records: this.#records(page), nextBelow };
    });
  }

  /** Counts part by part, newest first. Yields after each slice but the last the id from which on everything is counted. */
  *count(add: CountAdder, budget: SearchBudget): Generator<number, void> {
    const { nowMs, budgetMs, stepRows = STEP_ROWS } = budget;
    const { from, to } = this.#within;
    const waiting = partsWithin(this.#database, this.#within).map(({ key, lastId }) => ({ key, lastId, below: to }));
    while (waiting.length > 0) {
      const expired = endOf(nowMs, budgetMs);
      inSnapshot(this.#database, () => {
        // A part may have been dropped since the slice before.
        const parts = new Map(partsWithin(this.#database, this.#within).map((part) => [part.key, part]));
        for (let [next] = waiting; next !== undefined; [next] = waiting) {
          const part = parts.get(next.key);
          const wanted = { from, to: next.below, limit: stepRows, stepRows, expired };
          next.below = part === undefined ? from : this.#partSearch(part, budget).count(wanted, add);
          if (next.below <= from) waiting.shift();
          if (expired()) return;
        }
      });
      if (waiting.length > 0) yield Math.max(...waiting.map(({ below, lastId }) => Math.min(below, lastId + 1)));
    }
  }

  /** Goes through the parts, newest first. Where the clock was set back they overlap, so what they give is merged. */
  #find(wanted: PageWanted): { readonly found: readonly Found[]; readonly searchedFrom: number } {
    const { from, to, limit, expired, budget } = wanted;
    let found: Found[] = [];
    let searchedFrom = from;
    for (const [index, part] of partsWithin(this.#database, wanted).entries()) {
      const newest = part.lastId;
      if ((found[limit - 1]?.id ?? 0) > newest) break;
      // Every part that reaches up to where this page begins has to be looked at, or the next page would begin there again.
      if (index > 0 && newest + 1 < to && expired()) return { found, searchedFrom: Math.max(searchedFrom, newest + 1) };
      const finding = this.#partSearch(part, budget).find(wanted);
      found = [...found, ...finding.ids.map((id) => ({ id, part }))].sort((a, b) => b.id - a.id).slice(0, limit);
      // With all that were wanted, a part says nothing of those below the last.
      const known = finding.ids.length === limit ? (finding.ids.at(-1) ?? from) : finding.searchedFrom;
      searchedFrom = Math.max(searchedFrom, known);
    }
    return { found, searchedFrom };
  }

  #partSearch(part: Partition, { nowMs, budgetMs, lookupMs = budgetMs / 2 }: SearchBudget): PartSearch {
    // Where all parts of a day were dropped and the clock was set back, the next bears the key of the first.
    const identity = `${part.key} ${part.firstId}`;
    const known = this.#parts.get(identity);
    if (known !== undefined) return known;
    const expired = endOf(nowMs, lookupMs);
    const made = new PartSearch({ database: this.#database, part, filter: this.#filter, tests: this.#tests, expired });
    this.#parts.set(identity, made);
    return made;
  }

  #records(found: readonly Found[]): QueryRecord[] {
    const rows: StoredRow[] = [];
    for (const [{ key }, group] of Map.groupBy(found, ({ part }) => part)) {
      const { text, values } = amongIds(
        "q.id",
        group.map(({ id }) => id),
      );
      rows.push(...allRows<StoredRow>(this.#database, { text: `${selectRecords(key)} WHERE ${text}`, values }));
    }
    return rows.sort((a, b) => b.id - a.id).map((row) => decodeRow(row).record);
  }
}

/** Tells whether so much time has passed since this call. */
function endOf(nowMs: () => number, budgetMs: number): () => boolean {
  const endMs = nowMs() + budgetMs;
  return () => nowMs() >= endMs;
}

type CountAdder = (id: number, count: number, failed: boolean) => void;

/** What was found in a part. */
interface Finding {
  /** Highest first. */
  readonly ids: readonly number[];
  /** Of all ids from here on it is known whether they fit. */
  readonly searchedFrom: number;
}

interface Wanted extends IdRange {
  readonly limit: number;
  /** How many rows are looked at in the first step; in those after it, where nothing is near, five times as many. */
  readonly stepRows: number;
  /** Whether the time for this search is used up; asked after each step, and after each row that is tried by its text. */
  readonly expired: () => boolean;
}

/** An index is used where it leads to no more rows than these; where it leads to more, the newest are found sooner by looking at the newest rows. */
const MAX_INDEX_ROWS = 5000;

/**
 * A filter worked out for one part: texts and patterns are looked up in the dictionaries once, so that rows are tried by comparing numbers. Holds for
 * all records that the part has now; for those added later only if it is made anew.
 */
class PartSearch {
  readonly #database: Database;
  readonly #part: Partition;
  readonly #tests: FilterTests;
  readonly #names: Chosen;
  readonly #clients: Chosen;
  readonly #kinds: Chosen;
  readonly #answers: Chosen;
  readonly #duration: DurationLimits;
  /** As `busyStretches` gives them, once they are needed. */
  #stretches: readonly IdRange[] | null | "unknown" = "unknown";

  constructor(lookup: Lookup) {
    this.#database = lookup.database;
    this.#part = lookup.part;
    this.#tests = lookup.tests;
    this.#kinds = chosenKinds(lookup);
    this.#clients = isNone(this.#kinds) ? NONE : chosenClients(lookup);
    this.#names = isNone(this.#clients) ? NONE : chosenNames(lookup);
    this.#answers = isNone(this.#names) ? NONE : chosenAnswers(lookup);
    this.#duration = durationLimits(lookup.filter);
  }

  /** The newest records that fit. Looks at so much at least that the next call with what is left comes further. */
  find({ from, to, limit, stepRows, expired }: Wanted): Finding {
    if (isNone(this.#answers)) return { ids: [], searchedFrom: from };
    const index = this.#index();
    if (index !== null) return this.#fitting({ from, to, limit, expired }, index);
    const ids: number[] = [];
    let below = to;
    let stretches: readonly IdRange[] | null = null;
    for (let step = 0; below > from; step++) {
      if (step === 1) stretches = this.#knownStretches();
      const range = newestOf(stretches, { from, to: below });
      if (range === null) return { ids, searchedFrom: from };
      const start = this.#stepStart(range, step === 0 ? stepRows : 5 * stepRows);
      const finding = this.#fitting({ from: start, to: range.to, limit: limit - ids.length, expired }, null);
      ids.push(...finding.ids);
      below = finding.searchedFrom;
      if (ids.length === limit || expired()) break;
    }
    return { ids, searchedFrom: below };
  }

  /** Counts what fits, at least a step of it. @returns the id from which on everything is counted. */
  count(wanted: Wanted, add: CountAdder): number {
    const failed = this.#failingKinds();
    if (this.#countByMinutes(wanted, add, failed)) return wanted.from;
    let below = wanted.to;
    do {
      const { ids, searchedFrom } = this.find({ ...wanted, to: below });
      for (const [id = 0, kind = 0] of this.#kindsOf(ids)) add(id, 1, failed.has(kind));
      below = ids.length === wanted.limit ? (ids.at(-1) ?? wanted.from) : searchedFrom;
    } while (below > wanted.from && !wanted.expired());
    return below;
  }

  #failingKinds(): ReadonlySet<number> {
    const text = `SELECT id FROM kinds_${this.#part.key} WHERE source = 'failure' OR rcode = 'SERVFAIL'`;
    return new Set(numberRows(this.#database, { text, values: [] }).map(([id = 0]) => id));
  }

  /** The minutes of kinds tell, where nothing but the kind matters. */
  #countByMinutes({ from, to }: IdRange, add: CountAdder, failed: ReadonlySet<number>): boolean {
    const others = [this.#clients, this.#names, this.#answers];
    const { leastUs, belowUs } = this.#duration;
    if (isNone(this.#kinds) || others.some(({ kind }) => kind !== "all") || leastUs !== null || belowUs !== null) return false;
    const among = this.#kinds.kind === "ids" ? amongIds("kind", this.#kinds.ids) : { text: "TRUE", values: [] };
    const text = `SELECT minute, kind, count FROM kind_minutes_${this.#part.key} WHERE minute >= ? AND minute < ? AND ${among.text}`;
    const values = [minuteOf(from), minuteOf(to), ...among.values];
    for (const [minute = 0, kind = 0, count = 0] of numberRows(this.#database, { text, values }))
      add(firstIdAt(minute * MINUTE_MS), count, failed.has(kind));
    return true;
  }

  #kindsOf(ids: readonly number[]): readonly (readonly number[])[] {
    const { text, values } = amongIds("id", ids);
    return numberRows(this.#database, { text: `SELECT id, kind FROM q_${this.#part.key} WHERE ${text}`, values });
  }

  /** The index that leads to few rows, those of the other conditions included; null where walking over the rows is better. */
  #index(): "name" | "client" | null {
    if (this.#part.state !== "indexed") return null;
    const counts = [
      { column: "name" as const, rows: this.#countRows("name", this.#names) },
      { column: "client" as const, rows: this.#countRows("client", this.#clients) },
    ];
    const [least] = counts.filter(({ rows }) => rows <= MAX_INDEX_ROWS).sort((a, b) => a.rows - b.rows);
    return least?.column ?? null;
  }

  #countRows(column: "name" | "client", chosen: Chosen): number {
    if (chosen.kind !== "ids") return Number.POSITIVE_INFINITY;
    const { key } = this.#part;
    const { text, values } = amongIds(column, chosen.ids);
    const counted = `SELECT 1 FROM q_${key} INDEXED BY q_${key}_${column} WHERE ${text} LIMIT ${MAX_INDEX_ROWS + 1}`;
    return (
      firstRow<{ readonly rows: number }>(this.#database, { text: `SELECT count(*) AS "rows" FROM (${counted})`, values })
        ?.rows ?? 0
    );
  }

  #knownStretches(): readonly IdRange[] | null {
    if (this.#stretches !== "unknown") return this.#stretches;
    this.#stretches = busyStretches(this.#database, this.#part, {
      kinds: this.#kinds.kind === "ids" ? this.#kinds.ids : null,
      clients: this.#clients.kind === "ids" ? this.#clients.ids : null,
      leastUs: this.#duration.leastUs,
    });
    return this.#stretches;
  }

  /** Where a step over so many rows ends, or the range does. */
  #stepStart({ from, to }: IdRange, rows: number): number {
    const text = `SELECT id FROM q_${this.#part.key} WHERE id >= ? AND id < ? ORDER BY id DESC LIMIT 1 OFFSET ${rows - 1}`;
    return firstRow<{ readonly id: number }>(this.#database, { text, values: [from, to] })?.id ?? from;
  }

  /** The newest ids of a range that fit, by way of an index or of the rows as they stand. */
  #fitting({ from, to, limit, expired }: Omit<Wanted, "stepRows">, index: "name" | "client" | null): Finding {
    const { key } = this.#part;
    const byName = this.#names.kind === "many";
    const byAnswers = this.#answers.kind === "many";
    const byText = byName || byAnswers;
    const { text, values } = allOf([{ text: "q.id >= ? AND q.id < ?", values: [from, to] }, ...this.#conditions()]);
    const statement = [
      `SELECT q.id${byName ? ", names.text AS name" : ""}${byAnswers ? ", answers.text AS answers" : ""} FROM q_${key} AS q`,
      index === null ? "NOT INDEXED" : `INDEXED BY q_${key}_${index}`,
      // Words between tables keep their order: first the rows, then their texts.
      byName ? `CROSS JOIN names_${key} AS names ON names.id = q.name` : "",
      byAnswers ? `LEFT JOIN answers_${key} AS answers ON answers.id = q.answers` : "",
      `WHERE ${text} ORDER BY q.id DESC ${byText ? "" : `LIMIT ${limit}`}`,
    ].join(" ");
    const ids: number[] = [];
    for (const row of eachRow<FoundRow>(this.#database, { text: statement, values })) {
      if (this.#textsFit(row)) ids.push(row.id);
      if (ids.length === limit || (byText && expired())) return { ids, searchedFrom: row.id };
    }
    return { ids, searchedFrom: from };
  }

  #conditions(): Sql[] {
    const { leastUs, belowUs } = this.#duration;
    return [
      ...this.#among("q.kind", this.#kinds),
      ...this.#among("q.client", this.#clients),
      ...this.#among("q.name", this.#names),
      ...this.#among("q.answers", this.#answers),
      ...(leastUs === null ? [] : [{ text: "q.duration_us >= ?", values: [leastUs] }]),
      ...(belowUs === null ? [] : [{ text: "q.duration_us < ?", values: [belowUs] }]),
    ];
  }

  #among(column: string, chosen: Chosen): Sql[] {
    return chosen.kind === "ids" ? [amongIds(column, chosen.ids)] : [];
  }

  #textsFit({ name, answers }: FoundRow): boolean {
    if (name !== undefined && this.#tests.name?.(reversedName(name)) === false) return false;
    return answers === undefined || this.#tests.answers?.(answers === null ? [] : answers.split("\n")) !== false;
  }
}

/** The texts are there where rows are to be tried by them. */
interface FoundRow {
  readonly id: number;
  readonly name?: string;
  readonly answers?: string | null;
}

/** In microseconds. */
interface DurationLimits {
  readonly leastUs: number | null;
  readonly belowUs: number | null;
}

const NONE: Chosen = { kind: "ids", ids: [] };

function isNone(chosen: Chosen): boolean {
  return chosen.kind === "ids" && chosen.ids.length === 0;
}

function durationLimits({ conditions }: QueryFilter): DurationLimits {
  const durations = conditions.filter(({ field }) => field === "minMs");
  const least = durations.find(({ negated }) => !negated);
  const below = durations.find(({ negated }) => negated);
  return {
    leastUs: least === undefined ? null : leastDurationUs(least),
    belowUs: below === undefined ? null : leastDurationUs(below),
  };
}

/** The newest stretch within a range, cut to it; the range itself where there are no stretches to go by. null = there is none. */
function newestOf(stretches: readonly IdRange[] | null, { from, to }: IdRange): IdRange | null {
  if (stretches === null) return { from, to };
  const stretch = stretches.find((stretch) => stretch.from < to);
  if (stretch === undefined || stretch.to <= from) return null;
  return { from: Math.max(from, stretch.from), to: Math.min(to, stretch.to) };
}

/** What the roll-ups of a part can say about a search. */
interface MinuteConditions {
  /** Ids; null = any. */
  readonly kinds: readonly number[] | null;
  readonly clients: readonly number[] | null;
  readonly leastUs: number | null;
}

/**
 * The stretches of whole minutes, newest first, outside of which no row of the part meets the conditions; null where the roll-ups say nothing of them.
 * Within, rows may still fail.
 */
function busyStretches(
  database: Database,
  { key }: Partition,
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

/** The stretches that minutes make, newest first. @param minutes newest first */
export function stretchesOf(minutes: readonly number[]): readonly IdRange[] {
  const stretches: { from: number; to: number }[] = [];
  for (const minute of minutes) {
    const [from, to] = [firstIdAt(minute * 60_000), firstIdAt((minute + 1) * 60_000)];
    const last = stretches.at(-1);
    if (last?.from === to) last.from = from;
    else stretches.push({ from, to });
  }
  return stretches;
}

/** From one id up to another, which is not included. */
export interface IdRange {
  readonly from: number;
  readonly to: number;
}

/** A part that has records. */
export interface FilledPart extends Partition {
  readonly firstId: number;
  readonly lastId: number;
}

/** The parts with records in this range, the one that reaches furthest first. */
export function partsWithin(database: Database, { from, to }: IdRange): readonly FilledPart[] {
  return allParts(database)
    .filter(isFilled)
    .filter(({ firstId, lastId }) => firstId < to && lastId >= from);
}

function isFilled(part: Partition): part is FilledPart {
  return part.firstId !== null && part.lastId !== null;
}
