import { readFile, rm } from "node:fs/promises";
import type { Clock } from "../lib/clock.ts";
import { runCooperatively, type Sliced } from "../lib/cooperative.ts";
import type { CachedList, CacheRecord, CopyContent, CopySource, ListCache } from "./cache.ts";
import { WarningLog } from "./diagnostics.ts";
import { DomainSetBuilder } from "./domain-set-builder.ts";
import { type Download, DownloadError, type DownloadOrder } from "./download.ts";
import type { ListOptions } from "./options.ts";
import { readAddresses, readDomains } from "./readers.ts";

/** Fetches one URL of a list the way that list wants it. @throws DownloadError; the signal's reason when it aborts. */
export type Fetcher = (list: ListOptions, order: DownloadOrder) => Promise<Download>;

/**
 * Tries a list as `copies` has it, and puts it in place where nothing that was right before is wrong then: `commit` runs in between, and
 * what it throws leaves everything as it was. Answers what would be wrong; empty = it is in place.
 */
export type Activate = (list: ListOptions, copies: CopySource, commit: () => Promise<void>) => Promise<readonly string[]>;

export interface UpdateParts {
  readonly copies: ListCache;
  readonly fetch: Fetcher;
  readonly adopt: Activate;
  readonly clock: Clock;
}

interface UpdateWishes {
  /** Take a list however much its size has changed. */
  readonly acceptsAnySize: boolean;
  readonly signal: AbortSignal;
  readonly progress: (progress: Progress) => void;
}

export interface Progress {
  /** The URL or the mirror. */
  readonly from: string;
  readonly receivedBytes: number;
  /** null = the server does not say, or sends it packed. */
  readonly totalBytes: number | null;
}

/** What became of one URL. Whatever it is, the list goes on serving. */
export interface Updated {
  readonly url: string;
  readonly outcome:
    | { readonly kind: "new"; readonly entries: number }
    | { readonly kind: "unchanged" }
    /** Nothing usable came. */
    | { readonly kind: "failed"; readonly reason: string }
    /** A list came that a person has to look at, or that breaks an expectation. */
    | { readonly kind: "held"; readonly reason: string };
}

/**
 * Downloads the URLs of one list, and puts what is new and good to use.
 * @throws the signal's reason when it aborts. What goes wrong otherwise is in the outcome and in the records.
 */
export async function updateList(list: ListOptions, parts: UpdateParts, wishes: UpdateWishes): Promise<Updated[]> {
  const tried: Tried[] = [];
  try {
    for (const url of urlsOf(list)) tried.push(await tryUrl({ list, url }, parts, wishes));
    return await settle(list, tried, parts);
  } finally {
    for (const { outcome } of tried) if (outcome.kind === "candidate") await rm(outcome.newPath, { force: true });
  }
}

/** Each once, however many categories of it the list takes. */
export function urlsOf({ sources }: Pick<ListOptions, "sources">): readonly string[] {
  return [...new Set(sources.flatMap((source) => (source.kind === "url" ? [source.url] : [])))];
}

interface Candidate {
  readonly kind: "candidate";
  readonly newPath: string;
  readonly content: CopyContent;
  readonly copy: CachedList;
}

type Trouble = Extract<Updated["outcome"], { kind: "failed" | "held" }>;

interface Tried {
  readonly url: string;
  readonly before: CacheRecord;
  readonly outcome: Candidate | { readonly kind: "unchanged" } | Trouble;
}

interface Wanted {
  readonly list: ListOptions;
  readonly url: string;
}

async function tryUrl(wanted: Wanted, parts: UpdateParts, wishes: UpdateWishes): Promise<Tried> {
  const { list, url } = wanted;
  const before = await parts.copies.record(list.name, url);
  const held = await parts.copies.read(list.name, url);
  // There is nothing newer with this checksum.
  if (held !== null && held.sha256 === list.sha256) return { url, before, outcome: { kind: "unchanged" } };
  const troubles: Trouble[] = [];
  for (const from of [url, ...list.mirrors]) {
    const outcome = await tryPlace({ ...wanted, from, before, held }, parts, wishes);
    if (outcome.kind === "unchanged" || outcome.kind === "candidate") return { url, before, outcome };
    troubles.push(outcome);
  }
  // A mirror that is down must not hide that the list itself is held.
  const worst = troubles.find(({ kind }) => kind === "held") ?? troubles[0];
  if (worst === undefined) throw new Error("no place was tried");
  const others = troubles.length > 1 ? ", and no mirror had a usable one" : "";
  return { url, before, outcome: { kind: worst.kind, reason: worst.reason + others } };
}

interface Place extends Wanted {
  /** The URL or a mirror of it. */
  readonly from: string;
  readonly before: CacheRecord;
  /** null = there is none, or it is damaged. */
  readonly held: CopyContent | null;
}

async function tryPlace(place: Place, parts: UpdateParts, wishes: UpdateWishes): Promise<Tried["outcome"]> {
  const { list, url, from, before, held } = place;
  const { copies, clock } = parts;
  let newPath: string | null = null;
  try {
    newPath = await copies.newPath(list.name, url);
    const download = await parts.fetch(list, {
      url: from,
      // Another place has its own words for the version it has, and of a copy with the wrong checksum none are wanted.
      held: held !== null && before.copy?.from === from && list.sha256 === null ? before.copy : null,
      path: newPath,
      signal: wishes.signal,
      progress: (receivedBytes, totalBytes) => wishes.progress({ from, receivedBytes, totalBytes }),
    });
    if (download.kind === "unchanged") return download;
    if (download.sha256 === held?.sha256 && list.sha256 === null) return await sameAgain(newPath);
    const bytes = await readFile(newPath);
    const measure = { list, url, before: wishes.acceptsAnySize ? null : (held?.bytes ?? null) };
    const judgement = await runCooperatively(assessDownload({ bytes, sha256: download.sha256 }, measure));
    if (judgement.kind === "good") {
      const { kind: _, ...facts } = download;
      const copy = { ...facts, from, fetchedWallMs: clock.wallMs(), entries: judgement.entries };
      return { kind: "candidate", newPath, copy, content: { bytes, sha256: copy.sha256, fetchedWallMs: copy.fetchedWallMs } };
    }
    await rm(newPath, { force: true });
    return { kind: judgement.kind === "held" ? "held" : "failed", reason: judgement.reason };
  } catch (error) {
    if (newPath !== null) await rm(newPath, { force: true });
    if (wishes.signal.aborted) throw wishes.signal.reason;
    if (!(error instanceof DownloadError) && !isSystemError(error)) throw error;
    return { kind: "failed", reason: error.message };
  }
}

/** The server does not know validators, or the mirror has the same file. */
async function sameAgain(newPath: string): Promise<{ readonly kind: "unchanged" }> {
  await rm(newPath, { force: true });
  return { kind: "unchanged" };
}

async function settle(list: ListOptions, tried: readonly Tried[], parts: UpdateParts): Promise<Updated[]> {
  const { copies } = parts;
  const candidates = new Map(tried.flatMap(({ url, outcome }) => (outcome.kind === "candidate" ? [[url, outcome]] : [])));
  let refusal: Trouble | null = null;
  if (candidates.size > 0) {
    const tryThese: CopySource = {
      read: async (name, url) => candidates.get(url)?.content ?? (await copies.read(name, url)),
    };
    const commit = async (): Promise<void> => {
      for (const [url, candidate] of candidates) await copies.keep(list.name, url, candidate);
    };
    try {
      const faults = await parts.adopt(list, tryThese, commit);
      if (faults.length > 0) refusal = { kind: "held", reason: faults.join("; ") };
    } catch (error) {
      if (!isSystemError(error)) throw error;
      refusal = { kind: "failed", reason: error.message };
    }
  }
  const updated: Updated[] = [];
  for (const { url, before, outcome } of tried) {
    const ended = outcome.kind !== "candidate" ? outcome : (refusal ?? ({ kind: "new", entries: outcome.copy.entries } as const));
    await noteOutcome({ list, url, before }, ended, parts);
    updated.push({ url, outcome: ended });
  }
  return updated;
}

async function noteOutcome(
  { list, url, before }: Wanted & { readonly before: CacheRecord },
  outcome: Updated["outcome"],
  { copies, clock }: UpdateParts,
): Promise<void> {
  // The copy's record says so already.
  if (outcome.kind === "new") return;
  const nowMs = clock.wallMs();
  const note =
    outcome.kind === "unchanged"
      ? { ...before, checkedWallMs: nowMs, problem: null }
      : {
          ...before,
          problem: { reason: outcome.reason, held: outcome.kind === "held", sinceWallMs: before.problem?.sinceWallMs ?? nowMs },
        };
  try {
    await copies.note(list.name, url, note);
  } catch (error) {
    // The outcome is told to whoever asked for it; a full disk must not hide it.
    if (!isSystemError(error)) throw error;
  }
}

function isSystemError(error: unknown): error is Error {
  return error instanceof Error && "code" in error && "syscall" in error;
}

/** A list that lost or gained more than this share of its entries at once is held until somebody has looked at it. */
const MAX_CHANGE = 1 / 3;

/** What a download has to be measured by. */
interface Measure {
  readonly list: Pick<ListOptions, "kind" | "sources" | "sha256">;
  readonly url: string;
  /** The copy in use; null = none, or its size does not matter. */
  readonly before: Buffer | null;
}

type Assessment =
  | { readonly kind: "good"; readonly entries: number }
  /** Not this list, or not whole. */
  | { readonly kind: "unusable"; readonly reason: string }
  /** A list, but so different that a person should decide. */
  | { readonly kind: "held"; readonly reason: string };

/** Whether a download may take the place of the copy before. */
function* assessDownload(download: { readonly bytes: Buffer; readonly sha256: string }, measure: Measure): Sliced<Assessment> {
  const { list, url, before } = measure;
  if (list.sha256 !== null && list.sha256 !== download.sha256) {
    return { kind: "unusable", reason: `its checksum is ${download.sha256}, not the one that the configuration gives` };
  }
  let entries = 0;
  for (const category of categoriesOf(list, url)) {
    const found = yield* countEntries(download.bytes, list.kind, category);
    if (found.problem !== null) return { kind: "unusable", reason: found.problem };
    if (found.entries === 0) return { kind: "unusable", reason: "no usable entry" };
    // Whoever gives the checksum has seen the list.
    const previous = before === null || list.sha256 !== null ? 0 : (yield* countEntries(before, list.kind, category)).entries;
    if (previous > 0 && Math.abs(found.entries - previous) > previous * MAX_CHANGE) {
      const change = found.entries < previous ? "shrank" : "grew";
      const what = category === null ? "it" : `category ${category}`;
      return { kind: "held", reason: `${what} ${change} from ${previous} entries to ${found.entries}` };
    }
    entries += found.entries;
  }
  return { kind: "good", entries };
}

function categoriesOf({ sources }: Pick<ListOptions, "sources">, url: string): readonly (string | null)[] {
  return sources.flatMap((source) => (source.kind === "url" && source.url === url ? [source.category] : []));
}

function* countEntries(
  bytes: Buffer,
  kind: ListOptions["kind"],
  category: string | null,
): Sliced<{ readonly entries: number; readonly problem: string | null }> {
  const warnings = new WarningLog();
  if (kind === "addresses") {
    const { ranges, problem } = yield* readAddresses(bytes, category, warnings);
    return { entries: ranges.length, problem };
  }
  const builder = new DomainSetBuilder(null);
  const problem = yield* readDomains(bytes, category, { sink: builder.source(""), warnings });
  return { entries: builder.count, problem };
}
