import { type Block, PartBlocks } from "./blocks.ts";
import { type Database, StoreError } from "./database.ts";
import type { QueryRecord } from "./record.ts";
import type { StoredRow } from "./rows.ts";
import { KIND_COLUMNS, type KindColumn } from "./schema.ts";

type Client = Pick<StoredRow, "address" | "clientId">;
type Kind = Pick<QueryRecord, KindColumn>;

/** Rows of a part with the texts of its dictionaries. What it gives holds as long as the transaction in which it was asked for. */
export class PartRows {
  readonly #blocks: PartBlocks;
  readonly #names: (id: number) => { readonly text: string };
  readonly #clients: (id: number) => Client;
  readonly #kinds: (id: number) => Kind;
  readonly #details: (id: number) => { readonly text: string };
  readonly #answers: (id: number) => { readonly text: string };

  constructor(database: Database, key: string) {
    this.#blocks = new PartBlocks(database, key);
    this.#names = lookUp(database, `SELECT text FROM names_${key}`);
    this.#clients = lookUp(database, `SELECT address, client_id AS clientId FROM clients_${key}`);
    this.#kinds = lookUp(database, `SELECT ${KIND_COLUMNS.map((column) => `"${column}"`).join(", ")} FROM kinds_${key}`);
    this.#details = lookUp(database, `SELECT text FROM details_${key}`);
    this.#answers = lookUp(database, `SELECT text FROM answers_${key}`);
  }

  /** The row with this id; null where there is none. */
  find(id: number): StoredRow | null {
    for (const { block, from, to } of this.#blocks.slices({ from: id, to: id + 1 })) if (from < to) return this.row(block, from);
    return null;
  }

  row(block: Block, index: number): StoredRow {
    const { name, client, kind, details, answers, ...row } = block.row(index);
    return {
      ...row,
      ...this.#clients(client),
      ...this.#kinds(kind),
      reversed: this.#names(name).text,
      details: details === null ? null : this.#details(details).text,
      answers: answers === null ? null : this.#answers(answers).text,
    };
  }
}

/** Entries of a dictionary by their ids, each read once; throws StoreError where there is none. */
function lookUp<Entry>(database: Database, select: string): (id: number) => Entry {
  const known = new Map<number, Entry>();
  const statement = database.prepare(`${select} WHERE id = ?`);
  return (id) => {
    // The columns are those of the statement.
    const entry = known.get(id) ?? (statement.get(id) as unknown as Entry | undefined);
    if (entry === undefined) throw new StoreError("damaged", "an entry that rows of the file refer to is missing");
    known.set(id, entry);
    return entry;
  };
}
