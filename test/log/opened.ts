import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { QueryFilter } from "../../src/log/filter.ts";
import { QueryLog } from "../../src/log/query-log.ts";
import type { QueryRecord } from "../../src/log/record.ts";
import { firstIdAt } from "../../src/log/schema.ts";
import { type FakeClock, fakeClock } from "../support/fake-clock.ts";
import { directory } from "../support/files.ts";
import { LogEvents } from "./log-events.ts";
import { record, SOME_WALL_MS } from "./records.ts";

export const EVERYTHING: QueryFilter = { fromMs: null, toMs: null, conditions: [] };

export interface Opened {
  readonly log: QueryLog;
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
  { maxRows = 1_000_000, wallMs = SOME_WALL_MS } = {},
): Promise<Opened> {
  const clock = settableClock(wallMs);
  const events = new LogEvents();
  const options = { enabled: true, store: path, keepMs: 7 * 86_400_000, maxRows, clients: "full" } as const;
  const log = await QueryLog.open(options, { clock, report: events.report });
  onTestFinished(() => log.close());
  return { log, events, clock, path };
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

/** So many records of one millisecond, their ids rising from the given place. */
export function records(count: number, from = 0): QueryRecord[] {
  return Array.from({ length: count }, (_, index) => record({ id: firstIdAt(SOME_WALL_MS) + from + index }));
}

/** How many records the log gives. */
export async function found(log: QueryLog): Promise<number> {
  let count = 0;
  for await (const batch of log.read(EVERYTHING, new AbortController().signal)) count += batch.length;
  return count;
}
