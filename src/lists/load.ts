import { readFile, stat } from "node:fs/promises";
import { type AddressRange, AddressSet } from "../dns/address.ts";
import { runCooperatively, type Sliced } from "../lib/cooperative.ts";
import { errorText } from "../lib/text.ts";
import { type CopyContent, type CopySource, checksumOf, type ListCache, NO_LIST_CACHE } from "./cache.ts";
import { type Warning, WarningLog } from "./diagnostics.ts";
import type { DomainSet } from "./domain-set.ts";
import { DomainSetBuilder } from "./domain-set-builder.ts";
import type { ListOptions } from "./options.ts";
import { readAddresses, readDomains } from "./readers.ts";
import { recognise } from "./recognise.ts";

/** Larger files are refused: they are read as a whole. */
const MAX_LIST_FILE_BYTES = 256 * 1024 * 1024;

/** The lists of a configuration, as they were when they were loaded. */
export interface Lists {
  /** null where no list of domains has the name. */
  readonly domains: (list: string) => DomainSet | null;
  /** null where no list of addresses has the name. */
  readonly addresses: (list: string) => AddressSet | null;
  /** In the order of the configuration. */
  readonly status: () => readonly ListStatus[];
}

export interface ListStatus {
  readonly name: string;
  readonly kind: ListOptions["kind"];
  /** Different patterns, or blocks of addresses after merging. */
  readonly size: number;
  readonly sources: readonly SourceStatus[];
}

export interface SourceStatus {
  /** Path or URL, with its category after `#`. */
  readonly source: string;
  /**
   * Where its entries are taken from: `copy` is the last good download, `nothing` a URL without one and without a seed. All URLs of a list
   * share its seed, which the first reports.
   */
  readonly servedFrom: "file" | "copy" | "seed" | "nothing";
  readonly bytes: number;
  /** Of the bytes that were read; null where there are none. */
  readonly sha256: string | null;
  /** When the file was last changed, or the copy downloaded, in milliseconds since 1970; null = unknown. */
  readonly changedWallMs: number | null;
  /** Entries taken, doubles counted. */
  readonly entries: number;
  readonly warningCount: number;
  /** The first of them. */
  readonly warnings: readonly Warning[];
  /** What is wrong with the source as a whole; null = nothing. */
  readonly problem: string | null;
}

/** Reads every list. What cannot be read is in the status, and its list holds what its other sources gave; never rejects for what a file holds or lacks. */
export async function loadLists(
  options: readonly ListOptions[],
  copies: CopySource = NO_LIST_CACHE,
  files: ListFiles = new FileReader(),
): Promise<Lists> {
  const loaded: LoadedList[] = [];
  for (const list of options) loaded.push(await loadList(list, { files, copies }));
  return listsOf(loaded);
}

/** The same lists with this one read anew. The others are shared. */
export async function reloadList(lists: Lists, options: ListOptions, copies: CopySource): Promise<Lists> {
  const anew = await loadList(options, { files: new FileReader(), copies });
  return listsOf(
    lists.status().map((status) => {
      if (status.name === options.name) return anew;
      return { status, domains: lists.domains(status.name), addresses: lists.addresses(status.name) };
    }),
  );
}

/** One of the two sets is null, by the kind of the list. */
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

/** Where the files of lists are read from. Never rejects. */
export interface ListFiles {
  read(path: string, list: string): Promise<FileContent>;
}

interface Places {
  readonly files: ListFiles;
  readonly copies: CopySource;
}

async function loadList(list: ListOptions, places: Places): Promise<LoadedList> {
  const { name, kind } = list;
  const opened = await openSources(list, places);
  if (kind === "domains") {
    const { set, statuses } = await runCooperatively(buildDomains(name, opened));
    return { status: { name, kind, size: set.size, sources: statuses }, domains: set, addresses: null };
  }
  const { set, statuses } = await runCooperatively(buildAddresses(opened));
  return { status: { name, kind, size: set.size, sources: statuses }, domains: null, addresses: set };
}

/** The bytes of a source, or why there are none. */
interface OpenedSource {
  /** As the configuration has it. */
  readonly label: string;
  /** The file that the entries stand in. */
  readonly origin: string;
  readonly category: string | null;
  readonly servedFrom: SourceStatus["servedFrom"];
  readonly file: FileContent;
}

export interface FileContent {
  readonly bytes: Buffer;
  /** null where they could not be read. */
  readonly sha256: string | null;
  readonly changedWallMs: number | null;
  readonly problem: string | null;
}

async function openSources(
  { name, sources, seed, sha256: wanted }: ListOptions,
  { files, copies }: Places,
): Promise<OpenedSource[]> {
  const opened: OpenedSource[] = [];
  const held = new Map<string, CopyContent | null>();
  for (const source of sources) {
    const { category } = source;
    const label = labelOf(source.kind === "file" ? source.path : source.url, category);
    const common = { label, origin: label, category };
    if (source.kind === "file") {
      opened.push({ ...common, servedFrom: "file", file: checked(await files.read(source.path, name), wanted) });
      continue;
    }
    // A .dat file is read once for all of its categories.
    const copy = held.get(source.url) ?? (await copies.read(name, source.url));
    held.set(source.url, copy);
    if (copy !== null && (wanted === null || copy.sha256 === wanted)) {
      const { bytes, sha256, fetchedWallMs } = copy;
      opened.push({ ...common, servedFrom: "copy", file: { bytes, sha256, changedWallMs: fetchedWallMs, problem: null } });
    } else if (seed === null) {
      opened.push({ ...common, servedFrom: "nothing", file: { ...NO_FILE, problem: "not downloaded, and it has no seed" } });
    } else if (opened.some(({ servedFrom }) => servedFrom === "seed")) {
      // One seed stands for all downloads of its list, and is read once.
      opened.push({ ...common, servedFrom: "seed", file: NO_FILE });
    } else {
      opened.push(openedSeed(common, seed, await files.read(seed, name)));
    }
  }
  return opened;
}

function checked(file: FileContent, sha256: string | null): FileContent {
  if (sha256 === null || file.problem !== null || file.sha256 === sha256) return file;
  return { ...NO_FILE, problem: `its checksum is ${file.sha256}, not the one that the configuration gives` };
}

function openedSeed(
  { label, category }: Pick<OpenedSource, "label" | "category">,
  seed: string,
  file: FileContent,
): OpenedSource {
  // The category of the download means nothing to a seed in another format.
  const seedCategory = recognise(file.bytes).kind === "text" ? null : category;
  return { label, origin: labelOf(seed, seedCategory), category: seedCategory, servedFrom: "seed", file };
}

function labelOf(place: string, category: string | null): string {
  return category === null ? place : `${place}#${category}`;
}

function* buildDomains(
  name: string,
  opened: readonly OpenedSource[],
): Sliced<{ readonly set: DomainSet; readonly statuses: SourceStatus[] }> {
  const builder = new DomainSetBuilder(name);
  const statuses: SourceStatus[] = [];
  for (const source of opened) {
    const warnings = new WarningLog();
    const before = builder.count;
    const sink = builder.source(source.origin);
    const problem = isReadable(source) ? yield* readDomains(source.file.bytes, source.category, { sink, warnings }) : null;
    statuses.push(statusOf(source, { entries: builder.count - before, warnings, problem }));
  }
  return { set: yield* builder.sliced(), statuses };
}

function* buildAddresses(
  opened: readonly OpenedSource[],
): Sliced<{ readonly set: AddressSet; readonly statuses: SourceStatus[] }> {
  const all: AddressRange[] = [];
  const statuses: SourceStatus[] = [];
  for (const source of opened) {
    const warnings = new WarningLog();
    const nothing = { ranges: [], problem: null };
    const { ranges, problem } = isReadable(source) ? yield* readAddresses(source.file.bytes, source.category, warnings) : nothing;
    for (const range of ranges) all.push(range);
    statuses.push(statusOf(source, { entries: ranges.length, warnings, problem }));
  }
  return { set: new AddressSet(all), statuses };
}

function isReadable({ file }: OpenedSource): boolean {
  return file !== NO_FILE && file.problem === null;
}

interface Outcome {
  readonly entries: number;
  readonly warnings: WarningLog;
  readonly problem: string | null;
}

function statusOf(source: OpenedSource, { entries, warnings, problem }: Outcome): SourceStatus {
  const empty = isReadable(source) && entries === 0 ? "no usable entry" : null;
  return {
    source: source.label,
    servedFrom: source.servedFrom,
    bytes: source.file.bytes.length,
    sha256: source.file.sha256,
    changedWallMs: source.file.changedWallMs,
    entries,
    warningCount: warnings.count,
    warnings: warnings.first,
    problem: source.file.problem ?? problem ?? empty,
  };
}

const NO_FILE: FileContent = { bytes: Buffer.alloc(0), sha256: null, changedWallMs: null, problem: null };

/** Reads each file once, however many lists take a category of it; forgets all of them with the loading. */
class FileReader implements ListFiles {
  readonly #contents = new Map<string, Promise<FileContent>>();

  read(path: string): Promise<FileContent> {
    const held = this.#contents.get(path);
    if (held !== undefined) return held;
    const content = readContent(path);
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

/** One list as people see it: what it serves, and what its downloads came to. */
export interface ListReport extends Omit<ListStatus, "sources"> {
  readonly sources: readonly SourceReport[];
}

export interface SourceReport extends SourceStatus {
  /** When a download was last known to be the newest there is, in milliseconds since 1970; null = never, or no download. */
  readonly checkedWallMs: number | null;
  /** Why downloads change nothing since then. */
  readonly downloadProblem: { readonly reason: string; readonly held: boolean; readonly sinceWallMs: number } | null;
}

/** The lists as they serve, in the order of the configuration. */
export async function reportLists(
  options: readonly ListOptions[],
  serving: readonly ListStatus[],
  copies: ListCache,
): Promise<ListReport[]> {
  const reports: ListReport[] = [];
  for (const status of serving) {
    const list = options.find(({ name }) => name === status.name);
    const sources: SourceReport[] = [];
    for (const [index, source] of status.sources.entries()) {
      const place = list?.sources[index];
      const record = place?.kind === "url" ? await copies.record(status.name, place.url) : null;
      sources.push({ ...source, checkedWallMs: record?.checkedWallMs ?? null, downloadProblem: record?.problem ?? null });
    }
    reports.push({ ...status, sources });
  }
  return reports;
}
