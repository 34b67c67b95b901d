import type { QueryRecord } from "../record.ts";
import type { Database } from "./database.ts";
import { Dictionary } from "./dictionary.ts";
import { RollUps } from "./roll-ups.ts";
import { rowOf } from "./row.ts";
import { hourOf, KIND_COLUMNS } from "./schema.ts";

/** Entries of dictionaries that are remembered while rows are added: some 15 MB of texts at the most. */
const REMEMBERED = { names: 32_768, clients: 8192, kinds: 8192, details: 8192, answers: 32_768 } as const;

/**
 * The part that rows are added to. Everything is to be called within a transaction; where something throws, the transaction is to be
 * undone and this be made anew, because it remembers what it wrote.
 */
export class LivePart {
  readonly key: string;
  /** Days since 1970. */
  readonly day: number;
  /** The lowest; null where there is no row yet. */
  #firstId: number | null;
  #rows: number;
  #lastId: number | null;
  /** Of the rows since the last `finish`; names are counted by the hour, and an hour that gets further rows is counted again. */
  #firstHour = Number.MAX_SAFE_INTEGER;
  readonly #insert: ReturnType<Database["prepare"]>;
  readonly #update: ReturnType<Database["prepare"]>;
  readonly #names: Dictionary;
  readonly #clients: Dictionary;
  readonly #kinds: Dictionary;
  readonly #details: Dictionary;
  readonly #answers: Dictionary;
  readonly #rollUps: RollUps;

  constructor(database: Database, part: LivePartState) {
    const { key } = part;
    this.key = key;
    this.day = part.day;
    this.#firstId = part.firstId;
    this.#lastId = part.lastId;
    this.#rows = part.rows;
    this.#insert = database.prepare(
      `INSERT INTO q_${key} (id, name, client, kind, details, answers, ttls, duration_us, size, matches, line, attempt_ms, negative_ttl, lag_ms)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#update = database.prepare(
      "UPDATE parts SET first_id = ?, last_id = ?, row_count = ?, hours_until = min(hours_until, ?) WHERE key = ?",
    );
    const dictionary = (table: keyof typeof REMEMBERED, columns: readonly string[]) =>
      new Dictionary(database, { table: `${table}_${key}`, columns, remembered: REMEMBERED[table] });
    this.#names = dictionary("names", ["text"]);
    this.#clients = dictionary("clients", ["address", "client_id"]);
    this.#kinds = dictionary("kinds", [...KIND_COLUMNS, "blocked"]);
    this.#details = dictionary("details", ["text"]);
    this.#answers = dictionary("answers", ["text"]);
    this.#rollUps = new RollUps(database, key);
  }

  get rows(): number {
    return this.#rows;
  }

  get firstId(): number | null {
    return this.#firstId;
  }

  get lastId(): number | null {
    return this.#lastId;
  }

  /** @throws an error of SQLite where the id is taken or a value is of another type, when all remains as it was. */
  add(record: QueryRecord): void {
    const row = rowOf(record);
    const { id, details, answers, durationUs } = row;
    const client = this.#clients.idOf(row.address, row.clientId);
    const kind = this.#kinds.idOf(...KIND_COLUMNS.map((column) => row[column]), isBlocked(record) ? 1 : 0);
    this.#insert.run(
      id,
      this.#names.idOf(row.reversed),
      client,
      kind,
      details === null ? null : this.#details.idOf(details),
      answers === null ? null : this.#answers.idOf(answers),
      row.ttls,
      durationUs,
      row.size,
      row.matches,
      row.line,
      row.attemptMs,
      row.negativeTtl,
      row.lagMs,
    );
    this.#rollUps.count({ id, kind, client, durationUs, asked: record.attempts.length > 0 });
    this.#rows++;
    this.#firstId = Math.min(this.#firstId ?? id, id);
    this.#lastId = Math.max(this.#lastId ?? id, id);
    this.#firstHour = Math.min(this.#firstHour, hourOf(id));
  }

  /** Ends a batch: brings the roll-ups and the table of parts up to date. */
  finish(): void {
    this.#rollUps.write();
    this.#update.run(this.#firstId, this.#lastId, this.#rows, this.#firstHour, this.key);
    this.#firstHour = Number.MAX_SAFE_INTEGER;
  }
}

/** A row of `parts`. */
export interface LivePartState {
  readonly key: string;
  readonly day: number;
  readonly firstId: number | null;
  readonly lastId: number | null;
  readonly rows: number;
}

/** Whether a rule kept the answer from the client: by one of its own, or by silence. */
function isBlocked({ action }: QueryRecord): boolean {
  return action === "block" || action === "drop";
}
