import { join } from "node:path";
import { onTestFinished } from "vitest";
import { QueryFeed } from "../../src/log/feed.ts";
import type { Page, QueryFilter } from "../../src/log/filter.ts";
import { QueryLog } from "../../src/log/query-log.ts";
import type { QueryRecord, RecordText } from "../../src/log/record.ts";
import { firstIdAt } from "../../src/log/schema.ts";
import { type FakeClock, fakeClock } from "../support/fake-clock.ts";
import { directory } from "../support/files.ts";
import { append } from "./entries.ts";
import { LogEvents } from "./log-events.ts";
import { record, SOME_WALL_MS } from "./records.ts";

export const EVERYTHING: QueryFilter = { fromMs: null, toMs: null, conditions: [] };

export interface Opened {
  readonly log: QueryLog;
  readonly feed: QueryFeed;
  /** Writes records into the feed. @returns the number of records that fitted. */
  readonly append: (records: readonly QueryRecord[]) => number;
  readonly events: LogEvents;
  readonly clock: SettableClock;
  readonly path: string;
}

export interface SettableClock extends FakeClock {
  /** Sets the clock on the wall, as NTP does. */
  setWall(wallMs: number): void;
}

/** A query log under a clock that is moved by hand; closed when the test ends. */
export async function opened(
  path = join(directory(), "queries.db"),
  { maxRows = 1_000_000, wallMs = SOME_WALL_MS, ringBytes = 8 * 2 ** 20, refused = (): number => 0 } = {},
): Promise<Opened> {
  const clock = settableClock(wallMs);
  const events = new LogEvents();
  const options = { enabled: true, store: path, keepMs: 7 * 86_400_000, maxRows, clients: "full" } as const;
  const feed = new QueryFeed(ringBytes);
  const log = await QueryLog.open(options, { clock, feed, report: events.report, refused });
  onTestFinished(() => log.close());
  return { log, feed, append: (records) => append(feed, records), events, clock, path };
}

function settableClock(startWallMs: number): SettableClock {
  const steady = fakeClock(startWallMs);
  let movedMs = 0;
  return {
    ...steady,
    wallMs: () => steady.wallMs() + movedMs,
    setWall(wallMs) {
      movedMs = wallMs - steady.wallMs();
    },
  };
}

/** Records of one millisecond, with rising ids from the given place. */
export function records(count: number, from = 0): QueryRecord[] {
  return Array.from({ length: count }, (_, index) => record({ id: firstIdAt(SOME_WALL_MS) + from + index }));
}

/** The number of records that the log returns. */
export async function found(log: QueryLog): Promise<number> {
  let count = 0;
  for await (const text of log.read(EVERYTHING, "ndjson", new AbortController().signal)) count += text.split("\n").length - 1;
  return count;
}

/** The records of a page. */
export function recordsIn({ records }: Page<RecordText>): QueryRecord[] {
  return records.map(({ json }) => JSON.parse(json));
}
