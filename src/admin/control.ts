import type { AddressUpdate, AddressUpdateReply } from "../ddns/options.ts";
import type { ExportFormat } from "../log/export.ts";
import type { Page, PageRequest, QueryFilter } from "../log/filter.ts";
import type { LiveListener } from "../log/followers.ts";
import type { LogStatus, QueryRecord, RecordText } from "../log/record.ts";
import type { Volume, VolumeRequest } from "../log/search.ts";
import type { Summary, SummaryRequest } from "../log/summary.ts";
import type { AppliedEdit, ConfigDiff, ConfigFile, EditPreview, HistoryEntry, Pause } from "./schemas/edits.ts";
import type { ConfigEdit, Health, Trouble, TroublePage } from "./schemas/health.ts";
import type { CachedAnswer, Explained } from "./schemas/record.ts";
import type { RouterCheck } from "./schemas/router.ts";
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
} from "./schemas/views.ts";

/**
 * Everything that the admin API may see and do. The values are plain JSON. A mistake of the caller rejects with `ControlError`; any other error
 * is a bug. Every call is bounded in time and size, and calls may run at the same time.
 */
export interface Control {
  readonly queries: QuerySource;
  /** @throws ControlError `invalid` for a bad name or type, `missing` for a version that is not kept. */
  explain(request: ExplainRequest): Promise<Explained>;
  /** As `explain`, under a version of the past, a draft, or the file with an edit. */
  explainUnder(request: ExplainedQuestion, under: ExplainUnder): Promise<Explained>;
  whatIf(request: WhatIfRequest): Promise<WhatIf>;
  upstreams(): readonly UpstreamGroup[];
  lists(): Promise<readonly ListView[]>;
  /** Lines of a source of a list around one of them. @throws ControlError `missing`, `failed`. */
  listLines(name: string, source: string, around: number): Promise<ListLines>;
  /** Downloads the list now. @param acceptsAnySize takes also a version that is held for its size. @throws ControlError `missing`, `failed`. */
  refreshList(name: string, acceptsAnySize: boolean): Promise<ListView>;
  /** The cached answers for exactly this name. */
  cached(name: string): readonly CachedAnswer[];
  cacheStats(): CacheView;
  /** Drops the cached answers for the name, and with `subtree` those below the name. @returns the number of dropped answers. */
  flush(name: string, subtree: boolean): number;
  hosts(): readonly HostView[];
  host(name: string): HostView | null;
  /** Takes effect on the next query; data/hosts.yaml keeps the record. @throws ControlError `invalid`. */
  putHost(name: string, record: HostRecordInput): Promise<HostView>;
  /** Removes the name, or hides it if the configuration has it. @returns false if there is no such name. */
  deleteHost(name: string, hide: boolean): Promise<boolean>;
  /** The address lists that are fed; null = the configuration feeds none. */
  router(): RouterView | null;
  /** The devices that are known by name or MAC address. */
  devices(): readonly DeviceView[];
  /** Takes addresses that a host reports; null = the configuration has no tokens for that. */
  updateAddress(update: AddressUpdate): Promise<AddressUpdateReply | null>;
  /** The configuration in force. */
  config(): ConfigView;
  /** Checks the YAML text as if it were the configuration file. */
  checkConfig(text: string): Promise<ConfigCheck>;
  /** Reads the file again. @throws ControlError `refused` with every problem; then the old state serves on. */
  reload(): Promise<ConfigView>;
  /** The kept versions of configuration and lists, newest first. */
  versions(): Promise<readonly VersionView[]>;
  pauses(): readonly Pause[];
  /** Passes rules that answer here over for a while. @throws ControlError `invalid`, `refused`. */
  pause(request: PauseRequest): Promise<Pause>;
  /** @returns false if there is no such pause. */
  endPause(id: string): Promise<boolean>;
  /** The file as it stands. @throws ControlError `refused` if there is none. */
  configFile(): Promise<ConfigFile>;
  /** What an edit would do. @param caller who may apply it. @throws ControlError `invalid`, `refused` if the file is not `base` any more. */
  previewEdit(request: EditRequest, caller: string): Promise<EditPreview>;
  /** @throws ControlError `missing` */
  editTicket(ticket: string, caller: string): EditPreview;
  /** Applies an edit. @throws ControlError `missing`, `refused`; then the file is as before. */
  applyEdit(ticket: string, caller: string): Promise<AppliedEdit>;
  /** Puts another text in place. @throws ControlError `refused`, `invalid`. */
  putConfigFile(text: string, base: string): Promise<AppliedEdit>;
  /** Puts a text of the history in place. @throws ControlError `missing`, `refused`. */
  restoreConfig(version: string, base: string): Promise<AppliedEdit>;
  /** The texts of the configuration file that served, the present one first. */
  history(): Promise<readonly HistoryEntry[]>;
  /** @throws ControlError `missing`. */
  historyDiff(before: string, after: string): Promise<ConfigDiff>;
  readiness(): Readiness;
  /** Calls the listener with the present state of each topic, then with each change. The listener must return at once. @returns what ends it. */
  follow(listener: (change: StateChange) => void): () => void;
  health(): Health;
  /** What goes wrong again and again: the open first. @throws ControlError `unavailable` if the log cannot be read. */
  problems(request: ProblemsRequest): Promise<TroublePage>;
  /** @throws ControlError `missing`. */
  changeProblem(id: string, change: ProblemWord): Promise<Trouble>;
  /** Prometheus text, exposition format 0.0.4. */
  metrics(): Promise<string>;
  /**
   * A script for RouterOS 7 that makes this server the DoH server of the router, or takes that away again.
   * @throws ControlError `invalid` if the URL is no https URL, or `failover` holds something that is no address.
   */
  routerosScript(request: RouterScriptRequest): Promise<string>;
  /** Compares the router of section `routeros` with what this server needs. @throws ControlError `missing`, `failed`. */
  checkRouter(): Promise<RouterCheck>;
  /**
   * A configuration profile for Apple devices.
   * @param baseUrl where clients reach the DoH service, with or without its path.
   * @throws ControlError `invalid` if that is no https URL.
   */
  appleProfile(baseUrl: string): string;
}

/** Records leave the source as JSON text, made by the threads of the log. A record that `get` returns is whole: it has its trace. */
export interface QuerySource {
  /**
   * @param signal aborts when nobody waits for the page any more: it then ends as it is.
   * @throws ControlError `unavailable` if the store cannot be read, `slow` if the search takes too long.
   */
  search(request: PageRequest, signal?: AbortSignal): Promise<Page<RecordText>>;
  get(id: number): Promise<QueryRecord | null>;
  /** All matching records, newest first, as texts of several records each. The signal ends the reading early. */
  read(filter: QueryFilter, format: ExportFormat, signal: AbortSignal): AsyncIterable<string>;
  /**
   * Calls the listener with the matching records from now on, some tenths of a second after their replies were sent. The listener must not throw and must
   * return at once.
   * @param perSecond records that the listener gets at most; the others are counted as left out.
   * @returns a function that stops the calls.
   */
  follow(filter: QueryFilter, listener: LiveListener, perSecond?: number): () => void;
  summary(request: Omit<SummaryRequest, "sideOf">): Promise<Summary>;
  /** How many records fit, step by step. @param signal as for a search. */
  volume(request: VolumeRequest, signal?: AbortSignal): Promise<Volume>;
  status(): LogStatus;
}

export class ControlError extends Error {
  readonly kind: "invalid" | "missing" | "refused" | "failed" | "unavailable" | "slow";
  /** One sentence for each problem; `message` joins them. */
  readonly problems: readonly string[];

  constructor(kind: ControlError["kind"], ...problems: readonly string[]) {
    super(problems.join("\n"));
    this.name = "ControlError";
    this.kind = kind;
    this.problems = problems;
  }
}

/** Parameters of a call are wrong; the faults bear the names that the API gives them. */
export class ParameterError extends ControlError {
  readonly faults: readonly ParameterFault[];

  constructor(...faults: readonly ParameterFault[]) {
    super("invalid", ...faults.map(({ reason }) => reason));
    this.name = "ParameterError";
    this.faults = faults;
  }
}

/** What pages show at once; besides `health` it only says that something is to be asked for again. */
export type StateChange =
  | { readonly topic: "health"; readonly data: Health }
  /** The number is another one when a problem has changed. */
  | { readonly topic: "problems"; readonly data: { readonly revision: number } }
  /** Of configuration, lists, hosts and pauses. */
  | { readonly topic: "config"; readonly data: { readonly version: string; readonly pauses: readonly Pause[] } };

export interface ParameterFault {
  readonly parameter: string;
  /** A sentence that one understands without the name. */
  readonly reason: string;
}

export type ExplainedQuestion = Pick<ExplainRequest, "name" | "type" | "client" | "clientId" | "atMs">;

export type ExplainUnder =
  | { readonly version: string }
  /** The text of a whole configuration. */
  | { readonly config: string }
  | { readonly edit: ConfigEdit };

export interface ExplainRequest {
  readonly name: string;
  /** A mnemonic or a number. */
  readonly type: string;
  /** An address; null = 127.0.0.1. */
  readonly client: string | null;
  readonly clientId: string | null;
  /** Whether the server really resolves the question, as for that client. */
  readonly resolve: boolean;
  /** null = the present version; a past version cannot be resolved. */
  readonly version: string | null;
  /** When it is asked, in milliseconds since 1970; absent = now. Another moment cannot be resolved. */
  readonly atMs?: number;
}

export interface RouterScriptRequest {
  /** Where clients reach the DoH service, with or without its path. */
  readonly baseUrl: string;
  /** Addresses of the plain servers that answer while this server does not; empty = nobody. */
  readonly failover: readonly string[];
  /** Parts of the script to leave out. */
  readonly without: readonly RouterScriptPart[];
  /** Whether the script takes everything away again. */
  readonly remove: boolean;
}

export const ROUTER_SCRIPT_PARTS = ["trust", "ntp", "dhcp", "ra", "redirect"] as const;

export type RouterScriptPart = (typeof ROUTER_SCRIPT_PARTS)[number];

export interface EditRequest {
  readonly edit: ConfigEdit;
  /** `digest` of the file that the edit is meant for. */
  readonly base: string;
}

export interface PauseRequest {
  /** Empty = all rules that answer here. */
  readonly rules: readonly string[];
  /** null = for everybody. */
  readonly client: string | null;
  readonly forMs: number;
}

export interface ProblemsRequest {
  /** null = all states, or all clients. */
  readonly state: Trouble["state"] | null;
  readonly client: string | null;
  readonly limit: number;
  readonly cursor: string | null;
}

/** What a person says of a problem. */
export interface ProblemWord {
  readonly state: "muted" | "open" | "fixed";
  /** Of `muted`, in milliseconds since 1970. */
  readonly untilMs: number | null;
}

export interface WhatIfRequest {
  /** The draft: the YAML text of a whole configuration. */
  readonly config: string;
  /** The period of the logged queries, in milliseconds since 1970. */
  readonly fromMs: number;
  readonly toMs: number;
  /** Names to show for each change: 1 to 100. */
  readonly examples: number;
}

/** A record with the fields of section `hosts`. */
export interface HostRecordInput {
  readonly address?: string | readonly string[] | undefined;
  readonly cname?: string | undefined;
  readonly others?: "nodata" | "forward" | undefined;
  readonly a?: "nodata" | "forward" | undefined;
  readonly aaaa?: "nodata" | "forward" | undefined;
  readonly forward?: boolean | undefined;
  readonly https?: { readonly alpn?: readonly string[] | undefined; readonly port?: number | undefined } | undefined;
}
