import { join } from "node:path";
import { expect, test } from "vitest";
import type { Gap } from "../../src/log/runs.ts";
import { directory } from "../support/files.ts";
import { EVERYTHING, type Opened, opened, records } from "./opened.ts";
import { SOME_WALL_MS } from "./records.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** The gaps of the hours around `SOME_WALL_MS`, in minutes from there on, as both summaries tell them. */
async function gapsOf({ log }: Opened): Promise<readonly (readonly [from: number, to: number, lost: number])[]> {
  const period = { fromMs: SOME_WALL_MS - HOUR_MS, toMs: SOME_WALL_MS + 3 * HOUR_MS };
  const { gaps } = await log.summary({ ...period, stepMs: MINUTE_MS, top: 1, sideOf: {} });
  expect((await log.volume({ filter: { ...EVERYTHING, ...period }, stepMs: MINUTE_MS })).gaps).toEqual(gaps);
  const minutes = (ms: number) => Math.round((ms - SOME_WALL_MS) / MINUTE_MS);
  return gaps.map(({ fromMs, toMs, lost }: Gap) => [minutes(fromMs), minutes(toMs), lost]);
}

/** So many minutes pass while the log is at work. */
async function pass({ clock, log }: Opened, minutes: number): Promise<void> {
  for (let half = 0; half < 2 * minutes; half++) {
    await clock.advance(MINUTE_MS / 2);
    // The thread answers when it has done what each minute brings.
    await log.problems();
  }
}

test("the time before the first start is a gap, and while the server runs there is none, also if nothing is asked", async () => {
  const first = await opened();
  await pass(first, 90);
  expect(await gapsOf(first)).toEqual([[-60, 0, 0]]);
});

test("the time between two runs is a gap, to the minute, also where the first one was killed", async () => {
  const path = join(directory(), "queries.db");
  const first = await opened(path);
  await pass(first, 10);
  const second = await opened(path, { wallMs: SOME_WALL_MS + 40 * MINUTE_MS });
  expect(await gapsOf(second)).toEqual([
    [-60, 0, 0],
    [10, 40, 0],
  ]);
});

test("a log that is closed and opened at once, as by a reload, has no gap", async () => {
  const path = join(directory(), "queries.db");
  const first = await opened(path);
  await pass(first, 5);
  await first.clock.advance(30_000);
  await first.log.close();
  const second = await opened(path, { wallMs: first.clock.wallMs() + 200 });
  expect(await gapsOf(second)).toEqual([[-60, 0, 0]]);
});

test("a minute in which records were lost is a gap that tells how many", async () => {
  let refused = 0;
  const first = await opened(undefined, { refused: () => refused });
  await pass(first, 3);
  first.append(records(5));
  refused = 17;
  await pass(first, 3);
  expect(await gapsOf(first)).toEqual([
    [-60, 0, 0],
    [3, 4, 17],
  ]);
});

test("a machine that slept, or whose clock was set, was not there meanwhile", async () => {
  const first = await opened();
  await pass(first, 2);
  first.clock.setWall(first.clock.wallMs() + HOUR_MS);
  await pass(first, 2);
  expect(await gapsOf(first)).toEqual([
    [-60, 0, 0],
    [2, 63, 0],
  ]);
});

test("records that are older than the first run make no gap before it: who wrote them wrote no runs", async () => {
  const path = join(directory(), "queries.db");
  const first = await opened(path, { wallMs: SOME_WALL_MS + 30 * MINUTE_MS });
  first.append(records(5));
  expect(await gapsOf(first)).toEqual([]);
});
