import fc from "fast-check";
import { onTestFinished } from "vitest";
import { type Database, openForReading } from "../../../src/log/database.ts";
import { parseFilter, type QueryFilter } from "../../../src/log/filter.ts";
import type { QueryRecord } from "../../../src/log/record.ts";
import { wallMsOf } from "../../../src/log/schema.ts";
import { Store } from "../../../src/log/store.ts";
import { directory } from "../../support/files.ts";
import { record, SOME_WALL_MS } from "../records.ts";
import { batchOf } from "../rows.ts";

const YEAR_MS = 365 * 86_400_000;

/** Records of `alikeRecords` are at most this many milliseconds before `SOME_WALL_MS`. */
export const SPAN_MS = 7_200_000;

export interface StoreShape {
  /** The number of rows after which a partition is closed. */
  readonly partRows: number;
  /** The number of maintenance steps after each batch: with many, all but the last partition have their indexes. */
  readonly upkeep: number;
  /** The number of records in a batch. */
  readonly batch: number;
}

export const anyShape: fc.Arbitrary<StoreShape> = fc.record({
  partRows: fc.integer({ min: 5, max: 60 }),
  upkeep: fc.nat(12),
  batch: fc.integer({ min: 1, max: 40 }),
});

/** A reading connection to a store to which these records were added in order; closed at the end of the test. */
export function storeOf(records: readonly QueryRecord[], shape: StoreShape): Database {
  const database = storeIn(directory(), records, shape);
  onTestFinished(() => database.close());
  return database;
}

/** Like `storeOf`, in this folder; the caller closes the connection. */
export function storeIn(folder: string, records: readonly QueryRecord[], { partRows, upkeep, batch }: StoreShape): Database {
  const path = `${folder}/queries.db`;
  const store = new Store({ path, keepMs: 10 * YEAR_MS, maxRows: Math.max(partRows * 25, records.length), partRows });
  for (let from = 0; from < records.length; from += batch) {
    const added = records.slice(from, from + batch);
    store.insert(batchOf(added));
    const nowMs = Math.max(...added.map(({ id }) => wallMsOf(id)));
    for (let piece = 0; piece < upkeep; piece++) store.tidy(nowMs);
  }
  store.close();
  return openForReading(path, { busyTimeoutMs: 1000 });
}

export function filterOf(parameters: readonly (readonly [string, string])[]): QueryFilter {
  const parsed = parseFilter(parameters, SOME_WALL_MS);
  if (parsed.kind === "bad") throw new Error(JSON.stringify(parsed.problems));
  return parsed.filter;
}

/** Values that records of `alikeRecords` have, some of them, and patterns of all kinds. */
export const VALUES: Readonly<Record<string, readonly string[]>> = {
  name: [
    "example.com",
    "full:example.com",
    ".",
    "full:.",
    "*track*",
    "*.example.com",
    "a*e",
    "/^a\\./",
    "/track|ads/",
    "b.example.com",
    "nowhere.test",
    "a\\.example.com",
  ],
  client: ["10.0.7.1", "10.0.7.0/24", "10.0.0.0/8", "tv", "2001:db8::/32", "192.0.2.1", "0.0.0.0/0"],
  type: ["A", "65", "AAAA", "*S", "TXT"],
  rcode: ["NOERROR", "NXDOMAIN", "none", "*", "SERV*"],
  rule: ["ads", "split", "*", "s*", "others"],
  upstream: ["domestic", "udp://223.5.5.5", "overseas", "https://*", "*"],
  source: ["cache", "upstream", "*s*", "failure"],
  action: ["none", "block", "type65:*"],
  answer: ["192.0.2.7", "A 192.0.2.*", "CNAME *", "edge.example.net", "100%", "*_*", "*"],
  minMs: ["0", "1", "2.5", "5", "9999"],
};

const anyParameter = fc
  .constantFrom(...Object.entries(VALUES))
  .chain(([parameter, values]) =>
    fc.tuple(fc.constantFrom("", "", "!"), fc.constantFrom(...values)).map(([sign, value]) => [parameter, sign + value] as const),
  );

/** Filters for `alikeRecords`, times included. */
export const anyFilter: fc.Arbitrary<QueryFilter> = fc
  .record({ parameters: fc.array(anyParameter, { maxLength: 4 }), times: fc.array(fc.nat(SPAN_MS), { maxLength: 2 }) })
  .map(({ parameters, times }) => {
    const [first, second] = times.sort((a, b) => a - b).map((ms) => String(SOME_WALL_MS - SPAN_MS + ms));
    const between: [string, string][] = [];
    if (first !== undefined && first !== second) between.push(["from", first]);
    if (second !== undefined && first !== second) between.push(["to", second]);
    return filterOf([...parameters, ...between]);
  });

/** Records that have much in common, so that filters find some and not others; in any order, as after a change of the clock. */
export const alikeRecords: fc.Arbitrary<QueryRecord[]> = fc.uniqueArray(
  fc
    .record({
      ms: fc.nat(SPAN_MS),
      counter: fc.nat(3),
      name: fc.constantFrom(
        "example.com",
        "a.example.com",
        "a.b.example.com",
        "notexample.com",
        "a\\.example.com",
        "track.ads.test",
        "xtrack.test",
        ".",
        "",
      ),
      client: fc.constantFrom("10.0.7.1", "10.0.7.2", "10.9.9.9", "2001:db8::1", "", "10.0.7.0/24"),
      clientId: fc.constantFrom(null, null, "tv"),
      type: fc.constantFrom("A", "A", "AAAA", "HTTPS", "NS", ""),
      rcode: fc.constantFrom("NOERROR", "NOERROR", "NXDOMAIN", "SERVFAIL", null),
      rule: fc.constantFrom("ads", "split", "others", null),
      route: fc.constantFrom("domestic", "overseas", null),
      upstream: fc.constantFrom("udp://223.5.5.5", "https://1.1.1.1/dns-query", null),
      source: fc.constantFrom("cache", "upstream", "hosts", "failure"),
      action: fc.constantFrom("none", "block", "drop", "type65:nodata"),
      durationUs: fc.constantFrom(0, 999, 1000, 2500, 2501, 5000, 20_000),
      answers: fc.constantFrom<string[][]>(
        [],
        ["60 A 192.0.2.7"],
        ["9 CNAME Edge.example.net.", "60 A 192.0.2.7"],
        ['60 TXT "100%" a_b'],
        ["and 3 more"],
      ),
    })
    .map(({ ms, counter, ...rest }) => record({ id: (SOME_WALL_MS - SPAN_MS + ms) * 1024 + counter, ...rest })),
  { selector: ({ id }) => id, maxLength: 120, size: "max" },
);
