import { createHash, randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { runCooperatively, type Sliced } from "../lib/cooperative.ts";
import { dataFolder, type Placed, replaceFile } from "../lib/files.ts";
import { type Checked, isBoolean, isNullOr, isNumber, isObjectOf, isText, isTextLike } from "../lib/stored-json.ts";

/** The last good download. `etag` and `lastModified` are as the server wrote them. */
export type DownloadRecord = Checked<typeof isCopy>;

/** What the cache knows of one URL of one list. */
export type CacheRecord = Checked<typeof isRecord>;

export interface ListCacheReader {
  /** The last good download of a URL of a list; null = none, or it is damaged. */
  read(list: string, url: string): Promise<CachedDownload | null>;
}

export interface CachedDownload {
  readonly bytes: Buffer;
  readonly sha256: string;
  /** When it was downloaded, in milliseconds since 1970. */
  readonly fetchedWallMs: number;
}

/** The cache of a configuration's downloads. */
export function listCacheOf(config: Placed): ListCache {
  return new ListCache(join(dataFolder(config), "lists"));
}

export const NO_LIST_CACHE: ListCacheReader = { read: () => Promise.resolve(null) };

/**
 * The last good downloads, in a folder of their own. The record of a URL names the file with the bytes, and is replaced in one step: a crash
 * leaves the old download or the new one, each whole. Two processes may use one folder.
 */
export class ListCache implements ListCacheReader {
  readonly #folder: string;

  /** The folder is created by the first write. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  async read(list: string, url: string): Promise<CachedDownload | null> {
    const { copy } = await this.readRecord(list, url);
    if (copy === null) return null;
    const { sha256, fetchedWallMs } = copy;
    try {
      const bytes = await readFile(this.#bytesPath(list, url, sha256));
      return (await runCooperatively(checksumOf(bytes))) === sha256 ? { bytes, sha256, fetchedWallMs } : null;
    } catch {
      return null;
    }
  }

  /** An empty record if the URL is unknown or its record cannot be read: then the list is downloaded again. */
  async readRecord(list: string, url: string): Promise<CacheRecord> {
    try {
      const record: unknown = JSON.parse(await readFile(this.#recordPath(list, url), "utf8"));
      return isRecord(record) ? record : NOTHING_KNOWN;
    } catch {
      return NOTHING_KNOWN;
    }
  }

  /** A path for a download that is not assessed yet. @throws the system's error if the folder cannot be created. */
  async newPath(list: string, url: string): Promise<string> {
    await mkdir(this.#folder, { recursive: true });
    return join(this.#folder, `${keyOf(list, url)}.${randomUUID()}.new`);
  }

  /** Replaces the download by the file at `newPath`. @throws the system's error; then the old download is still in place. */
  async store(
    list: string,
    url: string,
    { newPath, copy }: { readonly newPath: string; readonly copy: DownloadRecord },
  ): Promise<void> {
    await rename(newPath, this.#bytesPath(list, url, copy.sha256));
    await this.writeRecord(list, url, { copy, checkedWallMs: copy.fetchedWallMs, problem: null });
    await this.#sweep(list, url, copy);
  }

  /** @throws the system's error if the record cannot be written. */
  async writeRecord(list: string, url: string, record: CacheRecord): Promise<void> {
    const besidePath = await this.newPath(list, url);
    await replaceFile(this.#recordPath(list, url), `${JSON.stringify(record, null, 2)}\n`, { mode: 0o644, besidePath });
  }

  /** Removes older downloads and the leftovers of a crash. A younger unfinished download may belong to another process. */
  async #sweep(list: string, url: string, { sha256, fetchedWallMs }: DownloadRecord): Promise<void> {
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

/** An unfinished download this old was abandoned: none takes as long. */
const ABANDONED_MS = 3_600_000;

async function modifiedMs(path: string): Promise<number> {
  // Another process may have moved the file meanwhile.
  return await stat(path).then(
    ({ mtimeMs }) => mtimeMs,
    () => Number.POSITIVE_INFINITY,
  );
}

/** The name of a list is fit for a file name; a URL is not. */
function keyOf(list: string, url: string): string {
  return `${list}-${createHash("sha256").update(url).digest("hex").slice(0, 12)}`;
}

const isTextOrNull = isNullOr(isText);

const isCopy = isObjectOf({
  /** The URL or the mirror it came from. */
  from: isText,
  etag: isTextOrNull,
  lastModified: isTextOrNull,
  fetchedWallMs: isNumber,
  bytes: isNumber,
  /** With doubles. */
  entries: isNumber,
  sha256: isTextLike(/^[0-9a-f]{64}$/),
});

const isRecord = isObjectOf({
  copy: isNullOr(isCopy),
  /** When the copy was last known to be the newest version; null = never. */
  checkedWallMs: isNullOr(isNumber),
  /** Why no try has changed anything since `sinceWallMs`. `held` = a version came, and waits for a person. */
  problem: isNullOr(isObjectOf({ reason: isText, held: isBoolean, sinceWallMs: isNumber })),
});

const NOTHING_KNOWN: CacheRecord = { copy: null, checkedWallMs: null, problem: null };

/** Hashing this much takes a few milliseconds on a processor without SHA instructions. */
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
