import type { ProxyOptions } from "../upstreams/options.ts";

/** Where one part of a list comes from. `category` is what followed `#` (of a .dat file: its code, `@attribute` included). */
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
  /** The proxy of its downloads; it is given the hosts' names. */
  readonly proxy: ProxyOptions | null;
  /** Tried in this order after the one URL that such a list has. */
  readonly mirrors: readonly string[];
  readonly sha256: string | null;
  /** Absolute path of the file that serves until a first download has worked. */
  readonly seed: string | null;
}
