import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, test } from "vitest";
import { systemClock } from "../../src/lib/clock.ts";

function busy(ms: number): void {
  const untilMs = performance.now() + ms;
  while (performance.now() < untilMs);
}

test("timers that are due together run in parts, in their order, and what comes meanwhile has its turn between them", async () => {
  const ran: number[] = [];
  for (let number = 0; number < 100; number++)
    systemClock.setTimer(() => {
      ran.push(number);
      busy(1);
    }, 1);
  // All of them are due now.
  busy(20);
  const parts: number[] = [];
  while (ran.length < 100) {
    const before = ran.length;
    await nextTurn();
    parts.push(ran.length - before);
  }
  expect(Math.max(...parts)).toBeLessThanOrEqual(10);
  expect(ran).toEqual(Array.from({ length: 100 }, (_, number) => number));
});

test("a timer that waits for its part can still be cancelled", async () => {
  let ran = 0;
  const timers = Array.from({ length: 50 }, () =>
    systemClock.setTimer(() => {
      ran++;
      busy(1);
    }, 1),
  );
  busy(20);
  while (ran === 0) await nextTurn();
  expect(ran).toBeLessThan(50);
  for (const timer of timers) timer.cancel();
  const before = ran;
  for (let turn = 0; turn < 20; turn++) await nextTurn();
  expect(ran).toBe(before);
});
