import { createHash } from "node:crypto";
import { dirname, join } from "node:path";
import { ControlError } from "../admin/control.ts";
import type { VersionView } from "../admin/schemas/views.ts";
import { loadHosts } from "../hosts/parse.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import { withinMs } from "../lib/deadline.ts";
import { SerialQueue } from "../lib/serial-queue.ts";
import { type ListCacheReader, listCacheOf } from "../lists/cache.ts";
import { type FileContent, type ListFiles, loadLists } from "../lists/load.ts";
import type { OperationsLog } from "../log/operations.ts";
import type { QueryLog } from "../log/query-log.ts";
import { ownHostsFile } from "../server/host-overrides.ts";
import { buildPolicy, type ListInput, type Policy, type PolicyInputs, versionOf } from "../server/policy.ts";
import type { ServerState } from "../server/state.ts";
import { BoundedQueue } from "./drafts.ts";
import {
  ContentTooLarge,
  readHeaders,
  removeHeader,
  sourcesOf,
  VersionContents,
  type VersionHeader,
  type VersionSource,
  writeHeader,
} from "./version-files.ts";
import { timeText } from "./views.ts";

const LIMITS = { bytes: 256 * 1024 * 1024, versions: 1000 } as const;

/** Versions that wait to be written; each holds the digests of its files, not the files. Beyond, the oldest are not kept. */
const MAX_WAITING = 32;

/** How often versions that nobody refers to any more are dropped. */
const SWEEP_MS = 3_600_000;

/** Records reach the store no later than this. */
const GRACE_MS = 60_000;

/** How long what is being written is waited for, by those who ask and when everything ends. */
const SETTLE_MS = 5_000;

/** How long the store may take to say what it holds. */
const IN_USE_MS = 30_000;

/** Decisions of the past take as much memory as those in force: they are built one after the other, for so long each, and so many may wait. */
const REBUILDS = { limitMs: 30_000, maxWaiting: 16 } as const;

/** How long decisions of the past are held in memory after they were asked for. */
const HOLD_MS = 10 * 60_000;

export interface VersionsOptions {
  /** Absolute path; made when it is needed. */
  readonly folder: string;
  /** How long records are kept: while the store cannot say what it holds, versions go by this. */
  readonly keepMs: () => number;
  /** The versions that records in the store bear. May reject where it cannot be read. */
  readonly inUse: () => Promise<readonly string[]>;
  readonly clock: Clock;
  readonly log: OperationsLog;
  /** What is kept at most: bytes of files, and versions. Beyond, the one that was replaced first goes first. */
  readonly limits?: { readonly bytes: number; readonly versions: number };
}

/** What was put in place. */
interface PutInPlace {
  readonly decisions: Pick<Policy, "version" | "inputs" | "lists">;
  /** Where the lists' downloads are. */
  readonly copies: ListCacheReader;
}

/**
 * The versions of configuration, hosts and lists that records were decided under, kept on the disk while any record refers to them. All is
 * written in the background, one after the other; a fault is logged and costs the version, never an answer. One process to a folder.
 */
export class Versions {
  readonly #options: VersionsOptions;
  readonly #headers = new Map<string, VersionHeader>();
  readonly #ending = new AbortController();
  #contents: VersionContents | null = null;
  #current: string | null = null;
  readonly #queue = new SerialQueue();
  readonly #waiting: Coming[] = [];
  #held: { readonly version: string; readonly decisions: Promise<Policy>; readonly timer: Timer } | null = null;
  #sweeping: Timer | null = null;
  #closed: Promise<void> | null = null;
  readonly #rebuilds: BoundedQueue;

  /** Reads the folder in the background. */
  constructor(options: VersionsOptions) {
    this.#options = options;
    this.#rebuilds = new BoundedQueue({ clock: options.clock, ...REBUILDS });
    void this.#queue.add(() => this.#guarded(() => this.#open()));
    this.#scheduleSweep();
  }

  /** From now on decisions are of this version. Returns at once. */
  put({ decisions, copies }: PutInPlace): void {
    const { version, inputs: basis, lists } = decisions;
    if (this.#closed !== null || version === this.#current) return;
    const { clock, log } = this.#options;
    this.#current = version;
    const sizes = lists.status().map(({ name, size }) => ({ name, size }));
    this.#waiting.push({ version, basis, lists: sizes, atWallMs: clock.wallMs(), sources: sourcesOf(basis, copies) });
    if (this.#waiting.length > MAX_WAITING) {
      // Its place in the queue is that of the one after it.
      log.warn({ version: this.#waiting.shift()?.version }, "versions: too many changes at once, this one is not kept");
      return;
    }
    void this.#queue.add(async () => {
      const coming = this.#waiting.shift();
      if (coming !== undefined) await this.#guarded(() => this.#keep(coming));
    });
  }

  /** The one in force first, then by when they were replaced, the latest first. */
  async list(): Promise<readonly VersionView[]> {
    await this.#settled();
    return this.#sorted().map(({ version, sinceWallMs, lists, ...header }) => ({
      version,
      since: timeText(sinceWallMs),
      lists,
      missing: this.#missingOf(header),
    }));
  }

  /**
   * The decisions of a version that is kept, built anew.
   * @throws ControlError `missing` where it is not, not wholly, or damaged; as `BoundedQueue.run` does.
   */
  async decisionsOf(version: string): Promise<Policy> {
    await this.#settled();
    if (this.#held?.version !== version) {
      this.#letGo();
      const timer = this.#options.clock.setTimer(() => this.#letGo(), HOLD_MS);
      this.#held = { version, decisions: this.#rebuilds.run(() => this.#rebuild(version)), timer };
    }
    const { decisions } = this.#held;
    try {
      return await decisions;
    } catch (error) {
      if (this.#held?.decisions === decisions) this.#letGo();
      throw error;
    }
  }

  /** Lets what is being written end, for a while. May be called again. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#sweeping?.cancel();
    this.#letGo();
    await this.#settled();
    this.#ending.abort();
    await this.#queue.idle();
  }

  async #settled(): Promise<void> {
    await withinMs(this.#options.clock, SETTLE_MS, this.#queue.idle());
  }

  async #guarded(work: () => Promise<void>): Promise<void> {
    try {
      if (!this.#ending.signal.aborted) await work();
    } catch (error) {
      const { log, folder } = this.#options;
      log.warn({ folder, err: error }, "versions: what was decided now cannot be explained later");
    }
  }

  async #open(): Promise<void> {
    const { folder, log } = this.#options;
    const headers = await readHeaders(folder, (file) => log.warn({ file }, "versions: a damaged file was taken away"));
    for (const header of headers) this.#headers.set(header.version, header);
    this.#contents = await VersionContents.open(join(folder, "contents"));
  }

  async #keep({ version, basis, lists, atWallMs, sources }: Coming): Promise<void> {
    const contents = await this.#opened();
    const text = Buffer.from(JSON.stringify(basis));
    const digest = createHash("sha256").update(text).digest("hex");
    if (!contents.has(digest)) await contents.put(digest, [text], this.#ending.signal);
    for (const source of sources) if (!contents.has(source.sha256)) await this.#keepSource(contents, version, source);
    const before = this.#headers.get(version);
    await this.#write({
      version,
      sinceWallMs: before?.sinceWallMs ?? atWallMs,
      untilWallMs: null,
      basis: digest,
      lists,
      contents: sources.map(({ label, sha256 }) => ({ label, sha256 })),
    });
    for (const header of this.#headers.values())
      if (header.version !== version && header.untilWallMs === null) await this.#write({ ...header, untilWallMs: atWallMs });
    await this.#sweep();
  }

  async #opened(): Promise<VersionContents> {
    if (this.#contents === null) await this.#open();
    if (this.#contents === null) throw new Error("an opened folder without contents");
    return this.#contents;
  }

  async #keepSource(contents: VersionContents, version: string, { label, sha256, read }: VersionSource): Promise<void> {
    const { log } = this.#options;
    try {
      const bytes = await read();
      if (bytes !== null && (await contents.put(sha256, bytes, this.#ending.signal))) return;
      log.warn({ version, source: label }, "versions: the file was changed before it could be kept");
    } catch (error) {
      const reason = error instanceof ContentTooLarge ? "it is too large" : error;
      log.warn({ version, source: label, err: reason }, "versions: the file is not kept");
    }
  }

  async #write(header: VersionHeader): Promise<void> {
    await writeHeader(this.#options.folder, header);
    this.#headers.set(header.version, header);
  }

  #scheduleSweep(): void {
    this.#sweeping = this.#options.clock.setTimer(() => {
      void this.#queue.add(() => this.#guarded(() => this.#sweep()));
      this.#scheduleSweep();
    }, SWEEP_MS);
  }

  /** Drops the versions that no record in the store can be of, and what is too much. */
  async #sweep(): Promise<void> {
    const contents = await this.#opened();
    const { keepMs, clock, limits = LIMITS } = this.#options;
    const used = await this.#used();
    const cutoffWallMs = clock.wallMs() - GRACE_MS - (used === null ? keepMs() : 0);
    for (const header of this.#sorted()) {
      const isOver = header.untilWallMs !== null && header.untilWallMs < cutoffWallMs;
      if (isOver && used?.has(header.version) !== true) await this.#drop(header);
    }
    await contents.retain(this.#digests());
    for (const header of this.#sorted().toReversed()) {
      if (header.untilWallMs === null) return;
      if (this.#headers.size <= limits.versions && contents.bytes <= limits.bytes) return;
      await this.#drop(header);
      await contents.retain(this.#digests());
    }
  }

  /** null = nobody knows, or not in time. */
  async #used(): Promise<ReadonlySet<string> | null> {
    const { clock, inUse } = this.#options;
    try {
      const used = await withinMs(clock, IN_USE_MS, unlessAborted(inUse(), this.#ending.signal));
      return used === null ? null : new Set(used);
    } catch {
      // A store in trouble says so itself.
      return null;
    }
  }

  async #drop(header: VersionHeader): Promise<void> {
    await removeHeader(this.#options.folder, header);
    this.#headers.delete(header.version);
  }

  #digests(): ReadonlySet<string> {
    return new Set(
      [...this.#headers.values()].flatMap(({ basis, contents }) => [basis, ...contents.map(({ sha256 }) => sha256)]),
    );
  }

  #sorted(): VersionHeader[] {
    const end = ({ untilWallMs }: VersionHeader) => untilWallMs ?? Number.POSITIVE_INFINITY;
    return [...this.#headers.values()].sort((one, other) => end(other) - end(one) || other.sinceWallMs - one.sinceWallMs);
  }

  #missingOf({ basis, contents }: Pick<VersionHeader, "basis" | "contents">): string[] {
    const kept = this.#contents;
    const all = [{ label: "the configuration", sha256: basis }, ...contents];
    return all.flatMap(({ label, sha256 }) => (kept?.has(sha256) === true ? [] : [label]));
  }

  async #rebuild(version: string): Promise<Policy> {
    const header = this.#headers.get(version);
    if (header === undefined) throw new ControlError("missing", `version ${version} is not kept, or not any more`);
    const contents = await this.#opened();
    const text = await contents.get(header.basis);
    const basis = text === null ? null : basisFrom(text, version);
    // The rules of a Fenliu of another time may mean nothing to this one.
    const decisions = basis === null ? null : await pastDecisions(basis, (sha256) => contents.get(sha256)).catch(() => null);
    if (decisions?.version === version) return decisions;
    const missing = this.#missingOf(header);
    const what = missing.length === 0 ? "it was written by another version of Fenliu" : `not kept: ${missing.join(", ")}`;
    throw new ControlError("missing", `version ${version} cannot be put together again: ${what}`);
  }

  #letGo(): void {
    this.#held?.timer.cancel();
    this.#held = null;
  }
}

interface Coming {
  readonly version: string;
  readonly basis: PolicyInputs;
  readonly lists: VersionHeader["lists"];
  readonly atWallMs: number;
  readonly sources: readonly VersionSource[];
}

/** null when the signal aborts first. */
async function unlessAborted<Result>(promise: Promise<Result>, signal: AbortSignal): Promise<Result | null> {
  const { promise: ended, resolve } = Promise.withResolvers<null>();
  const end = (): void => resolve(null);
  signal.addEventListener("abort", end);
  if (signal.aborted) end();
  try {
    return await Promise.race([promise, ended]);
  } finally {
    signal.removeEventListener("abort", end);
  }
}

/** null where it is none, or of a format of another time. */
function basisFrom(text: Buffer, version: string): PolicyInputs | null {
  // The digest has been checked: it is what a Fenliu wrote, and its version tells whether it means the same to this one.
  const basis = JSON.parse(text.toString("utf8")) as PolicyInputs;
  return basis.format === 1 && versionOf(basis) === version ? basis : null;
}

interface VersionKeepingParts {
  /** The one that records go to at the moment. */
  readonly queryLog: () => Pick<QueryLog, "versions">;
  readonly clock: Clock;
  readonly log: OperationsLog;
}

/** The versions of the sites that are put in place, beside the query log that refers to them. */
export class VersionKeeping {
  readonly #parts: VersionKeepingParts;
  #kept: { readonly folder: string; readonly versions: Versions } | null = null;
  #keepMs = 0;
  /** Those of folders that are not used any more. */
  #ending: Promise<unknown> = Promise.resolve();

  constructor(parts: VersionKeepingParts) {
    this.#parts = parts;
  }

  /** null = the configuration wants no records, so there is nothing to keep them for. */
  get versions(): Versions | null {
    return this.#kept?.versions ?? null;
  }

  /** Records are of this site's version from now on. Returns at once; what is to be written is written later. */
  use({ config, policy: decisions }: Pick<ServerState, "config" | "policy">): void {
    const { enabled, store, keepMs } = config.log.queries;
    const folder = enabled ? join(dirname(store), "versions") : null;
    this.#keepMs = keepMs;
    if (folder !== (this.#kept?.folder ?? null)) this.#moveTo(folder);
    this.versions?.put({ decisions, copies: listCacheOf(config) });
  }

  /** May be called again. */
  async close(): Promise<void> {
    this.#moveTo(null);
    await this.#ending;
  }

  #moveTo(folder: string | null): void {
    if (this.#kept !== null) this.#ending = Promise.all([this.#ending, this.#kept.versions.close()]);
    this.#kept = folder === null ? null : { folder, versions: this.#open(folder) };
  }

  #open(folder: string): Versions {
    const { queryLog, clock, log } = this.#parts;
    return new Versions({ folder, keepMs: () => this.#keepMs, inUse: () => queryLog().versions(), clock, log });
  }
}

/** Gives what was kept under a digest; null where it is not there. */
type Contents = (sha256: string) => Promise<Buffer | null>;

/**
 * Builds decisions anew from what was kept of them. Where some of that is gone, their `version` is another one.
 * @throws Error where the basis is of no use.
 */
async function pastDecisions(basis: PolicyInputs, kept: Contents): Promise<Policy> {
  const contents = once(kept);
  const { hosts, lists, groups, ...rest } = basis;
  const options = lists.map((list) => ({ ...list, ...NEVER_REFRESHED }));
  const readHostsFile = async (path: string): Promise<Buffer | string> => {
    const sha256 = hosts.files.find((file) => file.path === path)?.sha256 ?? null;
    return (sha256 === null ? null : await contents(sha256)) ?? NOT_KEPT;
  };
  const [loaded, read] = await Promise.all([
    loadHosts(
      { files: hosts.files.map(({ path }) => path), ttlSeconds: hosts.ttlSeconds, records: hosts.records },
      readHostsFile,
    ),
    loadLists(options, keptCopies(lists, contents), keptFiles(lists, contents)),
  ]);
  const config = { ...rest, hosts: { ...hosts, files: [] }, lists: options, upstreams: { groups } };
  return buildPolicy(config, { loaded, ownFile: ownHostsFile(hosts.own) }, read);
}

const NEVER_REFRESHED = { refreshMs: null, via: null, proxy: null, mirrors: [] } as const;

const NOT_KEPT = "it could not be read then";

function keptCopies(lists: readonly ListInput[], contents: Contents): ListCacheReader {
  return {
    async read(list, url) {
      const sha256 = digestOf(
        lists,
        list,
        (source) => source.kind === "url" && source.url === url && source.servedFrom === "copy",
      );
      const bytes = sha256 === null ? null : await contents(sha256);
      return sha256 === null || bytes === null ? null : { bytes, sha256, fetchedWallMs: 0 };
    },
  };
}

function keptFiles(lists: readonly ListInput[], contents: Contents): ListFiles {
  return {
    async read(path, list): Promise<FileContent> {
      const sha256 = digestOf(lists, list, (source) =>
        source.kind === "file" ? source.path === path : source.servedFrom === "seed",
      );
      const bytes = sha256 === null ? null : await contents(sha256);
      if (sha256 === null || bytes === null)
        return { bytes: Buffer.alloc(0), sha256: null, changedWallMs: null, problem: NOT_KEPT };
      return { bytes, sha256, changedWallMs: null, problem: null };
    },
  };
}

/** One file may hold several categories of several lists. */
function once(contents: Contents): Contents {
  const known = new Map<string, Promise<Buffer | null>>();
  return (sha256) => {
    const before = known.get(sha256);
    if (before !== undefined) return before;
    const found = contents(sha256);
    known.set(sha256, found);
    return found;
  };
}

/** Of the first fitting source that had any bytes. */
function digestOf(
  lists: readonly ListInput[],
  name: string,
  fits: (source: ListInput["sources"][number]) => boolean,
): string | null {
  const sources = lists.find((list) => list.name === name)?.sources ?? [];
  return sources.find((source) => source.sha256 !== null && fits(source))?.sha256 ?? null;
}
