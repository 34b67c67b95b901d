import { readFileSync, statSync } from "node:fs";
import { isAbsolute, resolve } from "node:path";
import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from "yaml";
import { systemReason } from "../../config/values.ts";
import { type FindingPlace, type Findings, ImportError } from "./findings.ts";

/** A named part of the bundle's configuration. */
export interface Plugin {
  readonly tag: string;
  readonly type: string;
  readonly args: Tree | null;
  readonly place: FindingPlace;
}

/** A file of domains, addresses or hosts that plugins call by its tag. */
interface Provider {
  readonly tag: string;
  /** Absolute. */
  readonly path: string;
  readonly reloads: boolean;
  readonly place: FindingPlace;
}

/** What `config.yaml` and the files that it includes hold, in their order. */
export interface Bundle {
  readonly directory: string;
  readonly file: string;
  readonly plugins: ReadonlyMap<string, Plugin>;
  readonly providers: ReadonlyMap<string, Provider>;
  readonly servers: readonly Tree[];
  readonly api: Tree | null;
}

const MAX_CONFIG_BYTES = 4 * 1024 * 1024;
const MAX_INCLUDED = 32;
const CONFIG_NAMES = ["config.yaml", "config.yml"];

/** Reads the configuration in `directory`. Blocks. @throws ImportError where there is none, or no YAML. */
export function readBundle(directory: string, findings: Findings): Bundle {
  const file = configIn(directory);
  const plugins = new Map<string, Plugin>();
  const providers = new Map<string, Provider>();
  const servers: Tree[] = [];
  let api: Tree | null = null;
  const pending = [{ path: file, place: { file, line: 1 } }];
  const seen = new Set<string>();
  for (let next = pending.shift(); next !== undefined; next = pending.shift()) {
    if (seen.has(next.path)) continue;
    seen.add(next.path);
    if (seen.size > MAX_INCLUDED) throw new ImportError(next.place, `more than ${MAX_INCLUDED} files are included`);
    const tree = readTree(readText(next.path, MAX_CONFIG_BYTES, next.place), next.path);
    if (tree.kind !== "map") throw new ImportError(tree.place, "this is no mosdns configuration: it is not a map");
    for (const item of itemsOf(childOf(tree, "plugins"))) addPlugin(item, plugins, findings);
    for (const item of itemsOf(childOf(tree, "data_providers"))) addProvider(item, { directory, providers, findings });
    servers.push(...itemsOf(childOf(tree, "servers")));
    api ??= childOf(tree, "api");
    const including = next.path;
    for (const item of itemsOf(childOf(tree, "include")))
      pending.push({ path: pathIn(directory, textOf(item)), place: { file: including, line: item.place.line } });
    for (const { key, place } of othersThan(tree, ["plugins", "data_providers", "servers", "include", "api", "log"]))
      findings.left(place, `section \`${key}\` is not known`);
    const log = childOf(tree, "log");
    if (log !== null) findings.left(log.place, "where and how much mosdns logs; see section `log` of docs/config.md");
  }
  if (plugins.size === 0) throw new ImportError({ file, line: 1 }, "this is no mosdns configuration: it has no `plugins`");
  return { directory, file, plugins, providers, servers, api };
}

export function pathIn(directory: string, written: string): string {
  return isAbsolute(written) ? written : resolve(directory, written);
}

/** @throws ImportError at `place` where it cannot be read. */
export function readText(path: string, maxBytes: number, place: FindingPlace): string {
  try {
    const found = statSync(path);
    if (!found.isFile()) throw new ImportError(place, `${path} is not a file`);
    if (found.size > maxBytes) throw new ImportError(place, `${path} is larger than ${maxBytes / 1024 / 1024} MiB`);
    return readFileSync(path, "utf8").replace(/^\ufeff/, "");
  } catch (error) {
    if (error instanceof ImportError) throw error;
    throw new ImportError(place, `cannot read ${path}: ${systemReason(error)}`);
  }
}

function configIn(directory: string): string {
  const place = { file: directory, line: 1 };
  try {
    if (!statSync(directory).isDirectory()) throw new ImportError(place, "it is not a directory");
  } catch (error) {
    if (error instanceof ImportError) throw error;
    throw new ImportError(place, `cannot read the directory: ${systemReason(error)}`);
  }
  const paths = CONFIG_NAMES.map((name) => resolve(directory, name));
  const found = paths.find((path) => statSync(path, { throwIfNoEntry: false }) !== undefined);
  if (found === undefined) throw new ImportError(place, "there is no config.yaml in this directory");
  return found;
}

function addPlugin(item: Tree, plugins: Map<string, Plugin>, findings: Findings): void {
  const [type, tag] = [textAt(item, "type"), textAt(item, "tag")];
  if (type === "") {
    findings.left(item.place, "a plugin without `type`");
    return;
  }
  // Servers of version 5 need no tag.
  const name = tag === "" ? `(${type} in line ${item.place.line})` : tag;
  if (plugins.has(name)) {
    findings.left(item.place, `a second plugin \`${name}\``);
    return;
  }
  plugins.set(name, { tag: name, type, args: childOf(item, "args"), place: item.place });
}

function addProvider(
  item: Tree,
  { directory, providers, findings }: { directory: string; providers: Map<string, Provider>; findings: Findings },
): void {
  const [tag, file] = [textAt(item, "tag"), textAt(item, "file")];
  if (tag === "" || file === "") {
    findings.left(item.place, "a data provider without `tag` or `file`");
    return;
  }
  const reloads = textAt(item, "auto_reload") === "true";
  providers.set(tag, { tag, path: pathIn(directory, file), reloads, place: item.place });
}

/** A value of a YAML file with its line. Every accessor takes any tree: what has another form is simply not there. */
export type Tree =
  | { readonly kind: "map"; readonly place: FindingPlace; readonly entries: readonly Entry[] }
  | { readonly kind: "list"; readonly place: FindingPlace; readonly items: readonly Tree[] }
  | { readonly kind: "scalar"; readonly place: FindingPlace; readonly text: string };

interface Entry {
  readonly key: string;
  readonly place: FindingPlace;
  readonly value: Tree;
}

/** Values in one file, aliases counted each time; more is no configuration. */
const MAX_NODES = 50_000;
const MAX_DEPTH = 60;

/** @throws ImportError where `text` is no YAML. */
function readTree(text: string, file: string): Tree {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: false });
  const placeOf = (offset: number): FindingPlace => ({ file, line: Math.max(1, lines.linePos(offset).line) });
  const [error] = document.errors;
  if (error !== undefined) throw new ImportError(placeOf(error.pos[0]), `this is no YAML: ${error.message}`);
  let count = 0;

  const convert = (given: unknown, outer: FindingPlace, depth: number): Tree => {
    const node = isAlias(given) ? given.resolve(document) : given;
    const place = isNode(node) ? placeOf(node.range?.[0] ?? 0) : outer;
    if (++count > MAX_NODES || depth > MAX_DEPTH) throw new ImportError(place, "this file is too large or too deeply nested");
    if (isSeq(node)) return { kind: "list", place, items: node.items.map((item) => convert(item, place, depth + 1)) };
    if (!isMap(node)) return { kind: "scalar", place, text: isScalar(node) ? scalarText(node.value) : "" };
    const entries = node.items.flatMap(({ key, value }): Entry[] => {
      const written = isScalar(key) ? scalarText(key.value) : "";
      const keyPlace = isNode(key) ? placeOf(key.range?.[0] ?? 0) : place;
      const converted = convert(value, keyPlace, depth + 1);
      // A merge key spreads the map that it names.
      if (written === "<<" && converted.kind === "map") return [...converted.entries];
      return [{ key: written, place: keyPlace, value: converted }];
    });
    return { kind: "map", place, entries };
  };
  return convert(document.contents, { file, line: 1 }, 0);
}

function entryOf(tree: Tree | null, key: string): Entry | null {
  return tree?.kind === "map" ? (tree.entries.findLast((entry) => entry.key === key) ?? null) : null;
}

export function childOf(tree: Tree | null, key: string): Tree | null {
  return entryOf(tree, key)?.value ?? null;
}

/** The text of a scalar; empty where there is none. */
export function textOf(tree: Tree | null): string {
  return tree?.kind === "scalar" ? tree.text : "";
}

export function textAt(tree: Tree | null, key: string): string {
  return textOf(childOf(tree, key));
}

/** A whole number, or null. */
export function numberAt(tree: Tree | null, key: string): number | null {
  const written = textAt(tree, key);
  return /^\d{1,9}$/.test(written) ? Number(written) : null;
}

/** The items of a list; one value alone stands for a list of it, and what is empty for none. */
export function itemsOf(tree: Tree | null): readonly Tree[] {
  if (tree === null) return [];
  if (tree.kind === "list") return tree.items;
  return tree.kind === "scalar" && tree.text === "" ? [] : [tree];
}

/** Entries of a map that have a value other than "off", except those of `known`. */
export function othersThan(tree: Tree | null, known: readonly string[]): readonly Entry[] {
  if (tree?.kind !== "map") return [];
  return tree.entries.filter(
    ({ key, value }) => !known.includes(key) && !/^(|false|0)$/.test(value.kind === "scalar" ? value.text : "on"),
  );
}

function scalarText(value: unknown): string {
  if (typeof value === "string") return value;
  return typeof value === "number" || typeof value === "boolean" || typeof value === "bigint" ? String(value) : "";
}

function isNode(node: unknown): node is Node {
  return isMap(node) || isSeq(node) || isScalar(node);
}
