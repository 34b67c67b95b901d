/**
 * The calls of the API that the page makes: method and path, what goes in and what comes out. The types are the API's own schemas;
 * `test/web/calls.test.ts` holds the paths to the document.
 *
 * In an input, names in braces in the path and `body` are what they say; all others are parameters of the query.
 */

import type { AppliedEdit, ConfigDiff, ConfigFile, EditPreview, HistoryEntry, Pause } from "../../src/admin/schemas/edits.ts";
import type { Health, ProblemFix, Trouble, TroublePage } from "../../src/admin/schemas/health.ts";
import type { ValueOf } from "../../src/admin/schemas/named.ts";
import type { CachedAnswer, Explained, queryPageSchema, queryRecordSchema } from "../../src/admin/schemas/record.ts";
import type { RouterCheck } from "../../src/admin/schemas/router.ts";
import type {
  CacheView,
  ConfigCheck,
  ConfigView,
  HostView,
  ListView,
  listLinesSchema,
  RouterView,
  Statistics,
  UpstreamGroup,
  VersionView,
  volumeSchema,
  WhatIf,
} from "../../src/admin/schemas/views.ts";
import type { Filter, FilterKey } from "../routes.ts";

export type QueryRecord = ValueOf<typeof queryRecordSchema>;
export type Attempt = QueryRecord["attempts"][number];
export type TraceStep = NonNullable<QueryRecord["trace"]>[number];
export type Count = Statistics["topNames"][number];
export type ConfigProblem = ConfigCheck["problems"][number];
export type ConfigEdit = NonNullable<ProblemFix["edit"]>;
export type DiffLine = ConfigDiff["lines"][number];
export type {
  AppliedEdit,
  CachedAnswer,
  CacheView,
  ConfigCheck,
  ConfigFile,
  ConfigView,
  EditPreview,
  Explained,
  Health,
  HostView,
  ListView,
  ProblemFix,
  Statistics,
  Trouble,
  UpstreamGroup,
  WhatIf,
};

interface SessionState {
  readonly tokenNeeded: boolean;
  readonly signedIn: boolean;
  /** The time zone of the server. */
  readonly zone: string;
}

type None = Readonly<Record<never, never>>;
interface Period {
  readonly from?: string;
  readonly to?: string;
}

/** Operation by its id in the document. */
export interface Calls {
  getStatistics: { input: Period & { readonly step?: string; readonly top?: number }; output: Statistics };
  searchQueries: {
    input: Period & Conditions & { readonly limit?: number; readonly cursor?: string };
    output: ValueOf<typeof queryPageSchema>;
  };
  getVolume: { input: Period & Conditions & { readonly step?: string }; output: ValueOf<typeof volumeSchema> };
  getQuery: { input: { readonly id: number }; output: QueryRecord };
  explain: {
    input: {
      readonly name: string;
      readonly type?: string;
      readonly client?: string;
      readonly clientId?: string;
      readonly resolve?: boolean;
      readonly version?: string;
    };
    output: Explained;
  };
  explainUnder: {
    input: {
      readonly body: {
        readonly name: string;
        readonly type: string;
        readonly client?: string;
        readonly clientId?: string;
        readonly under: { readonly version: string } | { readonly edit: ConfigEdit };
      };
    };
    output: Explained;
  };
  listUpstreams: { input: None; output: readonly UpstreamGroup[] };
  listLists: { input: None; output: readonly ListView[] };
  getListLines: {
    input: { readonly name: string; readonly source: string; readonly around: number };
    output: ValueOf<typeof listLinesSchema>;
  };
  refreshList: { input: { readonly name: string; readonly accept?: boolean }; output: ListView };
  inspectCache: { input: { readonly name?: string }; output: { answers: readonly CachedAnswer[]; stats: CacheView } };
  flushCache: { input: { readonly name: string; readonly subtree?: boolean }; output: { flushed: number } };
  listHosts: { input: None; output: readonly HostView[] };
  putHost: { input: { readonly name: string; readonly body: HostInput }; output: HostView };
  deleteHost: { input: { readonly name: string; readonly hide?: boolean }; output: undefined };
  getConfig: { input: None; output: ConfigView };
  checkConfig: { input: { readonly body: { readonly config: string } }; output: ConfigCheck };
  listVersions: { input: None; output: readonly VersionView[] };
  getHealth: { input: None; output: Health };
  listProblems: {
    input: { readonly state?: string; readonly client?: string; readonly limit?: number; readonly cursor?: string };
    output: TroublePage;
  };
  changeProblem: {
    input: { readonly id: string; readonly body: { readonly state: "open" | "muted" | "fixed"; readonly until?: string } };
    output: Trouble;
  };
  getConfigFile: { input: None; output: ConfigFile };
  editConfig: {
    input: {
      readonly body: { readonly edit: ConfigEdit; readonly base: string } | { readonly ticket: string; readonly apply: true };
    };
    output: EditPreview | AppliedEdit;
  };
  getConfigEdit: { input: { readonly ticket: string }; output: EditPreview };
  listHistory: { input: None; output: readonly HistoryEntry[] };
  diffHistory: { input: { readonly before: string; readonly after: string }; output: ConfigDiff };
  restoreConfig: { input: { readonly version: string; readonly body: { readonly base: string } }; output: AppliedEdit };
  checkRouter: { input: None; output: RouterCheck };
  getRouter: { input: None; output: RouterView };
  getSession: { input: None; output: SessionState };
  signOut: { input: None; output: SessionState };
  listPauses: { input: None; output: readonly Pause[] };
  pauseRules: {
    input: { readonly body: { readonly rules?: readonly string[]; readonly client?: string; readonly minutes: number } };
    output: Pause;
  };
  endPause: { input: { readonly id: string }; output: undefined };
  signIn: { input: { readonly body: { readonly token: string } }; output: undefined };
}

export type Operation = keyof Calls;

export interface HostInput {
  readonly address?: readonly string[];
  readonly cname?: string;
  readonly others?: "nodata" | "forward";
}

/** Several values of one filter mean any of them. */
export type Conditions = { readonly [K in FilterKey]?: readonly string[] };

export const CALLS: Readonly<Record<Operation, `${"GET" | "POST" | "PUT" | "DELETE"} /${string}`>> = {
  getStatistics: "GET /api/v1/stats",
  searchQueries: "GET /api/v1/queries",
  getVolume: "GET /api/v1/queries/volume",
  getQuery: "GET /api/v1/queries/{id}",
  explain: "GET /api/v1/explain",
  explainUnder: "POST /api/v1/explain",
  listUpstreams: "GET /api/v1/upstreams",
  listLists: "GET /api/v1/lists",
  getListLines: "GET /api/v1/lists/{name}/lines",
  refreshList: "POST /api/v1/lists/{name}/refresh",
  inspectCache: "GET /api/v1/cache",
  flushCache: "DELETE /api/v1/cache",
  listHosts: "GET /api/v1/hosts",
  putHost: "PUT /api/v1/hosts/{name}",
  deleteHost: "DELETE /api/v1/hosts/{name}",
  getConfig: "GET /api/v1/config",
  checkConfig: "POST /api/v1/config/check",
  listVersions: "GET /api/v1/versions",
  getHealth: "GET /api/v1/health",
  listProblems: "GET /api/v1/problems",
  changeProblem: "PUT /api/v1/problems/{id}",
  getConfigFile: "GET /api/v1/config/file",
  editConfig: "POST /api/v1/config/edits",
  getConfigEdit: "GET /api/v1/config/edits/{ticket}",
  listHistory: "GET /api/v1/history",
  diffHistory: "GET /api/v1/history/{before}/diff/{after}",
  restoreConfig: "POST /api/v1/history/{version}/restore",
  checkRouter: "GET /api/v1/routeros/check",
  getRouter: "GET /api/v1/router",
  getSession: "GET /api/v1/session",
  signOut: "DELETE /api/v1/session",
  listPauses: "GET /api/v1/pause",
  pauseRules: "POST /api/v1/pause",
  endPause: "DELETE /api/v1/pause/{id}",
  signIn: "POST /api/v1/session",
};

export interface HttpRequest {
  readonly method: string;
  readonly url: string;
  readonly body: string | null;
}

export function requestOf<K extends Operation>(operation: K, input: Calls[K]["input"]): HttpRequest {
  const [method = "", pattern = ""] = CALLS[operation].split(" ");
  const { body, ...values }: { readonly body?: unknown } & Readonly<Record<string, unknown>> = { ...input };
  const path = pattern.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(values[name])));
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (pattern.includes(`{${name}}`) || value === undefined) continue;
    for (const each of Array.isArray(value) ? value : [value]) query.append(name, `${each}`);
  }
  return { method, url: query.size === 0 ? path : `${path}?${query}`, body: body === undefined ? null : JSON.stringify(body) };
}

export function conditionsOf(filters: readonly Filter[]): Conditions {
  const conditions: Partial<Record<FilterKey, readonly string[]>> = {};
  for (const { key, value } of filters) conditions[key] = [...(conditions[key] ?? []), value];
  return conditions;
}
