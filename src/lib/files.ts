import { mkdir, open, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";

interface WriteWholeOptions {
  /** Of the new file; by default only its owner may read it. */
  readonly mode?: number;
  /** Where it is written first, in the same folder. To be chosen where two processes may write at once. */
  readonly besidePath?: string;
}

/**
 * Puts a text in the place of a file in one step: whoever reads it, and whatever ends the process or fills the disk, finds the file before or this
 * one. Makes the folder where it is missing. One at a time to a path.
 * @throws the system's error; then the file before is still there.
 */
export async function writeWhole(
  path: string,
  text: string,
  { mode = 0o600, besidePath = `${path}.new` }: WriteWholeOptions = {},
): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  try {
    const file = await open(besidePath, "w", mode);
    try {
      await file.writeFile(text);
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

/** Where a configuration stands, and the place it names for what is learned; null = not said. */
export interface Placed {
  readonly path: string | null;
  readonly cache: { readonly file: string | null };
}

/** Where Fenliu keeps what it learns: the folder of `cache.file`, or `data` beside the configuration. */
export function dataFolder({ cache, path }: Placed): string {
  return cache.file === null ? join(path === null ? "." : dirname(path), "data") : dirname(cache.file);
}
