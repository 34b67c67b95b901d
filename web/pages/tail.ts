import { useEffect, useState } from "preact/hooks";
import { conditionsOf, type QueryRecord } from "../api/calls.ts";
import { events, type RecordReader } from "../api/events.ts";
import type { QueriesRoute } from "../routes.ts";

export interface Tail {
  /** Newest first. */
  readonly records: readonly QueryRecord[];
  /** Records that fitted and are not shown: there were more than anybody reads. */
  readonly leftOut: number;
  /** How many they are at the moment. */
  readonly leftOutPerSecond: number;
}

const NOTHING: Tail = { records: [], leftOut: 0, leftOutPerSecond: 0 };
/** What came is drawn so often at most. */
const DRAW_MS = 250;
/** How long is counted for a rate. */
const RATE_MS = 1000;

/** The records as they come, while the page is seen. @param most records that are held. */
export function useTail({ tail, filters }: QueriesRoute, most: number): Tail {
  const [state, setState] = useState(NOTHING);
  const key = JSON.stringify(filters);
  useEffect(() => {
    setState(NOTHING);
    if (!tail) return;
    const query = new URLSearchParams();
    for (const [name, values] of Object.entries(conditionsOf(filters))) for (const value of values) query.append(name, value);
    let fresh: QueryRecord[] = [];
    let missed = 0;
    let missedOfRate = 0;
    let ratedMs = performance.now();
    const rate = () => {
      const nowMs = performance.now();
      const leftOutPerSecond = Math.round((missedOfRate * 1000) / (nowMs - ratedMs));
      [missedOfRate, ratedMs] = [0, nowMs];
      setState((before) => (before.leftOutPerSecond === leftOutPerSecond ? before : { ...before, leftOutPerSecond }));
    };
    const rating = setInterval(rate, RATE_MS);
    let timer: ReturnType<typeof setTimeout> | null = null;
    const draw = () => {
      timer = null;
      const [added, left] = [fresh.reverse(), missed];
      [fresh, missed] = [[], 0];
      setState(({ records, leftOut, ...rest }) => ({
        ...rest,
        records: [...added, ...records].slice(0, most),
        leftOut: leftOut + left,
      }));
    };
    const drawSoon = () => {
      timer ??= setTimeout(draw, DRAW_MS);
    };
    const reader: RecordReader = {
      query,
      onRecord(record) {
        fresh.push(record);
        drawSoon();
      },
      onLeftOut(count) {
        missed += count;
        missedOfRate += count;
        drawSoon();
      },
    };
    events.read(reader);
    return () => {
      clearInterval(rating);
      if (timer !== null) clearTimeout(timer);
      events.stopReading(reader);
    };
  }, [tail, key, most]);
  return state;
}
