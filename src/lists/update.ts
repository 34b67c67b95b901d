import { readFile, rm } from "node:fs/promises";
import type { Clock } from "../lib/clock.ts";
import { runCooperatively, type Sliced } from "../lib/cooperative.ts";
import type { CachedDownload, CacheRecord, DownloadRecord, ListCache, ListCacheReader } from "./cache.ts";
import { type Download, DownloadError, type DownloadRequest } from "./download.ts";
import type { ListOptions } from "./options.ts";
import { ListBuilder, type SourceReading } from "./readers.ts";

/** Fetches one URL of a list through the group or proxy of this list. @throws DownloadError; the signal's reason when it aborts. */
export type Fetcher = (list: ListOptions, request: DownloadRequest) => Promise<Download>;

/**
 * Tries a list with the downloads of `cache`, and activates the list unless this breaks an expectation that holds now. Calls `commit` before
 * the activation; if `commit` throws, nothing changes. Returns the broken expectations; empty = the list is active.
 */
export type Activate = (list: ListOptions, cache: ListCacheReader, commit: () => Promise<void>) => Promise<readonly string[]>;

export interface UpdateDependencies {
  readonly cache: ListCache;
  readonly fetch: Fetcher;
  readonly activate: Activate;
  readonly clock: Clock;
}

interface UpdateOptions {
  /** Take a list however much its size has changed. */
  readonly acceptsAnySize: boolean;
  readonly signal: AbortSignal;
  readonly progress: (progress: Progress) => void;
}

export interface Progress {
  /** The URL or the mirror. */
  readonly from: string;
  readonly receivedBytes: number;
  /** null = the server does not say, or compresses the body. */
  readonly totalBytes: number | null;
}

/** The outcome for one URL. The list serves on in every case. */
export interface UpdateResult {
  readonly url: string;
  readonly outcome:
    | { readonly kind: "new"; readonly entries: number }
    | { readonly kind: "unchanged" }
    /** Nothing usable came. */
    | { readonly kind: "failed"; readonly reason: string }
    /** A list came that is quarantined: a person has to look at it, or it breaks an expectation. */
    | { readonly kind: "held"; readonly reason: string };
}

/**
 * Downloads the URLs of one list, and activates the new versions that are good.
 * @throws the signal's reason when it aborts. Any other failure is in the outcome and in the record of the URL.
 */
export async function updateList(
  list: ListOptions,
  dependencies: UpdateDependencies,
  options: UpdateOptions,
): Promise<UpdateResult[]> {
  const update = { list, ...dependencies, ...options };
  const attempts: Attempt[] = [];
  try {
    for (const url of urlsOf(list)) attempts.push(await tryUrl(url, update));
    return await activateCandidates(attempts, update);
  } finally {
    for (const { outcome } of attempts) if (outcome.kind === "candidate") await rm(outcome.newPath, { force: true });
  }
}

/** The URLs of a list, each once, however many of its categories the list uses. */
export function urlsOf({ sources }: Pick<ListOptions, "sources">): readonly string[] {
  return [...new Set(sources.flatMap((source) => (source.kind === "url" ? [source.url] : [])))];
}

interface Update extends UpdateDependencies, UpdateOptions {
  readonly list: ListOptions;
}

/** One URL with the state of the cache before the update. */
interface CachedUrl {
  readonly url: string;
  readonly record: CacheRecord;
  /** null = none, or it is damaged. */
  readonly stored: CachedDownload | null;
}

/** A good download that is not active yet. */
interface Candidate {
  readonly kind: "candidate";
  readonly newPath: string;
  readonly content: CachedDownload;
  readonly copy: DownloadRecord;
}

type Failure = Extract<UpdateResult["outcome"], { kind: "failed" | "held" }>;

interface Attempt extends CachedUrl {
  readonly outcome: Candidate | { readonly kind: "unchanged" } | Failure;
}

async function tryUrl(url: string, update: Update): Promise<Attempt> {
  const { list, cache } = update;
  const cached = { url, record: await cache.readRecord(list.name, url), stored: await cache.read(list.name, url) };
  // No other version has this checksum.
  if (cached.stored !== null && cached.stored.sha256 === list.sha256) return { ...cached, outcome: { kind: "unchanged" } };
  const failures: Failure[] = [];
  for (const from of [url, ...list.mirrors]) {
    const outcome = await tryPlace(from, cached, update);
    if (outcome.kind === "unchanged" || outcome.kind === "candidate") return { ...cached, outcome };
    failures.push(outcome);
  }
  // A mirror that is down must not hide that the list itself is quarantined.
  const worst = failures.find(({ kind }) => kind === "held") ?? failures[0];
  if (worst === undefined) throw new Error("no place was tried");
  const others = failures.length > 1 ? ", and no mirror had a usable one" : "";
  return { ...cached, outcome: { kind: worst.kind, reason: worst.reason + others } };
}

/** @param from the URL or a mirror of it. */
async function tryPlace(from: string, cached: CachedUrl, update: Update): Promise<Attempt["outcome"]> {
  const { list, cache, signal } = update;
  const { record, stored } = cached;
  let newPath: string | null = null;
  let isCandidate = false;
  try {
    newPath = await cache.newPath(list.name, cached.url);
    const download = await update.fetch(list, {
      url: from,
      // Validators mean nothing to another server, and a copy with the wrong checksum must be replaced.
      held: stored !== null && record.copy?.from === from && list.sha256 === null ? record.copy : null,
      path: newPath,
      signal,
      progress: (receivedBytes, totalBytes) => update.progress({ from, receivedBytes, totalBytes }),
    });
    // A server may not support validators, and a mirror may have the same file.
    if (download.kind === "unchanged" || (download.sha256 === stored?.sha256 && list.sha256 === null))
      return { kind: "unchanged" };
    const bytes = await readFile(newPath);
    const assessment = await runCooperatively(assessDownload({ bytes, sha256: download.sha256 }, cached, update));
    if (assessment.kind !== "good") return assessment;
    const { kind: _, ...facts } = download;
    const copy = { ...facts, from, fetchedWallMs: update.clock.wallMs(), entries: assessment.entries };
    isCandidate = true;
    return { kind: "candidate", newPath, copy, content: { bytes, sha256: copy.sha256, fetchedWallMs: copy.fetchedWallMs } };
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (!(error instanceof DownloadError) && !isSystemError(error)) throw error;
    return { kind: "failed", reason: error.message };
  } finally {
    if (newPath !== null && !isCandidate) await rm(newPath, { force: true });
  }
}

async function activateCandidates(attempts: readonly Attempt[], update: Update): Promise<UpdateResult[]> {
  const { list, cache } = update;
  const candidates = new Map(attempts.flatMap(({ url, outcome }) => (outcome.kind === "candidate" ? [[url, outcome]] : [])));
  let refusal: Failure | null = null;
  if (candidates.size > 0) {
    const withCandidates: ListCacheReader = {
      read: async (name, url) => candidates.get(url)?.content ?? (await cache.read(name, url)),
    };
    const commit = async (): Promise<void> => {
      for (const [url, candidate] of candidates) await cache.store(list.name, url, candidate);
    };
    try {
      const faults = await update.activate(list, withCandidates, commit);
      if (faults.length > 0) refusal = { kind: "held", reason: faults.join("; ") };
    } catch (error) {
      if (!isSystemError(error)) throw error;
      refusal = { kind: "failed", reason: error.message };
    }
  }
  const results: UpdateResult[] = [];
  for (const attempt of attempts) {
    const outcome =
      attempt.outcome.kind !== "candidate"
        ? attempt.outcome
        : (refusal ?? ({ kind: "new", entries: attempt.outcome.copy.entries } as const));
    await recordOutcome(attempt, outcome, update);
    results.push({ url: attempt.url, outcome });
  }
  return results;
}

async function recordOutcome({ url, record }: CachedUrl, outcome: UpdateResult["outcome"], update: Update): Promise<void> {
  // `commit` has recorded a new version.
  if (outcome.kind === "new") return;
  const nowMs = update.clock.wallMs();
  const changes =
    outcome.kind === "unchanged"
      ? { checkedWallMs: nowMs, problem: null }
      : {
          problem: { reason: outcome.reason, held: outcome.kind === "held", sinceWallMs: record.problem?.sinceWallMs ?? nowMs },
        };
  try {
    await update.cache.writeRecord(update.list.name, url, { ...record, ...changes });
  } catch (error) {
    // The caller gets the outcome: a full disk must not hide it.
    if (!isSystemError(error)) throw error;
  }
}

function isSystemError(error: unknown): error is Error {
  return error instanceof Error && "code" in error && "syscall" in error;
}

/** A list that lost or gained more than this share of its entries at once is quarantined until a person has looked at it. */
const MAX_CHANGE = 1 / 3;

/** Whether a download may replace the stored copy. */
function* assessDownload(
  { bytes, sha256 }: Pick<CachedDownload, "bytes" | "sha256">,
  { url, stored }: CachedUrl,
  { list, acceptsAnySize }: Update,
): Sliced<{ readonly kind: "good"; readonly entries: number } | Failure> {
  if (list.sha256 !== null && list.sha256 !== sha256)
    return { kind: "failed", reason: `its checksum is ${sha256}, not the one that the configuration gives` };
  let entries = 0;
  for (const source of list.sources) {
    if (source.kind !== "url" || source.url !== url) continue;
    const { category } = source;
    const found = yield* countEntries(bytes, list, category);
    if (found.problem !== null) return { kind: "failed", reason: found.problem };
    if (found.entries === 0) return { kind: "failed", reason: "no usable entry" };
    entries += found.entries;
    // A person who wrote the checksum has seen the list.
    if (stored === null || acceptsAnySize || list.sha256 !== null) continue;
    const { entries: previous } = yield* countEntries(stored.bytes, list, category);
    if (previous > 0 && Math.abs(found.entries - previous) > previous * MAX_CHANGE) {
      const change = found.entries < previous ? "shrank" : "grew";
      const what = category === null ? "it" : `category ${category}`;
      return { kind: "held", reason: `${what} ${change} from ${previous} entries to ${found.entries}` };
    }
  }
  return { kind: "good", entries };
}

function countEntries(bytes: Buffer, list: ListOptions, category: string | null): Sliced<SourceReading> {
  return new ListBuilder(list).read(bytes, category, "");
}
