import { stat } from "node:fs/promises";
import type { Timer } from "../lib/clock.ts";
import { errorText } from "../lib/text.ts";
import type { HeldFiles, ListStatus } from "./load.ts";
import type { ListOptions } from "./options.ts";
import { type UpdateDependencies, type UpdateResult, updateList, urlsOf } from "./update.ts";

/** When the first downloads may begin after the start: a site with many servers must not send its requests at one moment. */
const FIRST_MS = { min: 2_000, max: 10_000 } as const;

/** How often the refresher looks into the cache for downloads of another process, `fenliu lists update`. */
const LOOK_MS = 60_000;

/** Wait before the next try of a list that failed: doubles from `min` up to `max` or the list's `refresh`. */
const RETRY_MS = { min: 60_000, max: 3_600_000 } as const;

/** A wait is longer or shorter by up to this share. */
const JITTER = 0.1;

interface RefresherDependencies extends UpdateDependencies {
  readonly lists: readonly ListOptions[];
  /** The lists that are active now. */
  readonly serving: () => readonly ListStatus[];
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly report: (event: RefreshEvent) => void;
}

/** The outcome for one source; `source` null = for the whole list. */
export interface RefreshEvent {
  readonly list: string;
  readonly source: string | null;
  readonly outcome: UpdateResult["outcome"];
}

interface Schedule {
  readonly list: ListOptions;
  /** By `clock.now`; null = never again. */
  dueMs: number | null;
  failures: number;
  /** Checksums of the downloads that another process made and this one has tried last, so that it tries them once. */
  triedChecksums: string;
}

/** Keeps the lists of a configuration fresh: one list at a time, each when it is due. */
export class ListRefresher {
  readonly #dependencies: RefresherDependencies;
  readonly #closing = new AbortController();
  readonly #schedules: Schedule[] = [];
  /** Lists whose changed files wait for a person. */
  readonly #held = new Map<string, HeldFiles>();
  #timer: Timer | null = null;
  /** Ends when the work that was begun ends; never rejects. */
  #work: Promise<void> = Promise.resolve();

  private constructor(dependencies: RefresherDependencies) {
    this.#dependencies = dependencies;
  }

  /** Plans the first downloads by the state of the cache. No download begins in the first seconds. */
  static async open(dependencies: RefresherDependencies): Promise<ListRefresher> {
    const refresher = new ListRefresher(dependencies);
    for (const list of dependencies.lists)
      if (list.refreshMs !== null || urlsOf(list).length > 0)
        refresher.#schedules.push({ ...newSchedule(list), dueMs: await refresher.#firstDueMs(list) });
    if (refresher.#schedules.length > 0) refresher.#setTimer();
    return refresher;
  }

  /** Aborts downloads. May be called again. */
  async close(): Promise<void> {
    this.#closing.abort(new Error("the lists are closed"));
    this.#timer?.cancel();
    await this.#work;
  }

  /**
   * Downloads one list now, or reads its files again, after the current work. Also activates downloads of another process.
   * @param acceptsAnySize takes a list however much its size has changed: a person has looked at it.
   * @throws Error if the configuration has no such list, and once closed.
   */
  refreshNow(name: string, acceptsAnySize = false): Promise<readonly UpdateResult["outcome"][]> {
    const list = this.#dependencies.lists.find((each) => each.name === name);
    if (list === undefined) return Promise.reject(new Error(`there is no list ${name}`));
    const schedule = this.#schedules.find((each) => each.list === list) ?? newSchedule(list);
    const work = this.#work.then(() => this.#refresh(schedule, acceptsAnySize));
    this.#work = work.then(
      () => {},
      () => {},
    );
    return work;
  }

  /** Why the changed files of a list are not in use; null = they are. A reload takes them. */
  heldFiles(list: string): HeldFiles | null {
    return this.#held.get(list) ?? null;
  }

  async #firstDueMs(list: ListOptions): Promise<number | null> {
    const { cache, clock, random } = this.#dependencies;
    const { refreshMs } = list;
    const urls = urlsOf(list);
    if (urls.length === 0) return refreshMs === null ? null : clock.now() + refreshMs;
    const soonMs = FIRST_MS.min + random() * (FIRST_MS.max - FIRST_MS.min);
    let waitMs: number | null = refreshMs === null ? null : this.#jitter(refreshMs);
    for (const url of urls) {
      const { checkedWallMs } = await cache.readRecord(list.name, url);
      const isStored = checkedWallMs !== null && (await cache.read(list.name, url)) !== null;
      if (!isStored) waitMs = 0;
      else if (waitMs !== null && refreshMs !== null) waitMs = Math.min(waitMs, checkedWallMs + refreshMs - clock.wallMs());
    }
    return waitMs === null ? null : clock.now() + Math.max(waitMs, soonMs);
  }

  #setTimer(): void {
    if (this.#closing.signal.aborted) return;
    const { clock } = this.#dependencies;
    const dues = this.#schedules.flatMap(({ dueMs }) => dueMs ?? []);
    const waitMs = Math.max(0, Math.min(LOOK_MS, ...dues.map((dueMs) => dueMs - clock.now())));
    this.#timer = clock.setTimer(() => {
      this.#work = this.#work.then(() => this.#run());
    }, waitMs);
  }

  async #run(): Promise<void> {
    for (const schedule of this.#schedules) {
      if (this.#closing.signal.aborted) return;
      try {
        if (schedule.dueMs !== null && schedule.dueMs <= this.#dependencies.clock.now()) await this.#refresh(schedule);
        else await this.#activateForeign(schedule);
      } catch (error) {
        if (this.#closing.signal.aborted) return;
        // An unexpected error of one list must not end the refreshing of all.
        this.#scheduleNext(schedule, true);
        this.#report(schedule.list, null, { kind: "failed", reason: errorText(error) });
      }
    }
    this.#setTimer();
  }

  async #refresh(schedule: Schedule, acceptsAnySize = false): Promise<readonly UpdateResult["outcome"][]> {
    const { list } = schedule;
    const options = { acceptsAnySize, signal: this.#closing.signal, progress: () => {} };
    const results = await updateList(list, this.#dependencies, options);
    for (const { url, outcome } of results) this.#report(list, url, outcome);
    // A quarantined list without `refresh` would otherwise never be tried again.
    const needsRetry = ({ outcome }: UpdateResult): boolean =>
      outcome.kind === "failed" || (outcome.kind === "held" && list.refreshMs === null);
    this.#scheduleNext(schedule, results.some(needsRetry));
    const outcomes = results.map(({ outcome }) => outcome);
    if (outcomes.some(({ kind }) => kind === "new") || !(await this.#hasChangedFiles(list))) return outcomes;
    return [...outcomes, await this.#activate(list)];
  }

  /** Activates downloads that another process has made. */
  async #activateForeign(schedule: Schedule): Promise<void> {
    const { list } = schedule;
    const checksums: string[] = [];
    let isNew = false;
    for (const url of urlsOf(list)) {
      const { copy } = await this.#dependencies.cache.readRecord(list.name, url);
      if (copy === null) continue;
      checksums.push(copy.sha256);
      isNew ||= !this.#activeSources(list).some(({ source, sha256 }) => isOfUrl(source, url) && sha256 === copy.sha256);
    }
    if (!isNew || schedule.triedChecksums === checksums.join()) return;
    schedule.triedChecksums = checksums.join();
    await this.#activate(list);
  }

  async #activate(list: ListOptions): Promise<UpdateResult["outcome"]> {
    const faults = await this.#dependencies.activate(list, this.#dependencies.cache, () => Promise.resolve());
    const entries = this.#activeSources(list).reduce((sum, source) => sum + source.entries, 0);
    const outcome: UpdateResult["outcome"] =
      faults.length > 0 ? { kind: "held", reason: faults.join("; ") } : { kind: "new", entries };
    if (outcome.kind === "new") this.#held.delete(list.name);
    else {
      const sinceWallMs = this.#held.get(list.name)?.sinceWallMs ?? this.#dependencies.clock.wallMs();
      this.#held.set(list.name, { reason: outcome.reason, sinceWallMs });
    }
    this.#report(list, null, outcome);
    return outcome;
  }

  async #hasChangedFiles(list: ListOptions): Promise<boolean> {
    const active = this.#activeSources(list);
    for (const [index, source] of list.sources.entries()) {
      if (source.kind !== "file") continue;
      const found = await stat(source.path).catch(() => null);
      if (found?.mtimeMs !== active[index]?.changedWallMs) return true;
    }
    return false;
  }

  #activeSources(list: ListOptions): ListStatus["sources"] {
    return this.#dependencies.serving().find(({ name }) => name === list.name)?.sources ?? [];
  }

  #scheduleNext(schedule: Schedule, hasFailed: boolean): void {
    const { refreshMs } = schedule.list;
    schedule.failures = hasFailed ? schedule.failures + 1 : 0;
    const retryMs = Math.min(RETRY_MS.min * 2 ** (schedule.failures - 1), RETRY_MS.max, refreshMs ?? RETRY_MS.max);
    const waitMs = hasFailed ? retryMs : refreshMs;
    schedule.dueMs = waitMs === null ? null : this.#dependencies.clock.now() + this.#jitter(waitMs);
  }

  #jitter(ms: number): number {
    return ms * (1 - JITTER + 2 * JITTER * this.#dependencies.random());
  }

  #report(list: ListOptions, source: string | null, outcome: UpdateResult["outcome"]): void {
    this.#dependencies.report({ list: list.name, source, outcome });
  }
}

function newSchedule(list: ListOptions): Schedule {
  return { list, dueMs: null, failures: 0, triedChecksums: "" };
}

/** Whether the label of a source has this URL, whatever its category. */
function isOfUrl(label: string, url: string): boolean {
  return label === url || label.startsWith(`${url}#`);
}
