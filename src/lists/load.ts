// The door of lists/: the lists of domains and addresses that rules, upstream groups and `poison` name.
//
// server/policy loads them at a start or reload; app/list-refresh keeps them fresh; `fenliu lists` and the API report them. Read in this order:
//   load.ts           sources to sets, with a status for people
//   readers.ts        the bytes of one source to entries: recognise.ts tells the format, text-formats.ts, adguard.ts and dat.ts read it
//                     (span.ts: lines as bytes; types.ts: what these stages share)
//   domain-set.ts     which entry fits a name (patterns.ts: entries as text; domain-set-builder.ts, name-table.ts, name-table-build.ts,
//                     text-patterns.ts; adguard-rules.ts: entries for some questions alone, clients.ts: for whom)
//   cache.ts          downloads on the disk
//   update.ts         download, assess, activate (download.ts: HTTP); refresher.ts: when

import { readFile, stat } from "node:fs/promises";
import type { AddressSet } from "../dns/address.ts";
import { runCooperatively, type Sliced } from "../lib/cooperative.ts";
import { errorText } from "../lib/text.ts";
import { type CachedDownload, checksumOf, type ListCache, type ListCacheReader, NO_LIST_CACHE } from "./cache.ts";
import { categoryFault } from "./dat.ts";
import type { DomainSet } from "./domain-set.ts";
import type { ListOptions, ListSource } from "./options.ts";
import { ListBuilder, type SourceReading } from "./readers.ts";
import { recognise } from "./recognise.ts";
import { type Warning, WarningLog } from "./types.ts";

/** Larger files are refused: a file is read as a whole. */
const MAX_LIST_FILE_BYTES = 256 * 1024 * 1024;

/** The loaded lists of a configuration; immutable. */
export interface Lists {
  /** null = there is no list of domains with this name. */
  readonly domains: (list: string) => DomainSet | null;
  /** null = there is no list of addresses with this name. */
  readonly addresses: (list: string) => AddressSet | null;
  /** In the order of the configuration. */
  readonly status: () => readonly ListStatus[];
}

export interface ListStatus {
  readonly name: string;
  readonly kind: ListOptions["kind"];
  /** Number of different patterns, or of blocks of addresses after merging. */
  readonly size: number;
  readonly sources: readonly SourceStatus[];
}

export interface SourceStatus {
  /** Path or URL, with its category after `#`. */
  readonly source: string;
  /**
   * Where the entries come from: `copy` is the last good download, `nothing` a URL without a download and without a seed. All URLs of a list
   * share its seed; the first of them reports it.
   */
  readonly servedFrom: "file" | "copy" | "seed" | "nothing";
  readonly bytes: number;
  /** Checksum of the bytes that were read; null = none were. */
  readonly sha256: string | null;
  /** When the file was last changed, or the copy downloaded, in milliseconds since 1970; null = unknown. */
  readonly changedWallMs: number | null;
  /** Number of entries, with doubles. */
  readonly entries: number;
  readonly warningCount: number;
  /** The first warnings. */
  readonly warnings: readonly Warning[];
  /** What is wrong with the source as a whole; null = nothing. */
  readonly problem: string | null;
  /** The problem if it is a mistake in the configuration: a category that the .dat file lacks. No later download mends it. */
  readonly mistake: string | null;
}

/** Reads every list. A source that cannot be read has a `problem` in the status, and its list has the entries of its other sources. Never rejects for the content or lack of a file. */
export async function loadLists(
  options: readonly ListOptions[],
  cache: ListCacheReader = NO_LIST_CACHE,
  files: ListFiles = new FileReader(),
): Promise<Lists> {
  const loaded: LoadedList[] = [];
  for (const list of options) loaded.push(await loadList(list, cache, files));
  return listsOf(loaded);
}

/** The same lists with this one read again. The other lists are shared. */
export async function reloadList(lists: Lists, options: ListOptions, cache: ListCacheReader): Promise<Lists> {
  const reloaded = await loadList(options, cache, new FileReader());
  return listsOf(
    lists.status().map((status) => {
      if (status.name === options.name) return reloaded;
      return { status, domains: lists.domains(status.name), addresses: lists.addresses(status.name) };
    }),
  );
}

/** The set of the other kind is null. */
interface LoadedList {
  readonly status: ListStatus;
  readonly domains: DomainSet | null;
  readonly addresses: AddressSet | null;
}

function listsOf(loaded: readonly LoadedList[]): Lists {
  const byName = new Map(loaded.map((list) => [list.status.name, list]));
  const status = loaded.map((list) => list.status);
  return {
    domains: (list) => byName.get(list)?.domains ?? null,
    addresses: (list) => byName.get(list)?.addresses ?? null,
    status: () => status,
  };
}

async function loadList(list: ListOptions, cache: ListCacheReader, files: ListFiles): Promise<LoadedList> {
  return await runCooperatively(buildList(list, await openSources(list, cache, files)));
}

function* buildList({ name, kind }: ListOptions, sources: readonly OpenedSource[]): Sliced<LoadedList> {
  const builder = new ListBuilder({ name, kind });
  const statuses: SourceStatus[] = [];
  for (const source of sources) {
    const { file, category, origin } = source;
    const isReadable = file !== NO_FILE && file.problem === null;
    statuses.push(yield* statusOf(source, isReadable ? yield* builder.read(file.bytes, category, origin) : null));
  }
  const { domains, addresses } = yield* builder.build();
  return { status: { name, kind, size: (domains ?? addresses)?.size ?? 0, sources: statuses }, domains, addresses };
}

/** @param reading null = the source could not be read. */
function* statusOf({ label, category, servedFrom, file }: OpenedSource, reading: SourceReading | null): Sliced<SourceStatus> {
  const { entries, warnings, problem: found } = reading ?? { entries: 0, warnings: new WarningLog(), problem: file.problem };
  const isDat = found !== null && category !== null && recognise(file.bytes).kind === "dat";
  const mistake = isDat ? yield* categoryFault(file.bytes, category) : null;
  const problem = mistake ?? found;
  return {
    source: label,
    servedFrom,
    bytes: file.bytes.length,
    sha256: file.sha256,
    changedWallMs: file.changedWallMs,
    entries,
    warningCount: warnings.count,
    warnings: warnings.first,
    problem: problem ?? (reading !== null && entries === 0 ? "no usable entry" : null),
    mistake,
  };
}

/** A source with its bytes, or why there are none. */
interface OpenedSource {
  /** The source as it is written in the configuration. */
  readonly label: string;
  /** The file that holds the entries. */
  readonly origin: string;
  readonly category: string | null;
  readonly servedFrom: SourceStatus["servedFrom"];
  readonly file: FileContent;
}

async function openSources(
  { name, sources, seed, sha256 }: ListOptions,
  cache: ListCacheReader,
  files: ListFiles,
): Promise<OpenedSource[]> {
  const opened: OpenedSource[] = [];
  const downloads = new Map<string, CachedDownload | null>();
  for (const source of sources) {
    const { category } = source;
    const label = labelOf(source);
    const common = { label, origin: label, category };
    if (source.kind === "file") {
      opened.push({ ...common, servedFrom: "file", file: verifyChecksum(await files.read(source.path, name), sha256) });
      continue;
    }
    // A .dat file is read once for all of its categories.
    const download = downloads.get(source.url) ?? (await cache.read(name, source.url));
    downloads.set(source.url, download);
    if (download !== null && (sha256 === null || download.sha256 === sha256)) {
      opened.push({ ...common, servedFrom: "copy", file: { ...download, changedWallMs: download.fetchedWallMs, problem: null } });
    } else if (seed === null) {
      opened.push({ ...common, servedFrom: "nothing", file: { ...NO_FILE, problem: "not downloaded, and it has no seed" } });
    } else if (opened.some(({ servedFrom }) => servedFrom === "seed")) {
      // One seed stands for all downloads of its list, and is read once.
      opened.push({ ...common, servedFrom: "seed", file: NO_FILE });
    } else {
      const file = await files.read(seed, name);
      // A text has no use for the category of a .dat file.
      const seedCategory = recognise(file.bytes).kind === "text" ? null : category;
      const origin = seedCategory === null ? seed : `${seed}#${seedCategory}`;
      opened.push({ label, origin, category: seedCategory, servedFrom: "seed", file });
    }
  }
  return opened;
}

function labelOf(source: ListSource): string {
  const place = source.kind === "file" ? source.path : source.url;
  return source.category === null ? place : `${place}#${source.category}`;
}

function verifyChecksum(file: FileContent, sha256: string | null): FileContent {
  if (sha256 === null || file.problem !== null || file.sha256 === sha256) return file;
  return { ...NO_FILE, problem: `its checksum is ${file.sha256}, not the one that the configuration gives` };
}

/** Where the files of lists are read from. Never rejects. */
export interface ListFiles {
  read(path: string, list: string): Promise<FileContent>;
}

export interface FileContent {
  readonly bytes: Buffer;
  /** null = the bytes could not be read. */
  readonly sha256: string | null;
  readonly changedWallMs: number | null;
  readonly problem: string | null;
}

const NO_FILE: FileContent = { bytes: Buffer.alloc(0), sha256: null, changedWallMs: null, problem: null };

/** Reads each file once, however many lists use a category of it. Lives for one loading. */
class FileReader implements ListFiles {
  readonly #contents = new Map<string, Promise<FileContent>>();

  read(path: string): Promise<FileContent> {
    const content = this.#contents.get(path) ?? readContent(path);
    this.#contents.set(path, content);
    return content;
  }
}

async function readContent(path: string): Promise<FileContent> {
  try {
    const found = await stat(path);
    // A pipe or a device may never end.
    if (!found.isFile()) return { ...NO_FILE, problem: `${path} is not a file` };
    if (found.size > MAX_LIST_FILE_BYTES) return { ...NO_FILE, problem: `larger than ${MAX_LIST_FILE_BYTES / 1024 / 1024} MiB` };
    const bytes = await readFile(path);
    return { bytes, sha256: await runCooperatively(checksumOf(bytes)), changedWallMs: found.mtimeMs, problem: null };
  } catch (error) {
    return { ...NO_FILE, problem: errorText(error) };
  }
}

/** One list for people: what it serves, and how its downloads went. */
export interface ListReport extends Omit<ListStatus, "sources"> {
  readonly sources: readonly SourceReport[];
}

export interface SourceReport extends SourceStatus {
  /** When a download was last known to be the newest version, in milliseconds since 1970; null = never, or not a download. */
  readonly checkedWallMs: number | null;
  /** Why no download, or no change of the list's files, has changed anything since `sinceWallMs`; `held` = a version came, and waits for a person. */
  readonly downloadProblem: { readonly reason: string; readonly held: boolean; readonly sinceWallMs: number } | null;
}

/** Changed files of a list that would empty it or break an expectation: what was read before serves on. */
export interface HeldFiles {
  readonly reason: string;
  readonly sinceWallMs: number;
}

/**
 * The lists in use, in the order of the configuration.
 * @param heldFiles by the name of a list; null = its files are in use as they are.
 */
export async function reportLists(
  options: readonly ListOptions[],
  serving: readonly ListStatus[],
  cache: ListCache,
  heldFiles: (list: string) => HeldFiles | null = () => null,
): Promise<ListReport[]> {
  const reports: ListReport[] = [];
  for (const status of serving) {
    const list = options.find(({ name }) => name === status.name);
    const held = heldFiles(status.name);
    const sources: SourceReport[] = [];
    for (const [index, source] of status.sources.entries()) {
      const place = list?.sources[index];
      const record = place?.kind === "url" ? await cache.readRecord(status.name, place.url) : null;
      const problem = record?.problem ?? (place?.kind === "file" && held !== null ? { ...held, held: true } : null);
      sources.push({ ...source, checkedWallMs: record?.checkedWallMs ?? null, downloadProblem: problem });
    }
    reports.push({ ...status, sources });
  }
  return reports;
}
