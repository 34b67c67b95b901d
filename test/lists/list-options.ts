import type { ListOptions } from "../../src/lists/options.ts";

/** A list as a configuration gives it that names no more than these keys. */
export function listOptions(name: string, kind: ListOptions["kind"], rest: Partial<ListOptions>): ListOptions {
  return {
    name,
    kind,
    sources: [],
    refreshMs: null,
    via: null,
    proxy: null,
    mirrors: [],
    sha256: null,
    ca: null,
    seed: null,
    ...rest,
  };
}
