/**
 * What people may see and change of the running server: the implementation of the API's `Control`. `app/` opens it through `administration.ts`.
 *
 * Read `administration.ts` (opens the API), this file, `views.ts` (what the API shows, without secrets), `explain.ts` with `explain-live.ts` and
 * `explain-summary.ts`, `health.ts` (how everything is doing, and since when), `problems.ts` (what goes wrong, and what may mend it),
 * `edits.ts` with `edit-yaml.ts` and `config-secrets.ts` (edits of the file), `config-history.ts` (texts that served), `drafts.ts` (in a thread: `draft-thread.ts`), `what-if.ts`, `history.ts` with `version-files.ts` (past versions), `hosts.ts`,
 * `client-setup.ts`, `router.ts` (checks the router), `state-watch.ts` (tells pages what has changed). Every query passes `recorder.ts` (counts and records it) and `records.ts` (writes the entry), and
 * `replies.ts` decides which replies may be repeated; `query-source.ts` reads the log.
 */

import {
  type Control,
  ControlError,
  type EditRequest,
  type ExplainedQuestion,
  type ExplainRequest,
  type ExplainUnder,
  type HostRecordInput,
  ParameterError,
  type PauseRequest,
  type ProblemsRequest,
  type ProblemWord,
  type QuerySource,
  type RouterScriptRequest,
  type StateChange,
  type WhatIfRequest,
} from "../admin/control.ts";
import type { AppliedEdit, ConfigDiff, ConfigFile, EditPreview, HistoryEntry, Pause } from "../admin/schemas/edits.ts";
import type { Health, Trouble, TroublePage } from "../admin/schemas/health.ts";
import type { CachedAnswer, Explained } from "../admin/schemas/record.ts";
import type { RouterCheck } from "../admin/schemas/router.ts";
import type {
  CacheView,
  ConfigCheck,
  ConfigView,
  DeviceView,
  HostView,
  ListLines,
  ListView,
  Readiness,
  RouterView,
  UpstreamGroup,
  VersionView,
  WhatIf,
} from "../admin/schemas/views.ts";
import { loadConfig } from "../config/load.ts";
import type { Config } from "../config/types.ts";
import { parseClient } from "../config/values.ts";
import type { AddressUpdate, AddressUpdateReply } from "../ddns/options.ts";
import type { DdnsService } from "../ddns/update.ts";
import type { DeviceNames } from "../devices/device-names.ts";
import { addressFromText } from "../dns/address.ts";
import { nameFromText } from "../dns/name.ts";
import type { Clock } from "../lib/clock.ts";
import { shownUrl } from "../lib/text.ts";
import { version } from "../lib/version.ts";
import { utcDay } from "../listen/certificate.ts";
import type { Listeners } from "../listen/listeners.ts";
import type { CertificateStatus } from "../listen/tls.ts";
import { listCacheOf } from "../lists/cache.ts";
import { type HeldFiles, type ListReport, reportLists } from "../lists/load.ts";
import type { UpdateResult } from "../lists/update.ts";
import type { OperationsLog } from "../log/operations.ts";
import type { QueryLog } from "../log/query-log.ts";
import type { LogStatus } from "../log/record.ts";
import type { AddressListFeeder } from "../routeros/address-lists.ts";
import type { RulePause } from "../server/pauses.ts";
import type { Policy } from "../server/policy.ts";
import { type ServerState, ServerStateError } from "../server/state.ts";
import { metricsText, RisingCounts } from "../stats/metrics.ts";
import type { ProcessWatch, Reloads } from "../stats/process.ts";
import { appleProfile, placeOf, routerScript, type ServerPlace, serviceUrl } from "./client-setup.ts";
import { ConfigHistory } from "./config-history.ts";
import { hasMarks } from "./config-secrets.ts";
import type { Drafts } from "./drafts.ts";
import { ConfigEdits } from "./edits.ts";
import { Explainer } from "./explain.ts";
import { HealthWatch } from "./health.ts";
import type { Versions } from "./history.ts";
import { type HostsChange, hiddenHosts, hostPattern, hostRecord, withHost, withoutHost } from "./hosts.ts";
import { linesOfList } from "./list-lines.ts";
import { ProblemBook } from "./problems.ts";
import { querySourceOf, withLog } from "./query-source.ts";
import type { QueryRecorder } from "./recorder.ts";
import { RouterWatch } from "./router.ts";
import { StateWatch } from "./state-watch.ts";
import {
  cachedAnswer,
  cacheView,
  groupSides,
  groupView,
  hostView,
  listView,
  problemText,
  shownConfig,
  shownText,
  timeText,
  withoutQuotedSecrets,
} from "./views.ts";

/** The running server, as far as the API may see and change it. */
export interface Server {
  readonly state: ServerState;
  /** When `state` came into force, in milliseconds since 1970. */
  readonly sinceWallMs: number;
  /** A caller that cannot read the configuration file, and so never calls `reload`, counts the failure here. */
  readonly reloads: Pick<Reloads, "read" | "noteFailure">;
  readonly recorder: QueryRecorder;
  /** The log to which records go at present. */
  readonly queryLog: QueryLog;
  /** null = no versions are kept. */
  readonly versions: Versions | null;
  readonly listenCounters: Listeners["counters"];
  readonly pauses: readonly RulePause[];
  /** @throws ServerStateError */
  pause(rules: readonly string[], client: string | null, forMs: number): Promise<RulePause>;
  /** @returns whether there was such a pause. @throws ServerStateError */
  endPause(id: string): Promise<boolean>;
  /** Why UDP is answered a query at a time although it need not be; null = it is not. */
  udpUnbatched(): string | null;
  /** null = no listener speaks TLS. */
  certificate(): CertificateStatus | null;
  /** @throws ServerStateError */
  reload(config: Config): Promise<void>;
  /** @throws ServerStateError, or the error of the system. */
  changeHosts(change: HostsChange): Promise<void>;
  readonly ddns: Pick<DdnsService, "update">;
  /** null = no address lists are fed. */
  readonly feed: Pick<AddressListFeeder, "status"> | null;
  /** null while the server starts. */
  readonly names: DeviceNames | null;
  /** @throws ServerStateError if the configuration was changed meanwhile. */
  refreshList(name: string, acceptsAnySize: boolean): Promise<readonly UpdateResult["outcome"][]>;
  heldFiles(list: string): HeldFiles | null;
}

interface ControlParts {
  readonly clock: Clock;
  readonly watch: ProcessWatch;
  readonly drafts: Drafts;
  readonly log: OperationsLog;
  /** Tells the operator about a kind of event. */
  readonly report: (kind: string, details: object) => void;
}

export class ServerControl implements Control {
  readonly queries: QuerySource;
  readonly #server: Server;
  readonly #explainer: Explainer;
  readonly #clock: Clock;
  readonly #watch: ProcessWatch;
  readonly #routerWatch: RouterWatch;
  readonly #counts = new RisingCounts();
  readonly #health: HealthWatch;
  readonly #problems: ProblemBook;
  readonly #history: ConfigHistory;
  readonly #edits: ConfigEdits;
  readonly #watched: StateWatch;
  /** The shown form of a configuration: parsing a large text takes long, and clients may ask often. */
  #shown: { readonly of: Config; readonly as: ConfigView["config"] } | null = null;

  constructor(server: Server, { clock, watch, drafts, log, report }: ControlParts) {
    const policyOf = (version: string) => findPolicy(server, version);
    this.queries = querySourceOf({
      queryLog: () => server.queryLog,
      recorder: server.recorder,
      policyOf,
      sideOf: () => groupSides(server.state.config),
    });
    this.#server = server;
    this.#explainer = new Explainer({ server, queries: this.queries, drafts, versions: () => server.versions });
    this.#clock = clock;
    this.#watch = watch;
    this.#routerWatch = new RouterWatch({
      config: () => this.#state.config,
      hosts: () => this.#state.policy.hosts,
      hasAnswer: (name, type) => this.#hasAnswer(name, type),
      clock,
    });
    this.#health = new HealthWatch({
      clock,
      vitals: () => ({
        config: this.#state.config,
        policy: this.#state.policy,
        groups: this.#state.shared.groups.status(),
        certificate: server.certificate(),
        log: this.queries.status(),
        router: server.feed?.status() ?? null,
        drift: this.#routerWatch.read(),
        pauses: server.pauses,
      }),
      lists: () => this.#listReports(),
      report,
    });
    this.#history = new ConfigHistory({ log, wallMs: clock.wallMs });
    this.#problems = new ProblemBook({
      clock,
      config: () => this.#state.config,
      health: () => this.#health.read(),
      log: () => server.queryLog,
      changeBefore: (wallMs, list) => this.#history.changeBefore(wallMs, list),
    });
    this.#edits = new ConfigEdits({
      clock,
      config: () => this.#state.config,
      drafts,
      history: this.#history,
      whatIf: (text, signal) => this.#whatIfOfDay(text, signal),
      reload: (config) =>
        server.reload(config).catch((error: unknown) => {
          throw refusalOf(error, config);
        }),
    });
    this.#watched = new StateWatch({
      clock,
      health: this.#health,
      problemRevision: () => this.#problems.revision,
      config: () => ({ version: this.#state.version, pauses: this.pauses() }),
    });
    this.use(server.state);
  }

  /** Notes that this state serves from now on. */
  use(state: ServerState): void {
    this.#history.use(state);
    this.#watched.look();
  }

  /** May be called again. */
  async close(): Promise<void> {
    this.#watched.close();
    this.#routerWatch.close();
    this.#health.close();
    await this.#history.close();
  }

  explain(request: ExplainRequest): Promise<Explained> {
    return this.#explainer.explain(request);
  }

  async explainUnder(question: ExplainedQuestion, under: ExplainUnder): Promise<Explained> {
    if ("version" in under) return this.#explainer.explain({ ...question, version: under.version, resolve: false });
    const text = "config" in under ? under.config : await this.#edits.textAfter(under.edit);
    return await this.#explainer.explainDraft(text, question);
  }

  whatIf(request: WhatIfRequest): Promise<WhatIf> {
    return this.#explainer.whatIf(request);
  }

  versions(): Promise<readonly VersionView[]> {
    return this.#explainer.versions();
  }

  async checkConfig(text: string): Promise<ConfigCheck> {
    // A text of `getConfigFile` is checked with the secrets that its marks stand for.
    return this.#explainer.checkConfig(hasMarks(text) ? await this.#edits.textAfter({ kind: "text", text }) : text);
  }

  /** Over the last day of the log; null where there is none. */
  async #whatIfOfDay(config: string, signal: AbortSignal): Promise<WhatIf | null> {
    if (this.queries.status().state === "off") return null;
    const toMs = this.#clock.wallMs();
    return await this.#explainer.whatIf({ config, fromMs: toMs - DAY_MS, toMs, examples: 10 }, signal);
  }

  upstreams(): readonly UpstreamGroup[] {
    const sides = groupSides(this.#state.config);
    return this.#state.shared.groups.status().map((group) => groupView(group, sides));
  }

  async lists(): Promise<readonly ListView[]> {
    const { access } = this.#state.config;
    return (await this.#listReports()).map((report) => listView(report, access));
  }

  #listReports(): Promise<readonly ListReport[]> {
    const { config, policy } = this.#state;
    return reportLists(config.lists, policy.lists.status(), listCacheOf(config), (list) => this.#server.heldFiles(list));
  }

  async listLines(name: string, source: string, around: number): Promise<ListLines> {
    const { config, policy } = this.#state;
    const list = config.lists.find((each) => each.name === name);
    const status = policy.lists.status().find((each) => each.name === name);
    if (list === undefined || status === undefined) throw missingList(name);
    return await linesOfList(list, status, { source, around, cache: listCacheOf(config) });
  }

  async refreshList(name: string, acceptsAnySize: boolean): Promise<ListView> {
    if (!this.#state.config.lists.some((list) => list.name === name)) throw missingList(name);
    const outcomes = await this.#server.refreshList(name, acceptsAnySize).catch((error: unknown) => {
      throw refusalOf(error, this.#state.config);
    });
    await this.#health.lookAtLists();
    const faults = outcomes.flatMap((outcome) =>
      outcome.kind === "failed" || outcome.kind === "held"
        ? [`${outcome.kind}: ${shownText(outcome.reason, this.#state.config.access)}`]
        : [],
    );
    if (faults.length > 0) throw new ControlError("failed", ...faults);
    const view = (await this.lists()).find((list) => list.name === name);
    // A reload may have removed the list meanwhile.
    if (view === undefined) throw missingList(name);
    return view;
  }

  cached(name: string): readonly CachedAnswer[] {
    const { shared, config } = this.#state;
    const terms = { limits: config.answers, nowMs: this.#clock.now() };
    return shared.cache.inspect(nameFrom(name)).map((inspected) => cachedAnswer(inspected, terms));
  }

  cacheStats(): CacheView {
    return cacheView(this.#state.shared.cache.stats());
  }

  flush(name: string, subtree: boolean): number {
    return this.#state.shared.cache.flush(nameFrom(name), subtree);
  }

  hosts(): readonly HostView[] {
    const byName = (one: HostView, other: HostView) => (one.name < other.name ? -1 : 1);
    const { hosts, hostsSource } = this.#state.policy;
    const hidden = hiddenHosts(hostsSource).map((match) => ({ ...hostView(match), hidden: true }));
    return [...[...hosts.entries()].map(hostView), ...hidden].sort(byName);
  }

  host(name: string): HostView | null {
    const pattern = hostPattern(name);
    return this.hosts().find((view) => view.name === pattern) ?? null;
  }

  async putHost(name: string, input: HostRecordInput): Promise<HostView> {
    const pattern = hostPattern(name);
    const record = hostRecord(pattern, input);
    await this.#changeHosts(withHost(record));
    const view = this.host(pattern);
    if (view === null) throw new ControlError("failed", `${pattern} was put in and taken away again meanwhile`);
    return view;
  }

  async deleteHost(name: string, hide: boolean): Promise<boolean> {
    const pattern = hostPattern(name);
    if (this.host(pattern) === null) return false;
    await this.#changeHosts(withoutHost(pattern, { hide }));
    return true;
  }

  router(): RouterView | null {
    return this.#server.feed?.status() ?? null;
  }

  devices(): readonly DeviceView[] {
    return this.#server.names?.list() ?? [];
  }

  updateAddress(update: AddressUpdate): Promise<AddressUpdateReply | null> {
    return this.#server.ddns.update(update);
  }

  async #changeHosts(change: HostsChange): Promise<void> {
    try {
      await this.#server.changeHosts(change);
    } catch (error) {
      if (error instanceof Error && "code" in error)
        throw new ControlError("failed", `the names cannot be kept: ${error.message}`);
      throw refusalOf(error, this.#state.config);
    }
  }

  config(): ConfigView {
    const { config, version } = this.#state;
    if (this.#shown?.of !== config) this.#shown = { of: config, as: shownConfig(config) };
    return { path: config.path, version, since: timeText(this.#server.sinceWallMs), config: this.#shown.as };
  }

  async reload(): Promise<ConfigView> {
    const result = loadConfig(this.#state.config.path);
    if (result.kind === "invalid") {
      this.#server.reloads.noteFailure();
      throw new ControlError("refused", ...result.problems.map((problem) => withoutQuotedSecrets(problemText(problem))));
    }
    await this.#server.reload(result.config).catch((error: unknown) => {
      throw refusalOf(error, result.config);
    });
    return this.config();
  }

  readiness(): Readiness {
    const certificate = certificateProblems(this.#server.certificate(), this.#clock.wallMs());
    const { ready, problems } = readinessOf(this.#state, this.queries.status());
    const reason = this.#server.udpUnbatched();
    const udp = reason === null ? [] : [`UDP is answered a query at a time: ${reason}`];
    return { ready, problems: [...problems, ...certificate, ...udp] };
  }

  follow(listener: (change: StateChange) => void): () => void {
    return this.#watched.follow(listener);
  }

  health(): Health {
    return this.#health.read();
  }

  problems(request: ProblemsRequest): Promise<TroublePage> {
    return withLog(this.#problems.list(request));
  }

  changeProblem(id: string, change: ProblemWord): Promise<Trouble> {
    return withLog(this.#problems.change(id, change));
  }

  pauses(): readonly Pause[] {
    return this.#server.pauses.map(pauseView);
  }

  async pause({ rules, client, forMs }: PauseRequest): Promise<Pause> {
    const parsed = client === null ? { value: null } : parseClient(client);
    if (!("value" in parsed)) throw new ParameterError({ parameter: "client", reason: `${parsed.wrong}: ${parsed.fix}` });
    const paused = await this.#server.pause(rules, client, forMs).catch((error: unknown) => {
      throw refusalOf(error, this.#state.config);
    });
    return pauseView(paused);
  }

  endPause(id: string): Promise<boolean> {
    return this.#server.endPause(id);
  }

  configFile(): Promise<ConfigFile> {
    return this.#edits.file();
  }

  previewEdit({ edit, base }: EditRequest, caller: string): Promise<EditPreview> {
    return this.#edits.preview(edit, base, caller);
  }

  editTicket(ticket: string, caller: string): EditPreview {
    return this.#edits.ticket(ticket, caller);
  }

  applyEdit(ticket: string, caller: string): Promise<AppliedEdit> {
    return this.#edits.apply(ticket, caller);
  }

  putConfigFile(text: string, base: string): Promise<AppliedEdit> {
    return this.#edits.replace({ kind: "text", text }, base);
  }

  async restoreConfig(version: string, base: string): Promise<AppliedEdit> {
    const untilMs = this.#history.lastInForce(version);
    const applied = await this.#edits.restore(version, base);
    if (untilMs !== null) await this.#problems.reopenFixedSince(untilMs);
    return applied;
  }

  history(): Promise<readonly HistoryEntry[]> {
    return this.#history.list();
  }

  historyDiff(before: string, after: string): Promise<ConfigDiff> {
    return this.#history.diff(before, after);
  }

  async metrics(): Promise<string> {
    const { recorder, queryLog, listenCounters, reloads } = this.#server;
    return metricsText({
      counters: recorder.counters,
      upstreams: this.upstreams(),
      cache: this.cacheStats(),
      lists: await this.lists(),
      refreshes: this.#state.config.lists,
      log: queryLog.status(),
      listeners: listenCounters,
      certificate: this.#server.certificate(),
      router: this.router(),
      process: this.#watch.read(),
      reloads: reloads.read(),
      build: { version: version(), node: process.version },
      nowWallMs: this.#clock.wallMs(),
      routerCheck: this.#routerWatch.metrics(),
      counts: this.#counts,
    });
  }

  async routerosScript({ baseUrl, failover, without, remove }: RouterScriptRequest): Promise<string> {
    const strange = failover.find((address) => addressFromText(address) === null);
    if (strange !== undefined) throw new ParameterError({ parameter: "failover", reason: `\`${strange}\` is no IP address` });
    return routerScript(this.#place(baseUrl), { failover, without, remove, config: this.#state.config });
  }

  appleProfile(baseUrl: string): string {
    return appleProfile(this.#place(baseUrl));
  }

  checkRouter(): Promise<RouterCheck> {
    return this.#routerWatch.check();
  }

  async #hasAnswer(name: string, type: string): Promise<boolean> {
    const request = { name, type, client: null, clientId: null, resolve: true, version: null };
    return ((await this.explain(request)).outcome?.answers.length ?? 0) > 0;
  }

  #place(baseUrl: string): ServerPlace {
    const { policy, config } = this.#state;
    const url = serviceUrl(baseUrl);
    if (typeof url === "string") throw new ParameterError({ parameter: "url", reason: url });
    if (url.pathname === "/") url.pathname = config.listen.dohPath;
    return placeOf(url, policy.hosts);
  }

  get #state(): ServerState {
    return this.#server.state;
  }
}

const DAY_MS = 86_400_000;

function nameFrom(text: string) {
  const name = nameFromText(text);
  if (name === null) throw new ParameterError({ parameter: "name", reason: `\`${text}\` is no domain name` });
  return name;
}

/** @param config the refused configuration, whose clients the messages may name. */
function refusalOf(error: unknown, { access }: Config): unknown {
  if (!(error instanceof ServerStateError)) return error;
  return new ControlError("refused", ...error.problems.map((problem) => shownText(problem, access)));
}

function pauseView({ untilWallMs, ...pause }: RulePause): Pause {
  return { ...pause, until: timeText(untilWallMs) };
}

function missingList(name: string): ControlError {
  return new ControlError("missing", `the configuration has no list \`${name}\``);
}

/** The server is ready while one group is healthy: without a healthy group it answers only from the hosts table and the cache. */
function readinessOf({ shared, policy }: ServerState, log: LogStatus): Readiness {
  const groups = shared.groups.status();
  const unhealthy = groups.filter(({ healthy }) => !healthy).map(({ name }) => `no server of group ${name} answers`);
  const lists = policy.lists
    .status()
    .flatMap(({ name, sources }) =>
      sources.flatMap(({ source, problem, servedFrom }) =>
        problem !== null
          ? [`list ${name}: ${shownUrl(source)}: ${problem}`]
          : servedFrom === "nothing"
            ? [`list ${name}: ${shownUrl(source)} has not been downloaded yet`]
            : [],
      ),
    );
  const store = log.fault === null ? [] : [`the query log stores nothing: ${log.fault.reason}`];
  return { ready: groups.some(({ healthy }) => healthy), problems: [...unhealthy, ...lists, ...store] };
}

/** The policy of a version; null where it is not kept. */
async function findPolicy({ state, versions }: Server, version: string): Promise<Policy | null> {
  if (version === state.version) return state.policy;
  try {
    return (await versions?.policyOf(version)) ?? null;
  } catch (error) {
    if (error instanceof ControlError) return null;
    throw error;
  }
}

function certificateProblems(certificate: CertificateStatus | null, nowWallMs: number): readonly string[] {
  if (certificate === null) return [];
  const { expiresWallMs, isLate, refusal } = certificate;
  const day = utcDay(expiresWallMs);
  const end =
    expiresWallMs <= nowWallMs
      ? `the certificate has expired on ${day}`
      : `the certificate ends on ${day}, and is not renewed yet`;
  return [...(isLate ? [end] : []), ...(refusal === null ? [] : [`the renewed certificate cannot be used: ${refusal}`])];
}
