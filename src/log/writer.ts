import type { Clock, Timer } from "../lib/clock.ts";
import { unreachable } from "../lib/unreachable.ts";
import { Thread, ThreadError } from "../lib/worker.ts";
import { type Fault, faultOf } from "./database.ts";
import type { Chunk } from "./packing.ts";
import type { LogStatus, QueryRecord } from "./record.ts";
import { type StoreOptions, type StoreState, TrustedClock } from "./store.ts";
import { countOf, WriteBuffer } from "./write-buffer.ts";

interface WriterSurroundings {
  readonly clock: Clock;
  readonly report: (event: LogEvent) => void;
}

/**
 * How long records wait for more before they are stored: what a crash loses at the most. A search stores them at once. Each time some eight
 * pages are written whatever the number of rows, which wears out flash memory.
 */
const COMMIT_MS = 5000;

/** As many are stored without waiting longer, and at once at the most: a few milliseconds of the thread. */
const BATCH_RECORDS = 512;

const TIDY_MS = 60_000;

/** The longest call is an index over half a million rows on a slow machine, or the disk's. */
const CALL_MS = 60_000;

/** After a fault: doubled each time, until there was none for a while. */
const RETRY_MS = { first: 1000, last: 30_000 } as const;
const CALM_MS = 60_000;

/** A file that is damaged again so soon after it was made is not thrown away at once. */
const RENEWAL_MS = 60_000;

/** For `close`: to store what waits, and to end the database. */
const CLOSE_MS = { flush: 3000, end: 2000 } as const;

/** Types are stripped from sources, not from what was built of them. */
const THREAD = import.meta.url.endsWith(".ts")
  ? new URL("./writer-thread.ts", import.meta.url)
  : new URL("./writer-thread.js", import.meta.url);

/** Stores records in a thread of its own, survives its faults, and says how it is doing. */
export class Writer {
  readonly #options: StoreOptions;
  readonly #surroundings: WriterSurroundings;
  readonly #thread: Thread<WriterCalls>;
  readonly #waiting = new WriteBuffer();
  readonly #time: TrustedClock;
  /** Records under way to the thread. */
  #underWay = 0;
  /** Records of which it is known what became of them, stored or not, since the start. */
  #settled = 0;
  #stored = 0;
  #dropped = 0;
  #state: StoreState = { rows: 0, bytes: 0, oldestWallMs: null };
  #opened = false;
  #fault: { readonly fault: Fault; readonly sinceWallMs: number; readonly droppedBefore: number } | null = null;
  #refusalTold = false;
  #clearing: Clearing = "none";
  #renewedMs = Number.NEGATIVE_INFINITY;
  #retryMs: number = RETRY_MS.first;
  #failedMs = Number.NEGATIVE_INFINITY;
  /** Runs after a fault; nothing is tried before. */
  #retry: Timer | null = null;
  /** Whether a batch brought the thread down; the next time it is given up. */
  #suspect = false;
  #commit: Timer | null = null;
  #commitDue = false;
  #tidy: Timer | null = null;
  #tidyDue = true;
  /** Whether the last thing done was `tidy`: it takes turns with rows. */
  #tidied = false;
  #working: Promise<void> | null = null;
  /** Resolves when the next thing is done. */
  #progress = Promise.withResolvers<void>();
  #closed: Promise<void> | null = null;
  /** Whether nothing more is begun: the last has been stored. */
  #ended = false;

  constructor(options: StoreOptions, surroundings: WriterSurroundings) {
    this.#options = options;
    this.#surroundings = surroundings;
    this.#time = new TrustedClock(surroundings.clock);
    this.#thread = new Thread(THREAD, { clock: surroundings.clock, deadlineMs: CALL_MS, maxWaiting: 4 });
  }

  /** Opens the store; a fault is reported and tried again later. What upkeep is due is done after that. */
  open(): Promise<void> {
    const opened = this.#progress.promise;
    this.#scheduleTidy();
    this.#startWork();
    return opened;
  }

  /** Takes records; when too many wait they are dropped and counted. Returns at once. */
  append(records: readonly QueryRecord[]): void {
    if (this.#closed !== null) return;
    for (const record of records) this.#add(record);
    if (this.#waiting.records === 0) return;
    this.#commit ??= this.#surroundings.clock.setTimer(() => this.#commitNow(), COMMIT_MS);
    this.#startWork();
  }

  /** Resolves when what was appended is stored, or cannot be now, or took longer than that. */
  async flush(deadlineMs: number): Promise<void> {
    const { clock } = this.#surroundings;
    const endMs = clock.now() + deadlineMs;
    const target = this.#settled + this.#underWay + this.#waiting.records;
    while (this.#settled < target && this.#retry === null && clock.now() < endMs) {
      this.#commitNow();
      await this.#within(this.#progress.promise, endMs - clock.now());
    }
  }

  /** The file was found damaged by somebody who reads it: a new one is begun. */
  damaged(fault: Fault): void {
    if (this.#closed !== null || this.#retry !== null) return;
    this.#fail(fault);
    this.#startWork();
  }

  status(): LogStatus {
    const { rows, bytes, oldestWallMs } = this.#state;
    const fault = this.#fault;
    return {
      state: fault === null ? "well" : "failing",
      fault: fault === null ? null : { reason: fault.fault.reason, sinceWallMs: fault.sinceWallMs },
      stored: this.#stored,
      dropped: this.#dropped,
      waiting: this.#waiting.records + this.#underWay,
      rows,
      bytes,
      oldestWallMs,
    };
  }

  /** Stores what waits, if that is possible soon, and ends the thread. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    await this.flush(CLOSE_MS.flush);
    this.#ended = true;
    for (const timer of [this.#commit, this.#tidy, this.#retry]) timer?.cancel();
    if (this.#opened)
      await this.#within(
        this.#thread.call("close", null).catch(() => null),
        CLOSE_MS.end,
      );
    await this.#thread.close();
    const records = this.#waiting.clear();
    this.#dropped += records;
    if (records > 0) this.#surroundings.report({ kind: "lost", file: this.#options.path, records });
  }

  #add(record: QueryRecord): void {
    try {
      if (!this.#waiting.add(record)) this.#dropped++;
    } catch (error) {
      this.#refuse(1, faultOf(error).reason);
    }
  }

  /** Leaves out records that are not as they should be. */
  #refuse(records: number, reason: string): void {
    this.#dropped += records;
    if (this.#refusalTold) return;
    this.#refusalTold = true;
    this.#surroundings.report({ kind: "refused", reason });
  }

  #commitNow(): void {
    this.#commit?.cancel();
    this.#commit = null;
    this.#commitDue = this.#waiting.records > 0;
    this.#startWork();
  }

  #startWork(): void {
    if (this.#working === null && this.#nextStep() !== null) this.#working = this.#work();
  }

  async #work(): Promise<void> {
    for (let step = this.#nextStep(); step !== null; step = this.#nextStep()) {
      await this.#take(step);
      this.#tidied = step === "tidy";
      this.#progress.resolve();
      this.#progress = Promise.withResolvers();
    }
    this.#working = null;
  }

  #nextStep(): Step | null {
    if (this.#ended || this.#retry !== null) return null;
    if (!this.#opened) return "open";
    const { records } = this.#waiting;
    const insertDue = records >= BATCH_RECORDS || (this.#commitDue && records > 0);
    if (this.#tidyDue && !(insertDue && this.#tidied)) return "tidy";
    return insertDue ? "insert" : null;
  }

  #take(step: Step): Promise<void> {
    switch (step) {
      case "open":
        return this.#open();
      case "insert":
        return this.#insert();
      case "tidy":
        return this.#tidyOnce();
      default:
        return unreachable(step);
    }
  }

  async #open(): Promise<void> {
    const clearing = this.#clearing;
    const wallMs = this.#surroundings.clock.wallMs();
    const opened = await this.#call("open", { options: this.#options, clearing, wallMs });
    if (opened.fault !== null) return this.#fail(opened.fault);
    this.#opened = true;
    this.#clearing = "none";
    this.#commitDue = this.#waiting.records > 0;
    if (opened.aside !== null) this.#surroundings.report({ kind: "renewed", file: this.#options.path, aside: opened.aside });
    // Otherwise the first batch shows whether records can be stored.
    if (!this.#commitDue) this.#well();
  }

  async #insert(): Promise<void> {
    const chunks = this.#waiting.take(BATCH_RECORDS);
    if (this.#waiting.records === 0) {
      this.#commitDue = false;
      this.#commit?.cancel();
      this.#commit = null;
    }
    this.#underWay = countOf(chunks);
    const inserted = await this.#call("insert", chunks);
    this.#underWay = 0;
    if (inserted.fault !== null) {
      this.#putBack(chunks, inserted.fault);
      this.#fail(inserted.fault);
      return;
    }
    this.#suspect = false;
    this.#settled += countOf(chunks);
    this.#stored += countOf(chunks) - inserted.refused;
    this.#waiting.done(chunks);
    this.#tidyDue ||= inserted.due;
    if (inserted.why !== null) this.#refuse(inserted.refused, inserted.why);
    this.#well();
  }

  /** What could not be stored waits for the next time, unless it seems to be the reason that the thread ends. */
  #putBack(chunks: readonly Chunk[], { kind }: Fault): void {
    if (kind === "thread" && this.#suspect) {
      this.#suspect = false;
      this.#settled += countOf(chunks);
      this.#dropped += countOf(chunks);
      return;
    }
    this.#suspect = kind === "thread";
    this.#waiting.putBack(chunks);
  }

  async #tidyOnce(): Promise<void> {
    const tidied = await this.#call("tidy", this.#time.wallMs());
    this.#tidyDue = tidied.fault === null && tidied.due;
    if (tidied.fault !== null) this.#fail(tidied.fault);
  }

  async #call<K extends "open" | "insert" | "tidy">(
    name: K,
    argument: WriterCalls[K]["argument"],
  ): Promise<WriterCalls[K]["result"] | { readonly fault: Fault }> {
    try {
      const outcome = await this.#thread.call(name, argument);
      if (outcome.fault === null) this.#state = outcome.state;
      return outcome;
    } catch (error) {
      if (!(error instanceof ThreadError)) throw error;
      return { fault: { kind: "thread", reason: `the thread of the store failed: ${error.message}` } };
    }
  }

  #fail(fault: Fault): void {
    if (this.#ended) return;
    const { clock, report } = this.#surroundings;
    const nowMs = clock.now();
    if (this.#fault?.fault.kind !== fault.kind) report({ kind: "failing", file: this.#options.path, reason: fault.reason });
    this.#fault = {
      fault,
      sinceWallMs: this.#fault?.sinceWallMs ?? clock.wallMs(),
      droppedBefore: this.#fault?.droppedBefore ?? this.#dropped,
    };
    this.#opened = false;
    const clearing = clearingOf(fault);
    if (clearing !== null) {
      this.#clearing = clearing;
      const first = nowMs - this.#renewedMs > RENEWAL_MS;
      this.#renewedMs = nowMs;
      if (first) return;
    }
    if (nowMs - this.#failedMs > CALM_MS) this.#retryMs = RETRY_MS.first;
    this.#failedMs = nowMs;
    this.#retry?.cancel();
    this.#retry = clock.setTimer(() => {
      this.#retry = null;
      this.#startWork();
    }, this.#retryMs);
    this.#retryMs = Math.min(RETRY_MS.last, this.#retryMs * 2);
  }

  #well(): void {
    const fault = this.#fault;
    this.#fault = null;
    if (fault !== null)
      this.#surroundings.report({ kind: "well", file: this.#options.path, dropped: this.#dropped - fault.droppedBefore });
  }

  #scheduleTidy(): void {
    this.#tidy = this.#surroundings.clock.setTimer(() => {
      this.#tidyDue = true;
      this.#startWork();
      this.#scheduleTidy();
    }, TIDY_MS);
  }

  async #within(promise: Promise<unknown>, ms: number): Promise<void> {
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = this.#surroundings.clock.setTimer(resolve, ms);
    await Promise.race([promise, late]);
    timer.cancel();
  }
}

type Step = "open" | "insert" | "tidy";

/** What is to be done about the files before the store is opened again; null = nothing in particular. */
function clearingOf({ kind }: Fault): Clearing | null {
  return kind === "damaged" || kind === "outdated" || kind === "moved" ? kind : null;
}

/** What the thread that adds rows can be asked. */
export type WriterCalls = {
  /** Opens the store, after closing it if it was open. `aside` is where the file of before was put. */
  readonly open: {
    readonly argument: { readonly options: StoreOptions; readonly clearing: Clearing; readonly wallMs: number };
    readonly result: CallOutcome<{ readonly aside: string | null }>;
  };
  readonly insert: {
    readonly argument: readonly Chunk[];
    readonly result: CallOutcome<{ readonly refused: number; readonly why: string | null; readonly due: boolean }>;
  };
  /** One piece of upkeep at this time, as for `Store.tidy`; `due`: there may be more. */
  readonly tidy: { readonly argument: number | null; readonly result: CallOutcome<{ readonly due: boolean }> };
  readonly close: { readonly argument: null; readonly result: null };
};

/**
 * What is done with the files that are there before a store is opened: nothing; the file is put out of the way, this word in its new name;
 * or the write-ahead log is removed, because it belongs to a file that is gone.
 */
export type Clearing = "none" | "damaged" | "outdated" | "moved";

/** What came of a call, and the state of the store after it. */
export type CallOutcome<T> = { readonly fault: Fault } | ({ readonly fault: null; readonly state: StoreState } & T);

/** What the operator is told of the query log. */
export type LogEvent =
  /** Records cannot be stored, or read, for this reason. Told once, and again when the reason changes. */
  | { readonly kind: "failing"; readonly file: string; readonly reason: string }
  /** They can again; so many were lost since the fault began. */
  | { readonly kind: "well"; readonly file: string; readonly dropped: number }
  /** The log was closed before these could be stored. */
  | { readonly kind: "lost"; readonly file: string; readonly records: number }
  /** The file could not be used and was put out of the way; a new one was begun. */
  | { readonly kind: "renewed"; readonly file: string; readonly aside: string }
  /** Records are not as they should be and cannot be stored: a fault of ours. Told once. */
  | { readonly kind: "refused"; readonly reason: string };
