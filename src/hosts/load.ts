import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { nameFromText } from "../dns/name.ts";
import { errorText } from "../lib/text.ts";
import { type HostsProblem, type HostsReading, OWN_SOURCE, readHostsFile, readRecords } from "./entries.ts";
import { type HostEntry, HostsTable, patternOf } from "./hosts-table.ts";
import type { HostsOptions, OwnHosts } from "./options.ts";

/** A hosts file beyond this is a mistake: each name in it is an object in memory. Long lists belong into section `lists`. */
const MAX_HOSTS_FILE_BYTES = 32 * 1024 * 1024;

/** Section `hosts`, its files read. */
export interface LoadedHosts {
  /** As `HostsTable` takes them. */
  readonly layers: readonly (readonly HostEntry[])[];
  /** Lines and files that are not in them. */
  readonly problems: readonly HostsProblem[];
  /** In the order of the configuration. */
  readonly files: readonly HostsFile[];
}

/** What a file was read as. */
export interface HostsFile {
  readonly path: string;
  /** Of its bytes; null where it could not be read. */
  readonly sha256: string | null;
}

/** Gives the bytes of a hosts file, or why there are none. Never rejects. */
export type ReadHostsFile = (path: string) => Promise<Buffer | string>;

/** Reads section `hosts`: its records hide what the files say of the same name; all files count as one, in their order. Never rejects. */
export async function loadHosts(options: HostsOptions, read: ReadHostsFile = readBytes): Promise<LoadedHosts> {
  const records = readRecords(options.records);
  const files = await Promise.all(options.files.map(async (path) => readingOf(path, await read(path))));
  return {
    layers: [records.entries, files.flatMap(({ entries }) => entries)],
    problems: [records, ...files].flatMap(({ problems }) => problems),
    files: files.map(({ path, sha256 }) => ({ path, sha256 })),
  };
}

/** The table of what was read, with what was put in while running above all, and without what was hidden. */
export function hostsTable({ layers }: LoadedHosts, { records, hidden }: OwnHosts): HostsTable {
  const gone = new Set(hidden.flatMap((written) => patternFrom(written) ?? []));
  const shown = gone.size === 0 ? layers : layers.map((layer) => layer.filter((entry) => !gone.has(patternOf(entry))));
  return new HostsTable([readRecords(records, OWN_SOURCE).entries, ...shown]);
}

/** As `patternOf` writes it; null where it is no name. */
function patternFrom(written: string): string | null {
  const wildcard = written.startsWith("*.");
  const name = nameFromText(wildcard ? written.slice(2) : written);
  return name === null ? null : patternOf({ name, wildcard });
}

function readingOf(path: string, content: Buffer | string): HostsReading & HostsFile {
  if (typeof content === "string")
    return { path, sha256: null, entries: [], problems: [{ source: path, line: 0, reason: content }] };
  const sha256 = createHash("sha256").update(content).digest("hex");
  return { path, sha256, ...readHostsFile(content.toString("utf8"), path) };
}

async function readBytes(path: string): Promise<Buffer | string> {
  try {
    const found = await stat(path);
    // A pipe or a device may never end.
    if (!found.isFile()) return "not a file";
    if (found.size > MAX_HOSTS_FILE_BYTES) return `larger than ${MAX_HOSTS_FILE_BYTES / 1024 / 1024} MiB`;
    return await readFile(path);
  } catch (error) {
    return errorText(error);
  }
}
