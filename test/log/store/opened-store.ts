import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { onTestFinished } from "vitest";
import type { Database } from "../../../src/log/database.ts";
import { allParts } from "../../../src/log/maintenance.ts";
import type { QueryRecord } from "../../../src/log/record.ts";
import { decodeRow, type StoredRow } from "../../../src/log/rows.ts";
import { firstIdAt, selectRecords } from "../../../src/log/schema.ts";
import { Store, type StoreOptions } from "../../../src/log/store.ts";
import { directory } from "../../support/files.ts";
import { record } from "../records.ts";

export interface OpenedStore {
  readonly store: Store;
  /** A connection beside the store's, for looking into the file. */
  readonly database: Database;
  readonly path: string;
}

/** A store that keeps a week, in parts of a 25th of its rows; closed when the test ends. */
export function openedStore({ path = join(directory(), "queries.db"), ...limits }: Partial<StoreOptions> = {}): OpenedStore {
  const { maxRows = 5_000_000 } = limits;
  const store = new Store({ path, keepMs: 7 * 86_400_000, maxRows, partRows: Math.max(1, Math.floor(maxRows / 25)), ...limits });
  const database = new DatabaseSync(path);
  onTestFinished(() => {
    store.close();
    database.close();
  });
  return { store, database, path };
}

/** So many records with names of their own, one a millisecond from then on. */
export function recordsFrom(wallMs: number, count: number, name: string): QueryRecord[] {
  return Array.from({ length: count }, (_, index) =>
    record({ id: firstIdAt(wallMs + index), name: `${name}${index}.example`, time: new Date(wallMs + index).toISOString() }),
  );
}

/** Everything in the store, in the order of ids. */
export function allRecords(database: Database): QueryRecord[] {
  const rows = allParts(database).flatMap(({ key }) => database.prepare(selectRecords(key)).all());
  return rows.map((row) => decodeRow(row as unknown as StoredRow).record).sort((a, b) => a.id - b.id);
}

/** Does all upkeep that is due. */
export function tidyAll(store: Store, nowWallMs: number): void {
  while (store.tidy(nowWallMs));
}
