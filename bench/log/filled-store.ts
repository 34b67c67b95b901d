import { existsSync } from "node:fs";
import { openForReading } from "../../src/log/database.ts";
import type { QueryRecord } from "../../src/log/record.ts";
import { Store, type StoreOptions } from "../../src/log/store.ts";
import { batchOf } from "../../test/log/rows.ts";
import type { QuerySource } from "./rows.ts";

const WEEK_MS = 7 * 86_400_000;
const BATCH_RECORDS = 2048;

export interface FilledStore {
  readonly options: StoreOptions;
  readonly fromMs: number;
  readonly toMs: number;
  readonly rows: number;
  readonly bytes: number;
  /** null = it was there already. */
  readonly filling: { readonly rowsPerSecond: number; readonly longestTidyMs: number } | null;
}

/** A store with so many rows, spread evenly over a week; one that is there already is taken as it is. */
export function filledStore(path: string, rows: number, source: QuerySource): FilledStore {
  const fromMs = Date.UTC(2026, 10, 16);
  const toMs = fromMs + WEEK_MS;
  // The week is in the past by now, and is not to be dropped.
  const options = { path, keepMs: 52 * WEEK_MS, maxRows: rows };
  const was = existsSync(path);
  const store = new Store(options);
  const filling = was ? null : fill(store, source, { rows, fromMs, toMs });
  const state = store.state();
  store.close();
  return { options, fromMs, toMs, rows: state.rows, bytes: state.bytes, filling };
}

interface Span {
  readonly rows: number;
  readonly fromMs: number;
  readonly toMs: number;
}

function fill(store: Store, source: QuerySource, { rows, fromMs, toMs }: Span): FilledStore["filling"] {
  let insertMs = 0;
  let longestTidyMs = 0;
  for (let done = 0; done < rows; ) {
    const batch: QueryRecord[] = [];
    for (; batch.length < BATCH_RECORDS && done < rows; done++)
      batch.push(source.next(Math.floor(fromMs + (done / rows) * (toMs - fromMs)) * 1024 + (done % 1024)));
    const startMs = performance.now();
    store.insert(batchOf(batch));
    insertMs += performance.now() - startMs;
    const wallMs = Math.floor((batch.at(-1)?.id ?? 0) / 1024);
    for (let due = true; due; ) {
      const tidyMs = performance.now();
      due = store.tidy(wallMs);
      longestTidyMs = Math.max(longestTidyMs, performance.now() - tidyMs);
    }
    if (done % (BATCH_RECORDS * 250) === 0) process.stderr.write(`${done} rows\n`);
  }
  return { rowsPerSecond: (rows / insertMs) * 1000, longestTidyMs };
}

/** Bytes a row takes in each table and index, most first, the parts together. */
export function bytesByTable(path: string, rows: number): readonly { readonly table: string; readonly bytesPerRow: number }[] {
  const database = openForReading(path, { busyTimeoutMs: 1000 });
  const sizes = new Map<string, number>();
  for (const { name, bytes } of database.prepare("SELECT name, sum(pgsize) AS bytes FROM dbstat GROUP BY name").all()) {
    const table = String(name).replace(/_\d{8}(?:_\d+)?/, "");
    sizes.set(table, (sizes.get(table) ?? 0) + Number(bytes));
  }
  database.close();
  return [...sizes].map(([table, bytes]) => ({ table, bytesPerRow: bytes / rows })).sort((a, b) => b.bytesPerRow - a.bytesPerRow);
}
