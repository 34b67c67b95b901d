import { readdirSync, renameSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";

/** Files put aside that are kept: more would fill the disk where it is the disk that damages them. */
const KEPT = 2;

/**
 * Puts a database that cannot be used out of the way, its write-ahead log with it, so that a new one can take its place and somebody may
 * still look into the old one.
 * @returns where it is now; null where there was none. @throws the system's error.
 */
export function putAside(path: string, why: string, wallMs: number): string | null {
  const stamp = new Date(wallMs).toISOString().slice(0, 19).replaceAll(":", "");
  const aside = `${path}.${why}-${stamp}Z`;
  const moved = move(path, aside);
  // Left behind, it would be taken for the log of the new file.
  move(`${path}-wal`, `${aside}-wal`);
  rmSync(`${path}-shm`, { force: true });
  forgetOldest(path, why, aside);
  return moved ? aside : null;
}

/** Removes the write-ahead log of a database that is gone, before another at its place takes it for its own. @throws the system's error. */
export function removeJournal(path: string): void {
  for (const suffix of ["-wal", "-shm"]) rmSync(`${path}${suffix}`, { force: true });
}

function move(from: string, to: string): boolean {
  try {
    renameSync(from, to);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return false;
    throw error;
  }
}

/** The last one is kept whatever it is called: where the clock was ahead, others bear later times. */
function forgetOldest(path: string, why: string, last: string): void {
  const folder = dirname(path);
  const prefix = `${basename(path)}.${why}-`;
  const asides = readdirSync(folder).filter((name) => name.startsWith(prefix) && name.endsWith("Z") && name !== basename(last));
  for (const name of asides.sort().slice(0, 1 - KEPT))
    for (const suffix of ["", "-wal"]) rmSync(join(folder, `${name}${suffix}`), { force: true });
}
