import { useEffect, useState } from "preact/hooks";
import { conditionsOf, type QueryRecord } from "../api/calls.ts";
import type { QueriesRoute } from "../routes.ts";

interface Tail {
  /** Newest first. */
  readonly records: readonly QueryRecord[];
  /** Records that fitted and are not shown: there were more than anybody reads. */
  readonly leftOut: number;
}

const NOTHING: Tail = { records: [], leftOut: 0 };
/** What came is drawn so often at most. */
const DRAW_MS = 250;

/** The records as they come, while the page is seen. @param most records that are held. */
export function useTail({ tail, filters }: QueriesRoute, most: number): Tail {
  const [state, setState] = useState(NOTHING);
  const key = JSON.stringify(filters);
  useEffect(() => {
    setState(NOTHING);
    if (!tail) return;
    const query = new URLSearchParams();
    for (const [name, values] of Object.entries(conditionsOf(filters))) for (const value of values) query.append(name, value);
    let events: EventSource | null = null;
    let fresh: QueryRecord[] = [];
    let missed = 0;
    let timer: ReturnType<typeof setTimeout> | null = null;
    const draw = () => {
      timer = null;
      const [added, left] = [fresh.reverse(), missed];
      [fresh, missed] = [[], 0];
      setState(({ records, leftOut }) => ({ records: [...added, ...records].slice(0, most), leftOut: leftOut + left }));
    };
    const drawSoon = () => {
      timer ??= setTimeout(draw, DRAW_MS);
    };
    const open = () => {
      events?.close();
      events = null;
      if (document.hidden) return;
      events = new EventSource(`/api/v1/queries/stream?${query}`);
      events.onmessage = ({ data }) => {
        fresh.push(JSON.parse(data));
        drawSoon();
      };
      events.addEventListener("dropped", ({ data }) => {
        missed += JSON.parse(data).records ?? 0;
        drawSoon();
      });
    };
    open();
    document.addEventListener("visibilitychange", open);
    return () => {
      document.removeEventListener("visibilitychange", open);
      if (timer !== null) clearTimeout(timer);
      events?.close();
    };
  }, [tail, key, most]);
  return state;
}
