import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { ConnectionTurns, Turns } from "../../src/listen/turns.ts";

/** Each piece of work takes a millisecond. */
function timedTurns() {
  let nowMs = 0;
  const done: string[] = [];
  const turns = new Turns(() => nowMs);
  const work = (what: string) => () => {
    nowMs++;
    done.push(what);
  };
  const takeOrPostpone = (client: string, what: string) => {
    if (turns.isOver) turns.postpone(client, work(what));
    else work(what)();
  };
  return { turns, done, work, takeOrPostpone };
}

describe("a turn of the event loop", () => {
  test("with few queries answers all of them", () => {
    const { done, takeOrPostpone } = timedTurns();
    for (let query = 0; query < 15; query++) takeOrPostpone("10.0.0.1", "a");
    expect(done).toHaveLength(15);
  });

  test("works off a burst in parts of some milliseconds, and nothing is lost", async () => {
    const { done, takeOrPostpone } = timedTurns();
    for (let query = 0; query < 200; query++) takeOrPostpone("10.0.0.1", String(query));
    const parts: number[] = [done.length];
    while (done.length < 200) {
      const before = done.length;
      await nextTurn();
      parts.push(done.length - before);
    }
    expect(parts[0]).toBeLessThanOrEqual(20);
    expect(Math.max(...parts.slice(1))).toBeLessThanOrEqual(4);
    expect(done).toEqual(Array.from({ length: 200 }, (_, query) => String(query)));
  });

  test("gives every client its turn: who comes after a flood does not wait for all of it", async () => {
    const { done, takeOrPostpone } = timedTurns();
    for (let query = 0; query < 1000; query++) takeOrPostpone("10.0.0.66", "flood");
    const before = done.length;
    takeOrPostpone("10.0.0.2", "house");
    takeOrPostpone("10.0.0.3", "house");
    await nextTurn();
    expect(done.slice(before).filter((what) => what === "house")).toHaveLength(2);
  });

  test("holds a limited number of datagrams, of one client half of them", () => {
    const { turns } = timedTurns();
    const flood = Array.from({ length: 20_000 }, () => turns.postponeDatagram("10.0.0.66", () => {}));
    expect(flood.filter((isHeld) => isHeld)).toHaveLength(4096);
    expect(turns.postponeDatagram("10.0.0.2", () => {})).toBe(true);
  });

  test("tells of each message of a connection when its last byte was read, however long it has waited", () => {
    const { turns } = timedTurns();
    const connection = new ConnectionTurns(turns, "10.0.0.66", () => {});
    connection.noteRead(99, 0, 1000);
    connection.noteRead(1, 99, 1001);
    connection.noteRead(50, 100, 2000);
    // Three messages of 40, 80 and 20 bytes; 10 bytes of a fourth.
    expect([150 - 40, 150 - 120, 150 - 140].map((leftBytes) => connection.arrivedMs(leftBytes))).toEqual([1000, 2000, 2000]);
    connection.noteRead(30, 10, 3000);
    expect(connection.arrivedMs(0)).toBe(3000);
  });

  test("lets a connection with much to answer go on in part, while others wait", async () => {
    const { turns, done, work } = timedTurns();
    let left = 100;
    const connection = new ConnectionTurns(turns, "10.0.0.66", () => proceed());
    const proceed = () => {
      while (left > 0 && !connection.mustWait()) {
        left--;
        work("flood")();
      }
    };
    proceed();
    expect(connection.isWaiting).toBe(true);
    turns.postpone("10.0.0.2", work("house"));
    const before = done.length;
    await nextTurn();
    await nextTurn();
    expect(done.slice(before)).toContain("house");
    expect(left).toBeGreaterThan(50);
    while (left > 0) await nextTurn();
    expect(connection.isWaiting).toBe(false);
  });
});
