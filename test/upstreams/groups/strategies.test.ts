import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { seeded } from "../../../bench/random.ts";
import { RCODE, TYPE } from "../../../src/dns/types.ts";
import { MEASURED_SHARE, planFor } from "../../../src/upstreams/dispatch.ts";
import type { Strategy } from "../../../src/upstreams/options.ts";
import { serverOptions } from "../server-options.ts";
import { answers, type Behaviour, type Exchanged, fails, groupOptions, question, Site, silent } from "./scripted.ts";

const strategies: readonly Strategy[] = ["fastest", "race", "failover", "spread"];

/** A group whose strategy turns to `a` first where it has a choice. */
function siteWith(strategy: Strategy): Site {
  const site = new Site(groupOptions("g", { strategy }));
  site.random = () => 0.5;
  return site;
}

function worstMs(exchanged: readonly Exchanged[]): number {
  return Math.max(...exchanged.map(({ elapsedMs }) => elapsedMs));
}

const troubles: readonly (readonly [string, Behaviour])[] = [
  ["dead", silent],
  ["slow", answers(1000)],
  ["refusing by rcode", answers(2, RCODE.REFUSED)],
  ["refusing connections", fails("refused", 2)],
  ["lying", fails("malformed", 2)],
];

describe.each(strategies)("%s", (strategy) => {
  test.each(troubles)("with one member %s every question is answered, and soon without delay", async (_, trouble) => {
    const site = siteWith(strategy);
    await site.askTimes(2);
    site.behave({ a: trouble });
    const during = await site.askTimes(5);
    expect(during.every(({ outcome }) => outcome === "b" || outcome === "c")).toBe(true);
    expect(worstMs(during)).toBeLessThanOrEqual(610);
    expect(worstMs(await site.askTimes(3))).toBeLessThanOrEqual(12);
  });

  test.each(troubles)("a member that was %s is used again after it recovers", async (_, trouble) => {
    const site = siteWith(strategy);
    site.behave({ a: trouble });
    await site.askTimes(5);
    site.behave({ a: answers(4) });
    site.random = seeded(1);
    await site.clock.advance(31_000);
    const afterwards = await site.askTimes(400);
    expect(afterwards.filter(({ outcome }) => outcome === "a").length).toBeGreaterThan(50);
    expect(worstMs(afterwards.slice(-100))).toBeLessThanOrEqual(10);
  });

  test("with two dead members the third answers, soon without delay", async () => {
    const site = siteWith(strategy);
    site.behave({ a: silent, b: silent });
    const during = await site.askTimes(8);
    expect(during.every(({ outcome }) => outcome === "c")).toBe(true);
    expect(worstMs(during)).toBeLessThanOrEqual(1210);
    expect(worstMs(await site.askTimes(3))).toBe(10);
  });

  test("with all members dead a question ends at its deadline; a recovered member answers the next question at once", async () => {
    const site = siteWith(strategy);
    site.behave({ a: silent, b: silent, c: silent });
    const during = await site.askTimes(4);
    expect(during.every(({ outcome, elapsedMs }) => outcome === "aborted" && elapsedMs === 4000)).toBe(true);
    site.behave({ c: answers(10) });
    expect(await site.ask()).toMatchObject({ outcome: "c", elapsedMs: 10 });
  });
});

describe("race", () => {
  test("all healthy members are asked at once, and the first good answer ends it for the others", async () => {
    const site = siteWith("race");
    site.behave({ a: answers(30), b: answers(5, RCODE.SERVFAIL), c: answers(20) });
    expect(await site.ask()).toMatchObject({ outcome: "c", elapsedMs: 20 });
    expect(site.takeAsked()).toEqual(["a", "b", "c"]);
    expect([site.server("a").aborted, site.server("b").aborted]).toEqual([1, 0]);
  });

  test("a member that always loses the race stays healthy", async () => {
    const site = siteWith("race");
    site.behave({ a: answers(500) });
    await site.askTimes(20);
    expect(site.group.status().members.map(({ healthy, failures }) => ({ healthy, failures }))).toEqual([
      { healthy: true, failures: 0 },
      { healthy: true, failures: 0 },
      { healthy: true, failures: 0 },
    ]);
  });
});

describe("fastest", () => {
  test("the first question goes to all members, the next one to the fastest only", async () => {
    const site = siteWith("fastest");
    site.behave({ a: answers(200), b: answers(20), c: answers(100) });
    expect(await site.ask()).toMatchObject({ outcome: "b", elapsedMs: 20 });
    site.takeAsked();
    const rest = await site.askTimes(50);
    expect(rest.every(({ outcome, elapsedMs }) => outcome === "b" && elapsedMs === 20)).toBe(true);
    expect(site.group.status().members.map(({ latencyMs }) => latencyMs)).toEqual([200, 20, 100]);
    // Each of the others was measured once, because it never had been.
    expect(site.takeAsked().filter((label) => label !== "b")).toEqual(["a", "c"]);
  });

  test("a member that has become faster is found, without delay for the clients", async () => {
    const site = siteWith("fastest");
    site.behave({ a: answers(200), b: answers(20), c: answers(100) });
    await site.askTimes(10);
    site.behave({ a: answers(5) });
    site.random = seeded(7);
    const during = await site.askTimes(400);
    expect(worstMs(during)).toBe(20);
    expect(during.slice(-50).every(({ outcome }) => outcome === "a")).toBe(true);
  });

  test("a member that has become slow loses its place, though it still answers", async () => {
    const site = siteWith("fastest");
    site.behave({ a: answers(20), b: answers(40), c: answers(60) });
    await site.askTimes(20);
    site.behave({ a: answers(400) });
    const during = await site.askTimes(5);
    expect(during.at(-1)).toMatchObject({ outcome: "b", elapsedMs: 40 });
  });

  test("a dead member costs one question its attemptMs, and no more", async () => {
    const site = siteWith("fastest");
    site.behave({ a: answers(20), b: answers(40), c: answers(60) });
    await site.askTimes(20);
    site.behave({ a: silent });
    const waits = (await site.askTimes(10)).map(({ elapsedMs }) => elapsedMs);
    expect(waits).toEqual([640, 40, 40, 40, 40, 40, 40, 40, 40, 40]);
  });

  test("the measured share stays near one question in fifty", async () => {
    const site = siteWith("fastest");
    await site.askTimes(5);
    site.takeAsked();
    site.random = seeded(3);
    await site.askTimes(1000);
    const measured = site.takeAsked().length - 1000;
    expect(measured).toBeGreaterThan(5);
    expect(measured).toBeLessThan((3 * 1000) / MEASURED_SHARE);
  });

  test("a member that answers quickly but never well does not stay first", async () => {
    const site = siteWith("fastest");
    site.behave({ a: answers(1, RCODE.REFUSED), b: answers(30) });
    await site.askTimes(10);
    expect(await site.ask()).toMatchObject({ elapsedMs: 10, outcome: "c" });
  });

  test("a name that no member can resolve does not change the order", async () => {
    const site = siteWith("fastest");
    site.behave({ a: answers(20), b: answers(40), c: answers(60) });
    await site.askTimes(10);
    const before = site.group.status().members.map(({ latencyMs }) => latencyMs);
    site.behave({ a: answers(5, RCODE.SERVFAIL), b: answers(5, RCODE.SERVFAIL), c: answers(5, RCODE.SERVFAIL) });
    await site.askTimes(10);
    expect(site.group.status().members.map(({ latencyMs }) => latencyMs)).toEqual(before);
  });

  test("only questions for addresses measure", async () => {
    const site = siteWith("fastest");
    await site.ask({ question: question("www.example", TYPE.HTTPS) });
    site.takeAsked();
    await site.askTimes(3, { question: question("www.example", TYPE.HTTPS) });
    expect(site.takeAsked()).toEqual(["a", "a", "a"]);
  });
});

describe("failover", () => {
  test("the first healthy member in file order is asked, and the first member again after it recovers", async () => {
    const site = siteWith("failover");
    site.behave({ a: fails("refused"), b: answers(5), c: answers(1) });
    expect(await site.ask()).toMatchObject({ outcome: "b", elapsedMs: 6 });
    expect(await site.ask()).toMatchObject({ outcome: "b", elapsedMs: 5 });
    site.behave({ a: answers(50) });
    await site.clock.advance(1100);
    expect(await site.ask()).toMatchObject({ outcome: "a", elapsedMs: 50 });
  });
});

const weights = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 2, maxLength: 5 });

function standing(label: number, weight: number) {
  return {
    label,
    healthy: true,
    isPaused: false,
    latency: { smoothedMs: null, lastMs: null, measuredMs: 0 },
    server: { weight },
  };
}

describe("spread", () => {
  test("each member is first as often as its weight says", () => {
    fc.assert(
      fc.property(weights, fc.integer(), (shares, seed) => {
        const random = seeded(seed);
        const candidates = shares.map((weight, label) => standing(label, weight));
        const total = shares.reduce((sum, weight) => sum + weight, 0);
        const draws = 2000;
        const first = shares.map(() => 0);
        for (let draw = 0; draw < draws; draw++) {
          const label = planFor("spread", candidates, random).order[0]?.label ?? -1;
          first[label] = (first[label] ?? 0) + 1;
        }
        for (const [label, weight] of shares.entries()) {
          const expected = (draws * weight) / total;
          const deviation = Math.sqrt(expected * (1 - weight / total));
          expect(Math.abs((first[label] ?? 0) - expected)).toBeLessThan(6 * deviation + 1);
        }
      }),
      { numRuns: 30 },
    );
  });

  test("the others follow when the first fails", async () => {
    const servers = [serverOptions("a", { weight: 1000 }), serverOptions("b"), serverOptions("c")];
    const site = new Site(groupOptions("g", { strategy: "spread", servers }));
    site.behave({ a: fails("malformed"), b: fails("malformed") });
    expect(await site.ask()).toMatchObject({ outcome: "c" });
  });
});

test("for every strategy a plan has each candidate once, healthy ones first, and asks at least one", () => {
  const candidate = fc.record({
    healthy: fc.boolean(),
    isPaused: fc.boolean(),
    latency: fc.record({
      smoothedMs: fc.option(fc.double({ min: 0, max: 5000, noNaN: true })),
      lastMs: fc.option(fc.double({ min: 0, max: 5000, noNaN: true })),
      measuredMs: fc.double({ min: 0, max: 1e6, noNaN: true }),
    }),
    server: fc.record({ weight: fc.integer({ min: 1, max: 100 }) }),
  });
  fc.assert(
    fc.property(
      fc.constantFrom(...strategies),
      fc.array(candidate, { minLength: 1, maxLength: 6 }),
      fc.integer(),
      (strategy, candidates, seed) => {
        const { order, together, measure } = planFor(strategy, candidates, seeded(seed));
        expect(new Set(order)).toEqual(new Set(candidates));
        expect(order.length).toBe(candidates.length);
        const healthy = candidates.filter((one) => one.healthy).length;
        expect(order.slice(0, healthy).every((one) => one.healthy)).toBe(true);
        expect(together).toBeGreaterThanOrEqual(1);
        expect(together).toBeLessThanOrEqual(healthy === 0 ? candidates.length : healthy);
        if (measure !== null) expect(order.indexOf(measure)).toBeGreaterThanOrEqual(together);
      },
    ),
  );
});
