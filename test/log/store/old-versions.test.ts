import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, onTestFinished, test } from "vitest";
import { Reader } from "../../../src/log/reader.ts";
import type { QueryRecord, TraceStep } from "../../../src/log/record.ts";
import { APPLICATION_ID, firstIdAt } from "../../../src/log/schema.ts";
import { readBatches } from "../../../src/log/search.ts";
import { summarize } from "../../../src/log/summary.ts";
import { fakeClock } from "../../support/fake-clock.ts";
import { directory } from "../../support/files.ts";
import { EVERYTHING } from "../opened.ts";
import { record, SOME_WALL_MS } from "../records.ts";
import { batchOf } from "../rows.ts";
import { allRecords, openedStore, recordsFrom, tidyAll } from "./opened-store.ts";

const DAY_MS = 86_400_000;

/** The tables of versions 1 and 2, as far as they were others. */
const OLD_TABLES = `
CREATE TABLE parts (
  key TEXT PRIMARY KEY, day INTEGER NOT NULL, sequence INTEGER NOT NULL, state TEXT NOT NULL,
  first_id INTEGER, last_id INTEGER, row_count INTEGER NOT NULL, hours_until INTEGER NOT NULL
) STRICT;
CREATE TABLE q_20261121 (
  id INTEGER PRIMARY KEY, name INTEGER NOT NULL, client INTEGER NOT NULL, kind INTEGER NOT NULL, details INTEGER, answers INTEGER,
  ttls NUMERIC, duration_us INTEGER NOT NULL, size INTEGER NOT NULL, matches TEXT, line INTEGER, attempt_ms NUMERIC,
  negative_ttl INTEGER, lag_ms INTEGER
);
CREATE TABLE names_20261121 (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;
CREATE TABLE clients_20261121 (id INTEGER PRIMARY KEY, address TEXT NOT NULL, client_id TEXT) STRICT;
CREATE TABLE kinds_20261121 (
  id INTEGER PRIMARY KEY, transport TEXT, http TEXT, method TEXT, type TEXT, rcode TEXT, source TEXT, action TEXT, rule TEXT, list TEXT,
  route TEXT, upstream TEXT, version TEXT, blocked INTEGER NOT NULL
) STRICT;
CREATE TABLE details_20261121 (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;
CREATE TABLE answers_20261121 (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;
CREATE TABLE kind_minutes_20261121 (
  minute INTEGER NOT NULL, kind INTEGER NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (minute, kind)
) STRICT, WITHOUT ROWID;
CREATE TABLE client_minutes_20261121 (
  minute INTEGER NOT NULL, client INTEGER NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (minute, client)
) STRICT, WITHOUT ROWID;
CREATE TABLE latency_minutes_20261121 (
  minute INTEGER NOT NULL, asked INTEGER NOT NULL, bucket INTEGER NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (minute, asked, bucket)
) STRICT, WITHOUT ROWID;
CREATE TABLE name_hours_20261121 (
  hour INTEGER NOT NULL, name INTEGER NOT NULL, count INTEGER NOT NULL, blocked INTEGER NOT NULL, PRIMARY KEY (hour, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE name_totals_20261121 (name INTEGER PRIMARY KEY, count INTEGER NOT NULL, blocked INTEGER NOT NULL) STRICT;
CREATE INDEX names_20261121_text ON names_20261121 (text);
CREATE INDEX q_20261121_client ON q_20261121 (client);
CREATE INDEX q_20261121_name ON q_20261121 (name);
`;

/** What a row of version 1 bears of its trace, and what it comes to. */
const STORED_TRACE = [
  { kind: "rule", rule: "ads", outcome: "domains", match: null },
  {
    kind: "rule",
    rule: "split",
    outcome: "decides",
    match: { list: "cn", source: "rules/cn-domains.txt", line: 0, pattern: "" },
  },
];
const TRACE: readonly TraceStep[] = [
  { kind: "rule", rule: "ads", outcome: "domains", match: null },
  {
    kind: "rule",
    rule: "split",
    outcome: "decides",
    match: { list: "cn", source: "rules/cn-domains.txt", line: 4711, pattern: "taobao.com" },
  },
];

/** A store as version 1 or 2 left it, with so many rows, a millisecond apart. */
function oldStore(version: 1 | 2, count: number): string {
  const path = join(directory(), "queries.db");
  const database = new DatabaseSync(path);
  database.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${version}; ${OLD_TABLES}; BEGIN`);
  const attempts = [{ group: "domestic", server: "udp://223.5.5.5", transport: "udp", rcode: "NOERROR", failure: null }];
  const run = (sql: string, ...values: (string | number | null)[]) => void database.prepare(sql).run(...values);
  run("INSERT INTO names_20261121 VALUES (1, 'com.taobao.www')");
  run("INSERT INTO clients_20261121 VALUES (1, '192.168.88.20', NULL)");
  run(
    `INSERT INTO kinds_20261121 VALUES (1, 'udp', NULL, NULL, 'A', 'NOERROR', 'upstream', 'none', 'split', 'cn', 'domestic', 'udp://223.5.5.5', '7f3a91c2', 0)`,
  );
  run("INSERT INTO details_20261121 VALUES (1, ?)", JSON.stringify([version === 1 ? STORED_TRACE : null, attempts, [], []]));
  run("INSERT INTO answers_20261121 VALUES (1, 'CNAME www.taobao.com.danuoyi.tbcache.com.\nA 192.0.2.1\nA 192.0.2.2')");
  const [matches, line] = version === 1 ? ["4711,4", null] : [null, 4711];
  const insert = database.prepare("INSERT INTO q_20261121 VALUES (?, 1, 1, 1, 1, 1, ?, 7312, 109, ?, ?, 7, NULL, NULL)");
  for (let index = 0; index < count; index++)
    insert.run(firstIdAt(SOME_WALL_MS + index), index === 1 ? "60,7,9" : 60, matches, line);
  run("INSERT INTO kind_minutes_20261121 VALUES (?, 1, ?)", Math.floor(SOME_WALL_MS / 60_000), count);
  run(
    "INSERT INTO parts VALUES ('20261121', ?, 0, 'live', ?, ?, ?, 0)",
    Math.floor(SOME_WALL_MS / DAY_MS),
    firstIdAt(SOME_WALL_MS),
    firstIdAt(SOME_WALL_MS + count - 1),
    count,
  );
  database.exec("COMMIT");
  database.close();
  return path;
}

/** What `oldStore` holds. */
function oldRecords(version: 1 | 2, count: number): QueryRecord[] {
  return Array.from({ length: count }, (_, index) => {
    const wallMs = SOME_WALL_MS + index;
    const made = record({ id: firstIdAt(wallMs), time: new Date(wallMs).toISOString() });
    const [first = "", second = "", third = ""] = made.answers;
    const answers = index === 1 ? [first, second.replace("60 ", "7 "), third.replace("60 ", "9 ")] : made.answers;
    return { ...made, answers, trace: version === 1 ? TRACE : made.trace };
  });
}

describe.each([1, 2] as const)("a store of version %i", (version) => {
  test("is read with all that its rows bear, and goes on with new ones", () => {
    const { store, database } = openedStore({ path: oldStore(version, 3) });
    tidyAll(store, SOME_WALL_MS);
    const old = oldRecords(version, 3);
    expect(allRecords(database)).toEqual(old);
    store.insert(batchOf(recordsFrom(SOME_WALL_MS + 1000, 3, "new")));
    expect(allRecords(database)).toEqual([...old, ...recordsFrom(SOME_WALL_MS + 1000, 3, "new")]);
    expect(database.prepare("PRAGMA user_version").get()).toEqual({ user_version: 3 });
  });

  test("is brought over piece by piece, the newest first, while new rows come and it is opened again", () => {
    const count = 45_000;
    const first = openedStore({ path: oldStore(version, count) });
    const old = oldRecords(version, count);
    const ids = () => [...readBatches(first.database, EVERYTHING, { nowMs: () => 0, budgetMs: 1 })].flat().map(({ id }) => id);
    expect(first.store.state().rows).toBe(count);
    expect(ids()).toEqual([]);
    expect(first.store.tidy(SOME_WALL_MS)).toBe(true);
    expect(ids()).toEqual(
      old
        .slice(-20_000)
        .map(({ id }) => id)
        .reverse(),
    );
    first.store.insert(batchOf(recordsFrom(SOME_WALL_MS + count, 3, "new")));
    const { store, database } = openedStore({ path: first.path });
    tidyAll(store, SOME_WALL_MS + count);
    expect(ids()).toEqual([...old, ...recordsFrom(SOME_WALL_MS + count, 3, "new")].map(({ id }) => id).reverse());
    const tables = database.prepare("SELECT name FROM sqlite_schema WHERE name GLOB 'q_*' OR name GLOB 'name_*'").all();
    expect(tables).toEqual([]);
    const request = { fromMs: SOME_WALL_MS, toMs: SOME_WALL_MS + DAY_MS, stepMs: DAY_MS, top: 5, sideOf: {} };
    expect(summarize(database, request).topNames[0]).toEqual({ key: "www.taobao.com", count });
    expect(database.prepare("PRAGMA integrity_check").get()).toEqual({ integrity_check: "ok" });
  });

  test("is not read while nobody has opened it for writing, and says so", async () => {
    const reader = new Reader(oldStore(version, 3), { clock: fakeClock(), damaged: () => expect.unreachable() });
    onTestFinished(() => reader.close());
    await expect(reader.search({ filter: EVERYTHING, limit: 10, cursor: null })).rejects.toMatchObject({
      kind: "unavailable",
      message: expect.stringContaining("of a version before this one"),
    });
  });

  test("whose rows are too old or too many is dropped with all its tables", () => {
    const { store, database } = openedStore({ path: oldStore(version, 100) });
    tidyAll(store, SOME_WALL_MS + 30 * DAY_MS);
    expect(store.state().rows).toBe(0);
    const tables = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all();
    expect(tables.map(({ name }) => name)).toEqual(["parts", "runs"]);
  });
});
