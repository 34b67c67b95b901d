import { describe, expect, onTestFinished, test } from "vitest";
import type { StateChange } from "../../src/admin/control.ts";
import type { Health } from "../../src/admin/schemas/health.ts";
import { StateWatch } from "../../src/control/state-watch.ts";
import { fakeClock } from "../support/fake-clock.ts";

const WELL: Health = { state: "well", since: "2026-11-21T20:00:00.000Z", items: [] };

/** A watch over made-up state, which the test may change. */
function watched() {
  const clock = fakeClock();
  const now = { version: "v1", revision: 1 };
  let looked = 0;
  const healthListeners = new Set<(health: Health) => void>();
  const watch = new StateWatch({
    clock,
    health: {
      read: () => WELL,
      follow(listener) {
        healthListeners.add(listener);
        return () => void healthListeners.delete(listener);
      },
    },
    problemRevision() {
      looked++;
      return now.revision;
    },
    config: () => ({ version: now.version, pauses: [] }),
  });
  onTestFinished(() => watch.close());
  return { clock, now, watch, healthListeners, looks: () => looked };
}

describe("who follows the state", () => {
  test("is told of each topic at once, and later of what changed alone", async () => {
    const { clock, now, watch } = watched();
    const told: StateChange[] = [];
    watch.follow((change) => told.push(change));
    expect(told.map(({ topic }) => topic)).toEqual(["health", "problems", "config"]);
    now.revision = 2;
    await clock.advance(1000);
    await clock.advance(1000);
    expect(told.slice(3)).toEqual([{ topic: "problems", data: { revision: 2 } }]);
  });

  test("is told of a new configuration without waiting, where the server says so", () => {
    const { now, watch } = watched();
    const told: StateChange[] = [];
    watch.follow((change) => told.push(change));
    now.version = "v2";
    watch.look();
    expect(told.at(-1)).toEqual({ topic: "config", data: { version: "v2", pauses: [] } });
  });

  test("hears of health when that changes", () => {
    const { watch, healthListeners } = watched();
    const told: StateChange[] = [];
    watch.follow((change) => told.push(change));
    for (const listener of healthListeners) listener({ ...WELL, state: "bad" });
    expect(told.at(-1)).toMatchObject({ topic: "health", data: { state: "bad" } });
  });

  test("and comes later begins with the present state, also of what changed while nobody followed", async () => {
    const { clock, now, watch } = watched();
    watch.follow(() => {})();
    now.revision = 7;
    await clock.advance(5000);
    const told: StateChange[] = [];
    watch.follow((change) => told.push(change));
    expect(told).toContainEqual({ topic: "problems", data: { revision: 7 } });
    await clock.advance(1000);
    expect(told).toHaveLength(3);
  });
});

test("nothing is looked at while nobody follows", async () => {
  const { watch, healthListeners, clock, looks } = watched();
  watch.follow(() => {})();
  const before = looks();
  await clock.advance(5000);
  expect(looks()).toBe(before);
  expect(healthListeners.size).toBe(0);
});
