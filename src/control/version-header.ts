import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Static } from "typebox";
import Type from "typebox";
import { Value } from "typebox/value";
import { writeWhole } from "../lib/files.ts";

/** What is known of a version without looking into it. */
export type VersionHeader = Static<typeof HEADER>;

const DIGEST = Type.String({ pattern: "^[0-9a-f]{64}$" });

const HEADER = Type.Object({
  version: Type.String({ pattern: "^[0-9a-f]+$" }),
  /** When it was first put in place, in milliseconds since 1970. */
  sinceWallMs: Type.Number(),
  /** When another one took its place; null = none has. */
  untilWallMs: Type.Union([Type.Number(), Type.Null()]),
  /** Digest of the `DecisionBasis`. */
  basis: DIGEST,
  lists: Type.Array(Type.Object({ name: Type.String(), size: Type.Number() })),
  /** The files it was made from. */
  contents: Type.Array(Type.Object({ label: Type.String(), sha256: DIGEST })),
});

/** Reads all headers of a folder, which is made; those that are damaged are taken away, and told of. @throws the system's error. */
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
    return Value.Check(HEADER, read) ? read : null;
  } catch {
    return null;
  }
}

/** In one step. @throws the system's error; then the header before is still there. */
export async function writeHeader(folder: string, header: VersionHeader): Promise<void> {
  await writeWhole(join(folder, fileOf(header)), `${JSON.stringify(header, null, 2)}\n`);
}

export async function removeHeader(folder: string, header: Pick<VersionHeader, "version">): Promise<void> {
  await rm(join(folder, fileOf(header)), { force: true });
}

function fileOf({ version }: Pick<VersionHeader, "version">): string {
  return `${version}.json`;
}
