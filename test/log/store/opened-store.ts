import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { onTestFinished } from "vitest";
import { PartBlocks } from "../../../src/log/blocks.ts";
import type { Database } from "../../../src/log/database.ts";
import { allParts } from "../../../src/log/maintenance.ts";
import { PartRows } from "../../../src/log/part-rows.ts";
import type { QueryRecord } from "../../../src/log/record.ts";
import { decodeRow } from "../../../src/log/rows.ts";
import { firstIdAt } from "../../../src/log/schema.ts";
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
  return allParts(database)
    .flatMap(({ key }) => partRecords(database, key))
    .sort((a, b) => a.id - b.id);
}

/** Everything in one part. */
export function partRecords(database: Database, key: string): QueryRecord[] {
  const rows = new PartRows(database, key);
  const records: QueryRecord[] = [];
  for (const { block, from, to } of new PartBlocks(database, key).slices({ from: 0, to: Number.MAX_SAFE_INTEGER }))
    for (let index = from; index < to; index++) records.push(decodeRow(rows.row(block, index)).record);
  return records;
}

/** Does all upkeep that is due. */
export function tidyAll(store: Store, nowWallMs: number): void {
  while (store.tidy(nowWallMs));
}
