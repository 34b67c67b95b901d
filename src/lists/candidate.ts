import type { Sliced } from "../lib/cooperative.ts";
import { DomainSetBuilder } from "./domain-set-builder.ts";
import type { ListOptions } from "./options.ts";
import { readAddresses } from "./read-addresses.ts";
import { readDomains } from "./read-domains.ts";
import { WarningLog } from "./warnings.ts";

/** A list that lost or gained more than this share of its entries at once is held until somebody has looked at it. */
const MAX_CHANGE = 1 / 3;

/** What a download has to be measured by. */
export interface Measure {
  readonly list: Pick<ListOptions, "kind" | "sources" | "sha256">;
  readonly url: string;
  /** The copy in use; null = none, or its size does not matter. */
  readonly before: Buffer | null;
}

export type Judgement =
  | { readonly kind: "good"; readonly entries: number }
  /** Not this list, or not whole. */
  | { readonly kind: "unusable"; readonly reason: string }
  /** A list, but so different that a person should decide. */
  | { readonly kind: "held"; readonly reason: string };

/** Whether a download may take the place of the copy before. */
export function* judge(download: { readonly bytes: Buffer; readonly sha256: string }, measure: Measure): Sliced<Judgement> {
  const { list, url, before } = measure;
  if (list.sha256 !== null && list.sha256 !== download.sha256) {
    return { kind: "unusable", reason: `its checksum is ${download.sha256}, not the one that the configuration gives` };
  }
  let entries = 0;
  for (const category of categoriesOf(list, url)) {
    const found = yield* countEntries(download.bytes, list.kind, category);
    if (found.problem !== null) return { kind: "unusable", reason: found.problem };
    if (found.entries === 0) return { kind: "unusable", reason: "no usable entry" };
    // Whoever gives the checksum has seen the list.
    const previous = before === null || list.sha256 !== null ? 0 : (yield* countEntries(before, list.kind, category)).entries;
    if (previous > 0 && Math.abs(found.entries - previous) > previous * MAX_CHANGE) {
      const change = found.entries < previous ? "shrank" : "grew";
      const what = category === null ? "it" : `category ${category}`;
      return { kind: "held", reason: `${what} ${change} from ${previous} entries to ${found.entries}` };
    }
    entries += found.entries;
  }
  return { kind: "good", entries };
}

function categoriesOf({ sources }: Pick<ListOptions, "sources">, url: string): readonly (string | null)[] {
  return sources.flatMap((source) => (source.kind === "url" && source.url === url ? [source.category] : []));
}

function* countEntries(
  bytes: Buffer,
  kind: ListOptions["kind"],
  category: string | null,
): Sliced<{ readonly entries: number; readonly problem: string | null }> {
  const warnings = new WarningLog();
  if (kind === "addresses") {
    const { ranges, problem } = yield* readAddresses(bytes, category, warnings);
    return { entries: ranges.length, problem };
  }
  const builder = new DomainSetBuilder(null);
  const problem = yield* readDomains(bytes, category, { sink: builder.source(""), warnings });
  return { entries: builder.count, problem };
}
