import type { QueryRecord } from "../record.ts";
import type { Page, PageRequest, QueryFilter } from "../search.ts";
import { type Database, inSnapshot } from "../store/database.ts";
import { recordOf, type StoredRow } from "../store/row.ts";
import { firstIdAt, type Part, selectRecords } from "../store/schema.ts";
import { type FilterTests, filterTests } from "./compile.ts";
import { PartSearch, type Wanted } from "./part-search.ts";
import { type IdRange, partsWithin } from "./parts.ts";
import { allRows, amongIds, firstRow } from "./rows.ts";

export interface SearchBudget {
  /** Milliseconds on a scale that never runs backwards. */
  readonly nowMs: () => number;
  /** A search that takes longer ends with the page as it is by then. It overruns this by one step: some tens of milliseconds, rarely more. */
  readonly budgetMs: number;
  /** Rows that are looked at before the clock is, at first; 20,000 take some milliseconds. */
  readonly stepRows?: number;
}

const STEP_ROWS = 20_000;

/**
 * The newest records that fit, before the cursor. Each page is read from one state of the database.
 * @throws CursorError; an error of SQLite.
 */
export function searchRecords(database: Database, { filter, limit, cursor }: PageRequest, budget: SearchBudget): Page {
  const below = cursor === null ? Number.MAX_SAFE_INTEGER : idOfCursor(cursor);
  const { records, nextBelow } = new Search(database, filter).page(below, limit, budget);
  return { records, cursor: nextBelow === null ? null : String(nextBelow) };
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
export function getRecord(database: Database, id: number): QueryRecord | null {
  return inSnapshot(database, () => {
    for (const { key } of partsWithin(database, { from: id, to: id + 1 })) {
      const row = firstRow<StoredRow>(database, { text: `${selectRecords(key)} WHERE q.id = ?`, values: [id] });
      if (row !== null) return recordOf(row);
    }
    return null;
  });
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
  /** Whether so much of the time is used up that the rest belongs to the rows. */
  readonly halfOver: () => boolean;
}

interface Found {
  readonly id: number;
  readonly part: Part;
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

  page(below: number, limit: number, { nowMs, budgetMs, stepRows = STEP_ROWS }: SearchBudget): FoundRecords {
    const startMs = nowMs();
    const expired = () => nowMs() >= startMs + budgetMs;
    const halfOver = () => nowMs() >= startMs + budgetMs / 2;
    const range = { from: this.#within.from, to: Math.min(this.#within.to, below) };
    return inSnapshot(this.#database, () => {
      // One more tells whether a further page has any.
      const { found, searchedFrom } = this.#find({ ...range, limit: limit + 1, stepRows, expired, halfOver });
      const certain = found.filter(({ id }) => id >= searchedFrom);
      const page = certain.slice(0, limit);
      const last = page.at(-1);
      const nextBelow = certain.length > limit && last !== undefined ? last.id : searchedFrom > range.from ? searchedFrom : null;
      return { records: this.#records(page), nextBelow };
    });
  }

  /** Goes through the parts, newest first. Where the clock was set back they overlap, so what they give is merged. */
  #find(wanted: PageWanted): { readonly found: readonly Found[]; readonly searchedFrom: number } {
    const { from, to, limit, expired } = wanted;
    let found: Found[] = [];
    let searchedFrom = from;
    for (const [index, part] of partsWithin(this.#database, wanted).entries()) {
      const newest = part.lastId;
      if ((found[limit - 1]?.id ?? 0) > newest) break;
      // Every part that reaches up to where this page begins has to be looked at, or the next page would begin there again.
      if (index > 0 && newest + 1 < to && expired()) return { found, searchedFrom: Math.max(searchedFrom, newest + 1) };
      const finding = this.#partSearch(part, wanted.halfOver).find(wanted);
      found = [...found, ...finding.ids.map((id) => ({ id, part }))].sort((a, b) => b.id - a.id).slice(0, limit);
      // With all that were wanted, a part says nothing of those below the last.
      const known = finding.ids.length === limit ? (finding.ids.at(-1) ?? from) : finding.searchedFrom;
      searchedFrom = Math.max(searchedFrom, known);
    }
    return { found, searchedFrom };
  }

  #partSearch(part: Part, expired: () => boolean): PartSearch {
    // Where all parts of a day were dropped and the clock was set back, the next bears the key of the first.
    const identity = `${part.key} ${part.firstId}`;
    const known = this.#parts.get(identity);
    if (known !== undefined) return known;
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
    return rows.sort((a, b) => b.id - a.id).map(recordOf);
  }
}
