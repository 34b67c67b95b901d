import type { Clock } from "../../src/lib/clock.ts";

export interface FakeClock extends Clock {
  /** Advances time and runs due timers in order. Promises settle in between. */
  advance(ms: number): Promise<void>;
}

/** A clock that stands still until it is advanced. */
export function fakeClock(startWallMs = Date.UTC(2026, 0, 1)): FakeClock {
  const shared = new SharedArrayBuffer(16);
  const times = new Float64Array(shared);
  let elapsedMs = 0;
  const move = (toMs: number) => {
    elapsedMs = toMs;
    times.set([toMs, startWallMs + toMs]);
  };
  move(0);
  let serial = 0;
  const timers = new Map<number, { readonly dueMs: number; readonly run: () => void }>();
  const nextDue = (limitMs: number) =>
    [...timers].filter(([, { dueMs }]) => dueMs <= limitMs).sort(([idA, a], [idB, b]) => a.dueMs - b.dueMs || idA - idB)[0];
  return {
    shared,
    now: () => elapsedMs,
    wallMs: () => startWallMs + elapsedMs,
    setTimer(run, delayMs) {
      const id = serial++;
      timers.set(id, { dueMs: elapsedMs + Math.max(0, delayMs), run });
      return { cancel: () => timers.delete(id) };
    },
    async advance(ms) {
      const endMs = elapsedMs + ms;
      await settle();
      for (let next = nextDue(endMs); next !== undefined; next = nextDue(endMs)) {
        const [id, { dueMs, run }] = next;
        timers.delete(id);
        move(Math.max(elapsedMs, dueMs));
        run();
        await settle();
      }
      move(endMs);
      await settle();
    },
  };
}

/** Lets promises and pending I/O callbacks run. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
