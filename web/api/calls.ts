/**
 * The calls of the API that the page makes: method and path, what goes in and what comes out. The types are the API's own schemas;
 * `test/web/calls.test.ts` holds the paths to the document.
 *
 * In an input, names in braces in the path and `body` are what they say; all others are parameters of the query.
 */

import type { CachedAnswer, Explained } from "../../src/admin/schemas/record.ts";
import type {
  CacheView,
  ConfigCheck,
  ConfigView,
  HostView,
  ListView,
  UpstreamGroup,
  VersionView,
} from "../../src/admin/schemas/views.ts";
import type { Filter, FilterKey } from "../routes.ts";
import type { Health, ProblemPage, QueryRecord, Stats as Statistics } from "./soon.ts";

export type Attempt = QueryRecord["attempts"][number];
export type { Health, QueryRecord };
export type TraceStep = NonNullable<QueryRecord["trace"]>[number];
export type { CachedAnswer, CacheView, ConfigView, Explained, HostView, ListView, Statistics, UpstreamGroup, VersionView };
export type Count = Statistics["topNames"][number];

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
    output: { readonly records: readonly QueryRecord[]; readonly cursor: string | null };
  };
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
  listUpstreams: { input: None; output: readonly UpstreamGroup[] };
  listLists: { input: None; output: readonly ListView[] };
  refreshList: { input: { readonly name: string }; output: ListView };
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
    output: ProblemPage;
  };
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
  getQuery: "GET /api/v1/queries/{id}",
  explain: "GET /api/v1/explain",
  listUpstreams: "GET /api/v1/upstreams",
  listLists: "GET /api/v1/lists",
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
