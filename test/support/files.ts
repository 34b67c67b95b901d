import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

/** A new directory that is gone when the test ends. */
export function directory(): string {
  const path = mkdtempSync(join(tmpdir(), "fenliu-"));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** A file of these lines in a directory of its own. @returns its path. */
export function file(name: string, lines: readonly string[]): string {
  const path = join(directory(), name);
  writeFileSync(path, `${lines.join("\n")}\n`);
  return path;
}
