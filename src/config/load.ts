import { isUtf8 } from "node:buffer";
import { readFileSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { isScalar, LineCounter, parseDocument } from "yaml";
import type { Config } from "./config.ts";
import { checkFile, completeConfig, fileShape } from "./file.ts";
import { systemReason } from "./files.ts";
import type { Problem } from "./problem.ts";
import { Reading } from "./reading.ts";
import type { Shape } from "./shape.ts";
import { reportSyntax } from "./syntax.ts";

export type ConfigResult =
  | { readonly kind: "ok"; readonly config: Config; readonly warnings: readonly Problem[]; readonly text: string }
  | { readonly kind: "invalid"; readonly problems: readonly Problem[]; readonly text: string };

/** Lists stay out of this file, so it is small; YAML of this size takes seconds to read. */
const MAX_FILE_BYTES = 2 ** 20;

/**
 * Reads and checks the file, and whether the files it names can be read; null = the defaults alone.
 * Blocks for the time that takes, and never throws.
 */
export function loadConfig(path: string | null): ConfigResult {
  if (path === null) return parseConfig("", null);
  let bytes: Buffer;
  try {
    if (statSync(path).size > MAX_FILE_BYTES) return unreadable(path, "it is larger than 1 MiB", "move what is large into lists");
    bytes = readFileSync(path);
  } catch (error) {
    return unreadable(path, systemReason(error), "mend the path, or create the file");
  }
  if (!isUtf8(bytes)) return unreadable(path, "it is not UTF-8 text", "save it with the encoding UTF-8");
  return parseConfig(bytes.toString("utf8"), path);
}

/**
 * Checks `text` as if it stood in the file at `path`: relative paths start there, or at the working directory where it is null.
 * Never throws, whatever the text.
 */
export function parseConfig(text: string, path: string | null): ConfigResult {
  const { raw, reading } = readYaml(text, path, { shape: fileShape, check: checkFile });
  if (raw === undefined) return { kind: "invalid", problems: reading.problems, text };
  const config = completeConfig(raw, { path: path === null ? null : resolve(path), text });
  return { kind: "ok", config, warnings: reading.warnings, text };
}

interface Reader<T> {
  readonly shape: Shape<T>;
  readonly check: (raw: T, reading: Reading) => void;
}

/** Reads a whole YAML text by a shape. `raw` is undefined where there are problems. */
export function readYaml<T>(
  text: string,
  path: string | null,
  { shape, check }: Reader<T>,
): { readonly raw: T | undefined; readonly reading: Reading } {
  const document = parseDocument(text, { prettyErrors: false, uniqueKeys: false });
  const reading = new Reading(path, document, linesOf(text));
  if (!reportSyntax(document, text, reading)) return { raw: undefined, reading };
  // A file of comments alone is a file of defaults.
  const isEmpty = document.contents === null || (isScalar(document.contents) && document.contents.value === null);
  const place = isEmpty ? reading.place(document.createNode({}), "", 0) : reading.place(document.contents, "", 0);
  const raw = shape.read(place, reading);
  if (raw !== undefined) check(raw, reading);
  return { raw: reading.problems.length > 0 ? undefined : raw, reading };
}

// The parser's own counting misses line ends within quotes.
function linesOf(text: string): LineCounter {
  const lines = new LineCounter();
  lines.addNewLine(0);
  for (const { index } of text.matchAll(/\n/g)) lines.addNewLine(index + 1);
  return lines;
}

function unreadable(file: string, reason: string, fix: string): ConfigResult {
  const message = `cannot read the configuration: ${reason}`;
  return { kind: "invalid", problems: [{ file, line: 1, column: 1, key: "", message, fix }], text: "" };
}
