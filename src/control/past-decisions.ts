import type { DecisionBasis, ListBasis } from "../decision-basis.ts";
import { type Decisions, decisionsFrom } from "../decisions.ts";
import { loadHosts } from "../hosts/parse.ts";
import type { CopySource } from "../lists/cache.ts";
import { type FileContent, type ListFiles, loadLists } from "../lists/load.ts";
import { ownHostsFile } from "../own-hosts.ts";

/** Gives what was kept under a digest; null where it is not there. */
export type Contents = (sha256: string) => Promise<Buffer | null>;

/**
 * Builds decisions anew from what was kept of them. Where some of that is gone, their `version` is another one.
 * @throws Error where the basis is of no use.
 */
export async function pastDecisions(basis: DecisionBasis, kept: Contents): Promise<Decisions> {
  const contents = once(kept);
  const { hosts, lists, groups, ...rest } = basis;
  const options = lists.map((list) => ({ ...list, ...NEVER_REFRESHED }));
  const readHostsFile = async (path: string): Promise<Buffer | string> => {
    const sha256 = hosts.files.find((file) => file.path === path)?.sha256 ?? null;
    return (sha256 === null ? null : await contents(sha256)) ?? NOT_KEPT;
  };
  const [loaded, read] = await Promise.all([
    loadHosts(
      { files: hosts.files.map(({ path }) => path), ttlSeconds: hosts.ttlSeconds, records: hosts.records },
      readHostsFile,
    ),
    loadLists(options, keptCopies(lists, contents), keptFiles(lists, contents)),
  ]);
  const config = { ...rest, hosts: { ...hosts, files: [] }, lists: options, upstreams: { groups } };
  return decisionsFrom(config, { loaded, ownFile: ownHostsFile(hosts.own) }, read);
}

const NEVER_REFRESHED = { refreshMs: null, via: null, proxy: null, mirrors: [] } as const;

const NOT_KEPT = "it could not be read then";

function keptCopies(lists: readonly ListBasis[], contents: Contents): CopySource {
  return {
    async read(list, url) {
      const sha256 = digestOf(
        lists,
        list,
        (source) => source.kind === "url" && source.url === url && source.servedFrom === "copy",
      );
      const bytes = sha256 === null ? null : await contents(sha256);
      return sha256 === null || bytes === null ? null : { bytes, sha256, fetchedWallMs: 0 };
    },
  };
}

function keptFiles(lists: readonly ListBasis[], contents: Contents): ListFiles {
  return {
    async read(path, list): Promise<FileContent> {
      const sha256 = digestOf(lists, list, (source) =>
        source.kind === "file" ? source.path === path : source.servedFrom === "seed",
      );
      const bytes = sha256 === null ? null : await contents(sha256);
      if (sha256 === null || bytes === null)
        return { bytes: Buffer.alloc(0), sha256: null, changedWallMs: null, problem: NOT_KEPT };
      return { bytes, sha256, changedWallMs: null, problem: null };
    },
  };
}

/** One file may hold several categories of several lists. */
function once(contents: Contents): Contents {
  const known = new Map<string, Promise<Buffer | null>>();
  return (sha256) => {
    const before = known.get(sha256);
    if (before !== undefined) return before;
    const found = contents(sha256);
    known.set(sha256, found);
    return found;
  };
}

/** Of the first fitting source that had any bytes. */
function digestOf(
  lists: readonly ListBasis[],
  name: string,
  fits: (source: ListBasis["sources"][number]) => boolean,
): string | null {
  const sources = lists.find((list) => list.name === name)?.sources ?? [];
  return sources.find((source) => source.sha256 !== null && fits(source))?.sha256 ?? null;
}
