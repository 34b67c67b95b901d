import { describe, expect, test } from "vitest";
import type { Database } from "../../../src/log/database.ts";
import type { Page } from "../../../src/log/filter.ts";
import { allParts } from "../../../src/log/maintenance.ts";
import { RecordIds } from "../../../src/log/schema.ts";
import { searchRecords } from "../../../src/log/search.ts";
import { summarize } from "../../../src/log/summary.ts";
import { EVERYTHING } from "../opened.ts";
import { record, SOME_WALL_MS } from "../records.ts";
import { batchOf } from "../rows.ts";
import { allRecords, openedStore, recordsFrom, tidyAll } from "./opened-store.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
const MIDNIGHT_MS = Date.UTC(2026, 10, 22);

describe("a clock that is set back", () => {
  test("maintenance over midnight does not close a partition for each minute that ids run ahead", () => {
    const { store, database } = openedStore();
    for (let minute = 0; minute < 30; minute++) {
      store.insert(batchOf(recordsFrom(MIDNIGHT_MS + minute, 1, "a")));
      tidyAll(store, MIDNIGHT_MS - HOUR_MS + minute * MINUTE_MS);
    }
    expect(allParts(database).map(({ rows }) => rows)).toEqual([30]);
    tidyAll(store, MIDNIGHT_MS + DAY_MS);
    expect(allParts(database).map(({ state }) => state)).toEqual(["indexed"]);
  });

  test("a clock set back while the process was stopped: every query is stored, also if its id is taken", () => {
    const first = openedStore({ maxRows: 2500 });
    first.store.insert(batchOf(recordsFrom(SOME_WALL_MS, 250, "before")));
    const { store, database } = openedStore({ path: first.path, maxRows: 2500 });
    for (const at of [0, 100, 150]) store.insert(batchOf(recordsFrom(SOME_WALL_MS + at, 100, `again${at}-`)));
    const stored = allRecords(database);
    expect(new Set(stored.map(({ id }) => id)).size).toBe(550);
    expect(new Set(stored.map(({ name }) => name)).size).toBe(550);
    const { name, time } = recordsFrom(SOME_WALL_MS + 7, 1, "again0-")[0] ?? {};
    expect(stored.find((one) => one.time === time && one.name === name?.replace("0.ex", "7.ex"))).toBeDefined();
  });

  test("records added to a past hour are added to its counts", () => {
    const hour = SOME_WALL_MS - (SOME_WALL_MS % HOUR_MS);
    const { store, database } = openedStore();
    store.insert(batchOf(recordsFrom(hour, 3, "a")));
    tidyAll(store, hour + HOUR_MS + 2 * MINUTE_MS);
    store.insert(batchOf(recordsFrom(hour - HOUR_MS + 5, 3, "a")));
    store.insert(batchOf(recordsFrom(hour + 5, 3, "a")));
    for (const nowMs of [hour, hour + HOUR_MS + 2 * MINUTE_MS, hour + DAY_MS]) {
      const request = { fromMs: hour - HOUR_MS, toMs: hour + HOUR_MS, stepMs: HOUR_MS, top: 5, sideOf: {} };
      const { total, topNames } = summarize(database, request);
      expect([total, topNames.map(({ count }) => count)]).toEqual([9, [3, 3, 3]]);
      tidyAll(store, nowMs);
    }
  });

  test("pages through overlapping partitions show each record once", () => {
    const { store, database } = openedStore({ maxRows: 2500 });
    store.insert(batchOf(recordsFrom(SOME_WALL_MS, 250, "before")));
    store.insert(batchOf(recordsFrom(SOME_WALL_MS, 250, "again")));
    expect(pagesOf(database, 7)).toEqual(
      allRecords(database)
        .map(({ name }) => name)
        .reverse(),
    );
  });
});

test("records after a clock correction are found by their time and counted in their minute", () => {
  const { store, database } = openedStore();
  const ids = new RecordIds();
  const made = (wallMs: number, name: string) => record({ id: ids.next(wallMs), time: new Date(wallMs).toISOString(), name });
  store.insert(
    batchOf([made(SOME_WALL_MS, "before"), made(SOME_WALL_MS + 3 * HOUR_MS, "ahead"), made(SOME_WALL_MS + 1, "right")]),
  );
  const [fromMs, toMs] = [SOME_WALL_MS, SOME_WALL_MS + MINUTE_MS];
  const filter = { ...EVERYTHING, fromMs, toMs };
  const page = searchRecords(database, { filter, limit: 10, cursor: null }, { nowMs: () => 0, budgetMs: 1 }).next().value;
  expect(page.records.map(({ name }) => name)).toEqual(["right", "before"]);
  expect(summarize(database, { fromMs, toMs, stepMs: MINUTE_MS, top: 5, sideOf: {} }).total).toBe(2);
});

test("records after a clock correction are kept no longer than others", () => {
  const { store } = openedStore({ keepMs: HOUR_MS });
  const morning = MIDNIGHT_MS + 8 * HOUR_MS;
  store.insert(batchOf(recordsFrom(morning + 10 * HOUR_MS, 10, "ahead")));
  store.insert(batchOf(recordsFrom(morning, 10, "right")));
  tidyAll(store, morning + 2 * HOUR_MS);
  expect(store.state().rows).toBe(0);
});

describe("a clock that was a year ahead", () => {
  const YEAR_MS = 365 * DAY_MS;

  test("records after the correction are not dropped because of earlier ones", () => {
    const { store, database } = openedStore({ maxRows: 1000 });
    store.insert(batchOf(recordsFrom(SOME_WALL_MS + YEAR_MS, 960, "ahead")));
    for (let batch = 0; batch < 12; batch++) {
      store.insert(batchOf(recordsFrom(SOME_WALL_MS + batch * 50, 50, `right${batch}-`)));
      tidyAll(store, SOME_WALL_MS + batch * 50);
    }
    const names = allRecords(database).map(({ name }) => name);
    expect(names.filter((name) => name.startsWith("right"))).toHaveLength(600);
    expect(names.length).toBeLessThanOrEqual(1000);
  });

  test("records of the wrong year are dropped when later records are too old", () => {
    const { store, database } = openedStore();
    store.insert(batchOf(recordsFrom(SOME_WALL_MS + YEAR_MS, 10, "ahead")));
    store.insert(batchOf(recordsFrom(SOME_WALL_MS, 10, "right")));
    store.insert(batchOf(recordsFrom(SOME_WALL_MS + 5 * DAY_MS, 10, "later")));
    tidyAll(store, SOME_WALL_MS + 6 * DAY_MS);
    expect(allRecords(database)).toHaveLength(30);
    tidyAll(store, SOME_WALL_MS + 8 * DAY_MS);
    expect(allRecords(database).map(({ name }) => name)).toEqual(recordsFrom(0, 10, "later").map(({ name }) => name));
  });

  test("records of the wrong year stay when earlier records are dropped", () => {
    const { store, database } = openedStore();
    store.insert(batchOf(recordsFrom(SOME_WALL_MS, 10, "before")));
    store.insert(batchOf(recordsFrom(SOME_WALL_MS + 30 * DAY_MS, 10, "ahead")));
    store.insert(batchOf(recordsFrom(SOME_WALL_MS + 6 * DAY_MS, 10, "right")));
    tidyAll(store, SOME_WALL_MS + 8 * DAY_MS);
    expect(allRecords(database)).toHaveLength(20);
  });

  test("a clock that started in 1970 and was corrected costs no earlier record", () => {
    const { store, database } = openedStore();
    store.insert(batchOf(recordsFrom(SOME_WALL_MS, 10, "before")));
    store.insert(batchOf(recordsFrom(1000, 10, "lost")));
    tidyAll(store, 2000);
    expect(allRecords(database)).toHaveLength(20);
    store.insert(batchOf(recordsFrom(SOME_WALL_MS + HOUR_MS, 10, "after")));
    tidyAll(store, SOME_WALL_MS + HOUR_MS);
    expect(allRecords(database)).toHaveLength(20);
  });
});

test("lowered limits apply at the next maintenance, and the file shrinks", () => {
  const before = openedStore();
  for (let day = 0; day < 6; day++) before.store.insert(batchOf(recordsFrom(SOME_WALL_MS + day * DAY_MS, 5000, `day${day}-`)));
  tidyAll(before.store, SOME_WALL_MS + 5 * DAY_MS);
  const { bytes } = before.store.state();
  const fewer = openedStore({ path: before.path, maxRows: 12_000 });
  tidyAll(fewer.store, SOME_WALL_MS + 5 * DAY_MS);
  expect(fewer.store.state().rows).toBe(10_000);
  expect(fewer.store.state().bytes).toBeLessThan(bytes / 2);
  const shorter = openedStore({ path: before.path, keepMs: DAY_MS });
  tidyAll(shorter.store, SOME_WALL_MS + 5 * DAY_MS + HOUR_MS);
  expect(new Set(allRecords(shorter.database).map(({ name }) => name.split("-")[0]))).toEqual(new Set(["day5"]));
});

/** The names of all records, as a caller gets them page by page. */
function pagesOf(database: Database, limit: number): string[] {
  const names: string[] = [];
  for (let cursor: string | null = null, done = false; !done; ) {
    const budget = { nowMs: () => 0, budgetMs: 1 };
    const page: Page = searchRecords(database, { filter: EVERYTHING, limit, cursor }, budget).next().value;
    names.push(...page.records.map(({ name }) => name));
    cursor = page.cursor;
    done = cursor === null;
  }
  return names;
}
