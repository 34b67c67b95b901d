import {
  type Control,
  ControlError,
  type ExplainRequest,
  type HostRecordInput,
  ParameterError,
  type QuerySource,
  type WhatIfRequest,
} from "../admin/control.ts";
import type { CachedAnswer, Explained } from "../admin/schemas/record.ts";
import type {
  CacheView,
  ConfigCheck,
  ConfigView,
  HostView,
  ListView,
  Readiness,
  UpstreamGroup,
  VersionView,
  WhatIf,
} from "../admin/schemas/views.ts";
import { loadConfig } from "../config/load.ts";
import type { Problem } from "../config/reading.ts";
import type { Config } from "../config/types.ts";
import { nameFromText } from "../dns/name.ts";
import { shownUrl } from "../lib/text.ts";
import { listCacheOf } from "../lists/cache.ts";
import { reportLists } from "../lists/load.ts";
import type { UpdateResult } from "../lists/update.ts";
import type { LogStatus } from "../log/record.ts";
import { type ServerState, ServerStateError } from "../server/state.ts";
import type { Reloads } from "../stats/process.ts";
import { appleProfile, placeOf, routerosScript, type ServerPlace, serviceUrl } from "./client-setup.ts";
import { type HostsChange, hostAt, hostPattern, hostRecord, withHost, withoutHost } from "./hosts.ts";
import {
  cachedAnswer,
  cacheView,
  groupView,
  hostView,
  listView,
  shownConfig,
  shownText,
  timeText,
  withoutQuotedSecrets,
} from "./views.ts";

/** The server at work, as far as it can be seen and changed from here. */
export interface Server {
  readonly state: ServerState;
  /** When `state` was put in place, in milliseconds since 1970. */
  readonly sinceWallMs: number;
  /** Whoever reads a file that has problems, so that `reload` is not called, counts that here. */
  readonly reloads: Pick<Reloads, "read" | "noteFailure">;
  /** @throws ServerStateError */
  reload(config: Config): Promise<void>;
  /** @throws ServerStateError, or the system's error. */
  changeHosts(change: HostsChange): Promise<void>;
  /** @throws ServerStateError where the configuration was changed meanwhile. */
  refreshList(name: string): Promise<readonly UpdateResult["outcome"][]>;
}

/** What explains decisions, of now and of the past. */
export interface Explaining {
  explain(request: ExplainRequest): Promise<Explained>;
  whatIf(request: WhatIfRequest): Promise<WhatIf>;
  checkConfig(text: string): Promise<ConfigCheck>;
  versions(): Promise<readonly VersionView[]>;
}

interface ControlParts {
  readonly server: Server;
  readonly queries: QuerySource;
  readonly explaining: Explaining;
  readonly metrics: () => Promise<string>;
}

/** What the API sees and does, carried out on the server at work. */
export class ServerControl implements Control {
  readonly queries: QuerySource;
  readonly #server: Server;
  readonly #explaining: Explaining;
  readonly #metrics: () => Promise<string>;
  /** Reading a large text takes long, and whoever looks may look often. */
  #shown: { readonly of: Config; readonly as: ConfigView["config"] } | null = null;

  constructor({ server, queries, explaining, metrics }: ControlParts) {
    this.queries = queries;
    this.#server = server;
    this.#explaining = explaining;
    this.#metrics = metrics;
  }

  explain(request: ExplainRequest): Promise<Explained> {
    return this.#explaining.explain(request);
  }

  whatIf(request: WhatIfRequest): Promise<WhatIf> {
    return this.#explaining.whatIf(request);
  }

  versions(): Promise<readonly VersionView[]> {
    return this.#explaining.versions();
  }

  upstreams(): readonly UpstreamGroup[] {
    return this.#site.shared.groups.status().map(groupView);
  }

  async lists(): Promise<readonly ListView[]> {
    const { config, policy: decisions } = this.#site;
    return (await reportLists(config.lists, decisions.lists.status(), listCacheOf(config))).map((report) =>
      listView(report, config.access),
    );
  }

  async refreshList(name: string): Promise<ListView> {
    if (!this.#site.config.lists.some((list) => list.name === name)) throw missingList(name);
    const outcomes = await this.#server.refreshList(name).catch((error: unknown) => {
      throw refusalOf(error, this.#site.config);
    });
    const faults = outcomes.flatMap((outcome) =>
      outcome.kind === "failed" || outcome.kind === "held"
        ? [`${outcome.kind}: ${shownText(outcome.reason, this.#site.config.access)}`]
        : [],
    );
    if (faults.length > 0) throw new ControlError("failed", ...faults);
    const view = (await this.lists()).find((list) => list.name === name);
    // A reload may have taken it away meanwhile.
    if (view === undefined) throw missingList(name);
    return view;
  }

  cached(written: string): readonly CachedAnswer[] {
    const { shared: backing, config, resolver } = this.#site;
    const given = { limits: config.answers, nowMs: resolver.clock.now() };
    return backing.cache.inspect(nameOf(written)).map((inspected) => cachedAnswer(inspected, given));
  }

  cacheStats(): CacheView {
    return cacheView(this.#site.shared.cache.stats());
  }

  flush(written: string, subtree: boolean): number {
    return this.#site.shared.cache.flush(nameOf(written), subtree);
  }

  hosts(): readonly HostView[] {
    const byName = (one: HostView, other: HostView) => (one.name < other.name ? -1 : 1);
    return [...this.#site.policy.hosts.entries()].map(hostView).sort(byName);
  }

  host(written: string): HostView | null {
    const match = hostAt(this.#site.policy.hosts, hostPattern(written));
    return match === null ? null : hostView(match);
  }

  async putHost(written: string, input: HostRecordInput): Promise<HostView> {
    const pattern = hostPattern(written);
    const record = hostRecord(pattern, input);
    await this.#changeHosts(withHost(record));
    const view = this.host(pattern);
    if (view === null) throw new ControlError("failed", `${pattern} was put in and taken away again meanwhile`);
    return view;
  }

  async deleteHost(written: string): Promise<boolean> {
    const pattern = hostPattern(written);
    if (this.host(pattern) === null) return false;
    await this.#changeHosts(withoutHost(pattern));
    return true;
  }

  async #changeHosts(change: HostsChange): Promise<void> {
    try {
      await this.#server.changeHosts(change);
    } catch (error) {
      if (error instanceof Error && "code" in error)
        throw new ControlError("failed", `the names cannot be kept: ${error.message}`);
      throw refusalOf(error, this.#site.config);
    }
  }

  config(): ConfigView {
    const { config, version } = this.#site;
    if (this.#shown?.of !== config) this.#shown = { of: config, as: shownConfig(config) };
    return { path: config.path, version, since: timeText(this.#server.sinceWallMs), config: this.#shown.as };
  }

  checkConfig(text: string): Promise<ConfigCheck> {
    return this.#explaining.checkConfig(text);
  }

  async reload(): Promise<ConfigView> {
    const result = loadConfig(this.#site.config.path);
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
    return readinessOf(this.#site, this.queries.status());
  }

  metrics(): Promise<string> {
    return this.#metrics();
  }

  routerosScript(baseUrl: string): string {
    return routerosScript(this.#place(baseUrl));
  }

  appleProfile(baseUrl: string): string {
    return appleProfile(this.#place(baseUrl));
  }

  #place(baseUrl: string): ServerPlace {
    const { policy: decisions, config } = this.#site;
    const url = serviceUrl(baseUrl);
    if (typeof url === "string") throw new ParameterError({ parameter: "url", reason: url });
    if (url.pathname === "/") url.pathname = config.listen.dohPath;
    return placeOf(url, decisions.hosts);
  }

  get #site(): ServerState {
    return this.#server.state;
  }
}

function nameOf(written: string) {
  const name = nameFromText(written);
  if (name === null) throw new ParameterError({ parameter: "name", reason: `\`${written}\` is no domain name` });
  return name;
}

/** @param config that the refusal is about: what is said of it names clients. */
function refusalOf(error: unknown, { access }: Config): unknown {
  if (!(error instanceof ServerStateError)) return error;
  return new ControlError("refused", ...error.problems.map((problem) => shownText(problem, access)));
}

function missingList(name: string): ControlError {
  return new ControlError("missing", `the configuration has no list \`${name}\``);
}

/** One problem of a configuration in one line. */
export function problemText({ line, column, message, fix }: Problem): string {
  return `line ${line}, column ${column}: ${message}; ${fix}`;
}

/** Whether questions are answered, and all trouble that is known of. Without any server that is well only hosts names and the cache are. */
function readinessOf({ shared: backing, policy: decisions }: ServerState, log: LogStatus): Readiness {
  const groups = backing.groups.status();
  const unhealthy = groups.filter(({ healthy }) => !healthy).map(({ name }) => `no server of group ${name} answers`);
  const lists = decisions.lists
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
