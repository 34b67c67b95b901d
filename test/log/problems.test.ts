import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { suffixOf } from "../../src/log/problem-causes.ts";
import { ProblemTracker } from "../../src/log/problems.ts";
import type { QueryRecord } from "../../src/log/record.ts";
import { runs } from "../support/properties.ts";
import { anyRecord, record, SOME_WALL_MS } from "./records.ts";
import { rowOf } from "./rows.ts";

const SECOND_MS = 1000;
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

const FINE: Partial<QueryRecord> = {
  action: "none",
  source: "upstream",
  rcode: "NOERROR",
  type: "A",
  answers: ["60 A 192.0.2.7"],
};
const attempt = { group: "overseas", server: "tls://192.0.2.1", transport: "tls", startMs: 0, ms: 900, rcode: null } as const;
const DEAD: Partial<QueryRecord> = {
  ...FINE,
  source: "failure",
  rcode: "SERVFAIL",
  answers: [],
  route: "overseas",
  attempts: [
    { ...attempt, failure: "timeout" },
    { ...attempt, server: "tls://192.0.2.2", failure: "aborted" },
  ],
};
const BLOCKED: Partial<QueryRecord> = {
  ...FINE,
  source: "rule",
  action: "block",
  rule: "ads",
  list: "ads",
  line: 4211,
  answers: [],
  attempts: [],
  name: "app.example.cn",
  client: "10.0.7.12",
  clientId: "tv",
};

/** A tracker that is fed records at times after the beginning. */
function tracking(saved: string | null = null) {
  const tracker = new ProblemTracker(saved);
  let serial = 0;
  return {
    tracker,
    add: (ms: number, ...changes: readonly Partial<QueryRecord>[]) => {
      const id = (SOME_WALL_MS + ms) * 1024 + (serial++ % 1024);
      const time = new Date(SOME_WALL_MS + ms).toISOString();
      tracker.add(rowOf({ ...record({ id }), time, ...Object.assign({}, ...changes) }));
    },
    list: (ms: number) => tracker.list(SOME_WALL_MS + ms),
  };
}

describe("a problem", () => {
  test.each<[string, Partial<QueryRecord>, string]>([
    ["never", { action: "never", route: "overseas", source: "failure" }, "group:overseas"],
    ["loop", { action: "loop", route: "router", source: "special" }, "group:router"],
    ["rate", { action: "rate", source: "refused", client: "10.0.0.9", clientId: null }, "client:10.0.0.9"],
    ["access", { action: "access", source: "refused", clientId: "tv" }, "client:tv"],
    ["fault", { action: "fault", source: "failure" }, "fenliu:"],
    ["upstream:timeout", DEAD, "group:overseas"],
    ["upstream:servfail", { source: "upstream", rcode: "SERVFAIL", route: "overseas", attempts: [] }, "group:overseas"],
    [
      "upstream:servfail",
      {
        ...DEAD,
        attempts: [
          { ...attempt, rcode: "SERVFAIL", failure: null },
          { ...attempt, failure: "refused" },
        ],
      },
      "group:overseas",
    ],
    ["unproven", { action: "compare:unproven", rule: "others" }, "rule:others"],
    ["emptied", { action: "nxdomain:guarded", route: "overseas", answers: [] }, "group:overseas"],
    ["emptied", { answers: [], route: "overseas" }, "group:overseas"],
  ])("has the cause %s", (cause, changes, culprit) => {
    const { add, list } = tracking();
    for (let index = 0; index < 3; index++) add(index, FINE, changes, { name: "www.page.example" });
    expect(list(10)).toMatchObject([
      { id: `v1|${cause}|${culprit}|page.example`, cause, suffix: "www.page.example", state: "open", queries: 3 },
    ]);
  });

  test("is told of from three queries or two names on", () => {
    const { add, list } = tracking();
    add(0, DEAD, { name: "a.page.example" });
    add(1, DEAD, { name: "a.page.example" });
    expect(list(2)).toEqual([]);
    add(2, DEAD, { name: "b.page.example" });
    expect(list(3)).toMatchObject([{ suffix: "page.example", nameCount: 2, names: [{ key: "a.page.example", count: 2 }, {}] }]);
  });

  test("is none where queries are answered, blocked or unknown now and then", () => {
    const { add, list } = tracking();
    for (let index = 0; index < 9; index++) {
      add(index, FINE);
      add(index, FINE, { rcode: "NXDOMAIN", answers: [], name: "nowhere.example" });
      add(index, BLOCKED);
    }
    expect(list(10)).toEqual([]);
  });

  test("is a blocked name that one client asks ten times in five minutes, with rule, list and line", () => {
    const { add, list } = tracking();
    for (let index = 0; index < 12; index++) add(index * 20 * SECOND_MS, BLOCKED);
    for (let index = 0; index < 9; index++) add(index, BLOCKED, { name: "other.example", clientId: `c${index}` });
    expect(list(5 * MINUTE_MS)).toMatchObject([
      {
        cause: "insisted",
        culprit: { kind: "rule", name: "ads", list: "ads", line: 4211 },
        suffix: "app.example.cn",
        queries: 12,
        clients: [{ key: "tv", count: 12 }],
      },
    ]);
  });

  test("is none when a client asks for a blocked name ten times in an hour", () => {
    const { add, list } = tracking();
    for (let index = 0; index < 10; index++) add(index * 6 * MINUTE_MS, BLOCKED);
    expect(list(HOUR_MS)).toEqual([]);
  });

  test("is a name that had an answer this week and does not exist any more", () => {
    const { add, list } = tracking();
    add(0, FINE, { name: "www.page.example" });
    for (let index = 1; index < 4; index++)
      add(index * HOUR_MS, FINE, { name: "www.page.example", rcode: "NXDOMAIN", answers: [], route: "overseas" });
    expect(list(3 * HOUR_MS)).toMatchObject([{ cause: "vanished", culprit: { name: "overseas" }, queries: 3 }]);
  });

  test("is one where a culprit hurts many suffixes in little time", () => {
    const { add, list } = tracking();
    for (let index = 0; index < 200; index++) add(index * SECOND_MS, DEAD, { name: `www.page${index}.example` });
    expect(list(200 * SECOND_MS)).toMatchObject([
      { id: "v1|upstream:timeout|group:overseas|", suffix: "example", queries: 200, nameCount: 100 },
    ]);
  });

  test("is quiet after half an hour and gone after a day", () => {
    const { add, list } = tracking();
    for (let index = 0; index < 3; index++) add(0, DEAD);
    expect(list(29 * MINUTE_MS)).toMatchObject([{ state: "open" }]);
    expect(list(31 * MINUTE_MS)).toMatchObject([{ state: "quiet" }]);
    expect(list(25 * HOUR_MS)).toEqual([]);
  });

  test("tells the queries of each of the last 24 hours, the present one last", () => {
    const { add, list } = tracking();
    for (const hour of [0, 1, 1, 23]) add(hour * HOUR_MS, DEAD);
    const [{ series } = { series: [] }] = list(23 * HOUR_MS);
    expect(series).toHaveLength(24);
    expect([series.at(0), series.at(1), series.at(-1)]).toEqual([1, 2, 1]);
  });

  test("shares what its queries have more often than queries usually do", () => {
    const { add, list } = tracking();
    for (let index = 0; index < 94; index++) add(index, FINE, { client: `10.0.0.${index}`, clientId: null });
    for (let index = 0; index < 6; index++) add(index, DEAD, { clientId: "tv", type: "HTTPS" });
    const [{ shared } = { shared: [] }] = list(100);
    expect(shared).toContainEqual({ field: "client", value: "tv", share: 1, usual: 0.06 });
    expect(shared).toContainEqual({ field: "type", value: "HTTPS", share: 1, usual: 0.06 });
    expect(shared.some(({ field }) => field === "group")).toBe(false);
  });
});

describe("a person's word", () => {
  const id = "v1|upstream:timeout|group:overseas|example.com";

  test("mutes a problem until then", () => {
    const { tracker, add, list } = tracking();
    for (let index = 0; index < 3; index++) add(0, DEAD, { name: "example.com" });
    expect(tracker.change(id, { state: "muted", untilMs: SOME_WALL_MS + 48 * HOUR_MS })).toBe(true);
    add(HOUR_MS, DEAD, { name: "example.com" });
    expect(list(47 * HOUR_MS)).toMatchObject([{ state: "muted", queries: 4 }]);
    expect(list(48 * HOUR_MS + 1)).toEqual([]);
    expect(tracker.change("v1|none", { state: "open" })).toBe(false);
  });

  test("calls a problem fixed, and it comes back when a later query has it", () => {
    const { tracker, add, list } = tracking();
    for (let index = 0; index < 3; index++) add(0, DEAD, { name: "example.com" });
    tracker.change(id, { state: "fixed", atMs: SOME_WALL_MS + MINUTE_MS });
    add(MINUTE_MS, DEAD, { name: "example.com" });
    expect(list(2 * MINUTE_MS)).toMatchObject([{ state: "fixed" }]);
    add(2 * MINUTE_MS, DEAD, { name: "example.com" });
    expect(list(3 * MINUTE_MS)).toMatchObject([{ state: "cameBack", queries: 5 }]);
  });

  test("outlives a restart, as problems do", () => {
    const { tracker, add, list } = tracking();
    for (let index = 0; index < 3; index++) add(index * HOUR_MS, DEAD, { name: "example.com" });
    tracker.change(id, { state: "fixed", atMs: SOME_WALL_MS + 3 * HOUR_MS });
    const after = tracking(tracker.save());
    expect(after.list(3 * HOUR_MS).map(({ shared: _shared, ...rest }) => rest)).toEqual(
      list(3 * HOUR_MS).map(({ shared: _shared, ...rest }) => rest),
    );
    expect(tracking("{ damaged").list(0)).toEqual([]);
  });
});

test("there are 500 problems at most, and those that hurt last stay", () => {
  const { add, list } = tracking();
  for (let index = 0; index < 600; index++)
    for (let times = 0; times < 3; times++) add(index * 10 * MINUTE_MS, DEAD, { name: `page${index}.example` });
  const found = list(0);
  expect(found).toHaveLength(500);
  expect(found.some(({ suffix }) => suffix === "page599.example")).toBe(true);
});

test("whatever is recorded, problems can be listed, saved and read again", () => {
  fc.assert(
    fc.property(fc.array(anyRecord, { maxLength: 60 }), (records) => {
      const tracker = new ProblemTracker();
      for (const each of records) for (let times = 0; times < 3; times++) tracker.add(rowOf(each));
      const nowMs = Math.max(0, ...records.map(({ id }) => id / 1024));
      const found = tracker.list(nowMs);
      for (const { series, queries, nameCount, clientCount } of found)
        expect([series.length, queries > 0, nameCount > 0, clientCount > 0]).toEqual([24, true, true, true]);
      expect(
        new ProblemTracker(tracker.save())
          .list(nowMs)
          .map(({ id }) => id)
          .sort(),
      ).toEqual(found.map(({ id }) => id).sort());
    }),
    { numRuns: runs(100) },
  );
});

test.each([
  ["com.example.www", "com.example"],
  ["uk.co.example.www", "uk.co.example"],
  ["cn.com.example.a.b", "cn.com.example"],
  ["cn.example.app", "cn.example"],
  ["lan", "lan"],
  ["", ""],
])("the suffix of %s is %s", (reversed, suffix) => {
  expect(suffixOf(reversed)).toBe(suffix);
});
