import { DatabaseSync } from "node:sqlite";
import { describe, expect, test } from "vitest";
import type { Page, PageRequest, QueryFilter } from "../../src/log/filter.ts";
import type { LiveListener } from "../../src/log/followers.ts";
import type { LogStatus, QueryRecord, RecordText } from "../../src/log/record.ts";
import { EVERYTHING, type Opened, opened, records } from "../log/opened.ts";
import { openTestAdmin } from "./support/admin.ts";
import { EventReader } from "./support/event-reader.ts";
import { MemoryControl, MemoryLog } from "./support/memory-control.ts";

/** A real query log behind the API. */
class StoredLog extends MemoryLog {
  readonly #store: Opened;

  constructor(store: Opened) {
    super();
    this.#store = store;
  }

  override search(request: PageRequest): Promise<Page<RecordText>> {
    return this.#store.log.search(request);
  }

  override follow(filter: QueryFilter, listener: LiveListener): () => void {
    return this.#store.feed.followers.add(filter, listener);
  }

  override get readers(): number {
    return this.#store.feed.followers.size;
  }

  override status(): LogStatus {
    return this.#store.log.status();
  }
}

/** The API over a real query log. */
async function scene() {
  const store = await opened();
  const queries = new StoredLog(store);
  const admin = await openTestAdmin({ control: new MemoryControl(queries) });
  /** Records queries and wakes the followers. */
  const add = async (...made: readonly QueryRecord[]): Promise<void> => {
    store.append(made);
    await store.clock.advance(100);
  };
  const read = (last?: QueryRecord) =>
    EventReader.open(`${admin.base}/api/v1/queries/stream`, last === undefined ? {} : { "last-event-id": String(last.id) });
  return { store, queries, add, read };
}

/** Prevents storing until the returned function is called. */
function lock({ path }: Opened): () => void {
  const other = new DatabaseSync(path);
  other.exec("BEGIN IMMEDIATE");
  return () => other.close();
}

async function idsOf(reader: EventReader, count: number): Promise<readonly number[]> {
  return (await reader.take(count)).map((event) => (event?.event === "message" ? Number(event.id) : Number.NaN));
}

describe("a reader that comes again", () => {
  test("gets what was recorded while it was away, stored or not, once", async () => {
    const { add, store, read, queries } = await scene();
    const made = records(30);
    await add(...made.slice(0, 10));
    const first = await read(made[4]);
    await add(...made.slice(10, 15));
    expect(await idsOf(first, 10)).toEqual(made.slice(5, 15).map(({ id }) => id));
    await first.close();
    await expect.poll(() => queries.readers).toBe(0);
    await add(...made.slice(15, 20));
    expect(store.log.status().waiting).toBeGreaterThan(0);
    const again = await read(made[14]);
    await add(...made.slice(20, 30));
    expect(await idsOf(again, 15)).toEqual(made.slice(15, 30).map(({ id }) => id));
  });

  test("is told where it may have missed what cannot be stored, and gets what comes", async () => {
    const { add, store, read } = await scene();
    const made = records(12);
    await add(...made.slice(0, 5));
    await store.log.search({ filter: EVERYTHING, limit: 1, cursor: null });
    const unlock = lock(store);
    await add(...made.slice(5, 10));
    await store.log.search({ filter: EVERYTHING, limit: 1, cursor: null });
    expect(await store.events.next()).toMatchObject({ kind: "failing" });
    const reader = await read(made[2]);
    expect(await reader.next()).toEqual({ event: "dropped", id: null, data: { records: null } });
    expect(await idsOf(reader, 2)).toEqual(made.slice(3, 5).map(({ id }) => id));
    await add(...made.slice(10));
    expect(await idsOf(reader, 2)).toEqual(made.slice(10).map(({ id }) => id));
    unlock();
  });
});
