import { createHash, randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Static } from "typebox";
import Type from "typebox";
import { Value } from "typebox/value";
import { runCooperatively, type Sliced } from "../lib/cooperative.ts";
import { dataFolder, type Placed, replaceFile } from "../lib/files.ts";

/** The download that was last found good. `etag` and `lastModified` are the server's words for it. */
export type CachedList = Static<typeof COPY>;

/** What is known of one URL of one list. */
export type CacheRecord = Static<typeof RECORD>;

/** Where downloads are read from. */
export interface CopySource {
  /** The last good download of a URL of a list; null where there is none that is whole. */
  read(list: string, url: string): Promise<CopyContent | null>;
}

export interface CopyContent {
  readonly bytes: Buffer;
  readonly sha256: string;
  /** When it was downloaded, in milliseconds since 1970. */
  readonly fetchedWallMs: number;
}

/** Where the downloads of a configuration are kept. */
export function listCacheOf(config: Placed): ListCache {
  return new ListCache(join(dataFolder(config), "lists"));
}

export const NO_LIST_CACHE: CopySource = { read: () => Promise.resolve(null) };

/**
 * The last good downloads, in a folder of their own. A record names its file, and is written beside its place and moved there: whatever
 * happens in between, it stands for the copy before or for the new one, each whole. Two processes may use one folder.
 */
export class ListCache implements CopySource {
  readonly #folder: string;

  /** The folder is made when something is put into it. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  async read(list: string, url: string): Promise<CopyContent | null> {
    const { copy } = await this.record(list, url);
    if (copy === null) return null;
    const { sha256, fetchedWallMs } = copy;
    try {
      const bytes = await readFile(this.#bytesPath(list, url, sha256));
      return (await runCooperatively(checksumOf(bytes))) === sha256 ? { bytes, sha256, fetchedWallMs } : null;
    } catch {
      return null;
    }
  }

  /** An empty one where nothing is known, or where it cannot be read: then the list is downloaded anew. */
  async record(list: string, url: string): Promise<CacheRecord> {
    try {
      const record: unknown = JSON.parse(await readFile(this.#recordPath(list, url), "utf8"));
      return Value.Check(RECORD, record) ? record : NOTHING_KNOWN;
    } catch {
      return NOTHING_KNOWN;
    }
  }

  /** A path for a download that is not judged yet. @throws the system's error where the folder cannot be made. */
  async newPath(list: string, url: string): Promise<string> {
    await mkdir(this.#folder, { recursive: true });
    return join(this.#folder, `${keyOf(list, url)}.${randomUUID()}.new`);
  }

  /** Puts a judged download in the place of the copy before. @throws the system's error; then the copy before is still in place. */
  async keep(list: string, url: string, kept: { readonly newPath: string; readonly copy: CachedList }): Promise<void> {
    const { newPath, copy } = kept;
    await rename(newPath, this.#bytesPath(list, url, copy.sha256));
    await this.note(list, url, { copy, checkedWallMs: copy.fetchedWallMs, problem: null });
    await this.#sweep(list, url, copy);
  }

  /** @throws the system's error where it cannot be written. */
  async note(list: string, url: string, record: CacheRecord): Promise<void> {
    const besidePath = await this.newPath(list, url);
    await replaceFile(this.#recordPath(list, url), `${JSON.stringify(record, null, 2)}\n`, { mode: 0o644, besidePath });
  }

  /** Takes away copies before this one, and what a crash left; a download that is younger may be under way in another process. */
  async #sweep(list: string, url: string, { sha256, fetchedWallMs }: CachedList): Promise<void> {
    const current = this.#bytesPath(list, url, sha256);
    for (const name of await readdir(this.#folder)) {
      const path = join(this.#folder, name);
      if (!name.startsWith(`${keyOf(list, url)}.`) || name.endsWith(".json") || path === current) continue;
      const isOld = name.endsWith(".list") || (await modifiedMs(path)) < fetchedWallMs - ABANDONED_MS;
      if (isOld) await rm(path, { force: true });
    }
  }

  #recordPath(list: string, url: string): string {
    return join(this.#folder, `${keyOf(list, url)}.json`);
  }

  #bytesPath(list: string, url: string, sha256: string): string {
    return join(this.#folder, `${keyOf(list, url)}.${sha256.slice(0, 16)}.list`);
  }
}

/** No download takes as long. */
const ABANDONED_MS = 3_600_000;

async function modifiedMs(path: string): Promise<number> {
  // What another process has moved meanwhile is not ours to take away.
  return await stat(path).then(
    ({ mtimeMs }) => mtimeMs,
    () => Number.POSITIVE_INFINITY,
  );
}

/** Names of lists are fit for file names; URLs are not. */
function keyOf(list: string, url: string): string {
  return `${list}-${createHash("sha256").update(url).digest("hex").slice(0, 12)}`;
}

const TEXT_OR_NULL = Type.Union([Type.String(), Type.Null()]);

const COPY = Type.Object({
  /** The URL or the mirror it came from. */
  from: Type.String(),
  etag: TEXT_OR_NULL,
  lastModified: TEXT_OR_NULL,
  fetchedWallMs: Type.Number(),
  bytes: Type.Number(),
  /** Doubles counted. */
  entries: Type.Number(),
  sha256: Type.String({ pattern: "^[0-9a-f]{64}$" }),
});

const RECORD = Type.Object({
  copy: Type.Union([COPY, Type.Null()]),
  /** When the copy was last known to be the newest there is; null = never. */
  checkedWallMs: Type.Union([Type.Number(), Type.Null()]),
  /** Why the last try changed nothing, and since when tries do not. `held` = a list came, and waits for a person. */
  problem: Type.Union([Type.Object({ reason: Type.String(), held: Type.Boolean(), sinceWallMs: Type.Number() }), Type.Null()]),
});

const NOTHING_KNOWN: CacheRecord = { copy: null, checkedWallMs: null, problem: null };

/** Where the processor has no instructions for it, so much takes some milliseconds. */
const SLICE_BYTES = 1024 * 1024;

/** SHA-256 of a file, in hexadecimal digits. */
export function* checksumOf(bytes: Buffer): Sliced<string> {
  const hash = createHash("sha256");
  for (let position = 0; position < bytes.length; position += SLICE_BYTES) {
    if (position > 0) yield;
    hash.update(bytes.subarray(position, position + SLICE_BYTES));
  }
  return hash.digest("hex");
}
