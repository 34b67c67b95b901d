import type { Page, PageRequest, QueryFilter } from "../log/filter.ts";
import type { CachedAnswer, Explained, LogStatus, QueryRecord } from "../log/record.ts";
import type { Summary, SummaryRequest } from "../log/summary.ts";

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

/** How a draft would change what logged queries got. Equal questions of equal clients are judged once and counted. */
export interface WhatIf {
  /** Queries looked at, and how many of them would go otherwise. */
  readonly queries: number;
  readonly changed: number;
  /** Whether there were more queries than are looked at. */
  readonly truncated: boolean;
  /** Most queries first. */
  readonly changes: readonly WhatIfChange[];
  /** What makes it less than exact, a sentence each: that the log does not keep whole client addresses, or a list was never downloaded. */
  readonly notes: readonly string[];
}

export interface WhatIfChange {
  readonly before: WhatIfOutcome;
  readonly after: WhatIfOutcome;
  readonly queries: number;
  readonly names: readonly { readonly name: string; readonly type: string; readonly queries: number }[];
}

export interface WhatIfOutcome {
  readonly rule: string | null;
  readonly route: string | null;
  /** As in `ExplainedDecision`. */
  readonly answer: string | null;
  readonly action: string;
}

export interface UpstreamGroup {
  readonly name: string;
  readonly strategy: string;
  readonly fallback: string | null;
  readonly well: boolean;
  readonly inFlight: number;
  readonly breaches: number;
  readonly members: readonly UpstreamMember[];
}

export interface UpstreamMember {
  readonly server: string;
  readonly well: boolean;
  readonly latencyMs: number | null;
  readonly questions: number;
  readonly failures: number;
  readonly lastFailure: { readonly reason: string; readonly time: string } | null;
  readonly inFlight: number;
}

export interface ListView {
  readonly name: string;
  readonly kind: "domains" | "addresses";
  readonly size: number;
  readonly sources: readonly ListSourceView[];
}

export interface ListSourceView {
  readonly source: string;
  readonly servedFrom: "file" | "copy" | "seed" | "nothing";
  readonly entries: number;
  readonly bytes: number;
  readonly sha256: string | null;
  /** When it was last changed or downloaded; null = unknown. */
  readonly changed: string | null;
  /** When it was last known to be the newest. */
  readonly checked: string | null;
  readonly problem: string | null;
  readonly downloadProblem: { readonly reason: string; readonly held: boolean; readonly since: string } | null;
  readonly warningCount: number;
  readonly warnings: readonly { readonly line: number; readonly reason: string }[];
}

export interface CacheView {
  readonly hits: number;
  readonly misses: number;
  readonly positive: CacheSegmentView;
  readonly negative: CacheSegmentView;
}

export interface CacheSegmentView {
  readonly entries: number;
  readonly bytes: number;
  readonly budgetBytes: number;
  readonly hits: number;
  /** Answers that went to make room. */
  readonly evictions: number;
}

export interface HostView {
  /** As it would be written: `nas.lan` or `*.apps.lan`. */
  readonly name: string;
  readonly addresses: readonly string[];
  readonly cname: string | null;
  readonly others: "nodata" | "forward";
  readonly https: { readonly alpn: readonly string[]; readonly port: number | null } | null;
  /** Where it stands: a file, `hosts.records`, or `data/hosts.yaml`. */
  readonly source: string;
  readonly line: number;
  /** Whether it was put there by the API. */
  readonly own: boolean;
}

/** As in section `hosts`, field for field. */
export interface HostRecordInput {
  readonly address?: string | readonly string[] | undefined;
  readonly cname?: string | undefined;
  readonly others?: "nodata" | "forward" | undefined;
  readonly https?: { readonly alpn?: readonly string[] | undefined; readonly port?: number | undefined } | undefined;
}

export interface ConfigView {
  /** null = the defaults. */
  readonly path: string | null;
  readonly version: string;
  /** Since when it is in force. */
  readonly since: string;
  /** As it was written, secrets replaced; what is left out has its default. */
  readonly config: Readonly<Record<string, unknown>>;
}

export interface ConfigCheck {
  readonly ok: boolean;
  readonly problems: readonly ConfigProblem[];
  readonly warnings: readonly ConfigProblem[];
}

export interface ConfigProblem {
  readonly message: string;
  /** From 1; null where it concerns no place in the text. */
  readonly line: number | null;
  readonly column: number | null;
}

export interface VersionView {
  readonly version: string;
  readonly since: string;
  readonly lists: readonly { readonly name: string; readonly size: number }[];
  /** Files and lists whose content is not kept; nothing can be explained under this version then. */
  readonly missing: readonly string[];
}

export interface Readiness {
  /** Whether questions are answered. Trouble that does not keep us from answering is in `problems`, and the status still 200. */
  readonly ready: boolean;
  readonly problems: readonly string[];
}
