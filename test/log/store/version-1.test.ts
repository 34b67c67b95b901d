import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";
import type { TraceStep } from "../../../src/log/record.ts";
import { APPLICATION_ID, firstIdAt, hourOf, PARTS_TABLE, partTables } from "../../../src/log/schema.ts";
import { directory } from "../../support/files.ts";
import { record, SOME_WALL_MS } from "../records.ts";
import { rowsOf } from "../rows.ts";
import { allRecords, openedStore, recordsFrom, tidyAll } from "./opened-store.ts";

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

/** A store as version 1 left it, with one row. */
function oldStore(): string {
  const path = join(directory(), "queries.db");
  const id = firstIdAt(SOME_WALL_MS);
  const database = new DatabaseSync(path);
  database.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = 1; ${PARTS_TABLE}; ${partTables("20261121")}`);
  const attempts = [{ group: "domestic", server: "udp://223.5.5.5", transport: "udp", rcode: "NOERROR", failure: null }];
  const run = (sql: string, ...values: (string | number | null)[]) => void database.prepare(sql).run(...values);
  run("INSERT INTO names_20261121 VALUES (1, 'com.taobao.www')");
  run("INSERT INTO clients_20261121 VALUES (1, '192.168.88.20', NULL)");
  run(
    `INSERT INTO kinds_20261121 VALUES (1, 'udp', NULL, NULL, 'A', 'NOERROR', 'upstream', 'none', 'split', 'cn', 'domestic', 'udp://223.5.5.5', '7f3a91c2', 0)`,
  );
  run("INSERT INTO details_20261121 VALUES (1, ?)", JSON.stringify([STORED_TRACE, attempts, [], []]));
  run("INSERT INTO answers_20261121 VALUES (1, 'CNAME www.taobao.com.danuoyi.tbcache.com.\nA 192.0.2.1\nA 192.0.2.2')");
  run("INSERT INTO q_20261121 VALUES (?, 1, 1, 1, 1, 1, 60, 7312, 109, '4711,4', NULL, 7, NULL, NULL)", id);
  const minute = Math.floor(SOME_WALL_MS / 60_000);
  run("INSERT INTO kind_minutes_20261121 VALUES (?, 1, 1)", minute);
  run(
    "INSERT INTO parts VALUES ('20261121', ?, 0, 'live', ?, ?, 1, ?)",
    Math.floor(SOME_WALL_MS / 86_400_000),
    id,
    id,
    hourOf(id),
  );
  database.close();
  return path;
}

test("a store of version 1 is read with the traces that it bears, and goes on with rows that bear none", () => {
  const { store, database } = openedStore({ path: oldStore() });
  const old = { ...record(), trace: TRACE };
  expect(allRecords(database)).toEqual([old]);
  store.insert(rowsOf(recordsFrom(SOME_WALL_MS + 1000, 3, "new")));
  expect(allRecords(database)).toEqual([old, ...recordsFrom(SOME_WALL_MS + 1000, 3, "new")]);
  tidyAll(store, SOME_WALL_MS + 86_400_000);
  expect(allRecords(database)[0]).toEqual(old);
  expect(database.prepare("PRAGMA user_version").get()).toEqual({ user_version: 2 });
  expect(database.prepare("SELECT count(*) AS kinds FROM kinds_20261121 WHERE id > 0").get()).toEqual({ kinds: 1 });
});
