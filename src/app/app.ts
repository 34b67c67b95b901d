import type { Config } from "../config/types.ts";
import { type Administration, openAdministration } from "../control/administration.ts";
import { VersionKeeping, type Versions } from "../control/history.ts";
import type { HostsChange } from "../control/hosts.ts";
import { QueryRecorder, RecordKeeping } from "../control/journal.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import { SerialQueue } from "../lib/serial-queue.ts";
import { type BoundEndpoints, type Listeners, openListeners } from "../listen/listeners.ts";
import type { ListRefresher } from "../lists/refresher.ts";
import type { Activate, UpdateResult } from "../lists/update.ts";
import { throttle } from "../log/operations.ts";
import type { QueryLog } from "../log/query-log.ts";
import { ownHostsFile, ownHostsPath, readOwnHosts, writeOwnHosts } from "../server/host-overrides.ts";
import { handlerFor } from "../server/pipeline.ts";
import { withList, withOwnHosts } from "../server/policy.ts";
import { checkReloadable } from "../server/preflight.ts";
import {
  closeState,
  type Dependencies,
  guardGroups,
  openState,
  type ServerState,
  ServerStateError,
  stateWith,
  takeOver,
} from "../server/state.ts";
import { Reloads } from "../stats/process.ts";
import type { GroupStatus } from "../upstreams/group.ts";
import { openListRefresh } from "./list-refresh.ts";

/** Changes that wait or run: a reload may take seconds. */
const MAX_WAITING_CHANGES = 32;

/** A server at work: its listeners, and the site they answer from at the moment. */
export class App {
  /** Whoever reads a file that has problems, so that `reload` is not called, counts that here. */
  readonly reloads: Reloads;
  readonly #surroundings: Dependencies;
  readonly #listeners: Listeners;
  readonly #current: Current;
  readonly #records: RecordKeeping;
  readonly #versions: VersionKeeping;
  #sinceWallMs: number;
  readonly #retired: DrainingStates;
  /** Changes of the site, one after the other: reloads, lists, hosts. */
  readonly #changes = new SerialQueue();
  #keeper: ListRefresher | null = null;
  #administration: Administration | null = null;
  #closed: Promise<void> | null = null;

  private constructor(surroundings: Dependencies, { listeners, current, records }: Parts) {
    this.#surroundings = surroundings;
    this.reloads = new Reloads(surroundings.clock.wallMs);
    this.#listeners = listeners;
    this.#current = current;
    this.#records = records;
    const { clock, log } = surroundings;
    this.#versions = new VersionKeeping({ queryLog: () => records.queryLog, clock, log });
    this.#retired = new DrainingStates(clock, (error) => log.error({ err: error }, "what was replaced could not be closed"));
    this.#sinceWallMs = clock.wallMs();
  }

  /**
   * Builds the site, then opens the listeners, so that the first query finds everything in place.
   * @throws ServerStateError, ListenError, AdminError
   */
  static async start(config: Config, surroundings: Dependencies): Promise<App> {
    const { log, clock } = surroundings;
    const report = throttle(clock.now, (kind, details) => log.warn(details, kind));
    const journal = new QueryRecorder(clock, (error) =>
      report("a query could not be recorded: please report it", { err: error }),
    );
    const current = { state: await openState(config, surroundings, null), recorder: journal };
    journal.expect(config);
    // Its log is opened later, so that no answer waits for it; queries do, to be recorded.
    if (config.log.queries.enabled) journal.hold(config.log.queries.clients);
    const opened: (() => Promise<void>)[] = [() => closeState(current.state, null)];
    try {
      guardGroups(current.state);
      const listeners = await openListeners(config, handlerFor(current, log), {
        clock,
        report: ({ kind, ...details }) => report(kind, details),
      });
      opened.unshift(() => listeners.close(0));
      const records = await RecordKeeping.open(config.log.queries, { journal, clock, log });
      opened.unshift(() => records.close());
      const app = new App(surroundings, { listeners, current, records });
      opened.splice(0, opened.length, () => app.close());
      app.#versions.use(current.state);
      app.#keeper = await app.#keepLists(current.state);
      app.#administration = await openAdministration(app, { clock, report });
      return app;
    } catch (error) {
      await inTurn(opened).catch((failure: unknown) => log.warn({ err: failure }, "what was opened could not be closed"));
      throw error;
    }
  }

  get bound(): BoundEndpoints {
    return this.#listeners.bound;
  }

  /** What shows the server to its people, and takes their orders. */
  get administration(): Administration {
    if (this.#administration === null) throw new Error("the server is still being opened");
    return this.#administration;
  }

  /** What queries are answered from at the moment. */
  get state(): ServerState {
    return this.#current.state;
  }

  /** When that was put in place, in milliseconds since 1970. */
  get sinceWallMs(): number {
    return this.#sinceWallMs;
  }

  /** Every query that ended, counted; and for those who follow, recorded. */
  get recorder(): QueryRecorder {
    return this.#current.recorder;
  }

  /** Where the records are kept; another one after a reload that changes its store. */
  get queryLog(): QueryLog {
    return this.#records.queryLog;
  }

  /** What records refer to; null = none are kept. */
  get versions(): Versions | null {
    return this.#versions.versions;
  }

  get listenCounters(): Listeners["counters"] {
    return this.#listeners.counters;
  }

  /** The groups of upstreams, in the order of the file. */
  upstreams(): readonly GroupStatus[] {
    return this.#current.state.shared.groups.status();
  }

  /**
   * Puts names into the static table and takes them away, from the next query on and across restarts. What a person wrote into the file
   * meanwhile is taken in.
   * @throws ServerStateError where an expectation does not hold then, the file is not as it should be, or `close` was called; the system's error where
   * it cannot be written.
   */
  changeHosts(change: HostsChange): Promise<void> {
    return this.#change(async () => {
      const { state: site } = this.#current;
      const path = ownHostsPath(site.config);
      const { loaded, ownFile } = site.policy.hostsSource;
      const { file, problems } = await readOwnHosts(path, ownFile);
      if (problems.length > 0)
        throw new ServerStateError(problems.map(({ source, line, reason }) => `${source}:${line}: ${reason}`));
      const changed = ownHostsFile(change(file.own, loaded));
      const { policy, faults } = withOwnHosts(site.policy, site.config, changed);
      if (faults.length > 0) throw new ServerStateError(faults);
      await writeOwnHosts(path, changed);
      this.#put(stateWith(site, policy));
    });
  }

  /** Downloads a list now, or reads its files anew. @throws ServerStateError where a reload or the end came in between; Error where there is no such list. */
  async refreshList(name: string): Promise<readonly UpdateResult["outcome"][]> {
    const keeper = this.#keeper;
    if (keeper === null) throw new Error("the lists are not there yet");
    try {
      return await keeper.refreshNow(name);
    } catch (error) {
      if (keeper === this.#keeper && this.#closed === null) throw error;
      throw new ServerStateError(["the configuration was changed meanwhile: try again"]);
    }
  }

  /**
   * Puts a new configuration in place, between one query and the next. What it leaves as it was keeps its connections and its cache.
   * @throws ServerStateError where it cannot be served, or `close` was called; then everything goes on as before.
   */
  reload(config: Config): Promise<void> {
    return this.#change(() => this.#reload(config)).catch((error: unknown) => {
      this.reloads.failed();
      throw error;
    });
  }

  async #change<T>(change: () => Promise<T>): Promise<T> {
    if (this.#changes.pending >= MAX_WAITING_CHANGES)
      throw new ServerStateError(["too many changes are under way: try again later"]);
    return await this.#changes.add(async () => {
      if (this.#closed !== null) throw new ServerStateError(["Fenliu is stopping: nothing is changed any more"]);
      return await change();
    });
  }

  async #reload(config: Config): Promise<void> {
    const { state: site } = this.#current;
    const refusal = checkReloadable(config, site.config);
    if (refusal !== null) throw new ServerStateError([refusal]);
    const next = await openState(config, this.#surroundings, site);
    let keeper: ListRefresher;
    try {
      keeper = await this.#keepLists(next);
    } catch (error) {
      await closeState(next, site);
      throw error;
    }
    takeOver(next, site);
    this.#put(next);
    this.#current.recorder.expect(config);
    // Not awaited: a change of its lists may wait for this turn to end.
    const closing = this.#keeper?.close();
    this.#keeper = keeper;
    this.#retired.add(async () => {
      await closing;
      await closeState(site, next);
    }, site.config.answers.deadlineMs);
    await this.#records.change(config.log.queries);
    this.reloads.succeeded();
  }

  #put(site: ServerState): void {
    guardGroups(site);
    this.#current.state = site;
    this.#sinceWallMs = this.#surroundings.clock.wallMs();
    this.#versions.use(site);
  }

  #keepLists({ config, shared: backing }: ServerState): Promise<ListRefresher> {
    const serving = () => this.#current.state.policy.lists.status();
    const adopt: Activate = (list, copies, commit) =>
      this.#change(async () => {
        const { state: site } = this.#current;
        if (site.config !== config) throw new Error("the configuration was changed meanwhile");
        const { policy, faults } = await withList(site.policy, { config, list, copies });
        if (faults.length > 0) return faults;
        await commit();
        this.#put(stateWith(site, policy));
        return [];
      });
    return openListRefresh({ config, backing, serving, adopt }, this.#surroundings);
  }

  /** Takes no more questions, answers those under way, and closes everything. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    await this.#changes.idle();
    await inTurn([
      async () => await this.#keeper?.close(),
      () => this.#listeners.close(),
      async () => await this.#administration?.close(),
      () => this.#versions.close(),
      () => this.#records.close(),
      () => this.#retired.close(),
      () => closeState(this.#current.state, null),
    ]);
  }
}

/** Takes every step, also after one that failed. @throws the first failure. */
async function inTurn(steps: readonly (() => Promise<void>)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const step of steps) await step().catch((error: unknown) => failures.push(error));
  if (failures.length > 0) throw failures[0];
}

interface Parts {
  readonly listeners: Listeners;
  readonly current: Current;
  readonly records: RecordKeeping;
}

/** What the listeners answer with: the site is swapped. */
interface Current {
  state: ServerState;
  readonly recorder: QueryRecorder;
}

/** What was replaced and may still have questions under way: each is closed when these have had their time, one after the other. */
export class DrainingStates {
  readonly #clock: Clock;
  readonly #failed: (error: unknown) => void;
  readonly #waiting = new Set<Retired>();
  readonly #closing = new SerialQueue();

  /** @param failed told of what could not be closed; must not throw. */
  constructor(clock: Clock, failed: (error: unknown) => void) {
    this.#clock = clock;
    this.#failed = failed;
  }

  /** Calls `close` after `delayMs`, or in the end. */
  add(close: () => Promise<void>, delayMs: number): void {
    const retired: Retired = { close, timer: this.#clock.setTimer(() => this.#end(retired), delayMs) };
    this.#waiting.add(retired);
  }

  /** Closes all of them now, the oldest first. May be called again. */
  async close(): Promise<void> {
    for (const retired of this.#waiting) this.#end(retired);
    await this.#closing.idle();
  }

  #end(retired: Retired): void {
    this.#waiting.delete(retired);
    retired.timer.cancel();
    this.#closing.add(retired.close).catch(this.#failed);
  }
}

interface Retired {
  readonly close: () => Promise<void>;
  readonly timer: Timer;
}
