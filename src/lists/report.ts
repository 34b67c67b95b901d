import type { Copies } from "./copies.ts";
import type { ListStatus, SourceStatus } from "./load.ts";
import type { ListOptions } from "./options.ts";

/** One list as people see it: what it serves, and what its downloads came to. */
export interface ListReport extends Omit<ListStatus, "sources"> {
  readonly sources: readonly SourceReport[];
}

export interface SourceReport extends SourceStatus {
  /** When a download was last known to be the newest there is, in milliseconds since 1970; null = never, or no download. */
  readonly checkedWallMs: number | null;
  /** Why downloads change nothing since then. */
  readonly downloadProblem: { readonly reason: string; readonly held: boolean; readonly sinceWallMs: number } | null;
}

/** The lists as they serve, in the order of the configuration. */
export async function reportLists(
  options: readonly ListOptions[],
  serving: readonly ListStatus[],
  copies: Copies,
): Promise<ListReport[]> {
  const reports: ListReport[] = [];
  for (const status of serving) {
    const list = options.find(({ name }) => name === status.name);
    const sources: SourceReport[] = [];
    for (const [index, source] of status.sources.entries()) {
      const place = list?.sources[index];
      const record = place?.kind === "url" ? await copies.record(status.name, place.url) : null;
      sources.push({ ...source, checkedWallMs: record?.checkedWallMs ?? null, downloadProblem: record?.problem ?? null });
    }
    reports.push({ ...status, sources });
  }
  return reports;
}
