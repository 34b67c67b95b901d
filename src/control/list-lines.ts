import { readFile } from "node:fs/promises";
import { ControlError } from "../admin/control.ts";
import type { ListLines } from "../admin/schemas/views.ts";
import { runCooperatively, SLICE_ENTRIES, type Sliced } from "../lib/cooperative.ts";
import { errorText, shownUrl } from "../lib/text.ts";
import type { ListCacheReader } from "../lists/cache.ts";
import type { ListStatus } from "../lists/load.ts";
import type { ListOptions, ListSource } from "../lists/options.ts";

/** Lines shown before and after the one that is asked for. */
const AROUND = 5;
/** Characters of a line that are shown: some lists have none but one line. */
const MAX_LINE = 300;

const LINE_FEED = 10;

/**
 * The lines of a source of a list around one of them, as they stand in the file or the last good download.
 * @param source as `GET /lists` and the trace of a query name it.
 * @throws ControlError `missing` if there is no such source, or it holds no lines; `failed` if it cannot be read.
 */
export async function linesOfList(
  list: ListOptions,
  status: ListStatus,
  { source, around, cache }: { readonly source: string; readonly around: number; readonly cache: ListCacheReader },
): Promise<ListLines> {
  const index = status.sources.findIndex((each) => each.source === source || shownUrl(each.source) === source);
  const place = list.sources[index];
  if (place === undefined) throw new ControlError("missing", `list ${list.name} has no source \`${source}\``);
  const bytes = await bytesOf(list, place, cache);
  if (place.category !== null || bytes.subarray(0, 1024).includes(0))
    throw new ControlError("missing", `${source} holds no lines of text`);
  const from = Math.max(1, around - AROUND);
  const lines = await runCooperatively(linesBetween(bytes, from, around + AROUND));
  return { list: list.name, source, lines: lines.map((text, offset) => ({ number: from + offset, text })) };
}

async function bytesOf(list: ListOptions, place: ListSource, cache: ListCacheReader): Promise<Buffer> {
  const copy = place.kind === "url" ? await cache.read(list.name, place.url) : null;
  if (copy !== null) return copy.bytes;
  const path = place.kind === "file" ? place.path : list.seed;
  if (path === null) throw new ControlError("missing", `list ${list.name} has not been downloaded yet`);
  try {
    return await readFile(path);
  } catch (error) {
    throw new ControlError("failed", errorText(error));
  }
}

function* linesBetween(bytes: Buffer, from: number, to: number): Sliced<string[]> {
  const lines: string[] = [];
  let start = 0;
  for (let number = 1; number <= to && start < bytes.length; number++) {
    const end = bytes.indexOf(LINE_FEED, start);
    const next = end === -1 ? bytes.length : end;
    if (number >= from) lines.push(bytes.toString("utf8", start, Math.min(next, start + MAX_LINE)).replace(/\r$/, ""));
    start = next + 1;
    if (number % SLICE_ENTRIES === 0) yield;
  }
  return lines;
}
