/** The addresses of the page: each view is its URL. `readRoute` and `urlOf` are each other's reverse. */

export type Route =
  | { readonly page: "home" }
  | { readonly page: "problems"; readonly id: string | null }
  | QueriesRoute
  | AskRoute
  | { readonly page: "house"; readonly part: HousePart }
  | ConfigRoute;

export interface QueriesRoute {
  readonly page: "queries";
  readonly filters: readonly Filter[];
  /** How long ago (`24h`), or milliseconds since 1970; null = the last day. */
  readonly from: string | null;
  /** null = now. */
  readonly to: string | null;
  readonly tail: boolean;
  /** The record whose picture is open. */
  readonly open: number | null;
}

export interface AskRoute {
  readonly page: "ask";
  readonly name: string;
  readonly type: string;
  /** An address or a client id; empty = this machine. */
  readonly client: string;
  /** The two sides: `now`, `live` (really asked), or a version; b null = one side alone. */
  readonly a: string;
  readonly b: string | null;
}

export interface ConfigRoute {
  readonly page: "config";
  readonly view: "file" | "history";
  /** The two versions whose difference is shown. */
  readonly versions: readonly [string, string] | null;
  /** The line of the file to show, from 1. */
  readonly line: number | null;
  /** The rule whose line is to be shown. */
  readonly rule: string | null;
}

export const HOUSE_PARTS = ["upstreams", "lists", "hosts", "cache", "devices", "router"] as const;
export type HousePart = (typeof HOUSE_PARTS)[number];

export const FILTER_KEYS = [
  "name",
  "client",
  "type",
  "rcode",
  "rule",
  "upstream",
  "source",
  "action",
  "answer",
  "minMs",
] as const;
export type FilterKey = (typeof FILTER_KEYS)[number];

/** One condition of a search, as the API takes it. */
export interface Filter {
  readonly key: FilterKey;
  readonly value: string;
}

export const QUERIES: QueriesRoute = { page: "queries", filters: [], from: null, to: null, tail: false, open: null };
export const ASK: AskRoute = { page: "ask", name: "", type: "A", client: "", a: "now", b: null };
export const CONFIG: ConfigRoute = { page: "config", view: "file", versions: null, line: null, rule: null };

/** @returns null if the address is none of the page's. */
export function readRoute(url: URL): Route | null {
  const [page = "", second, third] = url.pathname.slice(1).split("/").map(decode);
  const query = url.searchParams;
  switch (page) {
    case "":
      return { page: "home" };
    case "problems":
      return { page, id: second ?? null };
    case "queries":
      return {
        page,
        filters: [...query].flatMap(([key, value]) => (isFilterKey(key) && value !== "" ? [{ key, value }] : [])),
        from: query.get("from"),
        to: query.get("to"),
        tail: query.has("tail"),
        open: positive(query.get("open")),
      };
    case "ask":
      return {
        page,
        name: query.get("name") ?? "",
        type: query.get("type") ?? ASK.type,
        client: query.get("client") ?? "",
        a: query.get("a") ?? ASK.a,
        b: query.get("b"),
      };
    case "house": {
      const part = HOUSE_PARTS.find((each) => each === (second ?? "upstreams"));
      return part === undefined ? null : { page, part };
    }
    case "config": {
      const [a = "", b = ""] = (third ?? "").split("..");
      const versions = a !== "" && b !== "" ? ([a, b] as const) : null;
      const view = second === "history" ? "history" : "file";
      return { page, view, versions, line: positive(query.get("line")), rule: query.get("rule") };
    }
    default:
      return null;
  }
}

export function urlOf(route: Route): string {
  switch (route.page) {
    case "home":
      return "/";
    case "problems":
      return route.id === null ? "/problems" : `/problems/${encodeURIComponent(route.id)}`;
    case "queries": {
      const { filters, from, to, tail, open } = route;
      const pairs = filters.map(({ key, value }) => [key, value] as const);
      return withQuery("/queries", [...pairs, ["from", from], ["to", to], ["tail", tail ? "1" : null], ["open", open]]);
    }
    case "ask": {
      const { name, type, client, a, b } = route;
      return withQuery("/ask", [
        ["name", name],
        ["type", type === ASK.type ? null : type],
        ["client", client],
        ["a", a === ASK.a ? null : a],
        ["b", b],
      ]);
    }
    case "house":
      return `/house/${route.part}`;
    case "config": {
      const { view, versions, line, rule } = route;
      if (view === "file")
        return withQuery("/config", [
          ["line", line],
          ["rule", rule],
        ]);
      return `/config/history${versions === null ? "" : `/${versions.map(encodeURIComponent).join("..")}`}`;
    }
    default:
      return route satisfies never;
  }
}

/** The queries that meet one condition, in a period. */
export function queriesWith(
  key: FilterKey,
  value: string,
  period: Partial<Pick<QueriesRoute, "from" | "to">> = {},
): QueriesRoute {
  return { ...QUERIES, filters: [{ key, value }], ...period };
}

export function isFilterKey(key: string): key is FilterKey {
  return FILTER_KEYS.some((each) => each === key);
}

/** `name:taobao.com client:tv`; a word without a key is a name. */
export function parseFilters(text: string): readonly Filter[] {
  return text
    .trim()
    .split(/\s+/)
    .flatMap((word) => {
      const [, key = "", value = ""] = /^(\w+):(.*)$/.exec(word) ?? [];
      if (isFilterKey(key)) return value === "" ? [] : [{ key, value }];
      return word === "" ? [] : [{ key: "name" as const, value: word }];
    });
}

function withQuery(path: string, pairs: readonly (readonly [string, string | number | null])[]): string {
  const query = new URLSearchParams();
  for (const [key, value] of pairs) if (value !== null && value !== "") query.append(key, String(value));
  return query.size === 0 ? path : `${path}?${query}`;
}

function positive(text: string | null): number | null {
  return text !== null && /^[1-9][0-9]{0,15}$/.test(text) ? Number(text) : null;
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
