import type { ProxyOptions } from "../upstreams/options.ts";

/** One source of a list. `category` is the text after `#`: in a .dat file the code of a category with its `@attribute`s. */
export type ListSource =
  | { readonly kind: "file"; readonly path: string; readonly category: string | null }
  | { readonly kind: "url"; readonly url: string; readonly category: string | null };

/** One entry of section `lists`. */
export interface ListOptions {
  readonly name: string;
  readonly kind: "domains" | "addresses";
  readonly sources: readonly ListSource[];
  readonly refreshMs: number | null;
  /** The upstream group that looks up the hosts of URL sources. */
  readonly via: string | null;
  /** The proxy for downloads. The proxy gets the names of hosts and resolves them. */
  readonly proxy: ProxyOptions | null;
  /** Certificates in PEM that those of the hosts are checked against; null = those that the process trusts. */
  readonly ca: string | null;
  /** Tried in this order after the URL; a list with mirrors has one URL. */
  readonly mirrors: readonly string[];
  readonly sha256: string | null;
  /** Absolute path of the file that serves until the first good download. */
  readonly seed: string | null;
}
