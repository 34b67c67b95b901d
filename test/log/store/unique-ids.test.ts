import { DatabaseSync } from "node:sqlite";
import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { allParts } from "../../../src/log/maintenance.ts";
import { firstIdAt } from "../../../src/log/schema.ts";
import { runs } from "../../support/properties.ts";
import { record, SOME_WALL_MS } from "../records.ts";
import { batchOf } from "../rows.ts";
import { allRecords, openedStore, recordsFrom, tidyAll } from "./opened-store.ts";

const MIDNIGHT_MS = Date.UTC(2026, 10, 22);

describe("a batch that is sent again because its thread ended", () => {
  test("is stored once if it filled a partition", () => {
    const { store, database, path } = openedStore({ maxRows: 2500 });
    const batch = recordsFrom(SOME_WALL_MS, 250, "a");
    store.insert(batchOf(batch));
    const again = openedStore({ path, maxRows: 2500 });
    again.store.insert(batchOf(batch));
    expect(allRecords(database)).toEqual(batch);
    expect(allParts(database).map(({ rows }) => rows)).toEqual([50, 100, 100]);
  });

  test("is stored once if it spans midnight", () => {
    const { store, database } = openedStore();
    const batch = recordsFrom(MIDNIGHT_MS - 20, 40, "a");
    store.insert(batchOf(batch));
    store.insert(batchOf(batch));
    expect(allRecords(database)).toEqual(batch);
    expect(allParts(database)).toHaveLength(2);
  });

  test("is stored once if some records got other ids", () => {
    const { store, database } = openedStore();
    store.insert(batchOf(recordsFrom(SOME_WALL_MS, 10, "a")));
    const batch = recordsFrom(SOME_WALL_MS, 20, "b");
    store.insert(batchOf(batch));
    store.insert(batchOf(batch));
    expect(allRecords(database)).toHaveLength(30);
  });
});

test("two records of a batch with the same id are both stored", () => {
  const { store, database } = openedStore();
  const twins = [...recordsFrom(SOME_WALL_MS, 3, "a"), ...recordsFrom(SOME_WALL_MS, 3, "b")];
  store.insert(batchOf(twins));
  expect(allRecords(database)).toHaveLength(6);
});

test("whatever order ids come in, every record is stored once, under its id or one of the next", () => {
  const batches = fc.array(fc.array(fc.nat(60), { maxLength: 12 }), { maxLength: 8 });
  fc.assert(
    fc.property(batches, fc.constantFrom(200, 100_000), (given, maxRows) => {
      const { store, database } = openedStore({ maxRows, partRows: 10 });
      const sent = given.map((ids, batch) =>
        ids.map((id, index) => record({ id: firstIdAt(MIDNIGHT_MS - 1) + id * 40, name: `n${index}.b${batch}.example` })),
      );
      for (const batch of sent) store.insert(batchOf(batch));
      // Its thread ended before it could say so.
      if (sent[0] !== undefined) store.insert(batchOf(sent[0]));
      const stored = new Map(allRecords(database).map(({ name, id }) => [name, id]));
      expect(stored.size).toBe(sent.flat().length);
      expect(new Set(stored.values()).size).toBe(stored.size);
      for (const { name, id } of sent.flat()) expect(stored.get(name)).toBeGreaterThanOrEqual(id);
    }),
    { numRuns: runs(30) },
  );
});

test("where a day was lived through before, its ids are not looked for one by one", () => {
  const { store } = openedStore();
  const day = (counter: number, name: string) =>
    Array.from({ length: 2000 }, (_, index) =>
      record({
        id: firstIdAt(SOME_WALL_MS + Math.floor(index / 10)) + counter + 2 * (index % 10),
        name: `${name}${index}.example`,
      }),
    );
  // Closed parts have such ids, too.
  store.insert(batchOf(day(0, "a")));
  store.insert(batchOf([record({ id: firstIdAt(MIDNIGHT_MS + 86_400_000), name: "later.example" })]));
  const prepare = vi.spyOn(DatabaseSync.prototype, "prepare");
  store.insert(batchOf(day(128, "b")));
  expect(prepare.mock.calls.length).toBeLessThan(100);
  prepare.mockRestore();
  expect(store.state().rows).toBe(4001);
});

test("rows of a time whose partitions are dropped meanwhile are stored", () => {
  const { store, database } = openedStore({ maxRows: 100, partRows: 10 });
  store.insert(batchOf(recordsFrom(SOME_WALL_MS, 200, "a")));
  let turns = 0;
  do {
    store.insert(
      batchOf([record({ id: firstIdAt(SOME_WALL_MS + Math.max(0, 10 * turns - 5)) + 128, name: `late${turns}.example` })]),
    );
    turns++;
  } while (store.tidy(SOME_WALL_MS));
  expect(turns).toBeGreaterThan(5);
  expect(allRecords(database).map(({ name }) => name)).toContain(`late${turns - 1}.example`);
});

test("a failed batch leaves no state that later batches use", () => {
  const { store, database } = openedStore();
  store.insert(batchOf(recordsFrom(SOME_WALL_MS, 1, "before")));
  database.exec(
    `CREATE TRIGGER fails BEFORE INSERT ON kind_minutes_20261121 WHEN NEW.count > 50 BEGIN SELECT RAISE(ABORT, 'too many'); END`,
  );
  store.insert(batchOf(recordsFrom(SOME_WALL_MS + 1, 1, "before")));
  const batch = recordsFrom(SOME_WALL_MS + 10, 100, "a");
  expect(() => store.insert(batchOf(batch))).toThrow("too many");
  for (let from = 0; from < 100; from += 50) store.insert(batchOf(batch.slice(from, from + 40)));
  const stored = allRecords(database);
  expect(stored.slice(2)).toEqual([...batch.slice(0, 40), ...batch.slice(50, 90)]);
  expect(store.state().rows).toBe(82);
});

test("two processes that write in the same milliseconds lose nothing and use different ids", () => {
  const first = openedStore();
  const second = openedStore({ path: first.path });
  for (let round = 0; round < 5; round++) {
    first.store.insert(batchOf(recordsFrom(SOME_WALL_MS + round * 10, 10, `a${round}-`)));
    second.store.insert(batchOf(recordsFrom(SOME_WALL_MS + round * 10, 10, `b${round}-`)));
  }
  const stored = allRecords(first.database);
  expect(new Set(stored.map(({ id }) => id)).size).toBe(100);
  expect(new Set(stored.map(({ name }) => name)).size).toBe(100);
});

test("two processes may both maintain one store", () => {
  const first = openedStore({ maxRows: 1000 });
  const second = openedStore({ path: first.path, maxRows: 1000 });
  for (let round = 0; round < 40; round++) {
    first.store.insert(batchOf(recordsFrom(SOME_WALL_MS + round * 50, 50, `a${round}-`)));
    first.store.tidy(SOME_WALL_MS);
    second.store.tidy(SOME_WALL_MS);
  }
  tidyAll(second.store, SOME_WALL_MS);
  expect(first.store.state().rows).toBeLessThanOrEqual(1000);
  expect(first.database.prepare("PRAGMA integrity_check").get()).toEqual({ integrity_check: "ok" });
});
