import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BUCKET_ENDS_SECONDS, bucketOf } from "../../src/lib/histogram.ts";
import { ACTION_KINDS, actionIndex, Counters, LabelledCounts } from "../../src/stats/counters.ts";

const sources = ["hosts", "special", "rule", "cache", "stale", "upstream", "failure"] as const;
const query = fc.record({
  transport: fc.constantFrom("udp", "tcp", "dot", "doh"),
  source: fc.constantFrom(...sources, null),
  rcode: fc.option(fc.integer({ min: 0, max: 16 })),
  durationMs: fc.double({ min: 0, max: 20_000, noNaN: true }),
});

describe("counters", () => {
  test("count as a naive model does", () => {
    fc.assert(
      fc.property(fc.array(query, { maxLength: 50 }), (queries) => {
        const counters = new Counters();
        const model = new Map<string, number>();
        for (const { transport, source, rcode, durationMs } of queries) {
          const resolution =
            source === null ? null : { source, action: "none", route: null, decision: { context: { rule: null } } };
          const times = { startedMs: 5, endedMs: 5 + durationMs };
          counters.count({ client: { transport }, resolution, ...times }, rcode, source === null ? "rate" : null);
          const key = `${transport} ${source ?? "refused"} ${rcode}`;
          model.set(key, (model.get(key) ?? 0) + 1);
        }
        const counted = new Map(
          [...counters.queries()].map(({ transport, source, rcode, count }) => [`${transport} ${source} ${rcode}`, count]),
        );
        expect(counted).toEqual(model);
        const observed = (["cache", "upstream", "local"] as const).map((answered) => counters.durations(answered));
        expect(observed.reduce((sum, { cumulative }) => sum + (cumulative.at(-1) ?? 0), 0)).toBe(queries.length);
        const seconds = queries.reduce((sum, { durationMs }) => sum + durationMs / 1000, 0);
        expect(observed.reduce((sum, { sumSeconds }) => sum + sumSeconds, 0)).toBeCloseTo(seconds, 6);
      }),
    );
  });

  test("count a fault as failure, and a query without a decision as refused", () => {
    const counters = new Counters();
    const turnedAway = { client: { transport: "udp" }, resolution: null, startedMs: 0, endedMs: 1 } as const;
    for (const undecided of ["fault", "malformed", "unsupported", "access", "rate"] as const)
      counters.count(turnedAway, 2, undecided);
    expect([...counters.queries()].map(({ source, count }) => [source, count])).toEqual([
      ["failure", 1],
      ["refused", 4],
    ]);
    expect(counters.actions().filter(({ count }) => count === 1)).toHaveLength(5);
  });
});

describe("a bucket", () => {
  test("holds the values above the end of the bucket before, up to its own end", () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.double({ min: 0, max: 10, noNaN: true }), fc.double({ min: 0, max: 1e12, noNaN: true })),
        (durationMs) => {
          const bucket = bucketOf(durationMs);
          expect(durationMs / 1000).toBeLessThanOrEqual((BUCKET_ENDS_SECONDS[bucket] ?? Number.POSITIVE_INFINITY) * (1 + 1e-12));
          if (bucket > 0) expect(durationMs / 1000).toBeGreaterThan((BUCKET_ENDS_SECONDS[bucket - 1] ?? 0) * (1 - 1e-12));
        },
      ),
    );
  });

  test("ends at a whole number of microseconds, that included", () => {
    for (const [index, end] of BUCKET_ENDS_SECONDS.entries()) expect(bucketOf(Math.round(end * 1e6) / 1000)).toBe(index);
  });
});

describe("an action is counted as", () => {
  test.each([
    ["block", "block"],
    ["drop", "drop"],
    ["nxdomain:guarded", "guard"],
    ["type65:nodata", "filter"],
    ["ipv6:prefer-ipv4", "filter"],
    ["type65:strip-ech,strip-hints", "strip"],
    ["type64:strip-ipv4hint", "strip"],
    ["rebinding:nodata", "rebinding"],
    ["compare:unproven", "unproven"],
    ["loop", "loop"],
    ["never", "never"],
    ["any:minimal", "minimal"],
    ["rate", "rate"],
    ["what is yet to come", "other"],
  ] as const)("%s: %s", (action, kind) => {
    expect(ACTION_KINDS[actionIndex(action)]).toBe(kind);
  });
});

describe("labelled counts", () => {
  test("count the labels in use apart, and all others as `other`", () => {
    const counts = new LabelledCounts();
    counts.use(["a", "b", "a"]);
    for (const label of ["a", "b", "a", "nobody"]) counts.add(label);
    expect([...counts.entries()]).toEqual([
      ["a", 2],
      ["b", 1],
      ["other", 1],
    ]);
  });

  test("have one entry for `other`, even if a label has this name", () => {
    const counts = new LabelledCounts();
    counts.use(["other", "a"]);
    counts.add("other");
    counts.add("nobody");
    expect([...counts.entries()]).toEqual([
      ["a", 0],
      ["other", 2],
    ]);
  });

  test("never become more than a thousand", () => {
    const counts = new LabelledCounts();
    counts.use(Array.from({ length: 3000 }, (_, index) => `rule ${index}`));
    for (let index = 0; index < 3000; index++) counts.add(`rule ${index}`);
    expect([...counts.entries()]).toHaveLength(1001);
    expect([...counts.entries()].at(-1)).toEqual(["other", 2000]);
  });
});
