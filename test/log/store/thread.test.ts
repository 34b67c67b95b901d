import { describe, expect, onTestFinished, test } from "vitest";
import { Thread } from "../../../src/lib/worker.ts";
import { type FakeClock, fakeClock } from "../../support/fake-clock.ts";
import type { SleeperCalls } from "./sleeper.ts";

function sleeper(maxWaiting = 10): {
  readonly thread: Thread<SleeperCalls>;
  readonly clock: FakeClock;
  readonly flag: () => SharedArrayBuffer;
} {
  const clock = fakeClock();
  const thread = new Thread<SleeperCalls>(new URL("./sleeper.ts", import.meta.url), { clock, deadlineMs: 10_000, maxWaiting });
  const flags: SharedArrayBuffer[] = [];
  onTestFinished(async () => {
    for (const flag of flags) release(flag);
    await thread.close();
  });
  const flag = () => {
    const made = new SharedArrayBuffer(4);
    flags.push(made);
    return made;
  };
  return { thread, clock, flag };
}

function release(flag: SharedArrayBuffer): void {
  const cell = new Int32Array(flag);
  Atomics.store(cell, 0, 1);
  Atomics.notify(cell, 0);
}

describe("a thread", () => {
  test("a thread runs calls one after the other, in order", async () => {
    const { thread } = sleeper();
    const calls = ["a", "b", "c"].map((text) => thread.call("echo", text));
    expect(await Promise.all(calls)).toEqual(["a", "b", "c"]);
  });

  test("a call that throws rejects, and the next call runs", async () => {
    const { thread } = sleeper();
    await expect(thread.call("fail", "out of ink")).rejects.toMatchObject({ kind: "failed", message: "out of ink" });
    expect(await thread.call("echo", "a")).toBe("a");
  });

  test("a thread that ends is started anew, and only the pending call is lost", async () => {
    const { thread } = sleeper();
    const [lost, kept] = [thread.call("exit", null), thread.call("echo", "a")];
    await expect(lost).rejects.toMatchObject({ kind: "ended" });
    expect(await kept).toBe("a");
  });

  test("a thread that cannot start rejects every call", async () => {
    // Node refuses this address when the thread is to be begun, as the system may refuse a further thread.
    const clock = fakeClock();
    const nowhere = new Thread<SleeperCalls>(new URL("http://127.0.0.1/"), { clock, deadlineMs: 10_000, maxWaiting: 10 });
    const calls = [nowhere.call("echo", "a"), nowhere.call("echo", "b")];
    for (const call of calls)
      await expect(call).rejects.toMatchObject({ kind: "ended", message: expect.stringContaining("cannot be begun") });
    await clock.advance(10_000);
    await nowhere.close();
  });

  test("a call that takes too long is given up, and the next call gets a new thread", async () => {
    const { thread, clock, flag } = sleeper();
    const blocked = thread.call("block", flag());
    const expected = expect(blocked).rejects.toMatchObject({ kind: "slow" });
    await clock.advance(10_000);
    await expected;
    expect(await thread.call("echo", "a")).toBe("a");
  });

  test("a call that waits too long is given up", async () => {
    const { thread, clock, flag } = sleeper();
    const calls = [thread.call("block", flag()), thread.call("echo", "a")];
    const expected = calls.map((call) => expect(call).rejects.toMatchObject({ kind: "slow" }));
    await clock.advance(10_000);
    await Promise.all(expected);
  });

  test("too many calls are refused", async () => {
    const { thread, flag } = sleeper(2);
    const held = flag();
    const blocked = thread.call("block", held);
    const waiting = [thread.call("echo", "a"), thread.call("echo", "b")];
    await expect(thread.call("echo", "c")).rejects.toMatchObject({ kind: "busy" });
    release(held);
    await blocked;
    expect(await Promise.all(waiting)).toEqual(["a", "b"]);
  });

  test("closing rejects pending and waiting calls, and may be repeated", async () => {
    const { thread, flag } = sleeper();
    const held = flag();
    const calls = [thread.call("block", held), thread.call("echo", "a")];
    const expected = calls.map((call) => expect(call).rejects.toMatchObject({ kind: "closed" }));
    release(held);
    await Promise.all([thread.close(), thread.close()]);
    await Promise.all(expected);
    await expect(thread.call("echo", "b")).rejects.toMatchObject({ kind: "closed" });
  });
});
