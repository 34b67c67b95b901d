import { type Column, decodeColumn, encodeColumn, valueAt } from "./columns.ts";
import { type Database, StoreError } from "./database.ts";
import type { IdRange } from "./schema.ts";

/** The columns of a block, by their numbers in `columns_K`. */
export const COLUMN = {
  id: 0,
  /** Numbers of dictionaries; `details` and `answers` are 0 where there are none. */
  name: 1,
  client: 2,
  kind: 3,
  details: 4,
  answers: 5,
  /** From here on up to `lagMs`: `NULL`, `ODD`, or the value. */
  ttls: 6,
  negativeTtl: 7,
  lagMs: 8,
  /** In microseconds where they are one number. */
  attempts: 9,
  /** The line plus one: 0 where there is none. */
  line: 10,
  durationUs: 11,
  size: 12,
} as const;

const COLUMNS = Object.keys(COLUMN).length;

/** Values of rows that are no numbers, as JSON (`OddValues`); there is none where all are numbers. */
const ODD_COLUMN = 15;

/** The number of a column in `columns_K` is the block's times this, plus its own. */
const PLACES = 16;

const NULL = -1;
const ODD = -2;

/** Rows of a block at the most. */
const BLOCK_ROWS = 4096;

/** A block with so many rows gets no more once it is written: each row is then written a few times at the most, and what is written at a time stays small. */
const WRITTEN_ROWS = 256;

/** A row as a block holds it: texts by their numbers in the dictionaries of its part. */
export interface BlockRow {
  readonly id: number;
  readonly name: number;
  readonly client: number;
  readonly kind: number;
  readonly details: number | null;
  readonly answers: number | null;
  readonly ttls: number | string | null;
  readonly durationUs: number;
  readonly size: number;
  /** null = see `StoredRow`. */
  readonly line: number | null;
  readonly attemptMs: number | string | null;
  readonly negativeTtl: number | null;
  readonly lagMs: number | null;
  readonly matches: string | null;
}

type OddValues = { [column in "ttls" | "attempts" | "negativeTtl" | "lagMs" | "matches"]?: number | string | null };

/** A block as `blocks_K` tells of it. */
export interface BlockSpan {
  readonly block: number;
  readonly firstId: number;
  readonly lastId: number;
  readonly rows: number;
}

/** Rows of a block from one index up to another, which is not included. */
interface BlockSlice {
  readonly block: Block;
  readonly from: number;
  readonly to: number;
}

/** All rows of a part whose ids are within this range, in slices that may overlap in their ids. */
export interface Window extends IdRange {
  readonly slices: readonly BlockSlice[];
}

/** The blocks of a part, for reading. What it gives holds as long as the transaction in which it was asked for. */
export class PartBlocks {
  readonly #spans: ReturnType<Database["prepare"]>;
  readonly #column: ReturnType<Database["prepare"]>;

  constructor(database: Database, key: string) {
    this.#spans = database.prepare(
      `SELECT block, first_id AS firstId, last_id AS lastId, row_count AS "rows" FROM blocks_${key} WHERE last_id >= ? AND first_id < ? ORDER BY first_id DESC`,
    );
    this.#column = database.prepare(`SELECT data FROM columns_${key} WHERE place = ?`);
  }

  /** The blocks that reach into a range, that with the highest first id first. */
  spans({ from, to }: IdRange): readonly BlockSpan[] {
    // The columns are those of `BlockSpan`.
    return this.#spans.all(from, to) as unknown as readonly BlockSpan[];
  }

  open(span: BlockSpan): Block {
    return new Block(span, this.#column);
  }

  /** What is in a range, block by block: for who counts and wants no order. */
  *slices(range: IdRange): Generator<BlockSlice> {
    for (const span of this.spans(range)) yield this.open(span).slice(range);
  }

  /**
   * What is in a range, newest first, window by window without a gap between them; before the first rows there are no windows.
   * @param stepRows rows of a window at the most, where blocks do not overlap.
   */
  *windows({ from, to }: IdRange, stepRows: number): Generator<Window, void> {
    const spans = this.spans({ from, to });
    // The highest id in this block and in all that begin before it.
    const reach = spans.map(({ lastId }) => lastId);
    for (let index = reach.length - 2; index >= 0; index--) reach[index] = Math.max(reach[index] ?? 0, reach[index + 1] ?? 0);
    const opened = new Map<number, Block>();
    const openedAt = (index: number, span: BlockSpan): Block => {
      const block = opened.get(index) ?? this.open(span);
      opened.set(index, block);
      return block;
    };
    let below = to;
    for (const [index, span] of spans.entries()) {
      const main = openedAt(index, span);
      while (below > Math.max(from, span.firstId)) {
        const start = Math.max(from, main.idAt(Math.max(0, main.indexOf(below) - stepRows)));
        const slices: BlockSlice[] = [];
        for (let other = index; (reach[other] ?? -1) >= start; other++) {
          const overlapping = spans[other];
          if (overlapping === undefined || overlapping.lastId < start) continue;
          const slice = openedAt(other, overlapping).slice({ from: start, to: below });
          if (slice.from < slice.to) slices.push(slice);
        }
        yield { from: start, to: below, slices };
        below = start;
      }
      main.release();
      opened.delete(index);
    }
  }

  /** The lowest id that is not below `id`; infinite where there is none. */
  lowestFrom(id: number): number {
    let lowest = Number.POSITIVE_INFINITY;
    for (const span of this.spans({ from: id, to: Number.POSITIVE_INFINITY }))
      if (span.firstId >= id) lowest = span.firstId;
      else {
        const block = this.open(span);
        lowest = Math.min(lowest, block.idAt(block.indexOf(id)));
      }
    return lowest;
  }
}

/** Rows of some ids, in the order of these; columns are read when they are asked for. */
export class Block {
  readonly #span: BlockSpan;
  readonly #read: ReturnType<Database["prepare"]>;
  #columns: (Column | undefined)[] = [];
  #odd: Readonly<Record<string, OddValues>> | null = null;

  constructor(span: BlockSpan, read: ReturnType<Database["prepare"]>) {
    this.#span = span;
    this.#read = read;
  }

  column(number: number): Column {
    const known = this.#columns[number];
    if (known !== undefined) return known;
    const bytes = this.#bytes(number);
    if (bytes === null) throw new StoreError("damaged", "a column of the file is missing");
    const column = decodeColumn(bytes, this.#span.rows);
    this.#columns[number] = column;
    return column;
  }

  /** Forgets what was read; it is read again where need be. */
  release(): void {
    this.#columns = [];
    this.#odd = null;
  }

  idAt(index: number): number {
    // The columns of ids are the widest: where a block is gone through from end to end nobody needs them.
    return index === 0 ? this.#span.firstId : valueAt(this.column(COLUMN.id), index);
  }

  /** The index of the first row whose id is not below `id`; that after the last where there is none. */
  indexOf(id: number): number {
    const { firstId, lastId, rows } = this.#span;
    if (id <= firstId) return 0;
    if (id > lastId) return rows;
    let [from, to] = [0, rows];
    while (from < to) {
      const middle = (from + to) >> 1;
      if (this.idAt(middle) < id) from = middle + 1;
      else to = middle;
    }
    return from;
  }

  slice({ from, to }: IdRange): BlockSlice {
    return { block: this, from: this.indexOf(from), to: this.indexOf(to) };
  }

  row(index: number): BlockRow {
    const value = (column: number): number => valueAt(this.column(column), index);
    const number = (column: "ttls" | "negativeTtl" | "lagMs") => this.#optional(index, column, value(COLUMN[column]));
    const attempts = value(COLUMN.attempts);
    const line = value(COLUMN.line);
    return {
      id: value(COLUMN.id),
      name: value(COLUMN.name),
      client: value(COLUMN.client),
      kind: value(COLUMN.kind),
      details: value(COLUMN.details) || null,
      answers: value(COLUMN.answers) || null,
      ttls: number("ttls"),
      durationUs: value(COLUMN.durationUs),
      size: value(COLUMN.size),
      line: line === NULL ? null : line - 1,
      attemptMs: attempts >= 0 ? attempts / 1000 : this.#optional(index, "attempts", attempts),
      // Only TTLs and attempts are texts.
      negativeTtl: number("negativeTtl") as number | null,
      lagMs: number("lagMs") as number | null,
      matches: (this.odd(index)?.matches as string | undefined) ?? null,
    };
  }

  /** What is not a number in a row. */
  odd(index: number): OddValues | undefined {
    if (this.#odd === null) {
      const bytes = this.#bytes(ODD_COLUMN);
      this.#odd = bytes === null ? {} : JSON.parse(Buffer.from(bytes).toString());
    }
    return this.#odd?.[index];
  }

  #optional(index: number, column: keyof OddValues, value: number): number | string | null {
    if (value === NULL) return null;
    return value === ODD ? (this.odd(index)?.[column] ?? null) : value;
  }

  #bytes(number: number): Uint8Array<ArrayBuffer> | null {
    const data = this.#read.get(this.#span.block * PLACES + number)?.["data"];
    // SQLite gives each value in a buffer of its own.
    return data instanceof Uint8Array ? (data as Uint8Array<ArrayBuffer>) : null;
  }
}

/** Adds rows to a part, block after block. Everything is to be called within a transaction. */
export class BlockWriter {
  readonly #putBlock: ReturnType<Database["prepare"]>;
  readonly #putColumn: ReturnType<Database["prepare"]>;
  readonly #columns = Array.from({ length: COLUMNS }, () => new Float64Array(BLOCK_ROWS));
  #odd = new Map<number, OddValues>();
  #block: number;
  #rows = 0;
  /** Of them, those that are in the database. */
  #written = 0;
  /** Whether ids rise from row to row. */
  #isOrdered = true;

  constructor(database: Database, key: string) {
    this.#putBlock = database.prepare(`INSERT OR REPLACE INTO blocks_${key} VALUES (?, ?, ?, ?)`);
    this.#putColumn = database.prepare(`INSERT OR REPLACE INTO columns_${key} VALUES (?, ?)`);
    const last = database.prepare(`SELECT max(block) AS block FROM blocks_${key}`).get()?.["block"];
    this.#block = typeof last === "number" ? last + 1 : 1;
  }

  add(row: BlockRow): void {
    const odd: OddValues = {};
    this.#begin(row.id);
    this.#set(COLUMN.name, row.name);
    this.#set(COLUMN.client, row.client);
    this.#set(COLUMN.kind, row.kind);
    this.#set(COLUMN.details, row.details ?? 0);
    this.#set(COLUMN.answers, row.answers ?? 0);
    this.#set(COLUMN.ttls, numberFor(row.ttls, "ttls", odd));
    this.#set(COLUMN.durationUs, row.durationUs);
    this.#set(COLUMN.size, row.size);
    this.#set(COLUMN.line, row.line === null ? NULL : row.line + 1);
    this.#set(COLUMN.attempts, attemptsFor(row.attemptMs, odd));
    this.#set(COLUMN.negativeTtl, numberFor(row.negativeTtl, "negativeTtl", odd));
    this.#set(COLUMN.lagMs, numberFor(row.lagMs, "lagMs", odd));
    if (row.matches !== null) odd.matches = row.matches;
    this.#end(odd);
  }

  /** Adds a row of another block of this part. */
  copy(block: Block, index: number): void {
    this.#begin(block.idAt(index));
    for (let column = 1; column < COLUMNS; column++) this.#set(column, valueAt(block.column(column), index));
    this.#end(block.odd(index) ?? {});
  }

  /** The lowest id of the block that is being filled that is not below `id`; infinite where there is none. */
  lowestFrom(id: number): number {
    let lowest = Number.POSITIVE_INFINITY;
    const ids = this.#columns[COLUMN.id];
    for (let index = 0; index < this.#rows; index++) {
      const other = ids?.[index] ?? 0;
      if (other >= id && other < lowest) lowest = other;
    }
    return lowest;
  }

  /** Writes the rows that are not written yet. A block that has enough of them is then at its end. */
  write(): void {
    if (this.#written === this.#rows) return;
    if (!this.#isOrdered) this.#order();
    const ids = this.#columns[COLUMN.id];
    this.#putBlock.run(this.#block, ids?.[0] ?? 0, ids?.[this.#rows - 1] ?? 0, this.#rows);
    const place = this.#block * PLACES;
    for (const [number, values] of this.#columns.entries()) this.#putColumn.run(place + number, encodeColumn(values, this.#rows));
    if (this.#odd.size > 0) this.#putColumn.run(place + ODD_COLUMN, Buffer.from(JSON.stringify(Object.fromEntries(this.#odd))));
    this.#written = this.#rows;
    if (this.#rows >= WRITTEN_ROWS) this.#next();
  }

  #begin(id: number): void {
    if (this.#rows === BLOCK_ROWS) this.write();
    const ids = this.#columns[COLUMN.id];
    if (this.#rows > 0 && id < (ids?.[this.#rows - 1] ?? 0)) this.#isOrdered = false;
    this.#set(COLUMN.id, id);
  }

  #set(column: number, value: number): void {
    const values = this.#columns[column];
    if (values !== undefined) values[this.#rows] = value;
  }

  #end(odd: OddValues): void {
    // Most rows have none.
    for (const _ in odd) {
      this.#odd.set(this.#rows, odd);
      break;
    }
    this.#rows++;
  }

  #next(): void {
    this.#block++;
    this.#rows = 0;
    this.#written = 0;
    this.#isOrdered = true;
    this.#odd = new Map();
  }

  #order(): void {
    const ids = this.#columns[COLUMN.id] ?? new Float64Array();
    const order = Array.from({ length: this.#rows }, (_, index) => index).sort((a, b) => (ids[a] ?? 0) - (ids[b] ?? 0));
    for (const [number, values] of this.#columns.entries()) this.#columns[number]?.set(order.map((index) => values[index] ?? 0));
    const odd = this.#odd;
    this.#odd = new Map();
    for (const [index, from] of order.entries()) {
      const values = odd.get(from);
      if (values !== undefined) this.#odd.set(index, values);
    }
    this.#isOrdered = true;
  }
}

function numberFor(value: number | string | null, column: keyof OddValues, odd: OddValues): number {
  if (value === null) return NULL;
  if (typeof value === "number" && value >= 0 && Number.isSafeInteger(value)) return value;
  odd[column] = value;
  return ODD;
}

function attemptsFor(ms: number | string | null, odd: OddValues): number {
  if (typeof ms !== "number") return numberFor(ms, "attempts", odd);
  const us = Math.round(ms * 1000);
  if (us >= 0 && us / 1000 === ms) return us;
  odd.attempts = ms;
  return ODD;
}

/**
 * Writes all blocks of a part anew, full and in the order of ids, where many are small or they overlap.
 * @returns whether they were not so yet.
 */
export function packBlocks(database: Database, key: string): boolean {
  const blocks = new PartBlocks(database, key);
  const spans = blocks.spans({ from: 0, to: Number.POSITIVE_INFINITY }).toReversed();
  const isOrdered = spans.every(({ firstId }, index) => firstId > (spans[index - 1]?.lastId ?? -1));
  const rows = spans.reduce((sum, span) => sum + span.rows, 0);
  if (isOrdered && spans.length <= 2 * Math.ceil(rows / BLOCK_ROWS)) return false;
  const last = Math.max(...spans.map(({ block }) => block));
  const writer = new BlockWriter(database, key);
  // What begins before the next block has its place before all of that.
  let waiting: Copied[] = [];
  for (const [index, span] of spans.entries()) {
    waiting.push({ block: blocks.open(span), index: 0, rows: span.rows });
    waiting = copyInOrder(waiting, spans[index + 1]?.firstId ?? Number.POSITIVE_INFINITY, writer);
  }
  writer.write();
  database.prepare(`DELETE FROM blocks_${key} WHERE block <= ?`).run(last);
  database.prepare(`DELETE FROM columns_${key} WHERE place < ?`).run((last + 1) * PLACES);
  return true;
}

/** A block from which rows are copied, and the index of the next. */
interface Copied {
  readonly block: Block;
  index: number;
  readonly rows: number;
}

/** Copies all rows with ids below this one in the order of ids. @returns the blocks that have others. */
function copyInOrder(blocks: readonly Copied[], below: number, writer: BlockWriter): Copied[] {
  for (;;) {
    let [first, second] = [null as Copied | null, below];
    for (const each of blocks) {
      if (each.index === each.rows) continue;
      const id = each.block.idAt(each.index);
      if (first === null || id < first.block.idAt(first.index)) {
        if (first !== null) second = Math.min(second, first.block.idAt(first.index));
        first = each;
      } else second = Math.min(second, id);
    }
    if (first === null || first.block.idAt(first.index) >= below) return blocks.filter(({ index, rows }) => index < rows);
    do writer.copy(first.block, first.index++);
    while (first.index < first.rows && first.block.idAt(first.index) < second);
  }
}
