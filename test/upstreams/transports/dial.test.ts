import { describe, expect, test } from "vitest";
import { staggered } from "../../../src/upstreams/dial.ts";
import { fakeClock } from "../../support/fake-clock.ts";

interface Try {
  readonly candidate: string;
  readonly signal: AbortSignal;
  readonly resolve: (value: string) => void;
  readonly reject: (error: Error) => void;
}

function setUp(...candidates: readonly string[]) {
  const clock = fakeClock();
  const tries: Try[] = [];
  const late: string[] = [];
  const outer = new AbortController();
  const options = { signal: outer.signal, clock, staggerMs: 100, discard: (value: string) => void late.push(value) };
  const result = staggered(candidates, options, (candidate, signal) => {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    tries.push({ candidate, signal, resolve, reject });
    signal.addEventListener("abort", () => reject(new Error(`${candidate}: ${signal.reason}`)));
    return promise;
  });
  const at = (index: number): Try => {
    const found = tries[index];
    if (found === undefined) throw new Error(`there is no try ${index}`);
    return found;
  };
  return { clock, tries, late, outer, result, at };
}

describe("staggered candidates", () => {
  test("the first alone, if it succeeds in time", async () => {
    const { clock, tries, result, at } = setUp("a", "b");
    await clock.advance(99);
    at(0).resolve("A");
    expect(await result).toBe("A");
    await clock.advance(1_000);
    expect(tries).toHaveLength(1);
  });

  test("the next one starts at once after a failure, and beside a silent one", async () => {
    const { clock, tries, result, at } = setUp("a", "b", "c");
    at(0).reject(new Error("no"));
    await clock.advance(0);
    expect(tries.map(({ candidate }) => candidate)).toEqual(["a", "b"]);
    await clock.advance(100);
    expect(tries.map(({ candidate }) => candidate)).toEqual(["a", "b", "c"]);
    at(1).resolve("B");
    expect(await result).toBe("B");
    expect(at(2).signal.aborted).toBe(true);
  });

  test("a result that comes too late is discarded", async () => {
    const { clock, late, result, at } = setUp("a", "b");
    await clock.advance(100);
    at(0).resolve("A");
    at(1).resolve("B");
    expect(await result).toBe("A");
    await clock.advance(0);
    expect(late).toEqual(["B"]);
  });

  test("the first error when all fail", async () => {
    const { clock, result, at } = setUp("a", "b");
    const failed = expect(result).rejects.toThrow("first");
    await clock.advance(100);
    at(1).reject(new Error("first"));
    at(0).reject(new Error("second"));
    await failed;
  });

  test("none starts after an abort, and the running ones end with its reason", async () => {
    const { clock, tries, outer, result } = setUp("a", "b");
    const failed = expect(result).rejects.toThrow("a: enough");
    outer.abort("enough");
    await failed;
    await clock.advance(1_000);
    expect(tries).toHaveLength(1);
  });

  test("an empty list fails", async () => {
    await expect(setUp().result).rejects.toThrow(RangeError);
  });
});
