import { readdirSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { expect, test } from "vitest";
import { quarantine } from "../../../src/log/database.ts";
import { directory } from "../../support/files.ts";
import { SOME_WALL_MS } from "../records.ts";

test("two quarantined files are kept, among them the latest, also after the clock was set back", () => {
  const path = join(directory(), "queries.db");
  const asides = [0, 3, 2, 1].map((hours) => {
    writeFileSync(path, "a database");
    writeFileSync(`${path}-wal`, "its log");
    return quarantine(path, "damaged", SOME_WALL_MS + hours * 3_600_000) ?? "";
  });
  const kept = [asides[1], asides[3]].map((aside) => basename(aside ?? ""));
  expect(readdirSync(dirname(path)).sort()).toEqual(kept.flatMap((name) => [name, `${name}-wal`]).sort());
});
