import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Database, openForWriting } from "../../../src/log/database.ts";
import { FILTER_PARAMETERS, type Page, type PageRequest, parseFilter, type QueryFilter } from "../../../src/log/filter.ts";
import { compileFilter } from "../../../src/log/filter-tests.ts";
import type { QueryRecord } from "../../../src/log/record.ts";
import { firstIdAt } from "../../../src/log/schema.ts";
import { CursorError, countVolume, getRecord, readBatches, type SearchBudget, searchRecords } from "../../../src/log/search.ts";
import { Store } from "../../../src/log/store.ts";
import { directory } from "../../support/files.ts";
import { anyString, runs } from "../../support/properties.ts";
import { record, SOME_WALL_MS } from "../records.ts";
import { batchOf } from "../rows.ts";
import { openedStore, recordsFrom, tidyAll } from "../store/opened-store.ts";
import { alikeRecords, anyFilter, anyShape, filterOf, SPAN_MS, storeOf } from "./stores.ts";

/** The page as it is after the first slice. */
function searchOnce(database: Database, request: PageRequest, budget: SearchBudget): Page {
  return searchRecords(database, request, budget).next().value;
}

/** What each slice comes to, the whole last. */
function slicesOf<T>(reading: Generator<T, T>): T[] {
  const values: T[] = [];
  for (;;) {
    const { done, value } = reading.next();
    values.push(value);
    if (done === true) return values;
  }
}

/** An unlimited time budget. */
const AMPLE: SearchBudget = { nowMs: () => 0, budgetMs: 1000 };
/** No time at all: every search ends after its first step, which is a small one. */
const NONE: SearchBudget = { nowMs: () => 0, budgetMs: 0, stepRows: 3 };
/** Time for many small steps. */
const SMALL_STEPS: SearchBudget = { ...AMPLE, stepRows: 2 };

/** Time that runs out at some moment: each look at the clock is one unit later than the one before. */
function running(budgetMs: number): SearchBudget {
  let looks = 0;
  return { nowMs: () => looks++, budgetMs, stepRows: 3 };
}

/** All pages to the end. */
function pagesOf(database: Database, filter: QueryFilter, limit: number, budget = AMPLE): QueryRecord[][] {
  const pages: QueryRecord[][] = [];
  let cursor: string | null = null;
  do {
    const page = searchOnce(database, { filter, limit, cursor }, budget);
    pages.push([...page.records]);
    cursor = page.cursor;
  } while (cursor !== null);
  return pages;
}

function idsOf(records: readonly QueryRecord[]): number[] {
  return records.map(({ id }) => id);
}

/** The matching records, found by trying every record. */
function fitting(records: readonly QueryRecord[], filter: QueryFilter): QueryRecord[] {
  return records.filter(compileFilter(filter)).sort((a, b) => b.id - a.id);
}

describe("a volume", () => {
  const MINUTE_MS = 60_000;

  test("counts what the filter matches step by step: after each slice from where it says on, and all of it after the last", () => {
    fc.assert(
      fc.property(
        alikeRecords,
        anyShape,
        fc.array(anyFilter, { minLength: 1, maxLength: 6 }),
        fc.record({ stepMs: fc.integer({ min: 1, max: SPAN_MS }), budgetMs: fc.nat(40), ample: fc.boolean() }),
        (records, stored, filters, { stepMs, budgetMs, ample }) => {
          const database = storeOf(records, stored);
          for (const { conditions } of filters) {
            const filter = { conditions, fromMs: SOME_WALL_MS - SPAN_MS, toMs: SOME_WALL_MS + 1 };
            const counting = countVolume(database, { filter, stepMs }, ample ? AMPLE : running(budgetMs));
            for (let isOver = false, before = Number.POSITIVE_INFINITY; !isOver; ) {
              const { done = false, value: volume } = counting.next();
              isOver = done;
              if (done) expect(volume.countedFromMs).toBe(volume.fromMs);
              expect(volume.countedFromMs).toBeLessThanOrEqual(before);
              before = volume.countedFromMs;
              const matching = fitting(records, { ...filter, fromMs: volume.fromMs, toMs: volume.fromMs + SPAN_MS + MINUTE_MS });
              for (const [index, { total, failed }] of volume.samples.entries()) {
                const atMs = volume.fromMs + index * volume.stepMs;
                if (atMs < volume.countedFromMs) continue;
                const now = matching.filter(({ id }) => id >= atMs * 1024 && id < (atMs + volume.stepMs) * 1024);
                const failing = now.filter(({ source, rcode }) => source === "failure" || rcode === "SERVFAIL");
                expect({ atMs, total, failed }).toEqual({ atMs, total: now.length, failed: failing.length });
              }
            }
          }
        },
      ),
      { numRuns: runs(30) },
    );
  });

  test("of records that are dropped while the count pauses lacks those, and ends all the same", () => {
    const { store, database } = openedStore({ keepMs: 3_600_000 });
    store.insert(batchOf(recordsFrom(SOME_WALL_MS, 100, "a")));
    store.insert(batchOf(recordsFrom(SOME_WALL_MS + 86_400_000, 100, "b")));
    const filter = { ...filterOf([["client", "192.168.88.20"]]), fromMs: SOME_WALL_MS, toMs: SOME_WALL_MS + 2 * 86_400_000 };
    const counting = countVolume(database, { filter, stepMs: 86_400_000 }, NONE);
    counting.next();
    tidyAll(store, SOME_WALL_MS + 86_400_000 + 60_000);
    const volume = slicesOf(counting).at(-1);
    expect(volume?.countedFromMs).toBe(volume?.fromMs);
    expect(volume?.samples.map(({ total }) => total)).toEqual([0, 100, 0]);
  });
});

describe("what a search finds", () => {
  test("a search finds the records that the filter matches, newest first, page by page, in partitions of any state", () => {
    fc.assert(
      fc.property(
        alikeRecords,
        anyShape,
        fc.array(anyFilter, { minLength: 1, maxLength: 8 }),
        fc.record({ limit: fc.integer({ min: 1, max: 30 }), budgetMs: fc.nat(60) }),
        (records, stored, filters, { limit, budgetMs }) => {
          const database = storeOf(records, stored);
          for (const filter of filters) {
            const wanted = fitting(records, filter);
            const pages = pagesOf(database, filter, limit);
            expect(pages.flat()).toEqual(wanted);
            expect(pages.slice(0, -1).every(({ length }) => length === limit)).toBe(true);
            const slices = slicesOf(searchRecords(database, { filter, limit, cursor: null }, NONE));
            expect(slices.at(-1)?.records).toEqual(pages[0]);
            expect(idsOf(pagesOf(database, filter, limit, NONE).flat())).toEqual(idsOf(wanted));
            expect(idsOf(pagesOf(database, filter, limit, SMALL_STEPS).flat())).toEqual(idsOf(wanted));
            expect(idsOf(pagesOf(database, filter, limit, running(budgetMs)).flat())).toEqual(idsOf(wanted));
            expect(idsOf([...readBatches(database, filter, running(budgetMs))].flat())).toEqual(idsOf(wanted));
            expect(idsOf([...readBatches(database, filter, NONE)].flat())).toEqual(idsOf(wanted));
          }
        },
      ),
      { numRuns: 15 },
    );
  });

  test("a search agrees with a plain filter for any filter text", () => {
    const odd = ["a'b", 'a"b', "a%b", "a_b", "a\\\\b", "a\\.b", "*", "[a]", "a\\032b", "xn--fsqu00a.com"];
    const records = odd.map((name, index) =>
      record({ id: firstIdAt(SOME_WALL_MS + index), name, clientId: `c${index}`, rule: name, answers: [`60 TXT "${name}"`] }),
    );
    const database = storeOf(records, { partRows: 5, upkeep: 4, batch: 5 });
    const anyText = fc.oneof(
      anyString(),
      fc.array(fc.constantFrom(...odd, "*", "!", "/", ".", "'", "%", "\\"), { maxLength: 4 }).map((parts) => parts.join("")),
    );
    fc.assert(
      fc.property(fc.constantFrom(...FILTER_PARAMETERS), anyText, (parameter, text) => {
        const parsed = parseFilter([[parameter, text]], SOME_WALL_MS);
        if (parsed.kind === "bad") return;
        expect(idsOf(pagesOf(database, parsed.filter, 3).flat())).toEqual(idsOf(fitting(records, parsed.filter)));
      }),
      { numRuns: runs(300) },
    );
  });

  test.each([
    ["name", "/^n[a-z0-9]*[a-z0-9]*x$/"],
    ["name", "!/^n[0-9]*$/"],
    ["name", "*n*x*"],
    ["answer", "*t*x*y*"],
    ["answer", "!*t*"],
  ])("a search ends soon after its time limit, whatever the patterns cost: %s=%s", (parameter, value) => {
    const made = Array.from({ length: 3000 }, (_, index) =>
      record({ id: firstIdAt(SOME_WALL_MS + index), name: `n${index}.test`, answers: [`60 TXT "t${index}"`] }),
    );
    const database = storeOf(made, { partRows: 3000, upkeep: 0, batch: 1000 });
    let looks = 0;
    const budget: SearchBudget = { nowMs: () => looks++, budgetMs: 100 };
    const filter = filterOf([[parameter, value]]);
    const { records, cursor } = searchOnce(database, { filter, limit: 1000, cursor: null }, budget);
    expect(records.length).toBeLessThan(200);
    expect(cursor).not.toBeNull();
    expect(looks).toBeLessThan(120);
  });

  test("pages do not shift while records are added", () => {
    const path = `${directory()}/queries.db`;
    const store = new Store({ path, keepMs: 1e12, maxRows: 100 });
    const made = Array.from({ length: 30 }, (_, index) => record({ id: firstIdAt(SOME_WALL_MS + index) }));
    store.insert(batchOf(made.slice(0, 20)));
    const database = openForWriting(path, { busyTimeoutMs: 1000 });
    const first = searchOnce(database, { filter: filterOf([]), limit: 7, cursor: null }, AMPLE);
    store.insert(batchOf(made.slice(20)));
    const second = searchOnce(database, { filter: filterOf([]), limit: 100, cursor: first.cursor }, AMPLE);
    expect(idsOf([...first.records, ...second.records])).toEqual(idsOf(made.slice(0, 20)).reverse());
    store.close();
    database.close();
  });

  test("a search finds nothing of a partition that was replaced while it paused", () => {
    const { store, database } = openedStore({ keepMs: 3_600_000 });
    store.insert(batchOf(recordsFrom(SOME_WALL_MS, 1500, "a")));
    const reading = readBatches(database, filterOf([["name", "a*"]]), AMPLE);
    expect(reading.next().value).toHaveLength(1000);
    tidyAll(store, SOME_WALL_MS + 7_200_000);
    store.insert(batchOf(recordsFrom(SOME_WALL_MS - 3_600_000, 10, "b")));
    expect([...reading].flat()).toEqual([]);
  });

  test("the last page says that there are no more records, also if the page is full", () => {
    const made = Array.from({ length: 10 }, (_, index) => record({ id: firstIdAt(SOME_WALL_MS + index) }));
    const database = storeOf(made, { partRows: 5, upkeep: 0, batch: 10 });
    const page = searchOnce(database, { filter: filterOf([]), limit: 10, cursor: null }, AMPLE);
    expect(page.records).toHaveLength(10);
    expect(page.cursor).toBeNull();
  });

  test("a search in an empty store finds nothing", () => {
    const database = storeOf([], { partRows: 5, upkeep: 3, batch: 10 });
    expect(searchOnce(database, { filter: filterOf([]), limit: 10, cursor: null }, AMPLE)).toEqual({
      records: [],
      cursor: null,
    });
  });
});

test.each(["", "x", "-1", "0", "1e3", "99999999999999999", "9007199254740993", "1; DROP TABLE parts"])(
  "%j is no cursor",
  (cursor) => {
    const database = storeOf([], { partRows: 5, upkeep: 0, batch: 1 });
    expect(() => searchOnce(database, { filter: filterOf([]), limit: 1, cursor }, AMPLE)).toThrow(CursorError);
  },
);

test("a record is found by its id, and another id finds nothing", () => {
  const made = Array.from({ length: 20 }, (_, index) => record({ id: firstIdAt(SOME_WALL_MS + index) + 3 }));
  const database = storeOf(made, { partRows: 5, upkeep: 4, batch: 5 });
  for (const one of made) expect(getRecord(database, one.id)?.record).toEqual(one);
  expect(getRecord(database, firstIdAt(SOME_WALL_MS))).toBeNull();
  expect(getRecord(database, 0)).toBeNull();
});
