import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Database } from "../../../src/log/database.ts";
import { compileFilter } from "../../../src/log/filter-tests.ts";
import { firstIdAt } from "../../../src/log/schema.ts";
import { readBatches, searchRecords } from "../../../src/log/search.ts";
import { isThorough } from "../../support/properties.ts";
import { record } from "../records.ts";
import { filterOf, storeIn } from "./stores.ts";

/** All records are of this day. */
const START_MS = Date.UTC(2026, 10, 22);

const NAMES = 3001;

/** Within a second, so many that some have no count of their own in the roll-ups. */
const crowd = Array.from({ length: 1500 }, (_, index) =>
  record({
    id: firstIdAt(START_MS + (index >> 1)) + (index & 1),
    client: `172.16.${index >> 8}.${index & 255}`,
  }),
);

/** Three every nine seconds, some eight hours in all. */
const others = Array.from({ length: 9500 }, (_, index) =>
  record({
    id: firstIdAt(START_MS + 3000 + Math.floor(index / 3) * 9000) + (index % 3),
    name: `w${(index * 7) % NAMES}.${index % 5 === 0 ? "often.test" : `zone${index % 50}.test`}`,
    client: index % 500 === 17 ? "10.0.0.9" : `192.168.88.${index % 20}`,
    rcode: index > 2000 && index < 2010 ? "SERVFAIL" : "NOERROR",
    durationUs: index === 3000 ? 3_000_000 : index % 100,
    answers: [`60 A 192.0.${index % 50}.${index % 251}`],
  }),
);

const records = [...crowd, ...others];

/** More rows than are looked at in one step, more than an index is used for, more names than are handed to SQLite. */
describe("a search in many rows", () => {
  const folder = mkdtempSync(join(tmpdir(), "fenliu-search-"));
  const databases: Database[] = [];

  beforeAll(() => {
    const shapes = [
      { partRows: 8000, upkeep: 60, batch: 4000 },
      { partRows: 11_000, upkeep: 0, batch: 4000 },
    ];
    for (const [index, shape] of shapes.entries()) {
      const inner = join(folder, String(index));
      mkdirSync(inner);
      databases.push(storeIn(inner, records, shape));
    }
  });

  afterAll(() => {
    for (const database of databases) database.close();
    rmSync(folder, { recursive: true });
  });

  test.each<readonly [string, Readonly<Record<string, string>>]>([
    ["a name among many", { name: "full:w7.zone1.test" }],
    ["a zone with few names", { name: "zone7.test" }],
    ["a zone with many", { name: "test" }],
    ["what many names share", { name: "*w*" }],
    ["what few names share", { name: "/^w39[0-9]7/" }],
    ["what is no name of a zone", { name: "!test" }],
    ["a client that is there seldom", { client: "10.0.0.9" }],
    ["a client in a zone", { client: "192.168.88.5", name: "often.test" }],
    ["a client in a crowd", { client: "172.16.5.17" }],
    ["the net of a crowd", { client: "172.16.5.0/24" }],
    ["what happened in few minutes", { rcode: "SERVFAIL" }],
    ["what took long, once", { minMs: "3000" }],
    ["what took long and was another's", { minMs: "1000", client: "10.0.0.9" }],
    ["an address that many answers share", { answer: "192.0.*", name: "!often.test" }],
    ["an address of few", { answer: "192.0.7.7" }],
    ["what has not this address", { answer: "!192.0.7.*", client: "10.0.0.9" }],
    ["a failure in a zone with many names", { rcode: "!NOERROR", name: "test" }],
  ])("finds %s", (_, parameters) => {
    const filter = filterOf(Object.entries(parameters));
    const wanted = records
      .filter(compileFilter(filter))
      .map(({ id }) => id)
      .sort((a, b) => b - a);
    for (const database of databases) {
      // With and without time to go beyond the first step.
      for (const budgetMs of isThorough ? [0, 1] : [1]) {
        const batches = [...readBatches(database, filter, { nowMs: () => 0, budgetMs })];
        expect(batches.flat().map(({ id }) => id)).toEqual(wanted);
      }
      const budget = { nowMs: () => 0, budgetMs: 1, stepRows: 500 };
      const page = searchRecords(database, { filter, limit: 100, cursor: null }, budget).next().value;
      expect(page.records.map(({ id }) => id)).toEqual(wanted.slice(0, 100));
    }
  });
});
