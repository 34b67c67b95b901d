import { stat } from "node:fs/promises";
import type { Timer } from "../lib/clock.ts";
import { errorText } from "../lib/text.ts";
import type { ListStatus } from "./load.ts";
import type { ListOptions } from "./options.ts";
import { type Updated, type UpdateParts, updateList, urlsOf } from "./update.ts";

/** How soon after the start the first downloads may begin: a house with many Fenlius must not ask at one moment. */
const FIRST_MS = { min: 2_000, max: 10_000 } as const;

/** How often the folder is looked at for what `fenliu lists update` has put there, in another process. */
const LOOK_MS = 60_000;

/** Between tries of a list that could not be had: doubled from the first to the second, or to the list's `refresh`. */
const RETRY_MS = { min: 60_000, max: 3_600_000 } as const;

/** A wait is longer or shorter by up to this share. */
const JITTER = 0.1;

interface RefresherParts extends UpdateParts {
  readonly lists: readonly ListOptions[];
  /** The lists as they are in use at the moment. */
  readonly serving: () => readonly ListStatus[];
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly report: (event: RefreshEvent) => void;
}

/** What became of one source. `source` null = all of the list's. */
export interface RefreshEvent {
  readonly list: string;
  readonly source: string | null;
  readonly outcome: Updated["outcome"];
}

interface Planned {
  readonly list: ListOptions;
  /** On the clock's scale; null = not again. */
  dueMs: number | null;
  failures: number;
  /** The copies that were last put to use from the folder, or refused; once is enough. */
  pickedUp: string;
}

/** Keeps the lists of a configuration fresh: one after the other, each when it is due. */
export class ListRefresher {
  readonly #parts: RefresherParts;
  readonly #closing = new AbortController();
  #planned: readonly Planned[] = [];
  #timer: Timer | null = null;
  #turn: Promise<void> = Promise.resolve();

  private constructor(parts: RefresherParts) {
    this.#parts = parts;
  }

  /** Plans the first downloads, by what lies on the disk. None begins before some seconds have passed. */
  static async open(parts: RefresherParts): Promise<ListRefresher> {
    const refresher = new ListRefresher(parts);
    await refresher.#begin();
    return refresher;
  }

  /** Gives up downloads that are under way. May be called again. */
  async close(): Promise<void> {
    this.#closing.abort(new Error("the lists are closed"));
    this.#timer?.cancel();
    await this.#turn;
  }

  /**
   * Downloads one list now, or reads its files anew, after what is under way; a list that another process changed is taken over too.
   * @throws Error for a list that the configuration does not have, and once closed.
   */
  refreshNow(name: string): Promise<readonly Updated["outcome"][]> {
    const list = this.#parts.lists.find((each) => each.name === name);
    if (list === undefined) return Promise.reject(new Error(`there is no list ${name}`));
    const planned = this.#planned.find((each) => each.list === list) ?? { list, dueMs: null, failures: 0, pickedUp: "" };
    const turn = this.#turn.then(() => this.#refresh(planned));
    this.#turn = turn.then(
      () => {},
      () => {},
    );
    return turn;
  }

  async #begin(): Promise<void> {
    const concerned = this.#parts.lists.filter((list) => list.refreshMs !== null || urlsOf(list).length > 0);
    const planned: Planned[] = [];
    for (const list of concerned) planned.push({ list, dueMs: await this.#firstDueMs(list), failures: 0, pickedUp: "" });
    this.#planned = planned;
    if (planned.length > 0) this.#schedule();
  }

  async #firstDueMs(list: ListOptions): Promise<number | null> {
    const { copies, clock, random } = this.#parts;
    const { refreshMs } = list;
    const urls = urlsOf(list);
    const soonMs = FIRST_MS.min + random() * (FIRST_MS.max - FIRST_MS.min);
    if (urls.length === 0) return refreshMs === null ? null : clock.now() + refreshMs;
    let waitMs: number | null = refreshMs === null ? null : this.#jittered(refreshMs);
    for (const url of urls) {
      const { checkedWallMs } = await copies.record(list.name, url);
      const isHeld = checkedWallMs !== null && (await copies.read(list.name, url)) !== null;
      if (!isHeld) waitMs = 0;
      else if (waitMs !== null && refreshMs !== null) waitMs = Math.min(waitMs, checkedWallMs + refreshMs - clock.wallMs());
    }
    return waitMs === null ? null : clock.now() + Math.max(waitMs, soonMs);
  }

  #schedule(): void {
    if (this.#closing.signal.aborted) return;
    const { clock } = this.#parts;
    const dues = this.#planned.flatMap(({ dueMs }) => dueMs ?? []);
    const waitMs = Math.max(0, Math.min(LOOK_MS, ...dues.map((dueMs) => dueMs - clock.now())));
    this.#timer = clock.setTimer(() => {
      this.#turn = this.#turn.then(() => this.#run());
    }, waitMs);
  }

  async #run(): Promise<void> {
    for (const planned of this.#planned) {
      if (this.#closing.signal.aborted) return;
      try {
        if (planned.dueMs !== null && planned.dueMs <= this.#parts.clock.now()) await this.#refresh(planned);
        else await this.#pickUp(planned);
      } catch (error) {
        if (this.#closing.signal.aborted) return;
        // Whatever it is, one list must not end the refreshing of all.
        this.#wait(planned, true);
        this.#report(planned.list, null, { kind: "failed", reason: errorText(error) });
      }
    }
    this.#schedule();
  }

  async #refresh(planned: Planned): Promise<readonly Updated["outcome"][]> {
    const { list } = planned;
    const wishes = { acceptsAnySize: false, signal: this.#closing.signal, progress: () => {} };
    const updated = await updateList(list, this.#parts, wishes);
    for (const { url, outcome } of updated) this.#report(list, url, outcome);
    // A list that is downloaded once has no other day on which it might be better.
    const isUnfinished = ({ outcome }: Updated): boolean =>
      outcome.kind === "failed" || (outcome.kind === "held" && list.refreshMs === null);
    this.#wait(planned, updated.some(isUnfinished));
    const outcomes = updated.map(({ outcome }) => outcome);
    if (outcomes.some(({ kind }) => kind === "new") || !(await this.#filesChanged(list))) return outcomes;
    return [...outcomes, await this.#adoptAnew(list)];
  }

  /** Puts to use what another process has downloaded. */
  async #pickUp(planned: Planned): Promise<void> {
    const { list } = planned;
    const found: string[] = [];
    let isNew = false;
    for (const url of urlsOf(list)) {
      const { copy } = await this.#parts.copies.record(list.name, url);
      if (copy === null) continue;
      found.push(copy.sha256);
      isNew ||= !this.#sources(list).some(({ source, sha256 }) => isOf(source, url) && sha256 === copy.sha256);
    }
    if (!isNew || planned.pickedUp === found.join()) return;
    planned.pickedUp = found.join();
    await this.#adoptAnew(list);
  }

  async #adoptAnew(list: ListOptions): Promise<Updated["outcome"]> {
    const faults = await this.#parts.adopt(list, this.#parts.copies, () => Promise.resolve());
    const entries = this.#sources(list).reduce((sum, source) => sum + source.entries, 0);
    const outcome =
      faults.length > 0 ? ({ kind: "held", reason: faults.join("; ") } as const) : ({ kind: "new", entries } as const);
    this.#report(list, null, outcome);
    return outcome;
  }

  async #filesChanged(list: ListOptions): Promise<boolean> {
    const sources = this.#sources(list);
    for (const [index, source] of list.sources.entries()) {
      if (source.kind !== "file") continue;
      const found = await stat(source.path).catch(() => null);
      if (found?.mtimeMs !== sources[index]?.changedWallMs) return true;
    }
    return false;
  }

  #sources(list: ListOptions): ListStatus["sources"] {
    return this.#parts.serving().find(({ name }) => name === list.name)?.sources ?? [];
  }

  #wait(planned: Planned, hasFailed: boolean): void {
    const { refreshMs } = planned.list;
    planned.failures = hasFailed ? planned.failures + 1 : 0;
    const retryMs = Math.min(RETRY_MS.min * 2 ** (planned.failures - 1), RETRY_MS.max, refreshMs ?? RETRY_MS.max);
    const waitMs = hasFailed ? retryMs : refreshMs;
    planned.dueMs = waitMs === null ? null : this.#parts.clock.now() + this.#jittered(waitMs);
  }

  #jittered(ms: number): number {
    return ms * (1 - JITTER + 2 * JITTER * this.#parts.random());
  }

  #report(list: ListOptions, source: string | null, outcome: Updated["outcome"]): void {
    this.#parts.report({ list: list.name, source, outcome });
  }
}

/** Whether a source's label is of this URL, whatever its category. */
function isOf(label: string, url: string): boolean {
  return label === url || label.startsWith(`${url}#`);
}
