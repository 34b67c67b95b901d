import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Database } from "../../../src/log/database.ts";
import { allParts, partLimits, runMaintenance } from "../../../src/log/maintenance.ts";
import type { QueryRecord } from "../../../src/log/record.ts";
import { firstIdAt, minuteOf } from "../../../src/log/schema.ts";
import { Store, type StoreOptions } from "../../../src/log/store.ts";
import { anyRecord, record, SOME_WALL_MS } from "../records.ts";
import { batchOf } from "../rows.ts";
import { allRecords } from "./opened-store.ts";

const DAY_MS = 86_400_000;
const WEEK_MS = 7 * DAY_MS;

let folder: string;
const open: { close(): void }[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "fenliu-store-"));
});

afterEach(() => {
  for (const opened of open.splice(0)) opened.close();
  rmSync(folder, { recursive: true, force: true });
});

function openStore(changes: Partial<StoreOptions> = {}): Store {
  const { maxRows = 5_000_000 } = changes;
  const limits = { keepMs: WEEK_MS, maxRows, partRows: Math.floor(maxRows / 25) };
  const store = new Store({ path: join(folder, "queries.db"), ...limits, ...changes });
  open.push(store);
  return store;
}

function openDatabase(): Database {
  const database = new DatabaseSync(join(folder, "queries.db"));
  open.push(database);
  return database;
}

function tidyAll(store: Store, nowWallMs: number): number {
  let done = 0;
  while (store.tidy(nowWallMs)) done++;
  return done;
}

/** So many records, one each millisecond. */
function records(
  count: number,
  fromWallMs = SOME_WALL_MS,
  changes: (index: number) => Partial<QueryRecord> = () => ({}),
): QueryRecord[] {
  return Array.from({ length: count }, (_, index) => record({ id: firstIdAt(fromWallMs + index), ...changes(index) }));
}

describe("rows", () => {
  test("every added record is stored completely", () => {
    fc.assert(
      fc.property(fc.uniqueArray(anyRecord, { selector: ({ id }) => id, maxLength: 20 }), (made) => {
        rmSync(folder, { recursive: true, force: true });
        mkdirSync(folder);
        const store = openStore({ keepMs: 3650 * DAY_MS });
        store.insert(batchOf(made.slice(0, 7)));
        store.insert(batchOf(made.slice(7)));
        const database = openDatabase();
        expect(allRecords(database)).toEqual(made.toSorted((a, b) => a.id - b.id));
        expect(store.state().rows).toBe(made.length);
        for (const opened of open.splice(0)) opened.close();
      }),
      { numRuns: 30 },
    );
  });

  test("a store that is opened again continues, with the same texts under the same ids", () => {
    openStore().insert(batchOf(records(10)));
    for (const opened of open.splice(0)) opened.close();
    openStore().insert(batchOf(records(10, SOME_WALL_MS + 1000)));
    const database = openDatabase();
    expect(allRecords(database)).toHaveLength(20);
    expect(database.prepare("SELECT count(*) AS texts FROM names_20261121").get()?.["texts"]).toBe(1);
  });

  test("a batch that is sent twice changes nothing", () => {
    const store = openStore();
    store.insert(batchOf(records(10)));
    store.insert(batchOf(records(10).slice(3)));
    expect(store.state().rows).toBe(10);
    const database = openDatabase();
    expect(allRecords(database)).toHaveLength(10);
    expect(countOf(database, "client_minutes_20261121")).toBe(10);
  });

  test("two processes may add to one store", () => {
    const [first, second] = [openStore(), openStore()];
    for (let round = 0; round < 5; round++) {
      const at = SOME_WALL_MS + round * 1000;
      first.insert(batchOf(records(5, at, (index) => ({ name: `a${round}-${index}.example` }))));
      second.insert(batchOf(records(5, at + 500, (index) => ({ name: `b${round}-${index}.example` }))));
    }
    const database = openDatabase();
    expect(new Set(allRecords(database).map(({ name }) => name)).size).toBe(50);
    expect(countOf(database, "kind_minutes_20261121")).toBe(50);
  });

  test("a real-shaped row takes few bytes", () => {
    const store = openStore();
    store.insert(
      batchOf(
        records(20_000, SOME_WALL_MS, (index) => ({ name: `www${index % 500}.taobao.com`, client: `10.0.0.${index % 40}` })),
      ),
    );
    tidyAll(store, SOME_WALL_MS + DAY_MS);
    expect(store.state().bytes / 20_000).toBeLessThan(30);
  });
});

describe("parts", () => {
  test("a partition holds at most one day and a 25th of all rows", () => {
    const store = openStore({ maxRows: 2500 });
    store.insert(batchOf(records(250)));
    store.insert(batchOf(records(10, SOME_WALL_MS + DAY_MS)));
    const parts = allParts(openDatabase());
    expect(parts.map(({ key, state, rows }) => [key, state, rows])).toEqual([
      ["20261122", "live", 10],
      ["20261121_2", "closed", 50],
      ["20261121_1", "closed", 100],
      ["20261121", "closed", 100],
    ]);
  });

  test("with a short retention a partition holds a quarter of it", () => {
    const store = openStore({ keepMs: 3_600_000 });
    store.insert(batchOf(records(1)));
    store.insert(batchOf(records(1, SOME_WALL_MS + 899_999)));
    store.insert(batchOf(records(1, SOME_WALL_MS + 900_000)));
    expect(allParts(openDatabase()).map(({ rows }) => rows)).toEqual([1, 2]);
  });

  test("the oldest rows beyond the maximum are dropped", () => {
    const store = openStore({ maxRows: 1000 });
    for (let batch = 0; batch < 30; batch++) {
      store.insert(batchOf(records(50, SOME_WALL_MS + batch * 50)));
      tidyAll(store, SOME_WALL_MS);
      expect(store.state().rows).toBeLessThanOrEqual(1000);
    }
    const kept = allRecords(openDatabase());
    expect(kept.length).toBeGreaterThanOrEqual(960);
    expect(kept.at(-1)?.id).toBe(firstIdAt(SOME_WALL_MS + 1499));
    expect(kept[0]?.id).toBe(firstIdAt(SOME_WALL_MS + 1500 - kept.length));
  });

  test("records that are too old are dropped with all they refer to, also if nothing new comes", () => {
    const store = openStore();
    store.insert(batchOf(records(10)));
    expect(tidyAll(store, SOME_WALL_MS + WEEK_MS - 1)).toBeGreaterThan(0);
    expect(store.state().rows).toBe(10);
    tidyAll(store, SOME_WALL_MS + WEEK_MS + 10);
    expect(store.state()).toMatchObject({ rows: 0, oldestWallMs: null });
    const tables = openDatabase().prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all();
    expect(tables.map(({ name }) => name)).toEqual(["parts", "runs"]);
  });

  test("a mostly empty file shrinks", () => {
    const store = openStore();
    store.insert(batchOf(records(40_000, SOME_WALL_MS, (index) => ({ name: `${index}.example` }))));
    const { bytes } = store.state();
    expect(bytes).toBeGreaterThan(1_000_000);
    tidyAll(store, SOME_WALL_MS + WEEK_MS + 50_000);
    expect(store.state().bytes).toBeLessThan(100_000);
    store.insert(batchOf(records(10, SOME_WALL_MS + WEEK_MS)));
    expect(openDatabase().prepare("PRAGMA integrity_check").get()).toEqual({ integrity_check: "ok" });
  });

  test("a closed partition is packed and gets its index, one step of work at a time", () => {
    const store = openStore({ maxRows: 2500 });
    const made = records(110);
    for (let from = 0; from < made.length; from += 10) {
      store.insert(batchOf(made.slice(from, from + 10)));
      // Another connection has written: the store begins a block of its own after that.
      const other = openStore({ maxRows: 2500 });
      other.mark({ wallMs: SOME_WALL_MS + from, isNew: false, lost: 0 });
    }
    const database = openDatabase();
    const blocks = () => database.prepare("SELECT count(*) AS blocks FROM blocks_20261121").get()?.["blocks"];
    expect(blocks()).toBe(10);
    expect(tidyAll(store, SOME_WALL_MS)).toBe(2);
    expect(blocks()).toBe(1);
    expect(database.prepare("SELECT count(*) AS columns FROM columns_20261121").get()).toEqual({ columns: 13 });
    expect(allParts(database).map(({ state }) => state)).toEqual(["live", "indexed"]);
    expect(allRecords(database)).toEqual(made);
    const plan = database.prepare("EXPLAIN QUERY PLAN SELECT id FROM names_20261121 WHERE text = 'a'").all();
    expect(plan.map(({ detail }) => detail)).toEqual([expect.stringContaining("USING COVERING INDEX names_20261121_text")]);
    expect(runMaintenance(database, { keepMs: WEEK_MS, maxRows: 2500, partRows: 100 }, SOME_WALL_MS)).toBe(false);
  });

  test("a clock set back by a day starts another partition, and nothing is lost", () => {
    const store = openStore();
    store.insert(batchOf(records(5, SOME_WALL_MS + DAY_MS)));
    store.insert(batchOf(records(5)));
    store.insert(batchOf(records(5, SOME_WALL_MS + DAY_MS + 10)));
    const database = openDatabase();
    expect(allParts(database).map(({ key }) => key)).toEqual(["20261122_1", "20261122", "20261121"]);
    expect(allRecords(database)).toHaveLength(15);
  });

  test("late records of the day before, in turn with those of a day, take two partitions and not one each", () => {
    const midnight = (Math.floor(SOME_WALL_MS / DAY_MS) + 1) * DAY_MS;
    const mixed = records(100, midnight).flatMap((after, index) => [after, ...records(1, midnight - 1000 + index)]);
    const store = openStore();
    store.insert(batchOf(mixed));
    const database = openDatabase();
    expect(allRecords(database)).toEqual(mixed.toSorted((a, b) => a.id - b.id));
    expect(allParts(database)).toHaveLength(2);
  });

  test("limits hold for the smallest and largest configured values", () => {
    expect(partLimits({ keepMs: 3_600_000, maxRows: 1000 })).toEqual({ rows: 500, spanMs: 900_000 });
    expect(partLimits({ keepMs: WEEK_MS, maxRows: 500_000 })).toEqual({ rows: 50_000, spanMs: DAY_MS });
    expect(partLimits({ keepMs: WEEK_MS, maxRows: 5_000_000 })).toEqual({ rows: 200_000, spanMs: DAY_MS });
    expect(partLimits({ keepMs: 3650 * DAY_MS, maxRows: 1_000_000_000 })).toEqual({ rows: 500_000, spanMs: DAY_MS });
  });
});

describe("roll-ups", () => {
  test("roll-ups count queries by minute, over batches and restarts", () => {
    const made = records(40, SOME_WALL_MS - 20, (index) => ({
      client: `10.0.0.${index % 3}`,
      type: index % 4 === 0 ? "AAAA" : "A",
      durationUs: 1000,
      ...(index % 2 === 0 ? { attempts: [] } : {}),
    })).map((made, index) => ({ ...made, id: made.id + index * firstIdAt(5000) }));
    openStore().insert(batchOf(made.slice(0, 15)));
    for (const opened of open.splice(0)) opened.close();
    openStore().insert(batchOf(made.slice(15)));
    const database = openDatabase();
    const counted = (sql: string) =>
      Object.fromEntries(
        database
          .prepare(sql)
          .all()
          .map(({ key, count }) => [String(key), Number(count)]),
      );
    const expected = (key: (made: QueryRecord) => string) =>
      Object.fromEntries(
        Map.groupBy(made, key)
          .entries()
          .map(([name, all]) => [name, all.length]),
      );
    expect(
      counted(
        `SELECT minute || type AS key, sum(count) AS count FROM kind_minutes_20261121 JOIN kinds_20261121 ON id = kind GROUP BY 1`,
      ),
    ).toEqual(expected(({ id, type }) => `${minuteOf(id)}${type}`));
    expect(
      counted(
        `SELECT minute || address AS key, sum(count) AS count FROM client_minutes_20261121 JOIN clients_20261121 ON id = client GROUP BY 1`,
      ),
    ).toEqual(expected(({ id, client }) => `${minuteOf(id)}${client}`));
    expect(counted("SELECT asked AS key, sum(count) AS count FROM latency_minutes_20261121 GROUP BY 1")).toEqual({
      0: 20,
      1: 20,
    });
  });

  test("clients beyond the room of a minute are counted together", () => {
    const store = openStore();
    store.insert(batchOf(records(3000, SOME_WALL_MS, (index) => ({ client: `10.0.${index >> 8}.${index & 255}` }))));
    const counts = openDatabase()
      .prepare("SELECT client, sum(count) AS count FROM client_minutes_20261121 GROUP BY client ORDER BY client")
      .all();
    expect(counts).toHaveLength(1001);
    expect(counts[0]).toMatchObject({ client: 0, count: 2000 });
  });
});

test("every file of the store is readable by its user alone", () => {
  openStore().insert(batchOf(records(10)));
  const modes = readdirSync(folder).map((name) => [name, statSync(join(folder, name)).mode & 0o777]);
  expect(Object.fromEntries(modes)).toEqual({ "queries.db": 0o600, "queries.db-wal": 0o600, "queries.db-shm": 0o600 });
});

describe("files that are not ours", () => {
  test("a database of another program is left alone", () => {
    const other = openDatabase();
    other.exec("CREATE TABLE recipes (name TEXT)");
    expect(() => openStore()).toThrow("a database of another program");
    expect(other.prepare("SELECT count(*) AS tables FROM sqlite_schema").get()).toEqual({ tables: 1 });
  });

  test("a file that is no database is not written to", () => {
    writeFileSync(join(folder, "queries.db"), "a letter to my aunt\n".repeat(100));
    expect(() => openStore()).toThrow("not a database");
  });

  test("tables of another schema version are not written to", () => {
    openStore().insert(batchOf(records(1)));
    openDatabase().exec("PRAGMA user_version = 99");
    expect(() => openStore()).toThrow("another version (99");
  });

  test("a file that is replaced is noticed before anything is written", () => {
    const store = openStore();
    store.insert(batchOf(records(1)));
    rmSync(join(folder, "queries.db"));
    expect(() => store.insert(batchOf(records(1, SOME_WALL_MS + 1)))).toThrow("deleted or replaced");
    appendFileSync(join(folder, "queries.db"), "");
    expect(() => store.tidy(SOME_WALL_MS)).toThrow("deleted or replaced");
  });
});

function countOf(database: Database, table: string): number {
  return Number(database.prepare(`SELECT sum(count) AS sum FROM ${table}`).get()?.["sum"]);
}
