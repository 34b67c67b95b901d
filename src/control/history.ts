import { createHash } from "node:crypto";
import { dirname, join } from "node:path";
import { ControlError } from "../admin/control.ts";
import type { VersionView } from "../admin/schemas/views.ts";
import { loadHosts } from "../hosts/parse.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import { awaitWithin } from "../lib/deadline.ts";
import { writeFault } from "../lib/files.ts";
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

/** Versions that may wait to be written; a waiting version holds digests of its files, not the files. If there are more, the oldest is not kept. */
const MAX_WAITING = 32;

/** Time between two clean-ups of versions that no record refers to. */
const SWEEP_MS = 3_600_000;

/** Records reach the store within this time. */
const GRACE_MS = 60_000;

/** Time that a caller, and the end of the process, waits for pending writes. */
const SETTLE_MS = 5_000;

/** Time for the store to say which versions its records bear. */
const IN_USE_MS = 30_000;

/** A past policy takes as much memory as the one in force, so past policies are built one after the other. */
const REBUILDS = { limitMs: 30_000, maxWaiting: 16 } as const;

/** Time that a past policy stays in memory after its first use. */
const HOLD_MS = 10 * 60_000;

export interface VersionsOptions {
  /** Absolute path; made when it is needed. */
  readonly folder: string;
  /** Age up to which the store keeps records: it decides about versions while the store cannot be read. */
  readonly keepMs: () => number;
  /** The versions of the records in the store. Rejects if the store cannot be read. */
  readonly inUse: () => Promise<readonly string[]>;
  readonly clock: Clock;
  readonly log: OperationsLog;
  /** Size of all files, and number of versions. Beyond a limit the version that was replaced first is dropped first. */
  readonly limits?: { readonly bytes: number; readonly versions: number };
}

interface NewPolicy {
  readonly policy: Pick<Policy, "version" | "inputs" | "lists">;
  /** Holds the downloads of the lists. */
  readonly copies: ListCacheReader;
}

/**
 * Keeps on disk the versions of configuration, hosts and lists under which records were decided, while a record refers to them. Writes run in the
 * background, one after the other. A failed write is logged and costs the version, never an answer. Only one process may use the folder.
 */
export class Versions {
  readonly #options: VersionsOptions;
  readonly #headers = new Map<string, VersionHeader>();
  readonly #ending = new AbortController();
  #contents: VersionContents | null = null;
  #current: string | null = null;
  readonly #queue = new SerialQueue();
  readonly #waiting: WaitingVersion[] = [];
  #loaded: { readonly version: string; readonly policy: Promise<Policy>; readonly timer: Timer } | null = null;
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

  /** Notes that this policy decides from now on. Returns at once. */
  put({ policy, copies }: NewPolicy): void {
    const { version, inputs, lists } = policy;
    if (this.#closed !== null || version === this.#current) return;
    const { clock, log } = this.#options;
    this.#current = version;
    const sizes = lists.status().map(({ name, size }) => ({ name, size }));
    this.#waiting.push({ version, inputs, lists: sizes, atWallMs: clock.wallMs(), sources: sourcesOf(inputs, copies) });
    if (this.#waiting.length > MAX_WAITING) {
      // The next version takes its place in the queue.
      log.warn({ version: this.#waiting.shift()?.version }, "versions: too many changes at once, this one is not kept");
      return;
    }
    void this.#queue.add(async () => {
      const waiting = this.#waiting.shift();
      if (waiting !== undefined) await this.#guarded(() => this.#keep(waiting));
    });
  }

  /** The version in force first, then the others, the one that was replaced last first. */
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
   * Builds the policy of a past version.
   * @throws ControlError `missing` if the version, or a file of the version, is not kept or damaged; the errors of `BoundedQueue.run`.
   */
  async policyOf(version: string): Promise<Policy> {
    await this.#settled();
    if (this.#loaded?.version !== version) {
      this.#unload();
      const timer = this.#options.clock.setTimer(() => this.#unload(), HOLD_MS);
      this.#loaded = { version, policy: this.#rebuilds.run(() => this.#rebuild(version)), timer };
    }
    const { policy } = this.#loaded;
    try {
      return await policy;
    } catch (error) {
      if (this.#loaded?.policy === policy) this.#unload();
      throw error;
    }
  }

  /** Waits a while for pending writes. May be called again. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#sweeping?.cancel();
    this.#unload();
    await this.#settled();
    this.#ending.abort();
    await this.#queue.idle();
  }

  async #settled(): Promise<void> {
    await awaitWithin(this.#options.clock, SETTLE_MS, this.#queue.idle());
  }

  async #guarded(work: () => Promise<void>): Promise<void> {
    try {
      if (!this.#ending.signal.aborted) await work();
    } catch (error) {
      const { log, folder } = this.#options;
      log.warn({ folder, ...writeFault(error) }, "versions: what was decided now cannot be explained later");
    }
  }

  async #open(): Promise<void> {
    const { folder, log } = this.#options;
    const headers = await readHeaders(folder, (file) => log.warn({ file }, "versions: a damaged file was taken away"));
    for (const header of headers) this.#headers.set(header.version, header);
    this.#contents = await VersionContents.open(join(folder, "contents"));
  }

  async #keep({ version, inputs, lists, atWallMs, sources }: WaitingVersion): Promise<void> {
    const contents = await this.#opened();
    const text = Buffer.from(JSON.stringify(inputs));
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

  /** Drops the versions that no record can bear, and those beyond the limits. */
  async #sweep(): Promise<void> {
    const contents = await this.#opened();
    const { keepMs, clock, limits = LIMITS } = this.#options;
    const over = (cutoffWallMs: number) =>
      this.#sorted().filter(({ untilWallMs }) => untilWallMs !== null && untilWallMs < cutoffWallMs);
    const graceWallMs = clock.wallMs() - GRACE_MS;
    // The answer of the store begins a thread that reads it. Most servers have no version to ask about.
    if (over(graceWallMs).length > 0) {
      const used = await this.#used();
      for (const header of over(graceWallMs - (used === null ? keepMs() : 0)))
        if (used?.has(header.version) !== true) await this.#drop(header);
    }
    await contents.retain(this.#digests());
    for (const header of this.#sorted().toReversed()) {
      if (header.untilWallMs === null) return;
      if (this.#headers.size <= limits.versions && contents.bytes <= limits.bytes) return;
      await this.#drop(header);
      await contents.retain(this.#digests());
    }
  }

  /** null = the store did not answer, or not in time. */
  async #used(): Promise<ReadonlySet<string> | null> {
    const { clock, inUse } = this.#options;
    try {
      const used = await awaitWithin(clock, IN_USE_MS, unlessAborted(inUse(), this.#ending.signal));
      return used === null ? null : new Set(used);
    } catch {
      // The log itself reports trouble of its store.
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
    const inputs = text === null ? null : parseInputs(text, version);
    // This Fenliu may not understand the rules of an older or a newer one.
    const policy = inputs === null ? null : await rebuildPolicy(inputs, (sha256) => contents.get(sha256)).catch(() => null);
    if (policy?.version === version) return policy;
    const missing = this.#missingOf(header);
    const what = missing.length === 0 ? "it was written by another version of Fenliu" : `not kept: ${missing.join(", ")}`;
    throw new ControlError("missing", `version ${version} cannot be put together again: ${what}`);
  }

  #unload(): void {
    this.#loaded?.timer.cancel();
    this.#loaded = null;
  }
}

interface WaitingVersion {
  readonly version: string;
  readonly inputs: PolicyInputs;
  readonly lists: VersionHeader["lists"];
  readonly atWallMs: number;
  readonly sources: readonly VersionSource[];
}

/** null = the signal aborted first. */
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

/** null = the text does not have the present format. */
function parseInputs(text: Buffer, version: string): PolicyInputs | null {
  // The digest matches, so Fenliu wrote this text; the version shows whether the text means the same to this Fenliu.
  const inputs = JSON.parse(text.toString("utf8")) as PolicyInputs;
  return inputs.format === 2 && versionOf(inputs) === version ? inputs : null;
}

interface VersionKeepingParts {
  /** The log to which records go at present. */
  readonly queryLog: () => Pick<QueryLog, "versions">;
  readonly clock: Clock;
  readonly log: OperationsLog;
}

/** Keeps the versions beside the query log that refers to them, and moves with the log. */
export class VersionKeeping {
  readonly #parts: VersionKeepingParts;
  #kept: { readonly folder: string; readonly versions: Versions } | null = null;
  #keepMs = 0;
  /** Ends when the versions of earlier folders are closed. */
  #ending: Promise<unknown> = Promise.resolve();

  constructor(parts: VersionKeepingParts) {
    this.#parts = parts;
  }

  /** null = the configuration wants no records, so no versions are needed. */
  get versions(): Versions | null {
    return this.#kept?.versions ?? null;
  }

  /** Notes that this state serves from now on. Returns at once; the write follows later. */
  use({ config, policy }: Pick<ServerState, "config" | "policy">): void {
    const { enabled, store, keepMs } = config.log.queries;
    const folder = enabled ? join(dirname(store), "versions") : null;
    this.#keepMs = keepMs;
    if (folder !== (this.#kept?.folder ?? null)) this.#moveTo(folder);
    this.versions?.put({ policy, copies: listCacheOf(config) });
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

/** Reads the content with this digest; null = it is not kept. */
type Contents = (sha256: string) => Promise<Buffer | null>;

/**
 * Builds a policy from its kept inputs. If some of them are gone, the policy has another `version`.
 * @throws Error if the inputs are useless.
 */
async function rebuildPolicy(inputs: PolicyInputs, contentOf: Contents): Promise<Policy> {
  const contents = memoize(contentOf);
  const { hosts, lists, groups, ...rest } = inputs;
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
    loadLists(options, copiesOf(lists, contents), filesOf(lists, contents)),
  ]);
  const config = { ...rest, hosts: { ...hosts, files: [] }, lists: options, upstreams: { groups } };
  return buildPolicy(config, { loaded, ownFile: ownHostsFile(hosts.own) }, read);
}

const NEVER_REFRESHED = { refreshMs: null, via: null, proxy: null, ca: null, mirrors: [] } as const;

const NOT_KEPT = "it could not be read then";

function copiesOf(lists: readonly ListInput[], contents: Contents): ListCacheReader {
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

function filesOf(lists: readonly ListInput[], contents: Contents): ListFiles {
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

/** Reads each content once, because one file may hold categories of several lists. */
function memoize(contents: Contents): Contents {
  const known = new Map<string, Promise<Buffer | null>>();
  return (sha256) => {
    const before = known.get(sha256);
    if (before !== undefined) return before;
    const found = contents(sha256);
    known.set(sha256, found);
    return found;
  };
}

/** The digest of the first matching source that had content. */
function digestOf(
  lists: readonly ListInput[],
  name: string,
  fits: (source: ListInput["sources"][number]) => boolean,
): string | null {
  const sources = lists.find((list) => list.name === name)?.sources ?? [];
  return sources.find((source) => source.sha256 !== null && fits(source))?.sha256 ?? null;
}
