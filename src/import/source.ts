import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, isAbsolute, join, resolve } from "node:path";
import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from "yaml";
import { systemReason } from "../config/values.ts";
import { ImportError, type Place } from "./model.ts";

/** Reads the files of a source: as lines, or as YAML whose values know their lines. */

const MAX_FILE_BYTES = 32 * 1024 * 1024;

/** @throws ImportError at `place` where the file cannot be read. */
export function readText(path: string, place: Place): string {
  try {
    const found = statSync(path);
    if (!found.isFile()) throw new ImportError(place, `${path} is not a file`);
    if (found.size > MAX_FILE_BYTES) throw new ImportError(place, `${path} is larger than ${MAX_FILE_BYTES / 1024 / 1024} MiB`);
    const bytes = readFileSync(path);
    if (/^(\xff\xfe|\xfe\xff)/.test(bytes.toString("latin1", 0, 2)) || bytes.subarray(0, 1024).includes(0))
      throw new ImportError(place, `${path} is no text in UTF-8: save it as UTF-8`);
    return bytes.toString("utf8").replace(/^\ufeff/, "");
  } catch (error) {
    if (error instanceof ImportError) throw error;
    throw new ImportError(place, `cannot read ${path}: ${systemReason(error)}`);
  }
}

/** A path as `file` names it. One that is not there is looked for beside that file: it may be a copy from another machine. */
export function pathBeside(file: string, written: string): string {
  const directory = dirname(file);
  const path = isAbsolute(written) ? written : resolve(directory, written);
  if (!isAbsolute(written) || existsSync(path)) return path;
  const parts = written.split("/");
  const copies = parts.map((_, index) => resolve(directory, parts.slice(index + 1).join("/")));
  return copies.slice(0, -1).find((copy) => existsSync(copy)) ?? path;
}

/** The path that a line of a file names, where a program looks beside the file of the line; copies of absolute paths lie beside `main`. */
export function pathBesideLine(main: string, { file }: Place, written: string): string {
  return pathBeside(isAbsolute(written) ? main : file, written);
}

/** A line of a text without its comment. */
export interface SourceLine extends Place {
  readonly text: string;
}

/** The lines of a file that say something. @param comment what begins a comment, at the start of a line and after a space. */
export function readLines(path: string, place: Place, comment: RegExp = /(^|\s)#.*$/): readonly SourceLine[] {
  const lines = readText(path, place)
    .split(/\r?\n/)
    .map((line, index) => ({ file: path, line: index + 1, text: line.replace(comment, "").trim() }));
  return lines.filter(({ text }) => text !== "");
}

/** A value of a YAML file with its line. Every accessor takes any tree: what has another form is simply not there. */
export type Tree =
  | { readonly kind: "map"; readonly place: Place; readonly entries: readonly Entry[] }
  | { readonly kind: "list"; readonly place: Place; readonly items: readonly Tree[] }
  | { readonly kind: "scalar"; readonly place: Place; readonly text: string };

interface Entry {
  readonly key: string;
  readonly place: Place;
  readonly value: Tree;
}

/** Values in one file, aliases counted each time; more is no configuration. */
const MAX_NODES = 200_000;
const MAX_DEPTH = 60;

/** @throws ImportError where the text is no YAML. */
export function parseTree(text: string, file: string): Tree {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: false });
  const placeOf = (offset: number): Place => ({ file, line: Math.max(1, lines.linePos(offset).line) });
  const [error] = document.errors;
  if (error !== undefined) {
    const place = placeOf(error.pos[0]);
    const variable = /\$\{[^}]*\}/.exec(text.split("\n")[place.line - 1] ?? "")?.[0];
    throw new ImportError(
      place,
      error.code === "MULTIPLE_DOCS"
        ? "this file holds several YAML documents, parted by `---`: leave the one that is meant"
        : variable === undefined
          ? `this is no YAML: ${error.message}`
          : `\`${variable}\` is filled in when the program starts: write the value in its place, then import`,
    );
  }
  let count = 0;

  const convert = (given: unknown, outer: Place, depth: number): Tree => {
    const node = isAlias(given) ? given.resolve(document) : given;
    if (isAlias(given) && node === undefined)
      throw new ImportError(placeOf(given.range?.[0] ?? 0), `nothing is called \`&${given.source}\` before \`*${given.source}\``);
    const place = isNode(node) ? placeOf(node.range?.[0] ?? 0) : outer;
    if (++count > MAX_NODES || depth > MAX_DEPTH) throw new ImportError(place, "this file is too large or too deeply nested");
    if (isSeq(node)) return { kind: "list", place, items: node.items.map((item) => convert(item, place, depth + 1)) };
    if (!isMap(node)) return { kind: "scalar", place, text: isScalar(node) ? scalarText(node) : "" };
    const entries = node.items.flatMap(({ key, value }): Entry[] => {
      const written = isScalar(key) ? scalarText(key) : "";
      const keyPlace = isNode(key) ? placeOf(key.range?.[0] ?? 0) : place;
      const converted = convert(value, keyPlace, depth + 1);
      return [{ key: written, place: keyPlace, value: converted }];
    });
    return { kind: "map", place, entries: withMerged(entries) };
  };
  return convert(document.contents, { file, line: 1 }, 0);
}

/**
 * A merge key spreads the maps that it names, the first of them before the others; what the map itself says comes before them.
 * @throws ImportError where a key stands twice, of which programs take none.
 */
function withMerged(entries: readonly Entry[]): readonly Entry[] {
  const isMerge = ({ key, value }: Entry) => key === "<<" && value.kind !== "scalar";
  const own = new Map<string, Entry>();
  for (const entry of entries.filter((each) => !isMerge(each))) {
    const first = own.get(entry.key);
    if (first !== undefined)
      throw new ImportError(entry.place, `\`${entry.key}\` stands here and in line ${first.place.line}: leave one of them`);
    own.set(entry.key, entry);
  }
  const merged = entries.filter(isMerge).flatMap(({ value }) => (value.kind === "list" ? value.items.toReversed() : [value]));
  const all = new Map(merged.flatMap((tree) => mapEntries(tree)).map((entry) => [entry.key, entry]));
  return [...[...all.values()].filter(({ key }) => !own.has(key)), ...own.values()];
}

/** @throws ImportError where the file cannot be read, or is no YAML. */
export function readTree(file: string): Tree {
  return parseTree(readText(file, { file, line: 1 }), file);
}

function scalarText({ value, source }: { readonly value: unknown; readonly source?: string }): string {
  // Numbers and such as they are written: `1.10` is a version, `0x1` a word.
  if (typeof value === "string" || value === null || value === undefined) return value ?? "";
  return source ?? JSON.stringify(value);
}

function isNode(node: unknown): node is Node {
  return isMap(node) || isSeq(node) || isScalar(node);
}

export function childOf(tree: Tree | null, ...keys: readonly string[]): Tree | null {
  if (tree?.kind !== "map") return null;
  return tree.entries.findLast(({ key }) => keys.includes(key))?.value ?? null;
}

export function mapEntries(tree: Tree | null): readonly Entry[] {
  return tree?.kind === "map" ? tree.entries : [];
}

/** The text of a scalar; empty where there is none. */
export function textOf(tree: Tree | null | undefined): string {
  return tree?.kind === "scalar" ? tree.text.trim() : "";
}

export function textAt(tree: Tree | null, ...keys: readonly string[]): string {
  return textOf(childOf(tree, ...keys));
}

/** A whole number, or null. */
export function numberAt(tree: Tree | null, key: string): number | null {
  const written = textAt(tree, key);
  return /^\d{1,9}$/.test(written) ? Number(written) : null;
}

export function isOn(tree: Tree | null, key: string): boolean {
  return textAt(tree, key) === "true";
}

/** The items of a list; one value alone stands for a list of it, and what is empty for none. */
export function itemsOf(tree: Tree | null): readonly Tree[] {
  if (tree === null) return [];
  if (tree.kind === "list") return tree.items;
  return tree.kind === "scalar" && tree.text === "" ? [] : [tree];
}

/** Entries of a map that have a value other than "off", except those of `known`. */
export function othersThan(tree: Tree | null, known: readonly string[]): readonly Entry[] {
  return mapEntries(tree).filter(
    ({ key, value }) =>
      !known.includes(key) && !/^(|false|0)$/.test(value.kind === "scalar" ? value.text : isEmpty(value) ? "" : "on"),
  );
}

function isEmpty(tree: Tree): boolean {
  return (tree.kind === "list" ? tree.items : mapEntries(tree)).length === 0;
}

/** The texts of a list, with their lines. */
export function textsOf(tree: Tree | null): readonly SourceLine[] {
  return itemsOf(tree).map((item) => ({ text: textOf(item), ...item.place }));
}

/** The parts of a line that a comma parts, each on that line. */
export function partsOf(text: string, { file, line }: Place): readonly SourceLine[] {
  return text.split(",").map((part) => ({ text: part.trim(), file, line }));
}

/** A path, in whose last part `*` may stand. */
export function filesOf(path: string): readonly string[] {
  if (!path.includes("*")) return [path];
  const pattern = new RegExp(`^${basename(path).replaceAll(".", "\\.").replaceAll("*", ".*")}$`);
  const folder = dirname(path);
  return existsSync(folder)
    ? readdirSync(folder)
        .filter((name) => pattern.test(name))
        .toSorted()
        .map((name) => join(folder, name))
    : [];
}
