import { readdirSync, rmSync, statSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { faultOf } from "../../../src/log/database.ts";
import { Store } from "../../../src/log/store.ts";
import { SOME_WALL_MS } from "../records.ts";
import { batchOf } from "../rows.ts";
import { canMount, fill, smallDisk } from "../small-disk.ts";
import { allRecords, openedStore, recordsFrom, tidyAll } from "./opened-store.ts";

const DAY_MS = 86_400_000;

// A disk without room is a small one mounted here, which only root may do, and not in most containers; without that it could only be pretended.
test.skipIf(!canMount()).each([
  ["that adds indexes", 1],
  ["that drops what is too old", 8],
])("a disk that is full during upkeep %s: nothing is lost, and it is done when there is room", (_, days) => {
  const folder = smallDisk("16m");
  const path = join(folder, "queries.db");
  const nowMs = SOME_WALL_MS + days * DAY_MS;
  const made = recordsFrom(SOME_WALL_MS, 10_000, "a");
  openedStore({ path }).store.insert(batchOf(made));
  const { store, database } = openedStore({ path });
  database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  fill(join(folder, "ballast"));
  let faults = 0;
  for (let minute = 0; minute < 5; minute++) {
    try {
      tidyAll(store, nowMs);
    } catch (error) {
      expect(error).toMatchObject({ errcode: 13 });
      faults++;
    }
    expect(store.state().rows).toBe(made.length);
  }
  expect(faults).toBe(5);
  expect(allRecords(database)).toHaveLength(made.length);
  rmSync(join(folder, "ballast"));
  tidyAll(store, nowMs);
  expect(store.state().rows).toBe(days < 7 ? made.length : 0);
  store.insert(batchOf(recordsFrom(nowMs, 10, "later")));
  expect(database.prepare("PRAGMA integrity_check").get()).toEqual({ integrity_check: "ok" });
});

// It has to be mounted, as above.
test.skipIf(!canMount())("a disk with any little room left is full, whatever is done when it ends", () => {
  const folder = smallDisk("1m");
  const ballast = join(folder, "ballast");
  for (let pages = 0; pages < 60; pages += 2) {
    for (const name of readdirSync(folder)) rmSync(join(folder, name));
    fill(ballast);
    truncateSync(ballast, statSync(ballast).size - pages * 4096);
    expect(fault(() => fillStore(join(folder, "queries.db")))).toEqual({ kind: "full", reason: "the disk is full" });
  }
});

/** Adds more than such a disk has room for. */
function fillStore(path: string): void {
  const store = new Store({ path, keepMs: 7 * DAY_MS, maxRows: 5_000_000 });
  try {
    for (let batch = 0; batch < 100; batch++) {
      store.insert(batchOf(recordsFrom(SOME_WALL_MS + batch * 100, 100, "a")));
      tidyAll(store, SOME_WALL_MS);
    }
  } finally {
    store.close();
  }
}

function fault(work: () => void): unknown {
  try {
    work();
    return null;
  } catch (error) {
    return faultOf(error);
  }
}
