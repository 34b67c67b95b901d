import { DatabaseSync } from "node:sqlite";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { missedRecords, RecentRecords } from "../../src/admin/stream.ts";
import type { Page, PageRequest } from "../../src/log/filter.ts";
import type { QueryLog } from "../../src/log/query-log.ts";
import type { LogStatus, QueryRecord } from "../../src/log/record.ts";
import { firstIdAt } from "../../src/log/schema.ts";
import { EVERYTHING, type Opened, opened, records } from "../log/opened.ts";
import { SOME_WALL_MS } from "../log/records.ts";
import { fakeClock } from "../support/fake-clock.ts";
import { openTestAdmin } from "./support/admin.ts";
import { EventReader } from "./support/event-reader.ts";
import { MemoryControl, MemoryLog } from "./support/memory-control.ts";

/** Tells followers at once, and stores as the server does. */
class StoredLog extends MemoryLog {
  readonly #log: QueryLog;

  constructor(log: QueryLog) {
    super();
    this.#log = log;
  }

  override add(...added: readonly QueryRecord[]): void {
    this.#log.append(added);
    super.add(...added);
  }

  override search(request: PageRequest): Promise<Page> {
    return this.#log.search(request);
  }

  override status(): LogStatus {
    return this.#log.status();
  }
}

/** The API over a real query log. */
async function scene() {
  const store = await opened();
  const queries = new StoredLog(store.log);
  const admin = await openTestAdmin({ control: new MemoryControl(queries) });
  const read = (last?: QueryRecord) =>
    EventReader.open(`${admin.base}/api/v1/queries/stream`, last === undefined ? {} : { "last-event-id": String(last.id) });
  return { store, queries, admin, read };
}

/** Nothing can be stored from now on, until the function given is called. */
function lock({ path }: Opened): () => void {
  const other = new DatabaseSync(path);
  other.exec("BEGIN IMMEDIATE");
  return () => other.close();
}

/** Waits until the store has tried to take what waits, and could not. */
async function failed({ log, events }: Opened): Promise<void> {
  await log.search({ filter: EVERYTHING, limit: 1, cursor: null });
  expect(await events.next()).toMatchObject({ kind: "failing" });
}

async function idsOf(reader: EventReader, count: number): Promise<readonly number[]> {
  return (await reader.take(count)).map((event) => (event?.event === "message" ? Number(event.id) : Number.NaN));
}

describe("a reader that comes again", () => {
  test("gets what was told while it was away and is not stored yet, once", async () => {
    const { queries, store, read } = await scene();
    const made = records(30);
    queries.add(...made.slice(0, 10));
    // Nobody read until now, so all of it is to be found in the store.
    const first = await read(made[4]);
    queries.add(...made.slice(10, 15));
    expect(await idsOf(first, 10)).toEqual(made.slice(5, 15).map(({ id }) => id));
    await first.close();
    queries.add(...made.slice(15, 20));
    expect(store.log.status().waiting).toBeGreaterThan(0);
    const again = await read(made[14]);
    queries.add(...made.slice(20, 30));
    expect(await idsOf(again, 15)).toEqual(made.slice(15, 30).map(({ id }) => id));
  });

  test("loses nothing while nothing can be stored", async () => {
    const { queries, store, read } = await scene();
    const made = records(30);
    queries.add(...made.slice(0, 5));
    const first = await read(made[0]);
    expect(await idsOf(first, 4)).toEqual(made.slice(1, 5).map(({ id }) => id));
    const unlock = lock(store);
    queries.add(...made.slice(5, 10));
    await failed(store);
    expect(await idsOf(first, 5)).toEqual(made.slice(5, 10).map(({ id }) => id));
    await first.close();
    queries.add(...made.slice(10, 20));
    // Of what it missed, the older half is in the store, the newer in memory alone.
    for (const [last, from] of [
      [made[9], 10],
      [made[1], 2],
    ] as const) {
      const again = await read(last);
      expect(await idsOf(again, 20 - from)).toEqual(made.slice(from, 20).map(({ id }) => id));
      await again.close();
    }
    unlock();
  });

  test("is told where it may have missed what is neither stored nor remembered", async () => {
    const { queries, store, read } = await scene();
    const made = records(10);
    queries.add(...made.slice(0, 5));
    await store.log.search({ filter: EVERYTHING, limit: 1, cursor: null });
    const unlock = lock(store);
    queries.add(...made.slice(5));
    await failed(store);
    const reader = await read(made[2]);
    expect(await reader.next()).toEqual({ event: "dropped", id: null, data: { records: null } });
    expect(await idsOf(reader, 2)).toEqual(made.slice(3, 5).map(({ id }) => id));
    unlock();
  });

  test("gets what came after the clock was set back, whose ids are lower", async () => {
    const { queries, read } = await scene();
    const [before, early, middle, late] = [500_000, 0, 1, 2].flatMap((from) => records(1, from));
    const first = await read();
    if (before !== undefined) queries.add(before);
    expect(await idsOf(first, 1)).toEqual([before?.id]);
    await first.close();
    for (const each of [early, middle]) if (each !== undefined) queries.add(each);
    const again = await read(before);
    if (late !== undefined) queries.add(late);
    expect(await idsOf(again, 3)).toEqual([early?.id, middle?.id, late?.id]);
  });

  test("is told that nobody knows what it missed where the clock was set back since, and all that is remembered came later", async () => {
    const queries = new MemoryLog();
    const recent = new RecentRecords(fakeClock());
    recent.join(queries);
    queries.add(...records(3));
    const request = { last: records(1, 500_000)[0]?.id ?? 0, filter: EVERYTHING, limit: 500 };
    expect(await missedRecords(request, { queries, recent })).toEqual({ records: [], more: true });
  });

  test("has missed nothing where it asks for what comes after this moment, and the newest is older", async () => {
    const queries = new MemoryLog();
    const recent = new RecentRecords(fakeClock(SOME_WALL_MS + 1000));
    recent.join(queries);
    queries.add(...records(3));
    const request = { last: firstIdAt(SOME_WALL_MS + 1000), filter: EVERYTHING, limit: 500 };
    expect(await missedRecords(request, { queries, recent })).toEqual({ records: [], more: false });
  });

  test("is told where the search for what it missed ended early", async () => {
    const queries = new MemoryLog();
    const [oldest, ...others] = records(10);
    for (const [found, more] of [
      [[], true],
      [others.slice(-3).toReversed(), true],
      [[...others.toReversed(), ...(oldest === undefined ? [] : [oldest])], false],
    ] as const) {
      queries.search = async () => ({ records: found, cursor: "1" });
      const request = { last: oldest?.id ?? 0, filter: EVERYTHING, limit: 500 };
      const missed = await missedRecords(request, { queries, recent: new RecentRecords(fakeClock()) });
      expect(missed).toEqual({ records: found.filter((each) => each !== oldest).toReversed(), more });
    }
  });
});

describe("what was told a moment ago", () => {
  test("is everything since then, or is known not to be", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 5000 }), fc.integer({ min: -5, max: 5005 }), (told, place) => {
        const queries = new MemoryLog();
        const recent = new RecentRecords(fakeClock());
        recent.join(queries);
        const made = records(told);
        queries.add(...made);
        const last = (records(1)[0]?.id ?? 0) + place;
        const known = recent.since(last);
        // Nothing that was told is above the newest.
        expect(known === null).toBe(told > 0 && place >= told);
        if (known === null) return;
        const { records: since, complete } = known;
        const wanted = made.filter(({ id }) => id > last);
        expect(wanted.slice(wanted.length - since.length)).toEqual(since);
        if (complete) expect(since).toEqual(wanted);
        if (told > 0 && place >= told - 1024 && place >= -1) expect(complete).toBe(true);
        expect(recent.size).toBeLessThanOrEqual(2048);
      }),
    );
  });

  test("is remembered for a minute after the last reader went", async () => {
    const clock = fakeClock();
    const queries = new MemoryLog();
    const recent = new RecentRecords(clock);
    const leaving = [recent.join(queries), recent.join(queries)];
    const [first, second, third] = records(3);
    if (first === undefined || second === undefined || third === undefined) throw new Error("three are wanted");
    queries.add(first);
    for (const leave of [...leaving, ...leaving]) leave();
    await clock.advance(59_000);
    queries.add(second);
    const leave = recent.join(queries);
    await clock.advance(600_000);
    expect(recent.since(first.id)).toEqual({ records: [second], complete: true });
    leave();
    await clock.advance(60_000);
    queries.add(third);
    expect(recent.since(first.id)).toEqual({ records: [], complete: false });
  });
});
