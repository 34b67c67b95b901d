import { expect, onTestFinished, test } from "vitest";
import type { QueryFilter } from "../../src/log/filter.ts";
import { Reader } from "../../src/log/reader.ts";
import { fakeClock } from "../support/fake-clock.ts";
import { EVERYTHING, found, opened, records } from "./opened.ts";
import { SOME_WALL_MS } from "./records.ts";
import { filterOf } from "./search/stores.ts";

/** Of a hundred rows. */
const SMALL_SLICES = { budgetMs: 0, stepRows: 100 } as const;
const COUNTED = { filter: { ...filterOf([["client", "192.168.88.20"]]), ...around(SOME_WALL_MS) }, stepMs: 60_000 };
/** Each row is looked at, and none fits. */
const NOTHING = filterOf([
  ["client", "192.168.88.20"],
  ["minMs", "7"],
  ["minMs", "!7"],
]);

function around(wallMs: number): Pick<QueryFilter, "fromMs" | "toMs"> & { fromMs: number; toMs: number } {
  return { fromMs: wallMs - 60_000, toMs: wallMs + 60_000 };
}

/** Reads a log of 3,000 records in thirty slices. */
async function openedReader() {
  const { log, append, path } = await opened();
  append(records(3000));
  expect(await found(log)).toBe(3000);
  const clock = fakeClock(SOME_WALL_MS);
  const reader = new Reader(path, { clock, damaged: () => expect.unreachable(), slice: SMALL_SLICES });
  onTestFinished(() => reader.close());
  return { reader, clock };
}

test("a search, a record and another count that are asked for while a count is under way have their turn before it ends", async () => {
  const { reader } = await openedReader();
  const ends: string[] = [];
  const noted = async (what: string, reading: Promise<unknown>) => {
    await reading;
    ends.push(what);
  };
  await Promise.all([
    noted("count", reader.volume(COUNTED)),
    noted("search", reader.search({ filter: EVERYTHING, limit: 10, cursor: null })),
    noted("record", reader.get(1)),
    noted("count of nothing", reader.volume({ ...COUNTED, filter: { ...COUNTED.filter, toMs: COUNTED.filter.fromMs } })),
  ]);
  expect(ends).toEqual(["search", "record", "count of nothing", "count"]);
});

test("slices that others interrupt come to the same count, and to the same page", async () => {
  const { reader } = await openedReader();
  const [one, other, page] = await Promise.all([
    reader.volume(COUNTED),
    reader.volume(COUNTED),
    reader.search({ filter: COUNTED.filter, limit: 500, cursor: null }),
  ]);
  expect(one).toEqual(other);
  expect(one.countedFromMs).toBe(one.fromMs);
  expect(one.samples.reduce((sum, { total }) => sum + total, 0)).toBe(3000);
  expect(page.records.map(({ id }) => id)).toEqual(
    records(3000)
      .map(({ id }) => id)
      .reverse()
      .slice(0, 500),
  );
});

test("a count and a search that nobody waits for any more end with their slice", async () => {
  const { reader } = await openedReader();
  const gone = AbortSignal.abort();
  const { fromMs, countedFromMs, samples } = await reader.volume(COUNTED, gone);
  expect(countedFromMs).toBeGreaterThan(fromMs);
  expect(samples.reduce((sum, { total }) => sum + total, 0)).toBe(100);
  const { records, cursor } = await reader.search({ filter: NOTHING, limit: 10, cursor: null }, gone);
  expect({ records, isOver: cursor === null }).toEqual({ records: [], isOver: false });
});

test("a search that takes long gives what there is in time, whatever else is read, and the next one goes on from there", async () => {
  const { reader, clock } = await openedReader();
  const counting = reader.volume(COUNTED);
  const searching = reader.search({ filter: NOTHING, limit: 10, cursor: null });
  await clock.advance(2500);
  const { cursor } = await searching;
  expect(cursor).not.toBeNull();
  expect(await reader.search({ filter: NOTHING, limit: 10, cursor })).toEqual({ records: [], cursor: null });
  await counting;
});
