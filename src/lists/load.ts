import { readFile, stat } from "node:fs/promises";
import type { AddressRange } from "../dns/address.ts";
import { AddressSet } from "../dns/address-set.ts";
import type { DomainSet } from "./domain-set.ts";
import { DomainSetBuilder } from "./domain-set-builder.ts";
import { recognise } from "./formats/recognise.ts";
import type { ListOptions, ListSource } from "./options.ts";
import { readAddresses } from "./read-addresses.ts";
import { readDomains } from "./read-domains.ts";
import { type Warning, WarningLog } from "./warnings.ts";

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
  /** Where its entries are taken from; `nothing` = a URL that was not downloaded and has no seed. All URLs of a list share its seed, which the first reports. */
  readonly servedFrom: "file" | "seed" | "nothing";
  readonly bytes: number;
  /** When the file was last changed, in milliseconds since 1970; null = unknown. */
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
export async function loadLists(options: readonly ListOptions[]): Promise<Lists> {
  const files = new FileReader();
  const domains = new Map<string, DomainSet>();
  const addresses = new Map<string, AddressSet>();
  const status: ListStatus[] = [];
  for (const { name, kind, sources, seed } of options) {
    const opened = await openSources(sources, seed, files);
    if (kind === "domains") {
      const { set, statuses } = buildDomains(name, opened);
      domains.set(name, set);
      status.push({ name, kind, size: set.size, sources: statuses });
    } else {
      const { set, statuses } = buildAddresses(opened);
      addresses.set(name, set);
      status.push({ name, kind, size: set.size, sources: statuses });
    }
  }
  return { domains: (list) => domains.get(list) ?? null, addresses: (list) => addresses.get(list) ?? null, status: () => status };
}

/** The bytes of a source, or why there are none. */
interface OpenedSource {
  /** As the configuration has it. */
  readonly label: string;
  /** The file that the entries stand in. */
  readonly origin: string;
  readonly category: string | null;
  readonly servedFrom: "file" | "seed" | "nothing";
  readonly file: FileContent;
}

interface FileContent {
  readonly bytes: Buffer;
  readonly changedWallMs: number | null;
  readonly problem: string | null;
}

async function openSources(sources: readonly ListSource[], seed: string | null, files: FileReader): Promise<OpenedSource[]> {
  const opened: OpenedSource[] = [];
  const seedFile = seed === null || sources.every(({ kind }) => kind === "file") ? null : await files.read(seed);
  for (const source of sources) {
    const { category } = source;
    const label = labelOf(source.kind === "file" ? source.path : source.url, category);
    if (source.kind === "file") {
      opened.push({ label, origin: label, category, servedFrom: "file", file: await files.read(source.path) });
    } else if (seed === null || seedFile === null) {
      opened.push({
        label,
        origin: label,
        category,
        servedFrom: "nothing",
        file: { ...NO_FILE, problem: "not downloaded, and it has no seed" },
      });
    } else if (opened.some(({ servedFrom }) => servedFrom === "seed")) {
      // One seed stands for all downloads of its list, and is read once.
      opened.push({ label, origin: label, category, servedFrom: "seed", file: NO_FILE });
    } else {
      // The category of the download means nothing to a seed in another format.
      const seedCategory = recognise(seedFile.bytes).kind === "text" ? null : category;
      opened.push({ label, origin: labelOf(seed, seedCategory), category: seedCategory, servedFrom: "seed", file: seedFile });
    }
  }
  return opened;
}

function labelOf(place: string, category: string | null): string {
  return category === null ? place : `${place}#${category}`;
}

function buildDomains(name: string, opened: readonly OpenedSource[]): { set: DomainSet; statuses: SourceStatus[] } {
  const builder = new DomainSetBuilder(name);
  const statuses = opened.map((source) => {
    const warnings = new WarningLog();
    const before = builder.count;
    const sink = builder.source(source.origin);
    const problem = isReadable(source) ? readDomains(source.file.bytes, source.category, { sink, warnings }) : null;
    return statusOf(source, { entries: builder.count - before, warnings, problem });
  });
  return { set: builder.build(), statuses };
}

function buildAddresses(opened: readonly OpenedSource[]): { set: AddressSet; statuses: SourceStatus[] } {
  const all: AddressRange[] = [];
  const statuses = opened.map((source) => {
    const warnings = new WarningLog();
    if (!isReadable(source)) return statusOf(source, { entries: 0, warnings, problem: null });
    const { ranges, problem } = readAddresses(source.file.bytes, source.category, warnings);
    for (const range of ranges) all.push(range);
    return statusOf(source, { entries: ranges.length, warnings, problem });
  });
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
    changedWallMs: source.file.changedWallMs,
    entries,
    warningCount: warnings.count,
    warnings: warnings.first,
    problem: source.file.problem ?? problem ?? empty,
  };
}

const NO_FILE: FileContent = { bytes: Buffer.alloc(0), changedWallMs: null, problem: null };

/** Reads each file once, however many lists take a category of it; forgets all of them with the loading. */
class FileReader {
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
    return { bytes: await readFile(path), changedWallMs: found.mtimeMs, problem: null };
  } catch (error) {
    return { ...NO_FILE, problem: error instanceof Error ? error.message : String(error) };
  }
}
