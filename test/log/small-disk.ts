import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmdirSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished } from "vitest";
import { directory } from "../support/files.ts";

/** Takes all room that a file system has left. */
export function fill(path: string): void {
  const file = openSync(path, "w");
  const block = Buffer.alloc(4096);
  try {
    for (;;) writeSync(file, block);
  } catch (error) {
    expect(error).toMatchObject({ code: "ENOSPC" });
  } finally {
    closeSync(file);
  }
}

/** A file system in memory of this size; gone when the test ends. */
export function smallDisk(size: string): string {
  const folder = directory();
  execFileSync("/bin/mount", ["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", folder]);
  onTestFinished(() => {
    execFileSync("/bin/umount", ["-l", folder]);
  });
  return folder;
}

/** Whether file systems may be mounted here: as root on Linux, outside most containers. */
export function canMount(): boolean {
  try {
    const folder = mkdtempSync(join(tmpdir(), "fenliu-mount-"));
    execFileSync("/bin/mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], { stdio: "ignore" });
    execFileSync("/bin/umount", [folder], { stdio: "ignore" });
    rmdirSync(folder);
    return true;
  } catch {
    return false;
  }
}
