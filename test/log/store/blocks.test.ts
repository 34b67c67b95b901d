import { DatabaseSync } from "node:sqlite";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type BlockRow, BlockWriter, PartBlocks, packBlocks } from "../../../src/log/blocks.ts";
import { decodeColumn, encodeColumn, valueAt } from "../../../src/log/columns.ts";
import { blockTables, type IdRange } from "../../../src/log/schema.ts";
import { runs } from "../../support/properties.ts";

const KEY = "20261121";
const EVERY_ID: IdRange = { from: 0, to: Number.MAX_SAFE_INTEGER };

const anyNumber = fc.oneof(fc.nat(300), fc.nat(70_000), fc.nat(2 ** 31 - 1));
const anyMs = fc.oneof(
  fc.nat(5_000_000).map((us) => us / 1000),
  fc.double({ min: 0, max: 1e6, noNaN: true }),
  fc.constant("3,4@7"),
);

const anyRow: fc.Arbitrary<Omit<BlockRow, "id">> = fc.record({
  name: anyNumber,
  client: anyNumber,
  kind: fc.nat(200),
  details: fc.option(fc.integer({ min: 1, max: 70_000 })),
  answers: fc.option(fc.integer({ min: 1, max: 70_000 })),
  ttls: fc.oneof(fc.constant(60), fc.option(anyNumber), fc.constant("60,,9")),
  durationUs: fc.oneof(anyNumber, fc.nat(Number.MAX_SAFE_INTEGER)),
  size: fc.nat(65_535),
  line: fc.oneof(fc.constant(-1), fc.option(fc.nat(200_000))),
  attemptMs: fc.option(anyMs),
  negativeTtl: fc.option(fc.nat(86_400)),
  lagMs: fc.option(fc.oneof(fc.nat(4000), fc.integer({ min: -9, max: 9 }))),
  matches: fc.option(fc.constant("4711,4"), { freq: 5 }),
});

/** Rows in the order in which they are written, and after how many of them what waits is written each time. */
const anyWriting = fc.record({
  rows: fc
    .array(fc.tuple(fc.oneof(fc.nat(3000), fc.nat(2 ** 45)), anyRow), { maxLength: 200, size: "max" })
    .map((made) => [...new Map(made.map(([id, row]) => [id + 1, { id: id + 1, ...row }])).values()]),
  isSorted: fc.boolean(),
  batch: fc.integer({ min: 1, max: 60 }),
  /** A writer is made anew after so many batches. */
  renewed: fc.integer({ min: 1, max: 5 }),
});

type Writing = typeof anyWriting extends fc.Arbitrary<infer T> ? T : never;

interface Written {
  readonly database: DatabaseSync;
  readonly blocks: PartBlocks;
  /** In the order of ids. */
  readonly rows: readonly BlockRow[];
}

function written({ rows, isSorted, batch, renewed }: Writing): Written {
  const database = new DatabaseSync(":memory:");
  database.exec(blockTables(KEY));
  const sent = isSorted ? rows.toSorted((a, b) => a.id - b.id) : rows;
  let writer = new BlockWriter(database, KEY);
  for (let from = 0, batches = 1; from < sent.length; from += batch, batches++) {
    for (const row of sent.slice(from, from + batch)) writer.add(row);
    writer.write();
    if (batches % renewed === 0) writer = new BlockWriter(database, KEY);
  }
  return { database, blocks: new PartBlocks(database, KEY), rows: rows.toSorted((a, b) => a.id - b.id) };
}

function allRows(blocks: PartBlocks): BlockRow[] {
  const rows: BlockRow[] = [];
  for (const { block, from, to } of blocks.slices(EVERY_ID))
    for (let index = from; index < to; index++) rows.push(block.row(index));
  return rows.sort((a, b) => a.id - b.id);
}

test("rows are read as they were written, in whatever order and batches, and also when they have been packed", () => {
  fc.assert(
    fc.property(anyWriting, (writing) => {
      const { database, blocks, rows } = written(writing);
      expect(allRows(blocks)).toEqual(rows);
      packBlocks(database, KEY);
      expect(allRows(blocks)).toEqual(rows);
      expect(packBlocks(database, KEY)).toBe(false);
      database.close();
    }),
    { numRuns: runs(60) },
  );
});

test("windows hold each row of a range once, newest first, without a gap, however blocks overlap", () => {
  const anyRange = fc.tuple(fc.nat(3500), fc.oneof(fc.nat(3500), fc.constant(EVERY_ID.to))).map(([from, to]) => ({ from, to }));
  fc.assert(
    fc.property(anyWriting, anyRange, fc.integer({ min: 1, max: 80 }), (writing, range, stepRows) => {
      const { database, blocks, rows } = written(writing);
      let below = range.to;
      const found: number[] = [];
      for (const { from, to, slices } of blocks.windows(range, stepRows)) {
        expect(to).toBe(below);
        expect(from).toBeLessThan(to);
        below = from;
        const ids = slices.flatMap(({ block, from, to }) =>
          Array.from({ length: to - from }, (_, index) => block.idAt(from + index)),
        );
        for (const id of ids) expect(id >= from && id < to).toBe(true);
        found.push(...ids.sort((a, b) => b - a));
      }
      const wanted = rows.map(({ id }) => id).filter((id) => id >= range.from && id < range.to);
      expect(found).toEqual(wanted.reverse());
      database.close();
    }),
    { numRuns: runs(100) },
  );
});

test("the lowest id from a given one on is found in blocks and among the rows that wait", () => {
  fc.assert(
    fc.property(anyWriting, fc.nat(3500), fc.array(fc.nat(3500), { maxLength: 20 }), (writing, id, waiting) => {
      const { database, blocks, rows } = written(writing);
      const lowest = (ids: readonly number[]) => Math.min(...ids.filter((other) => other >= id));
      expect(blocks.lowestFrom(id)).toBe(lowest(rows.map((row) => row.id)));
      const writer = new BlockWriter(database, KEY);
      const row = rows[0];
      if (row !== undefined) {
        for (const other of waiting) writer.add({ ...row, id: other });
        expect(writer.lowestFrom(id)).toBe(lowest(waiting));
      }
      database.close();
    }),
    { numRuns: runs(60) },
  );
});

describe("a column", () => {
  test("is read as it was written, in the fewest bytes that hold it", () => {
    const anyColumn = fc.array(fc.oneof(anyNumber, fc.integer({ min: -2, max: Number.MAX_SAFE_INTEGER })), { minLength: 1 });
    fc.assert(
      fc.property(anyColumn, (values) => {
        const bytes = encodeColumn(Float64Array.from(values), values.length);
        const column = decodeColumn(bytes, values.length);
        expect(values.map((_, index) => valueAt(column, index))).toEqual(values);
        const span = Math.max(...values) - Math.min(...values);
        const width = span === 0 ? 0 : span < 256 ? 1 : span < 65_536 ? 2 : span < 2 ** 32 ? 4 : 8;
        expect(bytes.length).toBe(16 + width * values.length);
      }),
    );
  });

  test("of bytes that are none is told as damage", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(40), (bytes, rows) => {
        try {
          const { above } = decodeColumn(Uint8Array.from(bytes), rows);
          expect(above === null || above.length === rows).toBe(true);
        } catch (error) {
          expect(error).toMatchObject({ name: "StoreError", kind: "damaged" });
        }
      }),
    );
  });
});
