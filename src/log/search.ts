import { type Block, COLUMN, PartBlocks, type Window } from "./blocks.ts";
import { valueAt } from "./columns.ts";
import { type Database, inSnapshot } from "./database.ts";
import {
  amongIds,
  type Chosen,
  chosenAnswers,
  chosenClients,
  chosenKinds,
  chosenNames,
  type Lookup,
  numberRows,
} from "./dictionary-search.ts";
import type { Page, PageRequest, QueryFilter } from "./filter.ts";
import { type FilterTests, filterTests, leastDurationUs } from "./filter-tests.ts";
import { allParts } from "./maintenance.ts";
import { PartRows } from "./part-rows.ts";
import type { QueryRecord } from "./record.ts";
import { decodeRow, type FoundRecord } from "./rows.ts";
import { type Gap, gapsWithin } from "./runs.ts";
import { firstIdAt, type IdRange, minuteOf, type Partition, reversedName, wallMsOf } from "./schema.ts";

/** How much is done at a stretch, before others have their turn. */
export interface SliceBudget {
  /** Each slice comes further, and overruns this by one step: some tens of milliseconds, rarely more. */
  readonly budgetMs: number;
  /** The first slice that comes to a part may look texts up in its dictionaries for so long, whatever its budget is; half the budget if absent. */
  readonly lookupMs?: number;
  /** Rows that are looked at before the clock is: those of a block, if absent, which take a fraction of a millisecond. */
  readonly stepRows?: number;
}

export interface SearchBudget extends SliceBudget {
  /** Milliseconds on a scale that never runs backwards. */
  readonly nowMs: () => number;
}

const STEP_ROWS = 4096;

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
      const row = new PartRows(database, key).find(id);
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

interface Found extends FoundRow {
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
      found = [...found, ...finding.rows.map((row) => ({ ...row, part }))].sort((a, b) => b.id - a.id).slice(0, limit);
      // With all that were wanted, a part says nothing of those below the last.
      const known = finding.rows.length === limit ? (finding.rows.at(-1)?.id ?? from) : finding.searchedFrom;
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
    const parts = new Map<Partition, PartRows>();
    let last: Block | null = null;
    return found.map(({ part, block, index }) => {
      const rows = parts.get(part) ?? new PartRows(this.#database, part.key);
      parts.set(part, rows);
      // A page may have its rows from as many blocks.
      if (last !== block) last?.release();
      last = block;
      return decodeRow(rows.row(block, index)).record;
    });
  }
}

/** Tells whether so much time has passed since this call. */
function endOf(nowMs: () => number, budgetMs: number): () => boolean {
  const endMs = nowMs() + budgetMs;
  return () => nowMs() >= endMs;
}

type CountAdder = (id: number, count: number, failed: boolean) => void;

/** A row that fits, and where it is. */
interface FoundRow {
  readonly id: number;
  readonly block: Block;
  readonly index: number;
}

/** What was found in a part. */
interface Finding {
  /** Highest id first. */
  readonly rows: readonly FoundRow[];
  /** Of all ids from here on it is known whether they fit. */
  readonly searchedFrom: number;
}

interface Wanted extends IdRange {
  readonly limit: number;
  /** How many rows are looked at in a step. */
  readonly stepRows: number;
  /** Whether the time for this search is used up; asked after each step, and after each row that is tried by its text. */
  readonly expired: () => boolean;
}

/**
 * A filter worked out for one part: texts and patterns are looked up in the dictionaries once, so that rows are tried by comparing numbers. Holds for
 * all records that the part has now; for those added later only if it is made anew.
 */
class PartSearch {
  readonly #database: Database;
  readonly #part: Partition;
  readonly #names: Chosen;
  readonly #clients: Chosen;
  readonly #kinds: Chosen;
  readonly #answers: Chosen;
  readonly #duration: DurationLimits;
  readonly #blocks: PartBlocks;
  /** What numbers tell, the narrowest columns first. */
  readonly #columns: readonly ColumnTest[];
  /** Whether texts fit, by their numbers; null where numbers tell. */
  readonly #nameFits: ((id: number) => boolean) | null;
  readonly #answersFit: ((id: number) => boolean) | null;

  constructor(lookup: Lookup) {
    const { database, part, tests } = lookup;
    this.#database = database;
    this.#part = part;
    this.#kinds = chosenKinds(lookup);
    this.#clients = isNone(this.#kinds) ? NONE : chosenClients(lookup);
    this.#names = isNone(this.#clients) ? NONE : chosenNames(lookup);
    this.#answers = isNone(this.#names) ? NONE : chosenAnswers(lookup);
    this.#duration = durationLimits(lookup.filter);
    this.#blocks = new PartBlocks(database, part.key);
    const { leastUs, belowUs } = this.#duration;
    this.#columns = [
      ...amongNumbers(COLUMN.kind, this.#kinds),
      ...amongNumbers(COLUMN.client, this.#clients),
      ...amongNumbers(COLUMN.name, this.#names),
      ...amongNumbers(COLUMN.answers, this.#answers),
      ...(leastUs === null ? [] : [{ column: COLUMN.durationUs, fits: (us: number) => us >= leastUs }]),
      ...(belowUs === null ? [] : [{ column: COLUMN.durationUs, fits: (us: number) => us < belowUs }]),
    ];
    const { name, answers } = tests;
    this.#nameFits =
      name === null || this.#names.kind !== "many"
        ? null
        : textTest(database, `names_${part.key}`, (text) => name(reversedName(text)));
    this.#answersFit =
      answers === null || this.#answers.kind !== "many"
        ? null
        : textTest(database, `answers_${part.key}`, (text) => answers(text === "" ? [] : text.split("\n")));
  }

  /** The newest records that fit. Looks at so much at least that the next call with what is left comes further. */
  find({ from, to, limit, stepRows, expired }: Wanted): Finding {
    if (isNone(this.#answers)) return { rows: [], searchedFrom: from };
    const rows: FoundRow[] = [];
    for (const window of this.#blocks.windows({ from, to }, stepRows)) {
      const finding = this.#fitting(window, limit - rows.length, expired);
      for (const row of finding.rows) rows.push(row);
      if (rows.length === limit || expired()) return { rows, searchedFrom: finding.searchedFrom };
    }
    return { rows, searchedFrom: from };
  }

  /** Counts what fits, at least a step of it. @returns the id from which on everything is counted. */
  count(wanted: Wanted, add: CountAdder): number {
    const failed = this.#failingKinds();
    if (this.#countByMinutes(wanted, add, failed)) return wanted.from;
    if (isNone(this.#answers)) return wanted.from;
    for (const window of this.#blocks.windows(wanted, wanted.stepRows)) {
      const { rows, searchedFrom } = this.#fitting(window, Number.POSITIVE_INFINITY, wanted.expired);
      for (const { id, block, index } of rows) add(id, 1, failed.has(valueAt(block.column(COLUMN.kind), index)));
      if (wanted.expired()) return searchedFrom;
    }
    return wanted.from;
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

  /** The newest rows of a window that fit; fewer than there are where the time is used up by trying texts. */
  #fitting({ from, slices }: Window, limit: number, expired: () => boolean): Finding {
    const byText = this.#nameFits !== null || this.#answersFit !== null;
    const rows: FoundRow[] = [];
    for (const slice of slices) {
      const { block } = slice;
      const indexes = fittingIndexes(slice, this.#columns);
      // With another block some of these may come before all that are wanted.
      const most = byText || slices.length > 1 ? indexes.length : Math.min(limit, indexes.length);
      for (const index of indexes.slice(0, most)) rows.push({ id: block.idAt(index), block, index });
    }
    if (slices.length > 1) rows.sort((a, b) => b.id - a.id);
    const found: FoundRow[] = [];
    for (const row of rows) {
      if (!byText || this.#textsFit(row)) found.push(row);
      if (found.length === limit || (byText && expired())) return { rows: found, searchedFrom: row.id };
    }
    return { rows: found, searchedFrom: from };
  }

  #textsFit({ block, index }: FoundRow): boolean {
    if (this.#nameFits?.(valueAt(block.column(COLUMN.name), index)) === false) return false;
    return this.#answersFit?.(valueAt(block.column(COLUMN.answers), index)) !== false;
  }
}

/** Which numbers of a column fit. */
interface ColumnTest {
  readonly column: number;
  readonly fits: (value: number) => boolean;
}

function amongNumbers(column: number, chosen: Chosen): ColumnTest[] {
  if (chosen.kind !== "ids") return [];
  const ids = new Uint8Array(1 + chosen.ids.reduce((highest, id) => Math.max(highest, id), 0));
  for (const id of chosen.ids) ids[id] = 1;
  return [{ column, fits: (value) => ids[value] === 1 }];
}

/** Tries each text of a dictionary once; 0 stands for the empty one. */
function textTest(database: Database, table: string, fits: (text: string) => boolean): (id: number) => boolean {
  const statement = database.prepare(`SELECT text FROM ${table} WHERE id = ?`);
  const known = new Map<number, boolean>();
  return (id) => {
    const before = known.get(id);
    if (before !== undefined) return before;
    const fit = fits(id === 0 ? "" : String(statement.get(id)?.["text"]));
    known.set(id, fit);
    return fit;
  };
}

/** The indexes within a slice that pass all tests, the highest first. */
function fittingIndexes({ block, from, to }: Window["slices"][number], tests: readonly ColumnTest[]): readonly number[] {
  let indexes: number[] | null = null;
  for (const { column, fits } of tests) {
    const values = block.column(column);
    if (values.above === null) {
      if (!fits(values.base)) return [];
    } else {
      const isFitting = (index: number) => fits(valueAt(values, index));
      indexes = indexes === null ? descending(from, to, isFitting) : indexes.filter(isFitting);
    }
  }
  return indexes ?? descending(from, to, () => true);
}

function descending(from: number, to: number, isFitting: (index: number) => boolean): number[] {
  const indexes: number[] = [];
  for (let index = to - 1; index >= from; index--) if (isFitting(index)) indexes.push(index);
  return indexes;
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
