import { mkdirSync, readdirSync, readFileSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, test } from "vitest";
import { QueryFeed } from "../../src/log/feed.ts";
import { QueryLog } from "../../src/log/query-log.ts";
import { ReadError } from "../../src/log/reader.ts";
import { firstIdAt } from "../../src/log/schema.ts";
import { fakeClock } from "../support/fake-clock.ts";
import { directory } from "../support/files.ts";
import { append } from "./entries.ts";
import { EVERYTHING, found, opened, records, recordsIn } from "./opened.ts";
import { record, SOME_WALL_MS } from "./records.ts";
import { startedWorkers } from "./started-workers.ts";

const TYPE_AAAA = { field: "type", negated: false, anyOf: [{ kind: "equals", text: "AAAA" }] } as const;

describe("the query log", () => {
  test("appended records are found at once, complete, newest first", async () => {
    const { log, append } = await opened();
    const made = records(150);
    append(made.slice(0, 100));
    append(made.slice(100));
    const page = await log.search({ filter: EVERYTHING, limit: 1000, cursor: null });
    expect(recordsIn(page)).toEqual(made.toReversed());
    expect(page.cursor).toBeNull();
    expect(await log.get(made[7]?.id ?? 0)).toEqual({ record: made[7], compared: null });
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

  test("records are stored without being asked for after some seconds, and when the ring is half full", async () => {
    const { log, append, clock, path } = await opened(undefined, { ringBytes: 1024 * 1024 });
    append(records(10));
    expect(log.status()).toMatchObject({ stored: 0, waiting: 10 });
    await clock.advance(5000);
    await rowsIn(path, 10);
    append(records(3000, 10));
    await expect.poll(() => rowsOf(path)).toBeGreaterThan(10 + 1000);
    await log.close();
    await rowsIn(path, 3010);
  });

  test("pending records are stored when the log is closed, and a second close does nothing", async () => {
    const { log, append, path } = await opened();
    append(records(70));
    await Promise.all([log.close(), log.close()]);
    append(records(5, 70));
    await rowsIn(path, 70);
    await expect(log.search({ filter: EVERYTHING, limit: 10, cursor: null })).rejects.toThrow(ReadError);
  });

  test("a log that is opened again has its records", async () => {
    const { log, append, path } = await opened();
    append(records(20));
    await log.close();
    const again = await opened(path);
    again.append(records(20, 20));
    expect(await found(again.log)).toBe(40);
  });

  test("an export reads in batches, and stops when the reader stops", async () => {
    const { log, append } = await opened();
    append(records(2500));
    expect(await found(log)).toBe(2500);
    const stop = new AbortController();
    const sizes: number[] = [];
    for await (const text of log.read(EVERYTHING, "ndjson", stop.signal)) {
      sizes.push(text.split("\n").length - 1);
      if (sizes.length === 2) stop.abort();
    }
    expect(sizes).toEqual([1000, 1000]);
  });

  test("records from while the clock was ahead are not listed before later records, and are found by their time", async () => {
    const { log, append, clock } = await opened();
    const [now, ahead] = [records(3), [record({ id: firstIdAt(SOME_WALL_MS + 8 * 3_600_000) })]];
    append([...ahead, ...now]);
    const search = async (toMs: number | null) =>
      recordsIn(await log.search({ filter: { ...EVERYTHING, toMs }, limit: 10, cursor: null }));
    expect(await search(null)).toEqual(now.toReversed());
    expect(await search(SOME_WALL_MS + 86_400_000)).toEqual([...ahead, ...now.toReversed()]);
    expect(await found(log)).toBe(4);
    clock.setWall(SOME_WALL_MS + 8 * 3_600_000);
    expect(await search(null)).toEqual([...ahead, ...now.toReversed()]);
  });

  test("an invalid cursor is the caller's error", async () => {
    const { log } = await opened();
    const searching = log.search({ filter: EVERYTHING, limit: 10, cursor: "yesterday" });
    await expect(searching).rejects.toMatchObject({ kind: "invalid" });
  });

  test("beyond the maximum of rows the oldest records are dropped", async () => {
    const { log, append } = await opened(undefined, { maxRows: 1000 });
    for (let batch = 0; batch < 15; batch++) {
      append(records(100, batch * 100));
      await log.get(1);
    }
    await expect.poll(() => log.status().rows).toBeLessThanOrEqual(1000);
    expect((await log.search({ filter: EVERYTHING, limit: 1, cursor: null })).records[0]?.id).toBe(
      firstIdAt(SOME_WALL_MS) + 1499,
    );
  });

  test("records beyond the room of the buffer are refused, and earlier records are kept", async () => {
    const path = join(directory(), "queries.db");
    mkdirSync(path);
    const { log, append, clock, events } = await opened(path, { ringBytes: 64 * 1024 });
    const written = append(records(1000));
    expect(written).toBeGreaterThan(100);
    expect(written).toBeLessThan(500);
    expect(log.status()).toMatchObject({ state: "failing", waiting: written });
    rmdirSync(path);
    await clock.advance(1000);
    expect(await events.next()).toMatchObject({ kind: "failing" });
    expect(await events.next()).toMatchObject({ kind: "well", dropped: 0 });
    expect(await found(log)).toBe(written);
    expect(await log.get(firstIdAt(SOME_WALL_MS))).not.toBeNull();
  });

  test("while the store fails, the ring holds what it can, and further records are dropped and counted", async () => {
    const path = join(directory(), "queries.db");
    mkdirSync(path);
    const { log, append, clock, events, feed } = await opened(path, { ringBytes: 64 * 1024 });
    let added = 0;
    for (let round = 0; round < 20; round++) {
      added += append(records(200, added));
      await expect.poll(() => feed.ring.isHalfFull).toBe(false);
    }
    const { waiting, dropped } = log.status();
    expect(waiting + dropped).toBe(added);
    expect(waiting).toBeGreaterThan(4 * 200);
    expect(dropped).toBeGreaterThan(4 * 200);
    rmdirSync(path);
    await clock.advance(1000);
    expect(await events.next()).toMatchObject({ kind: "failing" });
    expect(await events.next()).toMatchObject({ kind: "well", dropped });
    expect(await found(log)).toBe(waiting);
    expect(log.status()).toMatchObject({ stored: waiting, waiting: 0 });
  });

  test("followers get new records, also while the store fails, and none after they stop", async () => {
    const path = join(directory(), "queries.db");
    mkdirSync(path);
    const { append, clock, feed } = await opened(path);
    const told: number[][] = [[], []];
    const [all, some] = [EVERYTHING, { ...EVERYTHING, conditions: [TYPE_AAAA] }].map((filter, place) =>
      feed.followers.add(filter, (texts) => told[place]?.push(...texts.map(({ id }) => id))),
    );
    const made = records(10).map((record, index) => (index % 2 === 0 ? record : { ...record, type: "AAAA", answers: [] }));
    append(made.slice(0, 6));
    await clock.advance(100);
    await expect.poll(() => told[0]).toEqual(made.slice(0, 6).map(({ id }) => id));
    expect(told[1]).toEqual([made[1]?.id, made[3]?.id, made[5]?.id]);
    all?.();
    append(made.slice(6));
    await clock.advance(100);
    await expect.poll(() => told[1]).toHaveLength(5);
    expect(told[0]).toHaveLength(6);
    some?.();
  });

  test("a follower gets the same record as a later search", async () => {
    const { log, append, clock, feed } = await opened();
    const told: unknown[] = [];
    feed.followers.add(EVERYTHING, (texts) => told.push(...texts.map(({ json }) => JSON.parse(json))));
    const made = records(3);
    append(made);
    await clock.advance(100);
    await expect.poll(() => told).toEqual(made);
    expect(recordsIn(await log.search({ filter: EVERYTHING, limit: 10, cursor: null })).toReversed()).toEqual(told);
  });

  test("in a burst followers get the newest records and the number of records left out", async () => {
    const { append, clock, feed } = await opened();
    const told: number[] = [];
    let left = 0;
    feed.followers.add(EVERYTHING, (texts, leftOut) => {
      told.push(...texts.map(({ id }) => id));
      left += leftOut;
    });
    const made = records(3000);
    append(made);
    await clock.advance(100);
    await expect.poll(() => left).toBe(2000);
    expect(told).toEqual(made.slice(-1000).map(({ id }) => id));
  });

  test("a log that is off has no store and no thread, and says so", async () => {
    const workers = startedWorkers();
    const path = join(directory(), "queries.db");
    const feed = new QueryFeed();
    const log = await QueryLog.open(
      { enabled: false, store: path, keepMs: 1, maxRows: 1000, clients: "full" },
      { clock: fakeClock(), feed, report: () => expect.unreachable(), refused: () => 0 },
    );
    append(feed, records(10));
    expect(log.status().state).toBe("off");
    await expect(log.get(1)).rejects.toMatchObject({ kind: "unavailable" });
    await log.close();
    expect(workers).toEqual([]);
  });

  test("a log that is off still serves followers", async () => {
    const clock = fakeClock(SOME_WALL_MS);
    const feed = new QueryFeed();
    const log = await QueryLog.open(
      { enabled: false, store: "", keepMs: 1, maxRows: 1000, clients: "full" },
      { clock, feed, report: () => expect.unreachable(), refused: () => 0 },
    );
    const told: number[] = [];
    feed.followers.add(EVERYTHING, (texts) => told.push(...texts.map(({ id }) => id)));
    append(feed, records(3));
    await clock.advance(100);
    await expect.poll(() => told).toHaveLength(3);
    expect(feed.ring.isEmpty).toBe(true);
    expect(feed.waiting).toBe(0);
    expect(log.status()).toMatchObject({ state: "off", dropped: 0 });
    await log.close();
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
    // The maximum niceness is 19, which matters if the test itself runs with a niceness.
    const wanted = [own + 15, own + 5].map((nice) => Math.min(nice, 19));
    const isNicer = (nice: number) => nice > own;
    expect(niceness.map(({ nice }) => nice).filter(isNicer)).toEqual(wanted.filter(isNicer));
  },
);

describe("a clock that is years ahead at the start", () => {
  const YEAR_MS = 365 * 86_400_000;

  /** A log that has twenty records, opened years later as far as the clock knows. */
  async function openedLater() {
    const before = await opened();
    before.append(records(20));
    await before.log.close();
    const { log, append, clock } = await opened(before.path, { wallMs: SOME_WALL_MS + 10 * YEAR_MS });
    // Maintenance starts every minute, before the records of the next minute.
    const pass = async (minutes: number): Promise<void> => {
      for (let minute = 0; minute < minutes; minute++) {
        append([record({ id: firstIdAt(clock.wallMs()) })]);
        await log.get(1);
        await expect.poll(() => closedParts(before.path)).toBe(0);
        await clock.advance(60_000);
      }
    };
    return { log, clock, pass };
  }

  test("a clock that is set right within the hour costs no earlier record", async () => {
    const { log, clock, pass } = await openedLater();
    await pass(50);
    clock.setWall(SOME_WALL_MS + 86_400_000);
    await pass(100);
    expect(log.status().rows).toBe(20 + 50 + 100);
  });

  test("a clock that stays ahead for an hour is believed, and old records are dropped", async () => {
    const { log, pass } = await openedLater();
    await pass(50);
    expect(log.status().rows).toBe(20 + 50);
    await pass(20);
    await expect.poll(() => log.status().rows).toBe(50 + 20);
  });
});

describe("threads that end", () => {
  test("the writer thread is started anew, and nothing is lost", async () => {
    const workers = startedWorkers();
    const { log, append, events, clock } = await opened();
    append(records(10));
    expect(await found(log)).toBe(10);
    await workers[0]?.terminate();
    append(records(10, 10));
    expect(await found(log)).toBe(10);
    expect(await events.next()).toMatchObject({ kind: "failing", reason: expect.stringContaining("thread") });
    expect(log.status()).toMatchObject({ state: "failing", waiting: 10 });
    await clock.advance(1000);
    expect(await events.next()).toMatchObject({ kind: "well", dropped: 0 });
    expect(await found(log)).toBe(20);
  });

  test("the reader thread is started anew by the next search", async () => {
    const workers = startedWorkers();
    const { log, append } = await opened();
    append(records(10));
    expect(await found(log)).toBe(10);
    await workers[1]?.terminate();
    expect(await found(log)).toBe(10);
    expect(workers).toHaveLength(3);
  });
});

/** Parts that wait for their indexes. */
function closedParts(path: string): unknown {
  return valueIn(path, "SELECT count(*) AS value FROM parts WHERE state = 'closed'");
}

/** Reads the file until it has this number of rows. */
async function rowsIn(path: string, rows: number): Promise<void> {
  await expect.poll(() => rowsOf(path)).toBe(rows);
}

function rowsOf(path: string): unknown {
  return valueIn(path, "SELECT sum(row_count) AS value FROM parts");
}

function valueIn(path: string, statement: string): unknown {
  const database = new DatabaseSync(path, { readOnly: true, timeout: 1000 });
  try {
    return database.prepare(statement).get()?.["value"];
  } finally {
    database.close();
  }
}
