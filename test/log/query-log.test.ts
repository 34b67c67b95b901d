import { mkdirSync, readdirSync, readFileSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, test } from "vitest";
import { QueryLog } from "../../src/log/query-log.ts";
import { ReadError } from "../../src/log/reader.ts";
import type { QueryRecord } from "../../src/log/record.ts";
import { firstIdAt } from "../../src/log/schema.ts";
import { fakeClock } from "../support/fake-clock.ts";
import { directory } from "../support/files.ts";
import { EVERYTHING, found, opened, records } from "./opened.ts";
import { record, SOME_WALL_MS } from "./records.ts";
import { startedWorkers } from "./started-workers.ts";

describe("the query log", () => {
  test("what was appended is found at once, whole, newest first", async () => {
    const { log } = await opened();
    const made = records(150);
    log.append(made.slice(0, 100));
    log.append(made.slice(100));
    const page = await log.search({ filter: EVERYTHING, limit: 1000, cursor: null });
    expect(page).toEqual({ records: made.toReversed(), cursor: null });
    expect(await log.get(made[7]?.id ?? 0)).toEqual(made[7]);
    expect(await log.get(1)).toBeNull();
    expect(await log.versions()).toEqual(["7f3a91c2"]);
    expect(log.status()).toMatchObject({
      state: "well",
      stored: 150,
      dropped: 0,
      waiting: 0,
      rows: 150,
      oldestWallMs: SOME_WALL_MS,
    });
  });

  test("records are stored without being asked for after some seconds, and when there are many", async () => {
    const { log, clock, path } = await opened();
    log.append(records(10));
    expect(log.status()).toMatchObject({ stored: 0, waiting: 10 });
    await clock.advance(5000);
    await rowsIn(path, 10);
    log.append(records(3000, 10));
    await expect.poll(() => rowsOf(path)).toBeGreaterThan(10 + 3000 - 512);
    await log.close();
    await rowsIn(path, 3010);
  });

  test("what waits is stored when the log is closed, and closing twice is closing once", async () => {
    const { log, path } = await opened();
    log.append(records(70));
    await Promise.all([log.close(), log.close()]);
    log.append(records(5, 70));
    await rowsIn(path, 70);
    await expect(log.search({ filter: EVERYTHING, limit: 10, cursor: null })).rejects.toThrow(ReadError);
  });

  test("a log that is opened again has what it had", async () => {
    const { log, path } = await opened();
    log.append(records(20));
    await log.close();
    const again = await opened(path);
    again.log.append(records(20, 20));
    expect(await found(again.log)).toBe(40);
  });

  test("everything is read in batches, and no further than wanted", async () => {
    const { log } = await opened();
    log.append(records(2500));
    expect(await found(log)).toBe(2500);
    const stop = new AbortController();
    const sizes: number[] = [];
    for await (const batch of log.read(EVERYTHING, stop.signal)) {
      sizes.push(batch.length);
      if (sizes.length === 2) stop.abort();
    }
    expect(sizes).toEqual([1000, 1000]);
  });

  test("what was recorded while the clock was ahead does not stand before what came since, and is found by its time", async () => {
    const { log, clock } = await opened();
    const [now, ahead] = [records(3), [record({ id: firstIdAt(SOME_WALL_MS + 8 * 3_600_000) })]];
    log.append([...ahead, ...now]);
    const search = async (toMs: number | null) =>
      (await log.search({ filter: { ...EVERYTHING, toMs }, limit: 10, cursor: null })).records;
    expect(await search(null)).toEqual(now.toReversed());
    expect(await search(SOME_WALL_MS + 86_400_000)).toEqual([...ahead, ...now.toReversed()]);
    expect(await found(log)).toBe(4);
    clock.setWall(SOME_WALL_MS + 8 * 3_600_000);
    expect(await search(null)).toEqual([...ahead, ...now.toReversed()]);
  });

  test("a cursor that is none is the caller's fault", async () => {
    const { log } = await opened();
    const searching = log.search({ filter: EVERYTHING, limit: 10, cursor: "yesterday" });
    await expect(searching).rejects.toMatchObject({ kind: "invalid" });
  });

  test("beyond its rows the oldest go", async () => {
    const { log } = await opened(undefined, { maxRows: 1000 });
    for (let batch = 0; batch < 15; batch++) {
      log.append(records(100, batch * 100));
      await log.get(1);
    }
    await expect.poll(() => log.status().rows).toBeLessThanOrEqual(1000);
    expect((await log.search({ filter: EVERYTHING, limit: 1, cursor: null })).records[0]?.id).toBe(
      firstIdAt(SOME_WALL_MS) + 1499,
    );
  });

  test("more than there is room for is turned away and counted, and what came first is kept", async () => {
    const path = join(directory(), "queries.db");
    mkdirSync(path);
    const { log, clock, events } = await opened(path);
    for (let batch = 0; batch < 60; batch++) log.append(records(1000, batch * 1000));
    expect(log.status()).toMatchObject({ state: "failing", waiting: 49_152, dropped: 60_000 - 49_152 });
    rmdirSync(path);
    await clock.advance(1000);
    expect(await events.next()).toMatchObject({ kind: "failing" });
    expect(await events.next()).toMatchObject({ kind: "well", dropped: 60_000 - 49_152 });
    expect(await log.get(firstIdAt(SOME_WALL_MS))).not.toBeNull();
  });

  test("a log that is off has no store, no thread, and says so", async () => {
    const workers = startedWorkers();
    const path = join(directory(), "queries.db");
    const log = await QueryLog.open(
      { enabled: false, store: path, keepMs: 1, maxRows: 1000, clients: "full" },
      { clock: fakeClock(), report: () => expect.unreachable() },
    );
    log.append(records(10));
    expect(log.status().state).toBe("off");
    await expect(log.get(1)).rejects.toMatchObject({ kind: "unavailable" });
    await log.close();
    expect(workers).toEqual([]);
  });
});

test.runIf(process.platform === "linux")(
  "the threads of the log give way to the one that answers, the one that adds most of all",
  async () => {
    const { log } = await opened();
    await log.get(1);
    const niceness = readdirSync("/proc/self/task").map((thread) => {
      const stat = readFileSync(`/proc/self/task/${thread}/stat`, "utf8");
      // The name of the thread stands in brackets and may hold anything; niceness is the 17th field after it (proc_pid_stat(5)).
      return { thread: Number(thread), nice: Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[16]) };
    });
    const own = niceness.find(({ thread }) => thread === process.pid)?.nice ?? Number.NaN;
    // Nothing is nicer than 19, which matters where all of this is started with a niceness of its own.
    const wanted = [own + 15, own + 5].map((nice) => Math.min(nice, 19));
    const isNicer = (nice: number) => nice > own;
    expect(niceness.map(({ nice }) => nice).filter(isNicer)).toEqual(wanted.filter(isNicer));
  },
);

test("a record that is not as its type says is left out and told once, and those beside it are stored", async () => {
  const { log, events } = await opened();
  const broken = { ...record(), answers: null } as unknown as QueryRecord;
  log.append([...records(3), broken, ...records(3, 3), broken]);
  expect(await events.next()).toMatchObject({ kind: "refused" });
  expect(await found(log)).toBe(6);
  expect(log.status()).toMatchObject({ state: "well", stored: 6, dropped: 2 });
  expect(events.pending).toEqual([]);
});

describe("a clock that is years ahead at the start", () => {
  const YEAR_MS = 365 * 86_400_000;

  /** A log that has twenty records, opened years later as far as the clock knows. */
  async function openedLater() {
    const before = await opened();
    before.log.append(records(20));
    await before.log.close();
    const { log, clock } = await opened(before.path, { wallMs: SOME_WALL_MS + 10 * YEAR_MS });
    // Upkeep is begun every minute, and done before what is added then.
    const pass = async (minutes: number): Promise<void> => {
      for (let minute = 0; minute < minutes; minute++) {
        log.append([record({ id: firstIdAt(clock.wallMs()) })]);
        await log.get(1);
        await clock.advance(60_000);
      }
    };
    return { log, clock, pass };
  }

  test("and is set right within the hour costs nothing that was there before", async () => {
    const { log, clock, pass } = await openedLater();
    await pass(50);
    clock.setWall(SOME_WALL_MS + 86_400_000);
    await pass(100);
    expect(log.status().rows).toBe(20 + 50 + 100);
  });

  test("and stays so for an hour is believed, and what is too old goes", async () => {
    const { log, pass } = await openedLater();
    await pass(50);
    expect(log.status().rows).toBe(20 + 50);
    await pass(20);
    await expect.poll(() => log.status().rows).toBe(50 + 20);
  });
});

describe("threads that end", () => {
  test("the one that adds is begun anew, and nothing is lost", async () => {
    const workers = startedWorkers();
    const { log, events, clock } = await opened();
    log.append(records(10));
    expect(await found(log)).toBe(10);
    await workers[0]?.terminate();
    log.append(records(10, 10));
    expect(await found(log)).toBe(10);
    expect(await events.next()).toMatchObject({ kind: "failing", reason: expect.stringContaining("thread") });
    expect(log.status()).toMatchObject({ state: "failing", waiting: 10 });
    await clock.advance(1000);
    expect(await events.next()).toMatchObject({ kind: "well", dropped: 0 });
    expect(await found(log)).toBe(20);
  });

  test("the one that reads is begun anew by the next search", async () => {
    const workers = startedWorkers();
    const { log } = await opened();
    log.append(records(10));
    expect(await found(log)).toBe(10);
    await workers[1]?.terminate();
    expect(await found(log)).toBe(10);
    expect(workers).toHaveLength(3);
  });
});

/** Looks into the file until it has so many rows. */
async function rowsIn(path: string, rows: number): Promise<void> {
  await expect.poll(() => rowsOf(path)).toBe(rows);
}

function rowsOf(path: string): unknown {
  const database = new DatabaseSync(path, { readOnly: true });
  try {
    return database.prepare('SELECT sum(row_count) AS "rows" FROM parts').get()?.["rows"];
  } finally {
    database.close();
  }
}
