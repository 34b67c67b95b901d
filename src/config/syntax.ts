import { type Document, visit, type YAMLError } from "yaml";
import type { Reading } from "./reading.ts";

/**
 * Reports what is wrong with `text` as YAML. true = its tree can be read on: repeated keys spoil nothing else, while after
 * anything worse values may have slipped to other places.
 */
export function reportSyntax(document: Document, text: string, reading: Reading): boolean {
  const errors = [...document.errors, ...document.warnings];
  for (const error of errors) {
    const [message, fix] = inPlainWords(error, text);
    reading.fail({ key: "", offset: error.pos[0] }, message, fix);
  }
  if (errors.some(({ code }) => code !== "DUPLICATE_KEY")) return false;
  return !hasOpenAlias(document, reading);
}

/** `*.example.com` without quotes is an alias to YAML. */
function hasOpenAlias(document: Document, reading: Reading): boolean {
  let found = false;
  visit(document, {
    Alias(_key, alias) {
      if (alias.resolve(document) !== undefined) return;
      found = true;
      const word = `*${alias.source}`;
      reading.fail(
        { key: "", offset: alias.range?.[0] ?? 0 },
        `\`${word}\` refers to an anchor that is not there`,
        `put it in quotes if it is a text: "${word}"`,
      );
    },
  });
  return found;
}

type Words = readonly [message: string, fix: string | null];

function inPlainWords(error: YAMLError, text: string): Words {
  const [start, end] = error.pos;
  const line = lineAt(text, start);
  switch (error.code) {
    case "DUPLICATE_KEY":
      return [`the key \`${/^[^\s:]+/.exec(text.slice(start))?.[0] ?? ""}\` is here twice`, "make it one entry"];
    case "TAG_RESOLVE_FAILED": {
      const tag = text.slice(start, end);
      return [`YAML takes \`${tag}\` for a tag, because it begins with \`!\``, `put it in quotes: "${tag}"`];
    }
    case "TAB_AS_INDENT":
      return ["a tab stands where spaces are needed", "indent with spaces"];
    case "MULTIPLE_DOCS":
      return ["a second document begins here", "remove the line `---`"];
    case "BAD_SCALAR_START":
      return [`a text cannot begin with \`${text.slice(start, start + 1)}\` without quotes`, "put it in quotes"];
    case "BLOCK_AS_IMPLICIT_KEY":
      return ["a second `:` in one line", "put the value in quotes, or begin a new line for the inner key"];
    case "MISSING_CHAR":
    case "UNEXPECTED_TOKEN":
    case "BAD_ALIAS":
      return [error.message, quotingHint(line)];
    case "BAD_INDENT":
      return [error.message, "indent keys of one map and items of one array alike, and close every `[` and `{`"];
    default:
      return [error.message, quotingHint(line)];
  }
}

/** The usual reasons why a line of this file is no YAML. */
function quotingHint(line: string): string | null {
  if (/(?:^|[\s,[])\[[\da-f:.]*:[\da-f:.]*(?:%\w+)?\]/i.test(line))
    return 'put addresses with brackets in quotes, as in "[::1]:53"';
  if (/(?:^|[\s,[{])\*\./.test(line)) return 'put names that begin with `*` in quotes, as in "*.apps.lan"';
  if (/regexp:/.test(line)) return "put the regular expression in single quotes, as in 'regexp:^ad[0-9]'";
  return null;
}

function lineAt(text: string, offset: number): string {
  const start = text.lastIndexOf("\n", offset - 1) + 1;
  const end = text.indexOf("\n", offset);
  return text.slice(start, end === -1 ? undefined : end);
}
