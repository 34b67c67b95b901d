import { type FileHandle, mkdir, open, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";

interface ReplaceOptions {
  /** Mode of the new file. By default only its owner may read the file. */
  readonly mode?: number;
  /** Path of the temporary file, in the same folder. Choose one where two processes may write at once. */
  readonly besidePath?: string;
}

/**
 * Replaces a file in one step: a reader finds the old file or the new one, also after a crash or with a full disk. Makes a missing folder.
 * Not for two calls at once with the same path.
 * @param content a text, or a function that writes the new file.
 * @throws the system's error; the old file is still there then.
 */
export async function replaceFile(
  path: string,
  content: string | ((file: FileHandle) => Promise<void>),
  { mode = 0o600, besidePath = `${path}.new` }: ReplaceOptions = {},
): Promise<void> {
  // A folder that is made for a private file is private too.
  await mkdir(dirname(path), { recursive: true, mode: (mode & 0o077) === 0 ? 0o700 : 0o777 });
  try {
    const file = await open(besidePath, "w", mode);
    try {
      await (typeof content === "string" ? file.writeFile(content) : content(file));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(besidePath, path);
  } catch (error) {
    await rm(besidePath, { force: true });
    throw error;
  }
}

/**
 * Reads a file that need not be there; null where it is not.
 * @throws the system's error, or an Error where the file is larger than `maxBytes`.
 */
export async function readIfThere(path: string, maxBytes: number): Promise<Buffer | null> {
  try {
    const { size } = await stat(path);
    if (size > maxBytes) throw new Error("it is too large");
    return await readFile(path);
  } catch (error) {
    if (isMissingFile(error)) return null;
    throw error;
  }
}

/** Whether a call of the system failed because the file is not there. */
export function isMissingFile(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

/**
 * Why a file could not be written, for a line of the operator's log: the system's reason with what to do about it. An error that is not the system's
 * is a fault of ours, and is told with its stack.
 */
export function writeFault(error: unknown): { readonly reason: string } | { readonly err: unknown } {
  return error instanceof Error && "syscall" in error ? { reason: explainWriteError(error.message) } : { err: error };
}

/** Adds what to do to the message of the system's error, where it is known. */
export function explainWriteError(message: string): string {
  const fix = WRITE_FIXES.find(([code]) => message.startsWith(code))?.[1];
  return fix === undefined ? message : `${message}; fix: ${fix}`;
}

const MAY_WRITE = `give user ${process.getuid?.() ?? "of this process"} the right to write there (\`chown -R\`), or name another place in \`cache.file\` and \`log.queries.store\``;
const WRITE_FIXES: readonly (readonly [code: string, fix: string])[] = [
  ["EACCES", MAY_WRITE],
  ["EPERM", MAY_WRITE],
  // As the query log tells the refusals of SQLite (`log/database.ts`).
  ["the file cannot be", MAY_WRITE],
  ["the disk is full", "make room on the disk, or keep fewer queries (`log.queries.max`)"],
  ["EROFS", "mount a folder there that can be written to, or name another place in `cache.file` and `log.queries.store`"],
  ["ENOSPC", "make room on the disk, or keep fewer queries (`log.queries.max`)"],
];

/** Where a configuration stands, and the place it names for what is learned; null = not said. */
export interface Placed {
  readonly path: string | null;
  readonly cache: { readonly file: string | null };
}

/** Folder in which Fenliu keeps what it learns: the folder of `cache.file`, else `data` beside the configuration. */
export function dataFolder({ cache, path }: Placed): string {
  return cache.file === null ? join(path === null ? "." : dirname(path), "data") : dirname(cache.file);
}
