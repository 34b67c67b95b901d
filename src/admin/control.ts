import type { Page, PageRequest, QueryFilter } from "../log/filter.ts";
import type { LogStatus, QueryRecord } from "../log/record.ts";
import type { Summary, SummaryRequest } from "../log/summary.ts";
import type { CachedAnswer, Explained } from "./schemas/record.ts";
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
} from "./schemas/views.ts";

/**
 * Everything that the admin API may see and do of the server. Values are JSON as they stand. What a caller can get wrong rejects with
 * `ControlError`; anything else that is thrown is a bug. All of it is bounded in time and size, and may be called any number of times at once.
 */
export interface Control {
  readonly queries: QuerySource;
  /** @throws ControlError `invalid` for a name or type that is none, `missing` for a version that is not kept. */
  explain(request: ExplainRequest): Promise<Explained>;
  whatIf(request: WhatIfRequest): Promise<WhatIf>;
  upstreams(): readonly UpstreamGroup[];
  lists(): Promise<readonly ListView[]>;
  /** Downloads the list now. @throws ControlError `missing`, `failed`. */
  refreshList(name: string): Promise<ListView>;
  /** What is held for exactly this name. */
  cached(name: string): readonly CachedAnswer[];
  cacheStats(): CacheView;
  /** Drops what is held for the name, and with `subtree` below it; the next query asks anew. @returns how many answers. */
  flush(name: string, subtree: boolean): number;
  hosts(): readonly HostView[];
  host(name: string): HostView | null;
  /** Takes effect on the next query and is kept in data/hosts.yaml. @throws ControlError `invalid`. */
  putHost(name: string, record: HostRecordInput): Promise<HostView>;
  /** Takes the name away, or hides it where the configuration has it. @returns false where there was none. */
  deleteHost(name: string): Promise<boolean>;
  /** The configuration in force. */
  config(): ConfigView;
  /** What would be said of this YAML text, were it the file. */
  checkConfig(text: string): Promise<ConfigCheck>;
  /** Reads the file again. @throws ControlError `refused` with every problem; the old state serves on. */
  reload(): Promise<ConfigView>;
  /** Versions of configuration and lists that are kept, newest first. */
  versions(): Promise<readonly VersionView[]>;
  readiness(): Readiness;
  /** Prometheus text, exposition format 0.0.4. */
  metrics(): Promise<string>;
  /**
   * A script for RouterOS 7 that makes this server its DoH server. `baseUrl` is where clients reach its DoH service, with or without its path.
   * @throws ControlError `invalid` where that is no https URL.
   */
  routerosScript(baseUrl: string): string;
  /** A configuration profile for Apple devices, likewise. */
  appleProfile(baseUrl: string): string;
}

export interface QuerySource {
  /** @throws ControlError `unavailable` where the store cannot be read, `slow` where the search took too long. */
  search(request: PageRequest): Promise<Page>;
  get(id: number): Promise<QueryRecord | null>;
  /** Everything that fits, newest first, in batches, for exports of any size; ends early when the signal aborts. */
  read(filter: QueryFilter, signal: AbortSignal): AsyncIterable<readonly QueryRecord[]>;
  /**
   * Calls back with each record that fits from now on, soon after its reply was sent. A callback must not throw and must return at once.
   * @returns what ends it.
   */
  follow(filter: QueryFilter, told: (record: QueryRecord) => void): () => void;
  summary(request: SummaryRequest): Promise<Summary>;
  status(): LogStatus;
}

export class ControlError extends Error {
  readonly kind: "invalid" | "missing" | "refused" | "failed" | "unavailable" | "slow";
  /** One sentence each; `message` holds them all. */
  readonly problems: readonly string[];

  constructor(kind: ControlError["kind"], ...problems: readonly string[]) {
    super(problems.join("\n"));
    this.name = "ControlError";
    this.kind = kind;
    this.problems = problems;
  }
}

/** What is wrong with parameters of a call, by their names in the API. */
export class ParameterError extends ControlError {
  readonly faults: readonly ParameterFault[];

  constructor(...faults: readonly ParameterFault[]) {
    super("invalid", ...faults.map(({ reason }) => reason));
    this.name = "ParameterError";
    this.faults = faults;
  }
}

export interface ParameterFault {
  readonly parameter: string;
  /** A sentence that is understood without the name, too. */
  readonly reason: string;
}

export interface ExplainRequest {
  readonly name: string;
  /** Mnemonic or number. */
  readonly type: string;
  /** An address; null = 127.0.0.1. */
  readonly client: string | null;
  readonly clientId: string | null;
  /** Whether the question is really asked, as that client would. */
  readonly resolve: boolean;
  /** null = as things are now; else a version of the past, which cannot be resolved. */
  readonly version: string | null;
}

export interface WhatIfRequest {
  /** The draft: YAML text of a whole configuration. */
  readonly config: string;
  /** Over which logged queries, in milliseconds since 1970. */
  readonly fromMs: number;
  readonly toMs: number;
  /** How many names are shown per change: 1 to 100. */
  readonly examples: number;
}

/** As in section `hosts`, field for field. */
export interface HostRecordInput {
  readonly address?: string | readonly string[] | undefined;
  readonly cname?: string | undefined;
  readonly others?: "nodata" | "forward" | undefined;
  readonly https?: { readonly alpn?: readonly string[] | undefined; readonly port?: number | undefined } | undefined;
}
