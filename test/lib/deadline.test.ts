import { expect, test } from "vitest";
import { ResettableTimer } from "../../src/lib/deadline.ts";
import { fakeClock } from "../support/fake-clock.ts";

function counted() {
  const clock = fakeClock();
  let runs = 0;
  const deadline = new ResettableTimer(clock, () => runs++);
  return { clock, deadline, runs: () => runs };
}

test("the timer runs once, at the time that was set last", async () => {
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

test("the timer may be set earlier, cancelled and set again", async () => {
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

test("a time in the past means now, and no timer gets a negative delay", () => {
  const delays: number[] = [];
  const clock = { ...fakeClock(), setTimer: (_run: () => void, delayMs: number) => ({ cancel: () => delays.push(delayMs) }) };
  const deadline = new ResettableTimer(clock, () => {});
  deadline.set(-0.001);
  deadline.cancel();
  expect(delays).toEqual([0]);
});
