import { createHash, type Hash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";
import { createZstdCompress, zstdDecompress } from "node:zlib";
import { replaceFile } from "../lib/files.ts";
import { type Checked, isArrayOf, isNullOr, isNumber, isObjectOf, isText, isTextLike } from "../lib/stored-json.ts";
import { shownUrl } from "../lib/text.ts";
import type { ListCacheReader } from "../lists/cache.ts";
import type { ListInput, PolicyInputs, SourceInput } from "../server/policy.ts";

/** Larger files are not kept: one of them would push everything else out of the bounded folder. */
const MAX_CONTENT_BYTES = 128 * 1024 * 1024;

/**
 * Stores compressed files by the digest of their bytes. A write that fails leaves no partial file. The files may hold private data, so only the
 * user of the process may read them.
 */
export class VersionContents {
  readonly #folder: string;
  /** Bytes on the disk, by digest. */
  readonly #sizes = new Map<string, number>();

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Creates the folder, and removes what a crash left. @throws the error of the system. */
  static async open(folder: string): Promise<VersionContents> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const contents = new VersionContents(folder);
    for (const name of await readdir(folder)) {
      const [, sha256] = /^([0-9a-f]{64})\.zst$/.exec(name) ?? [];
      if (sha256 !== undefined) contents.#sizes.set(sha256, (await stat(join(folder, name))).size);
      else if (name.endsWith(".new")) await rm(join(folder, name), { force: true });
    }
    return contents;
  }

  /** Size of all files on the disk. */
  get bytes(): number {
    return [...this.#sizes.values()].reduce((sum, size) => sum + size, 0);
  }

  has(sha256: string): boolean {
    return this.#sizes.has(sha256);
  }

  /**
   * Stores the bytes if they have this digest. @returns false if they have another digest; then nothing is stored.
   * @throws the error of the system, ContentTooLarge, or the reason of the signal.
   */
  async put(sha256: string, bytes: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, signal: AbortSignal): Promise<boolean> {
    const path = this.#pathOf(sha256);
    const besidePath = `${path}.new`;
    const measure = new Measure();
    try {
      // zlib compresses in its own thread; this thread computes the digest, one piece at a time.
      await pipeline(bytes, measure, createZstdCompress(), createWriteStream(besidePath, { mode: 0o600, flush: true }), {
        signal,
      });
      if (measure.sha256() !== sha256) return false;
      const { size } = await stat(besidePath);
      await rename(besidePath, path);
      this.#sizes.set(sha256, size);
      return true;
    } finally {
      await rm(besidePath, { force: true });
    }
  }

  /** null = the file is not there, or was damaged and is now removed. */
  async get(sha256: string): Promise<Buffer | null> {
    if (!this.has(sha256)) return null;
    try {
      const bytes = await unpack(await readFile(this.#pathOf(sha256)), { maxOutputLength: MAX_CONTENT_BYTES });
      if (createHash("sha256").update(bytes).digest("hex") === sha256) return bytes;
    } catch {
      // A file that cannot be read or decompressed counts as damaged.
    }
    await this.delete(sha256);
    return null;
  }

  async delete(sha256: string): Promise<void> {
    this.#sizes.delete(sha256);
    await rm(this.#pathOf(sha256), { force: true });
  }

  /** Deletes all other files. */
  async retain(wanted: ReadonlySet<string>): Promise<void> {
    for (const sha256 of [...this.#sizes.keys()]) if (!wanted.has(sha256)) await this.delete(sha256);
  }

  #pathOf(sha256: string): string {
    return join(this.#folder, `${sha256}.zst`);
  }
}

const unpack = promisify(zstdDecompress);

/** Passes bytes on and computes their digest. */
class Measure extends Transform {
  readonly #hash: Hash = createHash("sha256");
  #bytes = 0;

  sha256(): string {
    return this.#hash.digest("hex");
  }

  override _transform(chunk: Buffer, _encoding: string, done: (error: Error | null, chunk?: Buffer) => void): void {
    this.#bytes += chunk.length;
    this.#hash.update(chunk);
    if (this.#bytes > MAX_CONTENT_BYTES) done(new ContentTooLarge());
    else done(null, chunk);
  }
}

export class ContentTooLarge extends Error {}

/** What a version is, without its files. */
export type VersionHeader = Checked<typeof isHeader>;

const isDigest = isTextLike(/^[0-9a-f]{64}$/);

const isHeader = isObjectOf({
  version: isTextLike(/^[0-9a-f]+$/),
  /** When the version first came into force, in milliseconds since 1970. */
  sinceWallMs: isNumber,
  /** When another version replaced it; null = it is in force. */
  untilWallMs: isNullOr(isNumber),
  /** Digest of the `PolicyInputs`. */
  basis: isDigest,
  lists: isArrayOf(isObjectOf({ name: isText, size: isNumber })),
  /** The files from which the policy was built. */
  contents: isArrayOf(isObjectOf({ label: isText, sha256: isDigest })),
});

/** Reads all headers of a folder, and creates the folder if needed. Reports and removes damaged ones. @throws the error of the system. */
export async function readHeaders(folder: string, damaged: (path: string) => void): Promise<VersionHeader[]> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const headers: VersionHeader[] = [];
  for (const name of await readdir(folder)) {
    if (!name.endsWith(".json")) continue;
    const path = join(folder, name);
    const header = await headerAt(path);
    if (header !== null && name === fileOf(header)) {
      headers.push(header);
      continue;
    }
    damaged(path);
    await rm(path, { force: true });
  }
  return headers;
}

async function headerAt(path: string): Promise<VersionHeader | null> {
  try {
    const read: unknown = JSON.parse(await readFile(path, "utf8"));
    return isHeader(read) ? read : null;
  } catch {
    return null;
  }
}

/** Replaces the header in one step. @throws the error of the system; then the earlier header is still there. */
export async function writeHeader(folder: string, header: VersionHeader): Promise<void> {
  await replaceFile(join(folder, fileOf(header)), `${JSON.stringify(header, null, 2)}\n`);
}

export async function removeHeader(folder: string, header: Pick<VersionHeader, "version">): Promise<void> {
  await rm(join(folder, fileOf(header)), { force: true });
}

function fileOf({ version }: Pick<VersionHeader, "version">): string {
  return `${version}.json`;
}

/** A file from which a policy was built. */
export interface VersionSource {
  /** A name for people: `list cn: rules/cn.txt`. */
  readonly label: string;
  readonly sha256: string;
  /** The present bytes, which may have changed; null = the file is gone. @throws the error of the system, also during the reading. */
  readonly read: () => Promise<AsyncIterable<Uint8Array> | Iterable<Uint8Array> | null>;
}

/** Every file behind the inputs of a policy; a file with the same digest comes once. */
export function sourcesOf({ hosts, lists }: PolicyInputs, copies: ListCacheReader): readonly VersionSource[] {
  const sources = [
    ...hosts.files.map(({ path, sha256 }) => ({ label: `hosts: ${path}`, sha256, read: () => bytesAt(path) })),
    ...lists.flatMap((list) =>
      list.sources.map((source) => ({
        label: labelOf(list, source),
        sha256: source.sha256,
        read: () => sourceBytes(list, source, copies),
      })),
    ),
  ];
  const byDigest = new Map(
    sources.flatMap(({ sha256, ...source }) => (sha256 === null ? [] : [[sha256, { ...source, sha256 }]])),
  );
  return [...byDigest.values()];
}

function labelOf({ name, seed }: ListInput, source: SourceInput): string {
  if (source.servedFrom === "seed") return `list ${name}: ${seed}`;
  return `list ${name}: ${source.kind === "file" ? source.path : shownUrl(source.url)}`;
}

async function sourceBytes(list: ListInput, source: SourceInput, copies: ListCacheReader) {
  if (source.kind === "file") return await bytesAt(source.path);
  if (source.servedFrom === "seed") return list.seed === null ? null : await bytesAt(list.seed);
  const copy = await copies.read(list.name, source.url);
  return copy === null ? null : piecesOf(copy.bytes);
}

async function bytesAt(path: string): Promise<AsyncIterable<Uint8Array> | null> {
  // A pipe or a device may never end.
  return (await stat(path)).isFile() ? createReadStream(path) : null;
}

const PIECE_BYTES = 65_536;

function* piecesOf(bytes: Uint8Array): Generator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += PIECE_BYTES) yield bytes.subarray(start, start + PIECE_BYTES);
}
