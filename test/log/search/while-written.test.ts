import fc from "fast-check";
import { expect, test } from "vitest";
import type { Database } from "../../../src/log/database.ts";
import type { Page, QueryFilter } from "../../../src/log/filter.ts";
import { compileFilter } from "../../../src/log/filter-tests.ts";
import type { PartitionLimits } from "../../../src/log/maintenance.ts";
import type { QueryRecord } from "../../../src/log/record.ts";
import { RecordIds } from "../../../src/log/schema.ts";
import { readBatches, type SearchBudget, searchRecords } from "../../../src/log/search.ts";
import type { Store } from "../../../src/log/store.ts";
import { summarize } from "../../../src/log/summary.ts";
import { SOME_WALL_MS } from "../records.ts";
import { batchOf } from "../rows.ts";
import { allRecords, openedStore } from "../store/opened-store.ts";
import { alikeRecords, anyFilter } from "./stores.ts";

const HOUR_MS = 3_600_000;

/** A search that is not at its end. */
interface Reading {
  readonly filter: QueryFilter;
  /** The records in the store at the beginning of the search. */
  readonly there: readonly QueryRecord[];
  readonly pages: Iterator<readonly QueryRecord[], void>;
  readonly found: QueryRecord[];
}

/** A server whose records are searched while it adds and drops some, and whose clock is moved. */
class Scene {
  wallMs = SOME_WALL_MS - HOUR_MS;
  readonly readings: Reading[] = [];
  readonly #limits: PartitionLimits;
  readonly #path: string;
  readonly #database: Database;
  #store: Store;
  #ids = new RecordIds();

  constructor(limits: PartitionLimits) {
    const { store, database, path } = openedStore(limits);
    this.#limits = limits;
    this.#path = path;
    this.#database = database;
    this.#store = store;
  }

  restart(): void {
    this.#store = openedStore({ path: this.#path, ...this.#limits }).store;
    this.#ids = new RecordIds();
  }

  /** Ten in each forty seconds. */
  insert(made: readonly QueryRecord[]): void {
    const before = this.#store.state().rows;
    const records = made.map((record, index) => {
      if (index % 10 === 0) this.wallMs += 40_000;
      return { ...record, id: this.#ids.next(this.wallMs), time: new Date(this.wallMs).toISOString() };
    });
    this.#store.insert(batchOf(records));
    expect(this.#store.state().rows).toBe(before + records.length);
  }

  tidy(pieces: number): void {
    for (let piece = 0; piece < pieces; piece++) this.#store.tidy(this.wallMs);
  }

  /** @param limit of a page; null = an export. */
  begin(filter: QueryFilter, limit: number | null, budgetMs: number): void {
    let looks = 0;
    const budget = { nowMs: () => looks++, budgetMs, stepRows: 3 };
    const pages =
      limit === null ? readBatches(this.#database, filter, budget) : pagesOf(this.#database, { filter, limit, budget });
    this.readings.push({ filter, there: allRecords(this.#database), pages, found: [] });
  }

  /** @returns whether there is more. */
  goOn({ filter, there, pages, found }: Reading): boolean {
    const { value } = pages.next();
    if (value !== undefined) {
      found.push(...value);
      return true;
    }
    const ids = found.map(({ id }) => id);
    expect(ids).toEqual([...new Set(ids)].sort((a, b) => b - a));
    const fits = compileFilter(filter);
    expect(found.filter((record) => !fits(record))).toEqual([]);
    const kept = new Set(allRecords(this.#database).map(({ id }) => id));
    const missing = there.filter((record) => fits(record) && kept.has(record.id) && !ids.includes(record.id));
    expect(missing).toEqual([]);
    return false;
  }

  checkSums(): void {
    const request = { fromMs: this.wallMs - 2 * HOUR_MS, toMs: this.wallMs + HOUR_MS, stepMs: HOUR_MS, top: 100, sideOf: {} };
    const { fromMs, toMs, total, topNames } = summarize(this.#database, request);
    const within = allRecords(this.#database).filter(({ id }) => id >= fromMs * 1024 && id < toMs * 1024);
    expect(total).toBe(within.length);
    const named = within.filter(({ name }) => name !== "");
    expect(topNames.reduce((sum, { count }) => sum + count, 0)).toBe(named.length);
  }
}

function* pagesOf(
  database: Database,
  { filter, limit, budget }: { readonly filter: QueryFilter; readonly limit: number; readonly budget: SearchBudget },
): Generator<readonly QueryRecord[], void> {
  let cursor: string | null = null;
  do {
    const page: Page = searchRecords(database, { filter, limit, cursor }, budget).next().value;
    yield page.records;
    cursor = page.cursor;
  } while (cursor !== null);
}

const anyMove = fc.oneof(fc.integer({ min: 0, max: 3 * HOUR_MS }), fc.integer({ min: -5 * HOUR_MS, max: 30 * HOUR_MS }));

const anyStep: fc.Arbitrary<(scene: Scene) => void> = fc.oneof(
  { weight: 4, arbitrary: alikeRecords.map((records) => (scene: Scene) => scene.insert(records.slice(0, 60))) },
  { weight: 3, arbitrary: fc.integer({ min: 1, max: 12 }).map((pieces) => (scene: Scene) => scene.tidy(pieces)) },
  {
    weight: 2,
    arbitrary: anyMove.map((ms) => (scene: Scene) => {
      scene.wallMs += ms;
    }),
  },
  { weight: 1, arbitrary: fc.constant((scene: Scene) => scene.restart()) },
  {
    weight: 3,
    arbitrary: fc
      .tuple(anyFilter, fc.option(fc.integer({ min: 1, max: 30 })), fc.constantFrom(0, 3, 20, 1000))
      .map((wanted) => (scene: Scene) => scene.begin(...wanted)),
  },
  {
    weight: 6,
    arbitrary: fc.nat(5).map((place) => (scene: Scene) => {
      const reading = scene.readings[place];
      if (reading !== undefined && !scene.goOn(reading)) scene.readings.splice(place, 1);
    }),
  },
);

test("a search finds every record that stays exactly once, whatever is added or dropped meanwhile and however the clock moves", () => {
  const anyLimits = fc.record({
    maxRows: fc.constantFrom(100, 400, 2000, 1_000_000),
    keepMs: fc.constantFrom(HOUR_MS, 24 * HOUR_MS, 1e12),
  });
  fc.assert(
    fc.property(anyLimits, fc.array(anyStep, { maxLength: 40, size: "max" }), (limits, steps) => {
      const scene = new Scene(limits);
      for (const step of steps) {
        step(scene);
        scene.checkSums();
      }
      for (const reading of scene.readings) while (scene.goOn(reading));
    }),
    { numRuns: 8 },
  );
});
