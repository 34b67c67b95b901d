/**
 * The whole server: start, reload, stop. The door of `app/` and the one place where everything is put together; the command line calls it.
 * `list-refresh.ts` says how lists are downloaded and what the operator is told about them.
 */

import { randomInt } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import type { Config } from "../config/types.ts";
import { type Administration, openAdministration } from "../control/administration.ts";
import { VersionKeeping, type Versions } from "../control/history.ts";
import { type HostsChange, withReports } from "../control/hosts.ts";
import { QueryRecorder, RecordKeeping } from "../control/recorder.ts";
import type { RepeatedReplies } from "../control/replies.ts";
import type { AddressUpdate } from "../ddns/options.ts";
import { DdnsService } from "../ddns/update.ts";
import { DeviceNames } from "../devices/device-names.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import { SerialQueue } from "../lib/serial-queue.ts";
import type { Inheritance, SharedSocket } from "../listen/inheritance.ts";
import { type BoundEndpoints, type Listeners, openListeners } from "../listen/listeners.ts";
import type { CertificateStatus } from "../listen/tls.ts";
import type { ListenEvent, UdpMemory } from "../listen/types.ts";
import { listCacheOf } from "../lists/cache.ts";
import type { HeldFiles } from "../lists/load.ts";
import { ListRefresher } from "../lists/refresher.ts";
import type { UpdateResult } from "../lists/update.ts";
import { throttle } from "../log/operations.ts";
import type { QueryLog } from "../log/query-log.ts";
import type { AddressListFeeder } from "../routeros/address-lists.ts";
import { RouterLink } from "../routeros/router-link.ts";
import { ownHostsFile, ownHostsPath, readOwnHosts, writeOwnHosts } from "../server/host-overrides.ts";
import { checkPausable, MAX_PAUSES, type RulePause, withoutPauses, withPauses } from "../server/pauses.ts";
import { handlerFor, type Serving, waitingQueries } from "../server/pipeline.ts";
import { withList, withOwnHosts } from "../server/policy.ts";
import { checkReloadable } from "../server/preflight.ts";
import {
  closeState,
  type Dependencies,
  openState,
  type ServerState,
  ServerStateError,
  stateWith,
  takeOver,
} from "../server/state.ts";
import { Reloads } from "../stats/process.ts";
import type { GroupStatus } from "../upstreams/group.ts";
import { listFetcher, logRefresh } from "./list-refresh.ts";

/** How long a busy disk may take to store the last records of a process whose place another one has taken. */
const HAND_OVER_LOG_MS = 30_000;

/** Changes that wait or run: a reload may take seconds. */
const MAX_WAITING_CHANGES = 32;

/** The process whose place this one takes. */
export interface Predecessor {
  /** Its sockets, to be answered on at once. @throws Error where it says nothing. */
  sockets(): Promise<Inheritance>;
  /**
   * Called when this process answers on the sockets too: the other one answers what it has, and ends.
   * Resolves when the other one has left its files. @throws Error where it has to go on instead.
   */
  relieve(): Promise<void>;
}

/** A running server: its listeners, and the state that they answer from. */
export class App implements Serving {
  /** Counts reloads. A caller that cannot read the configuration file, and so never calls `reload`, counts the failure here. */
  readonly reloads: Reloads;
  /** Counts every query, and records it for the query log and for followers. */
  readonly recorder: QueryRecorder;
  readonly waiting = waitingQueries();
  readonly #dependencies: Dependencies;
  /** Reports each kind of event at most once a minute. */
  readonly #report: (kind: string, details: object) => void;
  /** Takes addresses that hosts report. */
  readonly ddns: DdnsService;
  readonly #versions: VersionKeeping;
  readonly #draining: DrainingStates;
  /** Changes of the state run one after the other: reloads, lists, hosts. */
  readonly #changes = new SerialQueue();
  #state: ServerState;
  #sinceWallMs: number;
  #listeners: Listeners | null = null;
  #replies: RepeatedReplies | null = null;
  #records: RecordKeeping | null = null;
  #listRefresher: ListRefresher | null = null;
  /** null = the configuration names no router. */
  #router: RouterLink | null = null;
  #names: DeviceNames | null = null;
  #administration: Administration | null = null;
  #pauses: readonly TimedPause[] = [];
  #closed: Promise<void> | null = null;
  /** Another process has what is stored now, and is about to take the place of this one. */
  #isHandingOver = false;

  private constructor(state: ServerState, dependencies: Dependencies) {
    const { clock, log } = dependencies;
    this.#dependencies = dependencies;
    this.#report = throttle(clock.now, (kind, details) => log.warn(details, kind));
    this.recorder = new QueryRecorder(clock, (error) =>
      this.#report("a query could not be recorded: please report it", { err: error }),
    );
    this.reloads = new Reloads(clock.wallMs);
    this.ddns = new DdnsService({
      clock,
      options: () => this.#state.config.ddns,
      reported: () => this.#state.policy.hostsSource.ownFile.own.reported ?? [],
      report: async (reports) => {
        await this.changeHosts(withReports(reports));
        for (const [name, addresses] of reports) log.info({ name, addresses }, "ddns: a host reported its addresses");
      },
      warn: this.#report,
    });
    this.#versions = new VersionKeeping({ queryLog: () => this.queryLog, clock, log });
    this.#draining = new DrainingStates(clock, (error) => log.error({ err: error }, "what was replaced could not be closed"));
    this.#state = state;
    this.#sinceWallMs = clock.wallMs();
  }

  /**
   * Builds the state, then opens the listeners: the first query finds everything in place.
   * @param predecessor null = there is none.
   * @throws ServerStateError, ListenError, AdminError
   */
  static async start(config: Config, dependencies: Dependencies, predecessor: Predecessor | null = null): Promise<App> {
    const app = new App(await openState(config, dependencies, null), dependencies);
    try {
      await app.#open(config, predecessor);
      return app;
    } catch (error) {
      const logFailure = (failure: unknown) => dependencies.log.warn({ err: failure }, "what was opened could not be closed");
      await app.#closeParts({ graceMs: 0 }).catch(logFailure);
      throw error;
    }
  }

  async #open(config: Config, predecessor: Predecessor | null): Promise<void> {
    const { clock, log } = this.#dependencies;
    const { queries } = config.log;
    this.recorder.expect(config);
    // The query log opens after the listeners, so that no answer waits for the store. Until then queries wait to be recorded.
    this.recorder.use(queries);
    const report = ({ kind, ...details }: ListenEvent) => {
      if (kind === "udpUnbatched") this.#replies = null;
      this.#report(LISTEN_EVENTS[kind], details);
    };
    const handler = {
      ...handlerFor(this, log),
      update: async (update: AddressUpdate) => (this.#state.config.ddns.onDoh ? await this.ddns.update(update) : null),
    };
    const udp = config.listen.batch === "auto" ? { udp: this.#openReplies() } : {};
    const inherited = (await predecessor?.sockets()) ?? null;
    const sockets = inherited === null ? {} : { inherited };
    this.#listeners = await openListeners(config, handler, { clock, report, ...udp, ...sockets });
    // The store of the query log has one writer, and so has each file.
    await predecessor?.relieve();
    this.#records = await RecordKeeping.open(queries, { recorder: this.recorder, clock, log });
    this.#versions.use(this.#state);
    this.#listRefresher = await this.#openListRefresher(this.#state);
    this.#router = await this.#openRouter(config);
    await this.#openNames(config);
    this.#administration = await openAdministration(this, { clock, log, report: this.#report, inherited });
    inherited?.close();
  }

  #openReplies(): UdpMemory {
    const { feed } = this.recorder;
    this.#replies = this.recorder.openReplies();
    this.#replies.use(this.#state);
    return { replies: this.#replies.table.memory, log: feed.rings[1].memory, called: () => feed.called() };
  }

  /** The replies that a thread repeats; null = there is no such thread. */
  get replies(): RepeatedReplies | null {
    return this.#replies;
  }

  /** Why UDP is answered a query at a time although it need not be; null = it is not. */
  udpUnbatched(): string | null {
    return opened(this.#listeners).udpUnbatched();
  }

  /** The state that answers at the moment. */
  get state(): ServerState {
    return this.#state;
  }

  /** When `state` was put in place, in milliseconds since 1970. */
  get sinceWallMs(): number {
    return this.#sinceWallMs;
  }

  get bound(): BoundEndpoints {
    return opened(this.#listeners).bound;
  }

  get listenCounters(): Listeners["counters"] {
    return opened(this.#listeners).counters;
  }

  /** null = no listener speaks TLS. */
  certificate(): CertificateStatus | null {
    return opened(this.#listeners).certificate();
  }

  get administration(): Administration {
    return opened(this.#administration);
  }

  /** Who the clients are; null while the server starts. */
  get names(): DeviceNames | null {
    return this.#names;
  }

  get feed(): AddressListFeeder | null {
    return this.#router?.feeder ?? null;
  }

  /** Where records are kept. A reload that changes the store makes another one. */
  get queryLog(): QueryLog {
    return opened(this.#records).queryLog;
  }

  /** The configurations that records refer to; null = no records are kept. */
  get versions(): Versions | null {
    return this.#versions.versions;
  }

  /** The groups of upstreams, in the order of the file. */
  upstreams(): readonly GroupStatus[] {
    return this.#state.shared.groups.status();
  }

  /**
   * Changes the names set through the API or reported, from the next query on and across restarts. Edits that a person has made in their file are kept.
   * @throws ServerStateError if an expectation breaks, the file has problems, or the server is stopping; the system's error if the file cannot
   * be written.
   */
  changeHosts(change: HostsChange): Promise<void> {
    return this.#change(async () => {
      const { config, policy } = this.#state;
      const { loaded, ownFile } = policy.hostsSource;
      const { file, problems } = await readOwnHosts(config, ownFile);
      if (problems.length > 0)
        throw new ServerStateError(problems.map(({ source, line, reason }) => `${source}:${line}: ${reason}`));
      const changedFile = ownHostsFile(change(file.own, loaded));
      const changed = withOwnHosts(policy, config, changedFile);
      if (changed.faults.length > 0) throw new ServerStateError(changed.faults);
      await writeOwnHosts(ownHostsPath(config), changedFile);
      this.#use(stateWith(this.#state, changed.policy));
    });
  }

  /**
   * Downloads a list now, or reads its files again.
   * @param acceptsAnySize takes a list however much its size has changed.
   * @throws ServerStateError if a reload or the stop comes first; Error if there is no such list.
   */
  async refreshList(name: string, acceptsAnySize: boolean): Promise<readonly UpdateResult["outcome"][]> {
    const refresher = opened(this.#listRefresher);
    try {
      return await refresher.refreshNow(name, acceptsAnySize);
    } catch (error) {
      if (refresher === this.#listRefresher && this.#closed === null) throw error;
      throw new ServerStateError(["the configuration was changed meanwhile: try again"]);
    }
  }

  /** Why the changed files of a list are not in use; null = they are. */
  heldFiles(list: string): HeldFiles | null {
    return opened(this.#listRefresher).heldFiles(list);
  }

  /**
   * Puts a new configuration in place, between one query and the next. Parts of it that are unchanged keep their connections and answers.
   * @throws ServerStateError if it cannot be served, or the server is stopping; then the state before goes on.
   */
  reload(config: Config): Promise<void> {
    return this.#change(() => this.#reload(config)).catch((error: unknown) => {
      this.reloads.noteFailure();
      throw error;
    });
  }

  async #change<T>(change: () => Promise<T>): Promise<T> {
    if (this.#changes.pending >= MAX_WAITING_CHANGES)
      throw new ServerStateError(["too many changes are under way: try again later"]);
    return await this.#changes.add(async () => {
      if (this.#closed !== null) throw new ServerStateError(["Fenliu is stopping: nothing is changed any more"]);
      if (this.#isHandingOver) throw new ServerStateError(["a new process is taking over: try again in a moment"]);
      return await change();
    });
  }

  async #reload(config: Config): Promise<void> {
    const previous = this.#state;
    const refusal = checkReloadable(config, previous.config);
    if (refusal !== null) throw new ServerStateError([refusal]);
    const next = await openState(config, this.#dependencies, previous);
    if (next === previous) return this.reloads.noteSuccess();
    let listRefresher: ListRefresher;
    const keepsRouter = isDeepStrictEqual(config.routeros, previous.config.routeros);
    let router = this.#router;
    try {
      if (!keepsRouter) router = await this.#openRouter(config);
      listRefresher = await this.#openListRefresher(next);
    } catch (error) {
      await closeState(next, previous);
      throw error;
    }
    takeOver(next, previous);
    const previousRouter = keepsRouter ? null : this.#router;
    this.#router = router;
    this.#use(next);
    this.recorder.expect(config);
    if (config.log.level !== previous.config.log.level) this.#dependencies.log.level = config.log.level;
    // Not awaited here: the refresher may be waiting for its turn in `#changes` to activate a list.
    const closing = this.#listRefresher?.close();
    this.#listRefresher = listRefresher;
    this.#draining.add(async () => {
      await closing;
      await previousRouter?.close();
      await closeState(previous, next);
    }, previous.config.answers.deadlineMs);
    if (!keepsRouter || !isDeepStrictEqual(config.devices, previous.config.devices)) {
      await this.#openNames(config);
    }
    await opened(this.#records).change(config.log.queries);
    this.reloads.noteSuccess();
  }

  /** The rules that are paused now. */
  get pauses(): readonly RulePause[] {
    return this.#pauses.map(({ pause }) => pause);
  }

  /** Passes rules over for a while, from the next query on. @throws ServerStateError */
  pause(rules: readonly string[], client: string | null, forMs: number): Promise<RulePause> {
    return this.#change(async () => {
      checkPausable(this.#state.config.rules, rules);
      if (this.#pauses.length >= MAX_PAUSES) throw new ServerStateError(["there are too many pauses already"]);
      const { clock } = this.#dependencies;
      const pause = { id: randomInt(2 ** 40).toString(36), rules, client, untilWallMs: clock.wallMs() + forMs };
      const timer = clock.setTimer(() => this.#endPauseInTime(pause.id), forMs);
      this.#setPauses([...this.#pauses, { pause, timer }]);
      return pause;
    });
  }

  /** @returns whether there was such a pause. @throws ServerStateError */
  endPause(id: string): Promise<boolean> {
    return this.#change(async () => {
      const ending = this.#pauses.find(({ pause }) => pause.id === id);
      if (ending === undefined) return false;
      ending.timer.cancel();
      this.#setPauses(this.#pauses.filter((each) => each !== ending));
      return true;
    });
  }

  #endPauseInTime(id: string): void {
    const { log } = this.#dependencies;
    this.endPause(id).catch((error: unknown) => log.error({ err: error }, "a pause of rules could not be ended"));
  }

  #setPauses(pauses: readonly TimedPause[]): void {
    this.#pauses = pauses;
    this.#use(withoutPauses(this.#state));
  }

  /** Answers from this state from the next query on, but for rules that are paused. */
  #use(unpaused: ServerState): void {
    const state = withPauses(unpaused, this.pauses);
    if (state.version !== this.#state.version) this.#router?.noteChange();
    this.#state = state;
    this.#replies?.use(state);
    this.#sinceWallMs = this.#dependencies.clock.wallMs();
    this.#versions.use(state);
    this.#administration?.use(state);
  }

  async #openRouter({ routeros }: Config): Promise<RouterLink | null> {
    const { clock, log, ca } = this.#dependencies;
    const onLoss = () => this.#replies?.withdrawAll();
    return routeros === null ? null : await RouterLink.open(routeros, { clock, log, ca, onLoss });
  }

  async #openNames({ devices: { leases, router }, routeros }: Config): Promise<void> {
    const names = await DeviceNames.open({
      clock: this.#dependencies.clock,
      leases,
      askRouter: router ? async () => (await this.#router?.devices()) ?? [] : null,
      routerAddresses: routeros === null ? [] : [new URL(routeros.url).hostname.replace(/^\[|\]$/g, "")],
      warn: this.#report,
    });
    this.#names?.close();
    this.#names = names;
    names.onChange = () => this.#replies?.forgetClients();
    names.onChange();
  }

  #openListRefresher({ config, shared }: ServerState): Promise<ListRefresher> {
    const { clock, log } = this.#dependencies;
    return ListRefresher.open({
      lists: config.lists,
      cache: listCacheOf(config),
      fetch: listFetcher(shared, this.#dependencies, () => this.#state.policy.egress),
      activate: (list, cache, commit) =>
        this.#change(async () => {
          const { config: current, policy } = this.#state;
          if (current !== config) throw new Error("the configuration was changed meanwhile");
          const changed = await withList(policy, { config, list, cache });
          if (changed.faults.length > 0) return changed.faults;
          await commit();
          this.#use(stateWith(this.#state, changed.policy));
          return [];
        }),
      serving: () => this.#state.policy.lists.status(),
      clock,
      random: () => randomInt(2 ** 32) / 2 ** 32,
      report: (event) => logRefresh(event, log),
    });
  }

  /**
   * Stores what the next process needs, and changes nothing from now on.
   * @returns the sockets for it. It may close this server afterwards, or, where it fails, call `keepOn`.
   */
  async handOver(): Promise<readonly SharedSocket[]> {
    await this.#change(async () => {
      this.#isHandingOver = true;
      for (const autosave of this.#state.shared.autosaves) await autosave.save();
    });
    return [...(await opened(this.#listeners).shareSockets()), ...this.administration.shareSockets()];
  }

  /** No other process takes over after all. */
  keepOn(): void {
    this.#isHandingOver = false;
  }

  /** Accepts no more queries, answers those under way, and closes everything. May be called again. @param logPatienceMs see `QueryLog.close`. */
  close(logPatienceMs?: number): Promise<void> {
    this.#closed ??= this.#changes.idle().then(() => this.#closeParts({ logPatienceMs }));
    return this.#closed;
  }

  async #closeParts({
    graceMs,
    logPatienceMs,
  }: {
    readonly graceMs?: number;
    readonly logPatienceMs?: number | undefined;
  }): Promise<void> {
    for (const { timer } of this.#pauses) timer.cancel();
    await runInOrder([
      async () => await this.#listRefresher?.close(),
      async () => await this.#listeners?.close(graceMs),
      async () => this.#names?.close(),
      async () => await this.#router?.close(),
      async () => await this.#administration?.close(),
      () => this.#versions.close(),
      // The next process answers already: nobody waits for the end of this one but the log.
      async () => await this.#records?.close(this.#isHandingOver ? HAND_OVER_LOG_MS : logPatienceMs),
      () => this.#draining.close(),
      () => closeState(this.#state, null),
    ]);
  }
}

/** What the operator is told of the listeners. */
const LISTEN_EVENTS: Readonly<Record<ListenEvent["kind"], string>> = {
  certificateReloaded: "the renewed certificate is in use",
  certificateRefused: "the renewed certificate cannot be used: the one before serves on",
  udpUnbatched: "UDP is answered a query at a time",
  certificateDoubtful: "some clients will not accept the certificate",
  localAddressSkipped: "an address of this host is not listened on",
  socketError: "a socket failed",
};

/** A pause, and what ends it. */
interface TimedPause {
  readonly pause: RulePause;
  readonly timer: Timer;
}

/** A part of the server that is opened at the start, and not yet there while it starts. */
function opened<Part>(part: Part | null): Part {
  if (part === null) throw new Error("the server is still being opened");
  return part;
}

/** Runs every step, also after one that failed. @throws the first failure. */
async function runInOrder(steps: readonly (() => Promise<void>)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const step of steps) await step().catch((error: unknown) => failures.push(error));
  if (failures.length > 0) throw failures[0];
}

/** States that a reload replaced. Each is closed when the queries under way on it have had their time, one after the other. */
class DrainingStates {
  readonly #clock: Clock;
  readonly #onFailure: (error: unknown) => void;
  readonly #timers = new Map<() => Promise<void>, Timer>();
  readonly #closing = new SerialQueue();

  /** @param onFailure takes the errors of closing; must not throw. */
  constructor(clock: Clock, onFailure: (error: unknown) => void) {
    this.#clock = clock;
    this.#onFailure = onFailure;
  }

  /** Calls `close` after `delayMs`, or at the end of the server. */
  add(close: () => Promise<void>, delayMs: number): void {
    this.#timers.set(
      close,
      this.#clock.setTimer(() => this.#end(close), delayMs),
    );
  }

  /** Closes all of them now, the oldest first. May be called again. */
  async close(): Promise<void> {
    for (const close of this.#timers.keys()) this.#end(close);
    await this.#closing.idle();
  }

  #end(close: () => Promise<void>): void {
    this.#timers.get(close)?.cancel();
    this.#timers.delete(close);
    this.#closing.add(close).catch(this.#onFailure);
  }
}
