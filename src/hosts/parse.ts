import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { addressFromText } from "../dns/address.ts";
import { nameFromText, nameText } from "../dns/name.ts";
import { errorText } from "../lib/text.ts";
import type { HostRecord, HostsOptions, OwnHosts } from "./options.ts";
import { type HostEntry, HostsTable, parseHostPattern, patternOf } from "./table.ts";

/** A larger hosts file is a mistake: each name is an object in memory. Long lists belong into section `lists`. */
const MAX_HOSTS_FILE_BYTES = 32 * 1024 * 1024;

/** Section `hosts` with the content of its files. */
export interface LoadedHosts {
  /** The layers of a `HostsTable`. */
  readonly layers: readonly (readonly HostEntry[])[];
  /** Lines and files that could not be read. */
  readonly problems: readonly HostsProblem[];
  /** In the order of the configuration. */
  readonly files: readonly HostsFile[];
}

/** A file that was read. */
export interface HostsFile {
  readonly path: string;
  /** Digest of the bytes; null where the file could not be read. */
  readonly sha256: string | null;
}

/** Reads the bytes of a hosts file; a string says why there are none. Never rejects. */
type ReadHostsFile = (path: string) => Promise<Buffer | string>;

/** Reads section `hosts`. Its records hide entries of the files for the same name; all files are one layer, in their order. Never rejects. */
export async function loadHosts(options: HostsOptions, read: ReadHostsFile = readBytes): Promise<LoadedHosts> {
  const records = readRecords(options.records);
  const files = await Promise.all(options.files.map(async (path) => readContent(path, await read(path))));
  return {
    layers: [records.entries, files.flatMap(({ entries }) => entries)],
    problems: [records, ...files].flatMap(({ problems }) => problems),
    files: files.map(({ path, sha256 }) => ({ path, sha256 })),
  };
}

/** Builds the table. Records that were added while running come first, then reported ones; names of the configuration that were hidden are left out. */
export function hostsTable({ layers }: LoadedHosts, { records, reported = [], hidden }: OwnHosts): HostsTable {
  const gone = new Set(hidden.map(parseHostPattern).flatMap((pattern) => (pattern === null ? [] : [patternOf(pattern)])));
  const shown = gone.size === 0 ? layers : layers.map((layer) => layer.filter((entry) => !gone.has(patternOf(entry))));
  const own = [readRecords(records, OWN_SOURCE), readRecords(reported, REPORTED_SOURCE)];
  return new HostsTable([...own.map(({ entries }) => entries), ...shown]);
}

function readContent(path: string, content: Buffer | string): HostsReading & HostsFile {
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

/** Why a line, a record or a whole source is not in the table. */
export interface HostsProblem {
  readonly source: string;
  /** From 1: the line, or the position among the records; 0 = the source as a whole. */
  readonly line: number;
  readonly reason: string;
}

interface HostsReading {
  readonly entries: readonly HostEntry[];
  readonly problems: readonly HostsProblem[];
}

/** Problems of one file that are reported; one more says how many others there are. */
const MAX_PROBLEMS = 100;

/** `source` of entries of section `hosts` itself. */
const RECORDS_SOURCE = "hosts.records";

/** `source` of entries that were added while running. */
export const OWN_SOURCE = "data/hosts.yaml";

/** `source` of entries that hosts reported. */
export const REPORTED_SOURCE = "ddns";

/**
 * Reads the hosts-file format: an address, then names (`*.` may stand before a name); `#` begins a comment. A bad word is a problem, and the other words of
 * the line still count.
 */
export function readHostsFile(text: string, source: string): HostsReading {
  const entries: HostEntry[] = [];
  const problems: HostsProblem[] = [];
  for (const [index, written] of text
    .replace(/^\ufeff/, "")
    .split("\n")
    .entries()) {
    const line = index + 1;
    const [addressWritten, ...names] = written.replace(/#.*/s, "").trim().split(/\s+/);
    if (addressWritten === undefined || addressWritten === "") continue;
    const address = addressFromText(addressWritten);
    if (address === null) problems.push({ source, line, reason: `${shown(addressWritten)} is no address` });
    else if (names.length === 0) problems.push({ source, line, reason: "no name follows the address" });
    else {
      for (const name of names) {
        const owner = ownerOf(name);
        if (owner === null) problems.push({ source, line, reason: `${shown(name)} is no host name` });
        else entries.push({ ...owner, addresses: [address], cname: null, others: "nodata", https: null, source, line });
      }
    }
  }
  return { entries, problems: firstOf(problems, source) };
}

function firstOf(problems: readonly HostsProblem[], source: string): readonly HostsProblem[] {
  if (problems.length <= MAX_PROBLEMS) return problems;
  const further = problems.length - MAX_PROBLEMS;
  return [...problems.slice(0, MAX_PROBLEMS), { source, line: 0, reason: `${further} further problems` }];
}

/** Reads records as in section `hosts.records`. A record with a fault is left out as a whole. */
export function readRecords(records: readonly HostRecord[], source = RECORDS_SOURCE): HostsReading {
  const entries: HostEntry[] = [];
  const problems: HostsProblem[] = [];
  for (const [index, record] of records.entries()) {
    const place = { source, line: index + 1 };
    const entry = entryOf(record);
    if (typeof entry === "string") problems.push({ ...place, reason: entry });
    else entries.push({ ...entry, ...place });
  }
  return { entries, problems };
}

function entryOf(record: HostRecord): Omit<HostEntry, "source" | "line"> | string {
  const owner = ownerOf(record.name);
  if (owner === null) return `${shown(record.name)} is no host name`;
  const addresses: Uint8Array[] = [];
  for (const written of record.addresses) {
    const address = addressFromText(written);
    if (address === null) return `${shown(written)} is no address`;
    addresses.push(address);
  }
  const cname = record.cname === null ? null : nameFromText(record.cname);
  if (cname === null && record.cname !== null) return `${shown(record.cname)} is no name`;
  // RFC 1034 §3.6.2: nothing stands beside a CNAME.
  if (cname !== null && (addresses.length > 0 || record.https !== null))
    return `${record.name} has a CNAME, and other data beside it`;
  if (cname === owner.name && !owner.wildcard) return `${record.name} is its own CNAME`;
  const { others, https, a, aaaa } = record;
  return {
    ...owner,
    addresses,
    cname,
    others,
    https,
    ...(a === undefined ? {} : { a }),
    ...(aaaa === undefined ? {} : { aaaa }),
  };
}

/** A host name, which has letters, digits, `-` and `_` only; null for any other text. */
function ownerOf(written: string): Pick<HostEntry, "name" | "wildcard"> | null {
  const pattern = parseHostPattern(written);
  return pattern === null || !/^[\w-]+(\.[\w-]+)*$/.test(nameText(pattern.name)) ? null : pattern;
}

function shown(written: string): string {
  return JSON.stringify(written.length > 80 ? `${written.slice(0, 80)}…` : written);
}
