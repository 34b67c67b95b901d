import { expect, test } from "vitest";
import { recordedVersions } from "../../../src/log/maintenance.ts";
import { SOME_WALL_MS } from "../records.ts";
import { batchOf } from "../rows.ts";
import { openedStore, recordsFrom, tidyAll } from "../store/opened-store.ts";

const DAY_MS = 86_400_000;

test("each recorded version is listed once, also while a partition is dropped", () => {
  const { store, database } = openedStore();
  for (const [day, version] of ["a", "b", "b", "c"].entries())
    store.insert(batchOf(recordsFrom(SOME_WALL_MS + day * DAY_MS, 10, "n").map((made) => ({ ...made, version }))));
  const prepare = database.prepare.bind(database);
  database.prepare = (sql, ...others) => {
    // The moment between the list of parts and what is in them.
    if (sql.includes("kinds_")) tidyAll(store, SOME_WALL_MS + 9.5 * DAY_MS);
    return prepare(sql, ...others);
  };
  expect(recordedVersions(database).toSorted()).toEqual(["a", "b", "c"]);
  expect(recordedVersions(database)).toEqual(["c"]);
});
