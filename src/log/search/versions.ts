import { type Database, inSnapshot } from "../store/database.ts";
import { allParts } from "../store/upkeep.ts";

/** Every version of configuration and lists that a record bears. @throws an error of SQLite. */
export function recordedVersions(database: Database): readonly string[] {
  const versions = new Set<string>();
  inSnapshot(database, () => {
    for (const { key } of allParts(database))
      for (const { version } of database.prepare(`SELECT DISTINCT version FROM kinds_${key} WHERE id > 0`).all())
        versions.add(String(version));
  });
  return [...versions];
}
