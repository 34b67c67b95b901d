import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { workerData } from "node:worker_threads";
import { serveThread } from "../lib/worker.ts";
import { type Fault, faultOf, quarantine, removeJournal, StoreError } from "./database.ts";
import { EntryReader } from "./entries.ts";
import { EntryBatch, takeBatch } from "./entry-batch.ts";
import { type FollowerRequest, type LiveEvents, LiveFilters, NO_EVENTS } from "./followers.ts";
import { ProblemTracker } from "./problems.ts";
import { copySpan, countEntries, type EntrySpan, QueryRing, RingWalk, TextTable } from "./ring.ts";
import { decodeRow, storedRowOf } from "./rows.ts";
import { Store } from "./store.ts";
import type { CallOutcome, Clearing, Drained, DrainRequest, FeedMemory, WriterCalls } from "./writer.ts";

/**
 * A thread that is woken may take the processor from the one that wakes it for a slice of some milliseconds, and with it an answer's time. From this on
 * Linux does not think it urgent. Where the processor is short all the time, a thirtieth is left for it, and queries are not recorded.
 */
const NICER = 15;

/** Memory for entries that cannot be stored, in sizes of the first ring: the rings keep its room, and followers are told of what comes. */
const MAX_ASIDE_RINGS = 4;

const memory: FeedMemory = workerData;
const rings = memory.rings.map((each) => new QueryRing(each));
const reader = new EntryReader(new TextTable(memory.texts));
const filters = new LiveFilters();

let store: Store | null = null;
let problems: { readonly tracker: ProblemTracker; readonly path: string; savedRevision: number } | null = null;
/** Oldest first. */
const aside: EntrySpan[] = [];

serveThread<WriterCalls>(
  {
    open: ({ options, clearing, mark }) =>
      attempt(() => {
        closeStore();
        const place = clear(options.path, clearing, mark.wallMs);
        store = new Store(options);
        store.mark(mark);
        openProblems(join(dirname(options.path), "problems.json"));
        return { aside: place };
      }),
    problems: (nowWallMs) => problems?.tracker.list(nowWallMs) ?? [],
    changeProblem({ id, change }) {
      const isThere = problems?.tracker.change(id, change) ?? false;
      saveProblems();
      return isThere;
    },
    drain,
    tidy: ({ trustedWallMs, mark }) =>
      attempt(() => {
        saveProblems();
        opened().mark(mark);
        return { due: opened().tidy(trustedWallMs) };
      }),
    close: (mark) => {
      attempt(() => {
        opened().mark(mark);
        return {};
      });
      closeStore();
      return null;
    },
  },
  NICER,
);

function drain({ mode, toldFrom, followers }: DrainRequest): Drained {
  const written = rings.map((ring) => ring.written);
  const progress = { taken: rings.map(({ taken }) => taken), entries: 0, stored: 0, due: false };
  const fault = mode === "store" ? storeEntries(written, progress) : null;
  if (mode === "discard") discard(written, progress);
  else if (mode === "keep" || fault !== null) setAside(written, progress);
  return {
    ...progress,
    told: written,
    events: followers.length === 0 ? NO_EVENTS : liveEvents(followers, spansOf(toldFrom, written)),
    aside: aside.reduce((sum, span) => sum + countEntries(span), 0),
    problemRevision: problems?.tracker.revision ?? 0,
    fault,
    state: store === null || fault !== null ? null : store.state(),
  };
}

interface Progress {
  /** In each ring. */
  readonly taken: number[];
  /** How many entries were taken from the ring. */
  entries: number;
  stored: number;
  due: boolean;
}

/** Stores what was put aside, then what is in the rings up to these positions. @returns what kept it from going on. */
function storeEntries(written: readonly number[], progress: Progress): Fault | null {
  try {
    for (let [span] = aside; span !== undefined; [span] = aside) {
      const batch = new EntryBatch(reader);
      batch.add(span);
      storeBatch(batch, progress);
      aside.shift();
    }
    const walks = rings.map((ring, index) => new RingWalk(ring, progress.taken[index] ?? 0, written[index] ?? 0));
    for (let batch = takeBatch(walks, reader); batch.ids.length > 0; batch = takeBatch(walks, reader)) {
      storeBatch(batch, progress);
      progress.entries += batch.ids.length;
      for (const [index, { position }] of walks.entries()) progress.taken[index] = position;
    }
    return null;
  } catch (error) {
    return faultOf(error);
  }
}

function storeBatch(batch: EntryBatch, progress: Progress): void {
  progress.due = opened().insert(batch) || progress.due;
  progress.stored += batch.seen.count;
  if (problems !== null) batch.seen.tell(problems.tracker);
}

/** Makes room where a ring is half full and cannot be stored. What finds no room aside is dropped: the log then shows how the trouble began. */
function setAside(written: readonly number[], progress: Progress): void {
  if (!rings.some((ring) => ring.isHalfFull)) return;
  const roomBytes = MAX_ASIDE_RINGS * (rings[0]?.words.byteLength ?? 0);
  for (const span of spansOf(progress.taken, written)) {
    const used = aside.reduce((sum, { words }) => sum + words.byteLength, 0);
    progress.entries += countEntries(span);
    if (used + (span.to - span.from) * 4 <= roomBytes) aside.push(copySpan(span));
  }
  takeAll(written, progress);
}

function discard(written: readonly number[], progress: Progress): void {
  for (const span of spansOf(progress.taken, written)) progress.entries += countEntries(span);
  takeAll(written, progress);
}

function takeAll(written: readonly number[], progress: Progress): void {
  for (const [index, position] of written.entries()) progress.taken[index] = position;
}

/** The entries of all rings between these positions. */
function spansOf(from: readonly number[], to: readonly number[]): readonly EntrySpan[] {
  return rings.flatMap((ring, index) => ring.spans(from[index] ?? 0, to[index] ?? 0));
}

function liveEvents(followers: readonly FollowerRequest[], spans: readonly EntrySpan[]): LiveEvents {
  return filters.eventsFor(followers, recordsIn(spans), performance.now());
}

function recordsIn(spans: readonly EntrySpan[]) {
  return spans.flatMap((span) => reader.rows(span)).map((row) => decodeRow(storedRowOf(row)).record);
}

function attempt<T extends object>(work: () => T): CallOutcome<T> {
  try {
    const result = work();
    return { fault: null, state: opened().state(), ...result };
  } catch (error) {
    return { fault: faultOf(error) };
  }
}

function clear(path: string, clearing: Clearing, wallMs: number): string | null {
  if (clearing === "damaged" || clearing === "outdated") return quarantine(path, clearing, wallMs);
  if (clearing === "moved") removeJournal(path);
  return null;
}

function opened(): Store {
  if (store === null) throw new StoreError("thread", "the thread of the store came to an end");
  return store;
}

/** What was found stays in memory where the file cannot be read or written: it is of use for a day. */
function openProblems(path: string): void {
  if (problems?.path === path) return;
  let saved: string | null = null;
  try {
    saved = readFileSync(path, "utf8");
  } catch {
    // There is none.
  }
  problems = { tracker: new ProblemTracker(saved), path, savedRevision: 0 };
}

function saveProblems(): void {
  if (problems === null || problems.savedRevision === problems.tracker.revision) return;
  problems.savedRevision = problems.tracker.revision;
  try {
    writeFileSync(`${problems.path}.new`, problems.tracker.save(), { mode: 0o600 });
    renameSync(`${problems.path}.new`, problems.path);
  } catch {
    // The store beside it has the same trouble, and tells of it.
  }
}

function closeStore(): void {
  saveProblems();
  const closing = store;
  store = null;
  closing?.close();
}
