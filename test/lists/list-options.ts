import type { ListOptions } from "../../src/lists/options.ts";

/** The options of a list whose other keys are absent in the configuration. */
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
