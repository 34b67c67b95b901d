// The door of config/: reads and checks `fenliu.yaml`, and reports every problem with its place and a fix.
//
// The command line, control/ and tests call `loadConfig` and `parseConfig`; other rooms see the result, `Config` in types.ts. Read in this order:
//   load.ts        text to YAML to `Config`
//   file.ts        the whole file: its sections, the checks between them, the schema for editors
//   shape.ts       what may stand at one place; a shape is a schema and a reader at once (values.ts, units.ts, server.ts: shapes of single values)
//   reading.ts     places in the file, and the problems that are found
//   listen.ts, upstreams.ts, lists.ts, rules.ts (when.ts: hours and moments), answers.ts, hosts.ts, sections.ts (all small ones)    one section each:
//                  shape, options, checks

import { isUtf8 } from "node:buffer";
import { readFileSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { type Document, isScalar, LineCounter, parseDocument, visit, type YAMLError } from "yaml";
import type { OwnHosts } from "../hosts/options.ts";
import { checkFile, completeConfig, fileShape } from "./file.ts";
import { checkHosts, ownHostsShape, toOwnHosts } from "./hosts.ts";
import { ConfigReader, type Problem } from "./reading.ts";
import type { Shape } from "./shape.ts";
import type { Config } from "./types.ts";
import { systemReason } from "./values.ts";

export type ConfigResult =
  | { readonly kind: "ok"; readonly config: Config; readonly warnings: readonly Problem[]; readonly text: string }
  | { readonly kind: "invalid"; readonly problems: readonly Problem[]; readonly text: string };

/** Lists are files of their own, so this one is small; reading a YAML file of this size takes seconds. */
const MAX_FILE_BYTES = 2 ** 20;

/**
 * Reads and checks the file, and checks that the files it names can be read; null = the defaults alone.
 * Synchronous; never throws.
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
 * Checks `text` as the content of the file at `path`. Relative paths start there; with null, at the working directory.
 * Never throws, whatever the text.
 */
export function parseConfig(text: string, path: string | null): ConfigResult {
  const { raw, reader } = readYaml(text, path, { shape: fileShape, check: checkFile });
  if (raw === undefined) return { kind: "invalid", problems: reader.problems, text };
  const config = completeConfig(raw, { path: path === null ? null : resolve(path), text, reader });
  return { kind: "ok", config, warnings: reader.warnings, text };
}

/** Reads a whole YAML text by a shape. `raw` is undefined if there are problems. */
function readYaml<T>(
  text: string,
  path: string | null,
  { shape, check }: { readonly shape: Shape<T>; readonly check: (raw: T, reader: ConfigReader) => void },
): { readonly raw: T | undefined; readonly reader: ConfigReader } {
  const document = parseDocument(text, { prettyErrors: false, uniqueKeys: false });
  const reader = new ConfigReader(path, document, linesOf(text));
  if (!reportSyntax(document, text, reader)) return { raw: undefined, reader };
  // A file with nothing but comments means the defaults.
  const isEmpty = document.contents === null || (isScalar(document.contents) && document.contents.value === null);
  const place = isEmpty ? reader.place(document.createNode({}), "", 0) : reader.place(document.contents, "", 0);
  const raw = shape.read(place, reader);
  if (raw !== undefined) check(raw, reader);
  return { raw: reader.problems.length > 0 ? undefined : raw, reader };
}

// The parser's own LineCounter misses line ends within quotes.
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

/** Reports what is wrong with `text` as YAML. false = something is: values may be at wrong places, so the caller must not read on. */
function reportSyntax(document: Document, text: string, reader: ConfigReader): boolean {
  const errors = [...document.errors, ...document.warnings].toSorted((a, b) => a.pos[0] - b.pos[0]);
  let lastLineStart: number | null = null;
  for (const error of errors) {
    // A second error in the same line is mostly the same mistake.
    const lineStart = startOfLine(text, error.pos[0]);
    if (lineStart === lastLineStart) continue;
    // After this error every further word would be reported.
    if (lastLineStart !== null && error.message.includes(BEYOND_THE_END)) break;
    lastLineStart = lineStart;
    const [message, fix] = inPlainWords(error, text);
    reader.fail({ key: "", offset: error.pos[0] }, message, fix);
  }
  return errors.length === 0 && !hasOpenAlias(document, reader);
}

/** `*.example.com` without quotes is an alias to YAML. */
function hasOpenAlias(document: Document, reader: ConfigReader): boolean {
  let found = false;
  visit(document, {
    Alias(_key, alias) {
      if (alias.resolve(document) !== undefined) return;
      found = true;
      const word = `*${alias.source}`;
      reader.fail(
        { key: "", offset: alias.range?.[0] ?? 0 },
        `\`${word}\` refers to an anchor that is not there`,
        `put it in quotes if it is a text: "${word}"`,
      );
    },
  });
  return found;
}

type Words = readonly [message: string, fix: string];

function inPlainWords(error: YAMLError, text: string): Words {
  const [start, end] = error.pos;
  const line = lineAt(text, start);
  const hint = quotingHint(line) ?? "look at the quotes, brackets and spaces of this line and the one before";
  switch (error.code) {
    case "TAG_RESOLVE_FAILED": {
      const tag = text.slice(start, end);
      return [`YAML takes \`${tag}\` for a tag, because it begins with \`!\``, `put it in quotes: "${tag}"`];
    }
    case "TAB_AS_INDENT":
      return ["a tab stands where spaces are needed", "indent with spaces"];
    case "MULTIPLE_DOCS":
      return ["a second document begins here", "remove the line `---` or `...` before it"];
    case "BAD_SCALAR_START":
      return [`a text cannot begin with \`${text.charAt(start)}\` without quotes`, "put it in quotes"];
    case "BAD_ALIAS":
      return ["a text cannot begin with `*` without quotes", "put it in quotes"];
    case "BLOCK_AS_IMPLICIT_KEY":
      if (/:\s.*:(?:\s|$)/.test(line))
        return ["a second `:` in one line", "put the value in quotes, or begin a new line for the inner key"];
      return ["the indentation does not fit the lines around it", INDENT];
    case "BAD_INDENT":
      if (error.message.startsWith("Flow"))
        return ["a `[` or `{` before this is not closed, or this line is not indented", "close it, and indent the lines in it"];
      return ["the indentation does not fit the lines around it", INDENT];
    case "RESOURCE_EXHAUSTION":
      return ["maps and arrays are nested too deeply here", "remove some levels"];
    case "MISSING_CHAR":
      if (/closing ["']quote/.test(error.message)) return ["a quote before this is not closed", "close it"];
      return [`this is no YAML: ${lowerFirst(error.message)}`, hint];
    case "UNEXPECTED_TOKEN":
      if (error.message.includes(BEYOND_THE_END))
        return ["the file has ended before this", "look for a bracket that is closed too early or twice"];
      return [`this is no YAML: ${lowerFirst(error.message)}`, hint];
    default:
      return [`this is no YAML: ${lowerFirst(error.message)}`, hint];
  }
}

const BEYOND_THE_END = "in YAML stream";
const INDENT = "indent the keys of one map alike, and the items of one array";

/** The usual mistakes in lines of this file that are no YAML. */
function quotingHint(line: string): string | null {
  if (/(?:^|[\s,[])\[[\da-f:.]*:[\da-f:.]*(?:%\w+)?\]/i.test(line))
    return 'put addresses with brackets in quotes, as in "[::1]:53"';
  if (/(?:^|[\s,[{])\*\./.test(line)) return 'put names that begin with `*` in quotes, as in "*.apps.lan"';
  if (/regexp:/.test(line)) return "put the regular expression in single quotes, as in 'regexp:^ad[0-9]'";
  return null;
}

function lowerFirst(message: string): string {
  return message.charAt(0).toLowerCase() + message.slice(1);
}

function lineAt(text: string, offset: number): string {
  const end = text.indexOf("\n", offset);
  return text.slice(startOfLine(text, offset), end === -1 ? undefined : end);
}

// lastIndexOf takes a negative position for 0.
function startOfLine(text: string, offset: number): number {
  return offset === 0 ? 0 : text.lastIndexOf("\n", offset - 1) + 1;
}

type OwnHostsResult =
  | { readonly kind: "ok"; readonly own: OwnHosts }
  | { readonly kind: "invalid"; readonly problems: readonly Problem[] };

/** Checks the text of `data/hosts.yaml`, whose records are written as in section `hosts`. Never throws. */
export function parseOwnHosts(text: string, path: string | null): OwnHostsResult {
  const { raw, reader } = readYaml(text, path, { shape: ownHostsShape, check: checkHosts });
  return raw === undefined ? { kind: "invalid", problems: reader.problems } : { kind: "ok", own: toOwnHosts(raw) };
}
