import { LRUCache } from "lru-cache";
import type { Database } from "./database.ts";

export interface DictionaryTable {
  readonly table: string;
  /** Besides `id`, in the order in which `idOf` is given their values. */
  readonly columns: readonly string[];
  /** How many entries are remembered. One that is forgotten is written again when it comes again. */
  readonly remembered: number;
}

type Value = string | number | null;

/** Gives texts that come again and again short ids. Its memory is bounded, so the same text may get two ids. */
export class Dictionary {
  readonly #insert: ReturnType<Database["prepare"]>;
  readonly #ids: LRUCache<string, number>;
  #nextId: number;

  /** Remembers what was written last, as after a restart. */
  constructor(database: Database, { table, columns, remembered }: DictionaryTable) {
    const names = ["id", ...columns];
    this.#insert = database.prepare(`INSERT INTO ${table} (${names.join(", ")}) VALUES (${names.map(() => "?").join(", ")})`);
    this.#ids = new LRUCache({ max: remembered });
    const last = database.prepare(
      `SELECT * FROM (SELECT ${names.join(", ")} FROM ${table} ORDER BY id DESC LIMIT ?) ORDER BY id`,
    );
    last.setReturnArrays(true);
    this.#nextId = 1;
    for (const [id, ...values] of rowsOf(last.all(remembered))) {
      if (typeof id !== "number" || id === 0) continue;
      this.#ids.set(keyOf(values), id);
      this.#nextId = id + 1;
    }
  }

  /** @throws Error of SQLite where a new entry cannot be written; the dictionary must then be made anew. */
  idOf(...values: readonly Value[]): number {
    const key = keyOf(values);
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    const id = this.#nextId++;
    this.#insert.run(id, ...values);
    this.#ids.set(key, id);
    return id;
  }
}

function keyOf(values: readonly Value[]): string {
  const [first] = values;
  return values.length === 1 && typeof first === "string" ? first : JSON.stringify(values);
}

// The types of node:sqlite do not know that rows are arrays after `setReturnArrays`.
function rowsOf(rows: unknown): readonly (readonly Value[])[] {
  return rows as readonly (readonly Value[])[];
}
