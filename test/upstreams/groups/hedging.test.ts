import { describe, expect, test } from "vitest";
import { HEDGES } from "../../../src/upstreams/dispatch.ts";
import { PAUSE, pauseMs } from "../../../src/upstreams/member.ts";
import { answers, fails, groupOptions, Site, silent } from "./scripted.ts";

/** How often each server was asked since the last call. */
function counts(site: Site): Record<string, number> {
  const counted: Record<string, number> = { a: 0, b: 0, c: 0 };
  for (const label of site.takeAsked()) counted[label] = (counted[label] ?? 0) + 1;
  return counted;
}

describe("a member that is slow, but answers", () => {
  test("is joined by the next for a tenth of the questions alone, so that a slow day does not double the load", async () => {
    const site = new Site(groupOptions("g"));
    site.behave({ a: answers(900), b: answers(900) });
    const exchanged = await site.askTimes(400);
    expect(exchanged.every(({ outcome, elapsedMs }) => outcome === "a" && elapsedMs === 900)).toBe(true);
    expect(counts(site)).toEqual({ a: 400, b: HEDGES.inARow + 400 * HEDGES.share - 1, c: 0 });
  });

  test("is joined at once again after quiet times", async () => {
    const site = new Site(groupOptions("g"));
    site.behave({ a: answers(900) });
    await site.askTimes(60);
    site.behave({ a: answers(10) });
    await site.askTimes(HEDGES.inARow / HEDGES.share);
    site.behave({ a: answers(900) });
    counts(site);
    expect(await site.ask()).toMatchObject({ outcome: "b", elapsedMs: 610 });
  });
});

describe("where the budget is used up", () => {
  const spent = async (): Promise<Site> => {
    const site = new Site(groupOptions("g"));
    site.behave({ a: answers(900), b: answers(900) });
    // The last of these was just after one that was joined.
    await site.askTimes(44);
    counts(site);
    return site;
  };

  test("a member that stays silent is joined when it counts as failed, and then it is unhealthy", async () => {
    const site = await spent();
    site.behave({ a: silent, b: answers(10) });
    const exchanged = await site.askTimes(3);
    expect(exchanged.map(({ outcome, elapsedMs }) => [outcome, elapsedMs])).toEqual(Array(3).fill(["b", 1210]));
    expect(await site.ask()).toMatchObject({ outcome: "b", elapsedMs: 10 });
  });

  test("a member that fails late is followed by the next at once", async () => {
    const site = await spent();
    site.behave({ a: answers(700, 2), b: answers(10) });
    expect(await site.ask()).toMatchObject({ outcome: "b", elapsedMs: 710 });
  });

  test("its silence is in the trace as any other", async () => {
    const site = await spent();
    site.behave({ a: silent, b: answers(10) });
    const { attempts } = await site.ask();
    expect(attempts.map(({ server, failure }) => [server, failure])).toEqual([
      ["a", "timeout"],
      ["b", null],
    ]);
  });
});

describe("a member that answers with an HTTP status alone, such as 429", () => {
  test.each(["failover", "fastest", "spread", "race"] as const)(
    "is spared for a moment, and is not unhealthy (%s)",
    async (strategy) => {
      const site = new Site(groupOptions("g", { strategy }));
      await site.ask();
      site.behave({ a: fails("http", 1), b: answers(50), c: answers(60) });
      site.takeAsked();
      do await site.ask();
      while (!site.takeAsked().includes("a"));
      await site.askTimes(10);
      expect(counts(site)["a"]).toBe(0);
      expect(site.group.status().members.map(({ healthy }) => healthy)).toEqual([true, true, true]);
      await site.clock.advance(PAUSE.leastMs);
      site.behave({ a: answers(1) });
      // Asks for a measurement.
      site.random = () => 0.01;
      for (let asked = 0; asked < 100 && site.server("a").asked.length === 0; asked++) await site.ask();
      expect(counts(site)["a"]).toBe(1);
    },
  );

  test("is spared for as long as its Retry-After says, within a minute (RFC 9110 §10.2.3)", async () => {
    const site = new Site(groupOptions("g"));
    site.behave({ a: fails("http", 1, "20"), b: answers(10) });
    await site.ask();
    site.behave({ a: answers(1) });
    site.takeAsked();
    await site.clock.advance(19_000);
    expect(await site.ask()).toMatchObject({ outcome: "b" });
    await site.clock.advance(1000);
    site.takeAsked();
    for (let asked = 0; asked < 100 && site.server("a").asked.length === 0; asked++) await site.ask();
    expect(counts(site)["a"]).toBe(1);
  });

  test.each([
    ["20", 20_000],
    ["0", 1000],
    ["86400", 60_000],
    ["Mon, 30 Nov 2026 12:00:30 GMT", 30_000],
    ["Mon, 30 Nov 2026 11:00:00 GMT", 1000],
    ["Tue, 01 Dec 2026 12:00:00 GMT", 60_000],
    ["-5", 1000],
    ["soon", 1000],
    [null, 1000],
  ])("Retry-After: %s is a pause of %d ms", (text, ms) => {
    expect(pauseMs(text, Date.UTC(2026, 10, 30, 12))).toBe(ms);
  });

  test("is asked all the same where every other one has failed, or is spared too", async () => {
    const site = new Site(groupOptions("g"));
    site.behave({ a: fails("http", 1), b: fails("http", 1), c: fails("http", 1) });
    expect(await site.ask()).toMatchObject({ outcome: "exhausted" });
    site.behave({ a: answers(10) });
    expect(await site.ask()).toMatchObject({ outcome: "a", elapsedMs: 10 });
  });
});
