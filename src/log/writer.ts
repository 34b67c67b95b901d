import type { Clock, Timer } from "../lib/clock.ts";
import { unreachable } from "../lib/unreachable.ts";
import { Thread, ThreadError } from "../lib/worker.ts";
import type { Fault } from "./database.ts";
import type { QueryFeed } from "./feed.ts";
import type { FollowerRequest, LiveEvents } from "./followers.ts";
import type { FoundProblem, ProblemChange } from "./problems.ts";
import type { LogStatus } from "./record.ts";
import { countEntries, type QueryRing } from "./ring.ts";
import type { RunMark } from "./runs.ts";
import { type StoreOptions, type StoreState, TrustedClock } from "./store.ts";

interface WriterSurroundings {
  readonly clock: Clock;
  readonly feed: QueryFeed;
  readonly report: (event: LogEvent) => void;
  /** Records since the start that found no room in the feed. */
  readonly refused: () => number;
}

/**
 * How long entries wait for more before they are stored: what a crash loses at the most. A search stores them at once, and so does a ring that is half
 * full. Each time some eight pages are written whatever the number of rows, which wears out flash memory.
 */
const COMMIT_MS = 5000;

/** How long followers wait for what is new. */
const TELL_MS = 100;

const TIDY_MS = 60_000;

/** A clock that goes so far from the steady one was set, or the machine slept. */
const MOVED_MS = 60_000;

/**
 * The longest call is an index over half a million rows on a slow machine, or the disk's. Doubled each time that one took longer: a thread of low priority
 * may have so little of a busy processor that opening the store takes minutes, and would begin anew for ever.
 */
const CALL_MS = { first: 60_000, last: 960_000 } as const;

/** After a fault: doubled each time, until there was none for a while. */
const RETRY_MS = { first: 1000, last: 30_000 } as const;
const CALM_MS = 60_000;

/** A file that is damaged again so soon after it was made is not thrown away at once. */
const RENEWAL_MS = 60_000;

/**
 * For `close`: to store what waits and to end the database, for which there are 200 ms at the least: what was found to go wrong is saved then. With the 400
 * of the end of a thread a process that is told to end does so within 2 s.
 */
const CLOSE_MS = { all: 1600, end: 200 } as const;

/** Types are stripped from sources, not from what was built of them. */
const THREAD = import.meta.url.endsWith(".ts")
  ? new URL("./writer-thread.ts", import.meta.url)
  : new URL("./writer-thread.js", import.meta.url);

/** Has the entries of a feed stored by a thread of its own and told to followers, survives the thread's faults, and says how it is doing. */
export class Writer {
  /** null = nothing is stored. */
  readonly #options: StoreOptions | null;
  readonly #surroundings: WriterSurroundings;
  readonly #thread: Thread<WriterCalls>;
  readonly #time: TrustedClock;
  #problemRevision = 0;
  #stored = 0;
  #dropped = 0;
  /** Entries that the thread holds because they could not be stored. */
  #aside = 0;
  /** What followers have been told of, as a position in each ring. */
  #told: readonly number[];
  #state: StoreState = { rows: 0, bytes: 0, oldestWallMs: null };
  /** When the store was last told that we record; null = not yet. */
  #marked: Marked | null = null;
  #opened = false;
  #fault: { readonly fault: Fault; readonly sinceWallMs: number; readonly droppedBefore: number } | null = null;
  #clearing: Clearing = "none";
  #renewedMs = Number.NEGATIVE_INFINITY;
  #retryMs: number = RETRY_MS.first;
  #failedMs = Number.NEGATIVE_INFINITY;
  /** Runs after a fault; nothing is tried before. */
  #retry: Timer | null = null;
  #callMs: number = CALL_MS.first;
  /** Whether what waits brought the thread down; the next time it is given up. */
  #suspect = false;
  #commit: Timer | null = null;
  #commitDue = false;
  #tell: Timer | null = null;
  #tellDue = false;
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

  constructor(options: StoreOptions | null, surroundings: WriterSurroundings) {
    const { clock, feed } = surroundings;
    this.#options = options;
    this.#surroundings = surroundings;
    this.#time = new TrustedClock(clock);
    const workerData: FeedMemory = { rings: feed.rings.map(({ memory }) => memory), texts: feed.texts.memory };
    this.#thread = new Thread(THREAD, { clock, deadlineMs: CALL_MS.first, maxWaiting: 4, workerData });
    this.#told = feed.positions();
    feed.listen((isHalfFull) => this.#noticed(isHalfFull));
    // Followers may have come while another log was open.
    feed.followers.onFirst = () => {
      this.#told = feed.positions();
      feed.await();
    };
  }

  /** Opens the store; a fault is reported and tried again later. What upkeep is due is done after that. */
  async open(): Promise<void> {
    if (this.#options === null) return;
    const opened = this.#progress.promise;
    this.#scheduleTidy();
    this.#startWork();
    await opened;
  }

  /** Resolves when what was written is stored, or cannot be now, or took longer than that. @returns whether it is stored. */
  async flush(deadlineMs: number): Promise<boolean> {
    const { clock, feed } = this.#surroundings;
    const endMs = clock.now() + deadlineMs;
    const target = feed.written;
    while (feed.settled < target && !this.#ended && this.#retry === null && clock.now() < endMs) {
      this.#commitNow();
      await this.#within(this.#progress.promise, endMs - clock.now());
    }
    return this.#retry === null && feed.settled >= target;
  }

  /** The file was found damaged by somebody who reads it: a new one is begun. */
  damaged(fault: Fault): void {
    if (this.#closed !== null || this.#retry !== null) return;
    this.#fail(fault);
    this.#startWork();
  }

  /** @throws ThreadError */
  async problems(): Promise<readonly FoundProblem[]> {
    return this.#opened ? await this.#thread.call("problems", this.#surroundings.clock.wallMs()) : [];
  }

  /** @returns whether there is such a problem. @throws ThreadError */
  async changeProblem(id: string, change: ProblemChange): Promise<boolean> {
    return this.#opened && (await this.#thread.call("changeProblem", { id, change }));
  }

  /** Changes when problems do. */
  get problemRevision(): number {
    return this.#problemRevision;
  }

  status(): LogStatus {
    const { rows, bytes, oldestWallMs } = this.#state;
    const fault = this.#fault;
    return {
      state: fault === null ? "well" : "failing",
      fault: fault === null ? null : { reason: fault.fault.reason, sinceWallMs: fault.sinceWallMs },
      stored: this.#stored,
      dropped: this.#dropped,
      waiting: this.#surroundings.feed.waiting,
      rows,
      bytes,
      oldestWallMs,
    };
  }

  /**
   * Stores what waits, if that is possible soon, and ends the thread. What is written from now on waits in the feed for another log.
   * @param patienceMs how long that may take, also where storing fails for now; absent = a second or two, and a store that fails is not tried again.
   */
  close(patienceMs?: number): Promise<void> {
    this.#closed ??= this.#close(patienceMs);
    return this.#closed;
  }

  async #close(patienceMs?: number): Promise<void> {
    const { clock, feed, report } = this.#surroundings;
    const endMs = clock.now() + (patienceMs ?? CLOSE_MS.all);
    feed.listen(null);
    const written = feed.positions();
    if (this.#options !== null)
      await (patienceMs === undefined ? this.flush(CLOSE_MS.all - CLOSE_MS.end) : this.#flushPatiently(patienceMs));
    this.#ended = true;
    for (const timer of [this.#commit, this.#tell, this.#tidy, this.#retry]) timer?.cancel();
    if (this.#opened)
      await this.#within(
        this.#thread.call("close", this.#mark(this.#readMarked())).catch(() => null),
        Math.max(CLOSE_MS.end, endMs - clock.now()),
      );
    await this.#thread.close();
    const lost = this.#dropUpTo(written) + this.#dropAside();
    if (lost > 0 && this.#options !== null) report({ kind: "lost", file: this.#options.path, records: lost });
  }

  /** Waits beyond faults, which are tried again. */
  async #flushPatiently(patienceMs: number): Promise<void> {
    const { clock } = this.#surroundings;
    const endMs = clock.now() + patienceMs;
    while (!(await this.flush(endMs - clock.now())) && clock.now() < endMs)
      await this.#within(this.#progress.promise, endMs - clock.now());
  }

  /** @returns how many entries there were. */
  #dropUpTo(positions: readonly number[]): number {
    const dropped = this.#surroundings.feed.rings.reduce((sum, ring, index) => sum + dropUpTo(ring, positions[index] ?? 0), 0);
    this.#settle(0, dropped);
    return dropped;
  }

  /** What a thread held is gone with the thread. @returns how many entries there were. */
  #dropAside(): number {
    const dropped = this.#aside;
    this.#aside = 0;
    this.#settle(0, dropped);
    return dropped;
  }

  #settle(stored: number, dropped: number): void {
    this.#stored += stored;
    this.#dropped += dropped;
    this.#surroundings.feed.settled += stored + dropped;
  }

  #noticed(isHalfFull: boolean): void {
    const { clock, feed } = this.#surroundings;
    this.#commit ??= clock.setTimer(() => this.#commitNow(), COMMIT_MS);
    if (feed.followers.size > 0 && feed.positions().some((position, index) => position !== this.#told[index]))
      this.#tell ??= clock.setTimer(() => this.#tellNow(), TELL_MS);
    if (isHalfFull) this.#commitNow();
  }

  #commitNow(): void {
    this.#commit?.cancel();
    this.#commit = null;
    this.#commitDue = this.#surroundings.feed.waiting > 0;
    this.#startWork();
  }

  #tellNow(): void {
    this.#tell = null;
    this.#tellDue = true;
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
    if (this.#ended) return null;
    if (this.#options === null) return this.#tellDue || this.#commitDue ? "drain" : null;
    if (this.#retry !== null) return this.#tellDue || (this.#commitDue && this.#surroundings.feed.isHalfFull) ? "drain" : null;
    if (!this.#opened) return "open";
    const drainDue = this.#tellDue || this.#commitDue;
    if (this.#tidyDue && !(drainDue && this.#tidied)) return "tidy";
    return drainDue ? "drain" : null;
  }

  #take(step: Step): Promise<void> {
    switch (step) {
      case "open":
        return this.#open();
      case "drain":
        return this.#drain();
      case "tidy":
        return this.#tidyOnce();
      default:
        return unreachable(step);
    }
  }

  async #open(): Promise<void> {
    const options = this.#options;
    if (options === null) return;
    const clearing = this.#clearing;
    const marked = this.#readMarked();
    const opened = await this.#call("open", { options, clearing, mark: this.#mark(marked) });
    if (opened.fault !== null) return this.#fail(opened.fault);
    this.#marked = marked;
    this.#opened = true;
    this.#clearing = "none";
    this.#commitDue = this.#surroundings.feed.waiting > 0;
    if (opened.aside !== null) this.#surroundings.report({ kind: "renewed", file: options.path, aside: opened.aside });
    // Otherwise the first entries show whether they can be stored.
    if (!this.#commitDue) this.#well();
  }

  async #drain(): Promise<void> {
    const { feed } = this.#surroundings;
    const mode = this.#options === null ? "discard" : this.#opened && this.#commitDue ? "store" : "keep";
    this.#tellDue = false;
    if (mode !== "keep") this.#commitDue = false;
    const written = feed.positions();
    const drained = await this.#callDrain({ mode, toldFrom: this.#told, followers: feed.followers.list() });
    if ("ended" in drained) {
      this.#dropAside();
      // Entries that bring the thread down twice would do so for ever.
      if (this.#suspect) this.#dropUpTo(written);
      feed.await();
      this.#suspect = !this.#suspect;
      this.#fail(drained.ended);
      return;
    }
    this.#suspect = false;
    for (const [index, ring] of feed.rings.entries()) ring.release(drained.taken[index] ?? 0);
    feed.await();
    this.#told = drained.told;
    // What nobody wants stored is not lost.
    if (mode === "discard") feed.settled += drained.entries;
    else this.#settle(drained.stored, this.#aside + drained.entries - drained.stored - drained.aside);
    this.#aside = drained.aside;
    // A search that waits for all this wants no further call.
    if (feed.isEmpty && drained.aside === 0) this.#commitDue = false;
    if (drained.state !== null) this.#state = drained.state;
    this.#problemRevision = drained.problemRevision;
    feed.followers.deliver(drained.events);
    if (drained.fault !== null) {
      this.#fail(drained.fault);
      return;
    }
    this.#tidyDue ||= drained.due;
    if (mode === "store") this.#well();
    // What was written meanwhile told nobody.
    if (!feed.isEmpty) this.#noticed(feed.isHalfFull);
  }

  async #callDrain(request: DrainRequest): Promise<Drained | { readonly ended: Fault }> {
    try {
      return await this.#callInTime("drain", request);
    } catch (error) {
      if (!(error instanceof ThreadError)) throw error;
      return { ended: threadFault(error) };
    }
  }

  async #tidyOnce(): Promise<void> {
    const marked = this.#readMarked();
    const tidied = await this.#call("tidy", { trustedWallMs: this.#time.wallMs(), mark: this.#mark(marked) });
    this.#tidyDue = tidied.fault === null && tidied.due;
    if (tidied.fault !== null) this.#fail(tidied.fault);
    else this.#marked = marked;
  }

  #readMarked(): Marked {
    const { clock, refused } = this.#surroundings;
    return { nowMs: clock.now(), wallMs: clock.wallMs(), lost: this.#dropped + refused() };
  }

  #mark({ nowMs, wallMs, lost }: Marked): RunMark {
    const before = this.#marked;
    if (before === null) return { wallMs, isNew: true, lost: 0 };
    const isMoved = Math.abs(wallMs - before.wallMs - (nowMs - before.nowMs)) > MOVED_MS;
    const lostSince = lost - before.lost;
    return { wallMs, isNew: isMoved || lostSince > 0, lost: lostSince };
  }

  /** @throws ThreadError */
  async #callInTime<K extends "open" | "tidy" | "drain">(
    name: K,
    argument: WriterCalls[K]["argument"],
  ): Promise<WriterCalls[K]["result"]> {
    const { clock } = this.#surroundings;
    const startMs = clock.now();
    try {
      const result = await this.#thread.call(name, argument, this.#callMs);
      if (clock.now() - startMs < CALL_MS.first / 2) this.#callMs = CALL_MS.first;
      return result;
    } catch (error) {
      if (error instanceof ThreadError && error.kind === "slow") this.#callMs = Math.min(CALL_MS.last, this.#callMs * 2);
      throw error;
    }
  }

  async #call<K extends "open" | "tidy">(
    name: K,
    argument: WriterCalls[K]["argument"],
  ): Promise<WriterCalls[K]["result"] | { readonly fault: Fault }> {
    try {
      const outcome = await this.#callInTime(name, argument);
      if (outcome.fault === null) this.#state = outcome.state;
      return outcome;
    } catch (error) {
      if (!(error instanceof ThreadError)) throw error;
      this.#dropAside();
      return { fault: threadFault(error) };
    }
  }

  #fail(fault: Fault): void {
    if (this.#ended) return;
    const { clock, report } = this.#surroundings;
    const nowMs = clock.now();
    const file = this.#options?.path ?? "";
    if (this.#fault?.fault.kind !== fault.kind) report({ kind: "failing", file, reason: fault.reason });
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
      this.#surroundings.report({
        kind: "well",
        file: this.#options?.path ?? "",
        dropped: this.#dropped - fault.droppedBefore,
      });
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

/** @returns how many entries there were. */
function dropUpTo(ring: QueryRing, position: number): number {
  const isTaken = (position - ring.taken) >>> 0 > (ring.written - ring.taken) >>> 0;
  if (isTaken) return 0;
  const dropped = ring.spans(ring.taken, position).reduce((sum, span) => sum + countEntries(span), 0);
  ring.release(position);
  return dropped;
}

/** What was known when the store was told that we record. */
interface Marked {
  /** On the steady clock. */
  readonly nowMs: number;
  readonly wallMs: number;
  /** Records lost since the start. */
  readonly lost: number;
}

type Step = "open" | "drain" | "tidy";

function threadFault({ message }: ThreadError): Fault {
  return { kind: "thread", reason: `the thread of the store failed: ${message}` };
}

/** What is to be done about the files before the store is opened again; null = nothing in particular. */
function clearingOf({ kind }: Fault): Clearing | null {
  return kind === "damaged" || kind === "outdated" || kind === "moved" ? kind : null;
}

/** What the thread that adds rows can be asked. */
export type WriterCalls = {
  /** Opens the store, after closing it if it was open. `aside` is where the file of before was put. */
  readonly open: {
    readonly argument: { readonly options: StoreOptions; readonly clearing: Clearing; readonly mark: RunMark };
    readonly result: CallOutcome<{ readonly aside: string | null }>;
  };
  readonly drain: { readonly argument: DrainRequest; readonly result: Drained };
  /** Notes that the log records, and does one piece of upkeep as `Store.tidy` does at this time; `due`: there may be more. */
  readonly tidy: {
    readonly argument: { readonly trustedWallMs: number | null; readonly mark: RunMark };
    readonly result: CallOutcome<{ readonly due: boolean }>;
  };
  /** The problems as of this time. */
  readonly problems: { readonly argument: number; readonly result: readonly FoundProblem[] };
  /** The result says whether there is such a problem. */
  readonly changeProblem: {
    readonly argument: { readonly id: string; readonly change: ProblemChange };
    readonly result: boolean;
  };
  readonly close: { readonly argument: RunMark; readonly result: null };
};

/** What the thread is given at its beginning. */
export interface FeedMemory {
  readonly rings: readonly SharedArrayBuffer[];
  readonly texts: SharedArrayBuffer;
}

export interface DrainRequest {
  /** `store`: entries are stored. `keep`: followers are told, and entries stay where they are as long as there is room. `discard`: nothing is stored at all. */
  readonly mode: "store" | "keep" | "discard";
  /** The position in each ring from which on followers are told. */
  readonly toldFrom: readonly number[];
  readonly followers: readonly FollowerRequest[];
}

/** What became of entries. Positions are those of the rings: the caller gives back the room before `taken`. */
export interface Drained {
  readonly taken: readonly number[];
  /** How many entries were taken. */
  readonly entries: number;
  readonly told: readonly number[];
  readonly events: LiveEvents;
  readonly stored: number;
  /** Entries that were taken and wait in the thread, because the store fails. */
  readonly aside: number;
  /** Whether there is more upkeep to do than before. */
  readonly due: boolean;
  /** Changes when problems do. */
  readonly problemRevision: number;
  readonly fault: Fault | null;
  /** null = it is not known. */
  readonly state: StoreState | null;
}

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
  | { readonly kind: "renewed"; readonly file: string; readonly aside: string };
