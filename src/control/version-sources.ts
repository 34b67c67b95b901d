import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import type { DecisionBasis, ListBasis, SourceBasis } from "../decision-basis.ts";
import { shownUrl } from "../lib/text.ts";
import type { CopySource } from "../lists/cache.ts";

/** A file that decisions were made from. */
export interface VersionSource {
  /** For people: `list cn: rules/cn.txt`. */
  readonly label: string;
  readonly sha256: string;
  /** Its bytes as they are now, which may be others; null = it is gone. @throws the system's error, also while they are read. */
  readonly read: () => Promise<AsyncIterable<Uint8Array> | Iterable<Uint8Array> | null>;
}

/** Every file of a basis, each digest once. */
export function sourcesOf({ hosts, lists }: DecisionBasis, copies: CopySource): readonly VersionSource[] {
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

function labelOf({ name, seed }: ListBasis, source: SourceBasis): string {
  if (source.servedFrom === "seed") return `list ${name}: ${seed}`;
  return `list ${name}: ${source.kind === "file" ? source.path : shownUrl(source.url)}`;
}

async function sourceBytes(list: ListBasis, source: SourceBasis, copies: CopySource) {
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
