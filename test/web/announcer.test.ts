import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Announcer } from "../../web/parts/announcer.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** What is told, each with its second. */
function announcer(): { readonly told: string[]; readonly tell: (state: string) => void } {
  const told: string[] = [];
  const startMs = Date.now();
  const each = new Announcer((text) => told.push(`${(Date.now() - startMs) / 1000} ${text}`));
  return { told, tell: (state) => each.tell(state, () => state) };
}

test("a change is told at once, the next ones ten seconds later, by the last of them", () => {
  const { told, tell } = announcer();
  tell("well");
  vi.advanceTimersByTime(60_000);
  expect(told).toEqual([]);
  for (const state of ["care", "bad", "worse"]) {
    tell(state);
    vi.advanceTimersByTime(1000);
  }
  expect(told).toEqual(["60 care"]);
  vi.advanceTimersByTime(60_000);
  expect(told).toEqual(["60 care", "70 worse"]);
});

test("what came and went within ten seconds is not told", () => {
  const { told, tell } = announcer();
  for (const state of ["well", "care"]) tell(state);
  vi.advanceTimersByTime(1000);
  for (const state of ["well", "care"]) tell(state);
  vi.advanceTimersByTime(60_000);
  expect(told).toEqual(["0 care"]);
});
