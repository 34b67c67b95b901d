import type { Clock } from "../../src/lib/clock.ts";

export interface FakeClock extends Clock {
  /** Advances time and runs due timers in order. Promises settle in between. */
  advance(ms: number): Promise<void>;
}

/** A clock that stands still until it is advanced. */
export function fakeClock(startWallMs = Date.UTC(2026, 0, 1)): FakeClock {
  let elapsedMs = 0;
  let serial = 0;
  const timers = new Map<number, { readonly dueMs: number; readonly run: () => void }>();
  const nextDue = (limitMs: number) =>
    [...timers].filter(([, { dueMs }]) => dueMs <= limitMs).sort(([idA, a], [idB, b]) => a.dueMs - b.dueMs || idA - idB)[0];
  return {
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
        elapsedMs = Math.max(elapsedMs, dueMs);
        run();
        await settle();
      }
      elapsedMs = endMs;
      await settle();
    },
  };
}

/** Lets promises and pending I/O callbacks run. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
