import { readFileSync, statSync } from "node:fs";
import { isAbsolute, resolve } from "node:path";
import { systemReason } from "../../config/values.ts";
import { type Findings, ImportError, type Place } from "./findings.ts";
import { childOf, itemsOf, othersThan, readTree, type Tree, textAt, textOf } from "./tree.ts";

/** A named part of the bundle's configuration. */
export interface Plugin {
  readonly tag: string;
  readonly type: string;
  readonly args: Tree | null;
  readonly place: Place;
}

/** A file of domains, addresses or hosts that plugins call by its tag. */
export interface Provider {
  readonly tag: string;
  /** Absolute. */
  readonly path: string;
  readonly reloads: boolean;
  readonly place: Place;
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
export function readText(path: string, maxBytes: number, place: Place): string {
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
