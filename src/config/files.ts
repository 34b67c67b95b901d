import { accessSync, constants, statSync } from "node:fs";
import { errorText } from "../lib/text.ts";
import type { Place, Reading } from "./reading.ts";
import { type Shape, text } from "./shape.ts";

/** A path, relative to the configuration file; gives it absolute. */
export const path: Shape<string> = absolute(text({ expected: "a path", parse: parsePath }));

/** Like `path`, of a file that can be read now. */
export const readableFile: Shape<string> = {
  ...path,
  expected: "the path of a file",
  read(place, reading) {
    const absolutePath = path.read(place, reading);
    return absolutePath === undefined || isReadable(absolutePath, place, reading) ? absolutePath : undefined;
  },
};

function parsePath(written: string) {
  if (written !== "" && !written.includes("\0")) return { value: written };
  return { wrong: "an empty path", fix: "write the path of a file" };
}

function absolute(shape: Shape<string>): Shape<string> {
  return {
    ...shape,
    read(place, reading) {
      const written = shape.read(place, reading);
      return written === undefined ? undefined : reading.absolutePath(written);
    },
  };
}

/** Reports where the file cannot be read. */
export function isReadable(absolutePath: string, place: Place, reading: Reading): boolean {
  const reason = whyUnreadable(absolutePath);
  if (reason === null) return true;
  reading.fail(
    place,
    `cannot read ${absolutePath}: ${reason}`,
    "create the file, or mend the path: it is relative to the configuration file",
  );
  return false;
}

function whyUnreadable(absolutePath: string): string | null {
  try {
    if (statSync(absolutePath).isDirectory()) return "it is a directory";
    accessSync(absolutePath, constants.R_OK);
    return null;
  } catch (error) {
    return systemReason(error);
  }
}

/** What the system says of a failed call, in words. */
export function systemReason(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: "no such file",
    EACCES: "permission denied",
    EISDIR: "it is a directory",
    ENOTDIR: "a part of the path is no directory",
  };
  return reasons[code] ?? errorText(error);
}
