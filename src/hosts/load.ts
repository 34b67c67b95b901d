import { readFile, stat } from "node:fs/promises";
import { type HostsProblem, type HostsReading, readHostsFile, readRecords } from "./entries.ts";
import { HostsTable } from "./hosts-table.ts";
import type { HostsOptions } from "./options.ts";

/** A hosts file beyond this is a mistake: each name in it is an object in memory. Long lists belong into section `lists`. */
const MAX_HOSTS_FILE_BYTES = 32 * 1024 * 1024;

export interface LoadedHosts {
  readonly table: HostsTable;
  /** Lines and files that are not in it. */
  readonly problems: readonly HostsProblem[];
}

/** Builds the table of section `hosts`: its records hide what the files say of the same name; all files count as one, in their order. Never rejects. */
export async function loadHosts(options: HostsOptions): Promise<LoadedHosts> {
  const records = readRecords(options.records);
  const files = await Promise.all(options.files.map(readFileAt));
  return {
    table: new HostsTable([records.entries, files.flatMap(({ entries }) => entries)]),
    problems: [records, ...files].flatMap(({ problems }) => problems),
  };
}

async function readFileAt(path: string): Promise<HostsReading> {
  const failed = (reason: string): HostsReading => ({ entries: [], problems: [{ source: path, line: 0, reason }] });
  try {
    const found = await stat(path);
    // A pipe or a device may never end.
    if (!found.isFile()) return failed("not a file");
    if (found.size > MAX_HOSTS_FILE_BYTES) return failed(`larger than ${MAX_HOSTS_FILE_BYTES / 1024 / 1024} MiB`);
    return readHostsFile(await readFile(path, "utf8"), path);
  } catch (error) {
    return failed(error instanceof Error ? error.message : String(error));
  }
}
