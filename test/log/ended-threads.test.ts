import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setImmediate } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import type { QueryLog } from "../../src/log/query-log.ts";
import { directory } from "../support/files.ts";
import { EVERYTHING, opened, records } from "./opened.ts";
import { startedWorkers } from "./started-workers.ts";

const BATCH = 600;

test("the writer thread may end at any moment: every record is stored once", async () => {
  const path = join(directory(), "queries.db");
  const rounds = 12;
  const perRound = 2 * BATCH;
  const workers = startedWorkers();
  for (let round = 0; round < rounds; round++) {
    // All rows fit, and a partition has a 25th of them: batches close partitions, and maintenance runs between batches.
    const { log, append, clock, events } = await opened(path, { maxRows: rounds * perRound });
    append(records(BATCH, round * perRound));
    storeNow(log);
    for (let turn = 0; turn < round * 6; turn++) await setImmediate();
    await workers.at(-1)?.terminate();
    // The next batch detects the end of the thread if nothing did before.
    append(records(BATCH, round * perRound + BATCH));
    storeNow(log);
    expect(await events.next()).toMatchObject({ kind: "failing", reason: expect.stringContaining("thread") });
    await clock.advance(1000);
    expect(await events.next()).toMatchObject({ kind: "well", dropped: 0 });
    await log.close();
    expect(log.status()).toMatchObject({ stored: perRound, dropped: 0, waiting: 0 });
    expect(events.pending).toEqual([]);
  }
  const { log } = await opened(path, { maxRows: rounds * perRound });
  expect(await allIds(log)).toEqual(
    records(rounds * perRound)
      .map(({ id }) => id)
      .reverse(),
  );
});

/** A log with one batch stored, whose writer thread was given up at the second one, because another process holds the store: until `goOn`. */
async function givenUp() {
  const { log, append, clock, events, path } = await opened();
  append(records(BATCH));
  await log.get(1);
  expect(log.status().stored).toBe(BATCH);
  // The thread may still be at the upkeep that follows a batch.
  const holder = new DatabaseSync(path, { timeout: 10_000 });
  onTestFinished(() => holder.close());
  holder.exec("BEGIN IMMEDIATE");
  append(records(BATCH, BATCH));
  await clock.advance(5000);
  await clock.advance(60_000);
  expect(await events.next()).toMatchObject({ kind: "failing", reason: expect.stringContaining("took too long") });
  return { log, append, clock, events, goOn: () => holder.exec("COMMIT") };
}

test("a writer thread that hangs is given up, and its successor stores the pending records once", async () => {
  const { log, append, clock, events, goOn } = await givenUp();
  expect(log.status()).toMatchObject({ stored: BATCH, waiting: BATCH, dropped: 0 });
  goOn();
  await clock.advance(1000);
  expect(await events.next()).toMatchObject({ kind: "well", dropped: 0 });
  append(records(BATCH, 2 * BATCH));
  expect(await allIds(log)).toEqual(
    records(3 * BATCH)
      .map(({ id }) => id)
      .reverse(),
  );
  expect(log.status()).toMatchObject({ stored: 3 * BATCH, rows: 3 * BATCH, waiting: 0 });
});

test("a writer thread that was given up for want of processor time has a successor with twice the time", async () => {
  const { log, clock, events, goOn } = await givenUp();
  goOn();
  // The successor begins to open the store, which it cannot have done before the clock goes on.
  await clock.advance(1000);
  await clock.advance(100_000);
  expect(await events.next()).toMatchObject({ kind: "well", dropped: 0 });
  expect(await allIds(log)).toHaveLength(2 * BATCH);
});

test("a log closed just after its thread ended reports exactly the records that are lost", async () => {
  const workers = startedWorkers();
  const { log, append, events, path } = await opened();
  append(records(BATCH));
  storeNow(log);
  const ended = workers.at(-1)?.terminate();
  append(records(BATCH, BATCH));
  await Promise.all([ended, log.close()]);
  const { stored, dropped, waiting } = log.status();
  expect([stored + dropped, waiting]).toEqual([2 * BATCH, 0]);
  const lost = events.pending.filter(({ kind }) => kind === "lost");
  expect(lost).toEqual(dropped === 0 ? [] : [{ kind: "lost", file: path, records: dropped }]);
});

test("a log whose thread has hung up is closed after two seconds at most, and reports what is lost", async () => {
  const { log, append, clock, events, path } = await opened();
  append(records(BATCH));
  await log.get(1);
  const holder = new DatabaseSync(path, { timeout: 10_000 });
  onTestFinished(() => holder.close());
  holder.exec("BEGIN IMMEDIATE");
  append(records(BATCH, BATCH));
  const closed = log.close();
  await clock.advance(2000);
  await closed;
  expect(events.pending.filter(({ kind }) => kind === "lost")).toEqual([{ kind: "lost", file: path, records: BATCH }]);
});

test("a thread that is slow to end saves what it has found to go wrong", async () => {
  const { log, append, clock, path } = await opened();
  append(records(BATCH));
  await log.get(1);
  append(records(BATCH, BATCH).map((each) => ({ ...each, rcode: "SERVFAIL", answers: [] })));
  expect(await log.problems()).toMatchObject([{ queries: BATCH }]);
  const holder = new DatabaseSync(path, { timeout: 10_000 });
  onTestFinished(() => holder.close());
  holder.exec("BEGIN IMMEDIATE");
  const closed = log.close();
  await clock.advance(1000);
  holder.exec("COMMIT");
  await closed;
  const again = await opened(path);
  expect(await again.log.problems()).toMatchObject([{ queries: BATCH }]);
});

/** Starts storing the waiting records without waiting for the result. */
function storeNow(log: QueryLog): void {
  void log.get(1).catch(() => null);
}

async function allIds(log: QueryLog): Promise<readonly number[]> {
  const ids: number[] = [];
  for await (const text of log.read(EVERYTHING, "ndjson", new AbortController().signal))
    ids.push(
      ...text
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line).id),
    );
  return ids;
}
