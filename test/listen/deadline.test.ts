import { expect, test } from "vitest";
import { ResettableTimer } from "../../src/lib/deadline.ts";
import { fakeClock } from "../support/fake-clock.ts";

function counted() {
  const clock = fakeClock();
  let runs = 0;
  const deadline = new ResettableTimer(clock, () => runs++);
  return { clock, deadline, runs: () => runs };
}

test("it runs once, at the time last set", async () => {
  const { clock, deadline, runs } = counted();
  deadline.set(100);
  await clock.advance(60);
  deadline.set(100);
  await clock.advance(99);
  expect(runs()).toBe(0);
  await clock.advance(1);
  expect(runs()).toBe(1);
  await clock.advance(1000);
  expect(runs()).toBe(1);
});

test("it may be set nearer, taken back and set again", async () => {
  const { clock, deadline, runs } = counted();
  deadline.set(1000);
  deadline.set(10);
  await clock.advance(10);
  expect(runs()).toBe(1);
  deadline.set(10);
  deadline.set(null);
  await clock.advance(50);
  expect(runs()).toBe(1);
  deadline.set(10);
  await clock.advance(10);
  expect(runs()).toBe(2);
  deadline.set(10);
  deadline.cancel();
  await clock.advance(50);
  expect(runs()).toBe(2);
});

test("a time that has passed already is now, and no timer is set for a moment before it", () => {
  const delays: number[] = [];
  const clock = { ...fakeClock(), setTimer: (_run: () => void, delayMs: number) => ({ cancel: () => delays.push(delayMs) }) };
  const deadline = new ResettableTimer(clock, () => {});
  deadline.set(-0.001);
  deadline.cancel();
  expect(delays).toEqual([0]);
});
