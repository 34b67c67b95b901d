import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { queryOutcome } from "../../../src/log/outcome.ts";
import type { QueryRecord } from "../../../src/log/record.ts";
import { type Summary, summarize } from "../../../src/log/summary.ts";
import { record, SOME_WALL_MS } from "../records.ts";
import { alikeRecords, anyShape, SPAN_MS, storeOf } from "./stores.ts";

const MINUTE_MS = 60_000;
const WHOLE = { fromMs: SOME_WALL_MS - SPAN_MS, toMs: SOME_WALL_MS, stepMs: MINUTE_MS, top: 100, sideOf: {} };

/** The number of occurrences of each text, without null. */
function tally(texts: readonly (string | null)[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const text of texts) if (text !== null) counts[text] = (counts[text] ?? 0) + 1;
  return counts;
}

function countsOf(top: Summary["topNames"]): Record<string, number> {
  return Object.fromEntries(top.map(({ key, count }) => [key, count]));
}

function withoutEmpty(counts: Record<string, number>): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).filter(([text]) => text !== ""));
}

function present(counts: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
}

/** The duration that this share of the records does not exceed. */
function percentile(records: readonly QueryRecord[], share: number): number {
  const sorted = records.map(({ durationUs }) => durationUs).sort((a, b) => a - b);
  return sorted[Math.ceil(sorted.length * share) - 1] ?? 0;
}

describe("a summary", () => {
  test("a summary counts the records of whole minutes, in partitions of any state", () => {
    const request = fc.record({ from: fc.nat(SPAN_MS), length: fc.nat(SPAN_MS), stepMs: fc.integer({ min: 1, max: SPAN_MS }) });
    fc.assert(
      fc.property(
        alikeRecords,
        anyShape,
        fc.array(request, { minLength: 1, maxLength: 6 }),
        fc.boolean(),
        (made, stored, requests, inOrder) => {
          const records = inOrder ? made.toSorted((a, b) => a.id - b.id) : made;
          const database = storeOf(records, stored);
          for (const { from, length, stepMs } of requests) {
            const fromMs = SOME_WALL_MS - SPAN_MS + from;
            const summary = summarize(database, { fromMs, toMs: fromMs + length, stepMs, top: 100, sideOf: {} });
            expect((summary.fromMs % MINUTE_MS) + (summary.toMs % MINUTE_MS) + (summary.stepMs % MINUTE_MS)).toBe(0);
            const within = records.filter(({ id }) => id >= summary.fromMs * 1024 && id < summary.toMs * 1024);
            expect(summary.total).toBe(within.length);
            expect(summary.bySource).toEqual(tally(within.map(({ source }) => source)));
            expect(summary.byRcode).toEqual(tally(within.map(({ rcode }) => rcode ?? "none")));
            expect(summary.byType).toEqual(tally(within.map(({ type }) => type)));
            expect(summary.byAction).toEqual(tally(within.map(({ action }) => action)));
            expect(summary.byTransport).toEqual(tally(within.map(({ transport }) => transport)));
            expect(countsOf(summary.topClients)).toEqual(
              withoutEmpty(tally(within.map(({ client, clientId }) => clientId ?? client))),
            );
            expect(countsOf(summary.topRules)).toEqual(tally(within.map(({ rule }) => rule)));
            expect(countsOf(summary.topUpstreams)).toEqual(tally(within.map(({ upstream }) => upstream)));
            expect(countsOf(summary.topNames)).toEqual(withoutEmpty(tally(within.map(({ name }) => name))));
            const blocked = within.filter(({ action }) => action === "block" || action === "drop");
            expect(countsOf(summary.topBlocked)).toEqual(withoutEmpty(tally(blocked.map(({ name }) => name))));
            const failing = within.filter(({ source, rcode }) => queryOutcome({ source, rcode, route: null }, {}) === "failed");
            expect(countsOf(summary.topFailing)).toEqual(withoutEmpty(tally(failing.map(({ name }) => name))));
            for (const { atMs, total, cached, failed, blocked, outcomes } of summary.series) {
              const now = within.filter(({ id }) => id >= atMs * 1024 && id < (atMs + summary.stepMs) * 1024);
              expect({ atMs, total, cached, failed, blocked }).toEqual({
                atMs,
                total: now.length,
                cached: now.filter(({ source }) => source === "cache").length,
                failed: now.filter(({ source, rcode }) => source === "failure" || rcode === "SERVFAIL").length,
                blocked: now.filter(({ action }) => action === "block" || action === "drop").length,
              });
              expect(present(outcomes)).toEqual(tally(now.map((each) => queryOutcome(each, {}))));
            }
            for (const [key, share] of [
              ["p50", 0.5],
              ["p90", 0.9],
              ["p99", 0.99],
            ] as const) {
              const exact = percentile(within, share);
              expect(Math.abs((summary.latencyUs?.[key] ?? 0) - exact)).toBeLessThanOrEqual(Math.max(1, exact / 5));
            }
          }
        },
      ),
      { numRuns: 15 },
    );
  });

  test("a summary separates the latency of queries that upstreams answered", () => {
    const asked = Array.from({ length: 10 }, (_, index) => record({ id: SOME_WALL_MS * 1024 + index, durationUs: 50_000 }));
    const cached = Array.from({ length: 90 }, (_, index) =>
      record({ id: SOME_WALL_MS * 1024 + 10 + index, durationUs: 100, attempts: [] }),
    );
    const database = storeOf([...asked, ...cached], { partRows: 200, upkeep: 0, batch: 200 });
    const summary = summarize(database, { ...WHOLE, toMs: SOME_WALL_MS + 1 });
    expect(summary.latencyUs?.p50).toBeLessThan(125);
    expect(summary.upstreamLatencyUs?.p50).toBeGreaterThan(40_000);
  });

  test("a summary without records still has its samples", () => {
    const database = storeOf([], { partRows: 5, upkeep: 0, batch: 1 });
    const summary = summarize(database, { ...WHOLE, stepMs: SPAN_MS / 4 });
    expect(summary).toMatchObject({ total: 0, latencyUs: null, upstreamLatencyUs: null, topNames: [], bySource: {} });
    expect(summary.series).toHaveLength(5);
    expect(summary.series[0]).toMatchObject({ total: 0, p50Us: 0, p99Us: 0 });
  });

  test("a summary has at most 2,000 samples", () => {
    const database = storeOf([], { partRows: 5, upkeep: 0, batch: 1 });
    const summary = summarize(database, { fromMs: 0, toMs: SOME_WALL_MS, stepMs: 1, top: 1, sideOf: {} });
    expect(summary.series.length).toBeLessThanOrEqual(2000);
    expect(summary.series.length * summary.stepMs).toBeGreaterThanOrEqual(summary.toMs);
  });

  test("a summary lists the wanted number of entries, the most frequent first", () => {
    const names = ["b.test", "a.test", "c.test", "c.test", "c.test", "a.test", "b.test", "d.test"];
    const made = names.map((name, index) => record({ id: SOME_WALL_MS * 1024 + index, name }));
    const database = storeOf(made, { partRows: 20, upkeep: 0, batch: 20 });
    const { topNames } = summarize(database, { ...WHOLE, toMs: SOME_WALL_MS + 1, top: 3, sideOf: {} });
    expect(topNames).toEqual([
      { key: "c.test", count: 3 },
      { key: "a.test", count: 2 },
      { key: "b.test", count: 2 },
    ]);
  });
});
