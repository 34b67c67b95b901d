import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { addressFromText } from "../../dns/address.ts";
import { formatDuration } from "../../lib/duration.ts";
import { excepted, hostsOf, hostWith } from "../hosts.ts";
import { hostName, isAddress, isNetwork, readPattern } from "../lists.ts";
import {
  type Findings,
  type Host,
  ImportError,
  joinNames,
  type ListFile,
  type Modifiers,
  type Names,
  type Networks,
  NO_NAMES,
  NO_NETWORKS,
  namesIn,
  namesOf,
  type Place,
  type ServerGroup,
  type SourceServer,
} from "../model.ts";
import { addServer, isProxy, readServer, serverGroup, shownServer, whyNobody } from "../servers.ts";
import {
  childOf,
  isOn,
  itemsOf,
  numberAt,
  othersThan,
  parseTree,
  pathBeside,
  readLines,
  readText,
  type SourceLine,
  type Tree,
  textAt,
  textOf,
} from "../source.ts";

import { type AskedFor, providedNames, providedNetworks, type Unread } from "./providers.ts";

/** The configuration of mosdns as its files have it, and what all versions say alike: plugins, sets of names and addresses, servers, hosts. */

export interface Plugin {
  readonly tag: string;
  readonly type: string;
  readonly args: Tree | null;
  readonly place: Place;
}

/** A file of domains, addresses or hosts that plugins of version 4 call by its tag. */
interface Provider {
  readonly path: string;
  readonly reloads: boolean;
  readonly place: Place;
}

export interface Bundle {
  readonly file: string;
  readonly plugins: ReadonlyMap<string, Plugin>;
  readonly providers: ReadonlyMap<string, Provider>;
  readonly servers: readonly Tree[];
  readonly api: Tree | null;
}

const MAX_INCLUDED = 64;

/** @param file the main configuration. @throws ImportError where it is no YAML, or no mosdns. */
export function readBundle(file: string, findings: Findings): Bundle {
  const plugins = new Map<string, Plugin>();
  const providers = new Map<string, Provider>();
  const servers: Tree[] = [];
  let api: Tree | null = null;
  const seen = new Set<string>();

  const readFile = (path: string, place: Place): void => {
    if (seen.has(path)) return;
    seen.add(path);
    if (seen.size > MAX_INCLUDED) throw new ImportError(place, `more than ${MAX_INCLUDED} files are included`);
    const text = readText(path, place);
    const variable = /\$\{[^}]*\}|\$ENV\b/.exec(text.replace(/^\s*#.*$/gm, ""));
    if (variable !== null)
      throw new ImportError(
        { file: path, line: text.slice(0, text.indexOf(variable[0])).split("\n").length },
        `\`${variable[0]}\` is filled in when mosdns starts: write the value in its place, then import`,
      );
    const tree = parseTree(text, path);
    if (tree.kind !== "map") throw new ImportError(tree.place, "this is no mosdns configuration: it is not a map");
    // What is included comes first: its plugins can be used by those below.
    for (const item of itemsOf(childOf(tree, "include"))) {
      const written = textOf(item);
      const beside = pathBeside(path, written);
      readFile(existsSync(pathBeside(file, written)) ? pathBeside(file, written) : beside, item.place);
    }
    for (const item of itemsOf(childOf(tree, "plugins", "plugin"))) addPlugin(item, plugins);
    for (const item of itemsOf(childOf(tree, "data_providers"))) {
      const path = pathBeside(file, textAt(item, "file"));
      providers.set(textAt(item, "tag"), { path, reloads: isOn(item, "auto_reload"), place: item.place });
    }
    servers.push(...itemsOf(childOf(tree, "servers")));
    api ??= childOf(tree, "api");
    for (const { key, place: at } of othersThan(tree, [
      "plugins",
      "plugin",
      "data_providers",
      "servers",
      "include",
      "api",
      "log",
    ]))
      findings.add("left", at, `section \`${key}\` is not known`);
  };
  readFile(resolve(file), { file, line: 1 });
  if (plugins.size === 0) throw new ImportError({ file, line: 1 }, "this is no mosdns configuration: it has no `plugins`");
  return { file, plugins, providers, servers, api };
}

function addPlugin(item: Tree, plugins: Map<string, Plugin>): void {
  const [type, tag] = [textAt(item, "type"), textAt(item, "tag")];
  if (type === "") throw new ImportError(item.place, "a plugin without `type`");
  // Servers of version 5 need no tag.
  const name = tag === "" ? `(${type} in line ${item.place.line})` : tag;
  if (plugins.has(name)) throw new ImportError(item.place, `a second plugin \`${name}\``);
  plugins.set(name, { tag: name, type, args: childOf(item, "args"), place: item.place });
}

/** A file of names or addresses that a plugin or a provider names. */
export interface NamedFile {
  readonly path: string;
  readonly tag: string;
  readonly reloads: boolean;
  readonly place: Place;
  /** Categories of a .dat file. */
  readonly codes: readonly string[];
}

/** Sets of names and addresses, as conditions name them. */
export class MosdnsSets {
  readonly #bundle: Bundle;
  readonly #findings: Findings;

  constructor(bundle: Bundle, findings: Findings) {
    this.#bundle = bundle;
    this.#findings = findings;
  }

  /** The names that `items` stand for: `provider:TAG[:codes]`, `ext:FILE[:codes]`, `$set`, a path after `&`, `geosite:code`, or a pattern. */
  names(items: readonly Tree[], asked: AskedFor = "name"): Names | Unread {
    return this.#union(items, asked, 0);
  }

  networks(items: readonly Tree[]): Networks | Unread {
    const lists: ListFile[] = [];
    const networks: string[] = [];
    for (const item of items) {
      const read = this.#networksOf(item, 0);
      if ("why" in read) return read;
      lists.push(...read.lists);
      networks.push(...read.networks);
    }
    return { networks, lists };
  }

  /** The names of the addresses in these networks, backwards. */
  reverseNames(items: readonly Tree[]): Names | Unread {
    const networks = this.networks(items);
    if ("why" in networks) return networks;
    const strange = networks.lists.find(({ category }) => category !== null);
    if (strange !== undefined) return { why: `the names of addresses are made of a text, and \`${strange.tag}\` is none` };
    const listed = networks.lists.flatMap(({ path, place }) => readLines(path, place).map(({ text }) => text));
    const zones = [...networks.networks, ...listed].map(reverseZones);
    if (zones.includes(null)) return { why: "one of the networks is none" };
    return namesOf(zones.flatMap((zone) => zone ?? []));
  }

  #union(items: readonly Tree[], asked: AskedFor, depth: number): Names | Unread {
    const all: Names[] = [];
    for (const item of items) {
      const read = this.#namesOf(item, asked, depth);
      if ("why" in read) return read;
      all.push(read);
    }
    return this.#joined(all, items[0]);
  }

  #joined(all: readonly Names[], item: Tree | undefined): Names {
    const list = all.flatMap(({ lists }) => lists).find(({ joint }) => joint !== undefined);
    if (
      list !== undefined &&
      item !== undefined &&
      all.some(({ patterns, lists }) => patterns.length > 0 && !lists.includes(list))
    )
      this.#findings.add(
        "changed",
        item.place,
        `exceptions in the rules of \`${list.tag}\` hold here for the names beside them too`,
      );
    return joinNames(all);
  }

  #namesOf(item: Tree, asked: AskedFor, depth: number): Names | Unread {
    const written = textOf(item);
    const set = this.#setOf(written, "domain_set", depth);
    const strange = set === null ? null : this.#strangeKey(set);
    if (strange !== null) return this.#unread(item, strange);
    if (set !== null) {
      const inline = this.#union([...itemsOf(childOf(set.args, "exps"))], asked, depth + 1);
      const nested = this.#union(
        itemsOf(childOf(set.args, "sets")).map((tree) => prefixed("$", tree)),
        asked,
        depth + 1,
      );
      if ("why" in inline) return inline;
      if ("why" in nested) return nested;
      return this.#joined([namesIn(this.#filesOf(set, "domains")), inline, nested], item);
    }
    const plugin = this.#plugin(written);
    const provided = plugin === null ? null : providedNames(plugin, this.#bundle.file, asked);
    if (provided !== null) return "why" in provided ? this.#unread(item, provided.why) : provided;
    const file = this.#fileOf(item);
    if (file !== null) return namesIn(listsOf(file, "domains"));
    if (/^(\$|geosite:|provider:)/.test(written)) return this.#missing(item);
    // Nothing, and `keyword:` with nothing after it, match every name.
    const read = written === "keyword:" ? { pattern: "." } : readPattern(written.replace(/^(full|domain):\.?$/, "."));
    if ("pattern" in read) return namesOf([read.pattern]);
    if (/^[*+]\./.test(written)) {
      this.#findings.add("changed", item.place, `\`${written}\` matches nothing in mosdns, and is left out`);
      return NO_NAMES;
    }
    this.#findings.add("blank", item.place, `the pattern \`${written}\`: ${read.why}`);
    return { why: `the pattern \`${written}\`: ${read.why}` };
  }

  #networksOf(item: Tree, depth: number): Networks | Unread {
    const written = textOf(item);
    const set = this.#setOf(written, "ip_set", depth);
    const strange = set === null ? null : this.#strangeKey(set);
    if (strange !== null) return this.#unread(item, strange);
    if (set !== null) {
      let lists: readonly ListFile[] = this.#filesOf(set, "addresses");
      let networks: readonly string[] = [];
      const nested = itemsOf(childOf(set.args, "sets")).map((tree) => prefixed("$", tree));
      for (const each of [...itemsOf(childOf(set.args, "ips")), ...nested]) {
        const read = this.#networksOf(each, depth + 1);
        if ("why" in read) return read;
        lists = [...lists, ...read.lists];
        networks = [...networks, ...read.networks];
      }
      return { lists, networks };
    }
    const plugin = this.#plugin(written);
    const provided = plugin === null ? null : providedNetworks(plugin, this.#bundle.file);
    if (provided !== null) return "why" in provided ? this.#unread(item, provided.why) : provided;
    const file = this.#fileOf(item);
    if (file !== null) return { ...NO_NETWORKS, lists: listsOf(file, "addresses") };
    if (isNetwork(written)) return { ...NO_NETWORKS, networks: [written] };
    return this.#missing(item);
  }

  #missing(item: Tree): Unread {
    const plugin = this.#plugin(textOf(item));
    return this.#unread(
      item,
      plugin === null ? "there is no such set" : `nothing is read from a plugin of the type \`${plugin.type}\``,
    );
  }

  #unread(item: Tree, reason: string): Unread {
    const why = `\`${textOf(item)}\`: ${reason}`;
    this.#findings.add("blank", item.place, why);
    return { why };
  }

  #setOf(written: string, type: string, depth: number): Plugin | null {
    const plugin = this.#plugin(written);
    return plugin?.type === type && depth < 16 ? plugin : null;
  }

  #plugin(written: string): Plugin | null {
    return (written.startsWith("$") ? this.#bundle.plugins.get(written.slice(1)) : undefined) ?? null;
  }

  /** A key that is not known may name what the set holds, and without any it holds nothing. null = neither. */
  #strangeKey({ args, tag, type, place }: Plugin): string | null {
    const [strange] = othersThan(args, ["exps", "ips", "sets", "files", "auto_reload"]);
    if (strange !== undefined) return `\`${strange.key}\` in line ${strange.place.line} is not known`;
    if (othersThan(args, ["auto_reload"]).length === 0)
      this.#findings.add("risk", place, `\`${tag}\` (${type}) holds nothing: nothing is found in it, as before`);
    return null;
  }

  #filesOf({ args, tag, place }: Plugin, kind: ListFile["kind"]): readonly ListFile[] {
    return itemsOf(childOf(args, "files")).flatMap((item) => {
      const [, written = "", codes = ""] = /^(.+?\.dat)?(?::([^/\\]*))?$/i.exec(textOf(item)) ?? [];
      const path = pathBeside(this.#bundle.file, written === "" ? textOf(item) : written);
      return listsOf({ path, tag, reloads: isOn(args, "auto_reload"), place: item.place ?? place, codes: codesOf(codes) }, kind);
    });
  }

  #fileOf(item: Tree): NamedFile | null {
    const written = textOf(item);
    const { place } = item;
    const [, tag, providerCodes = ""] = /^provider:([^:]+)(?::(.*))?$/.exec(written) ?? [];
    const provider = this.#bundle.providers.get(tag ?? "");
    if (tag !== undefined && provider !== undefined)
      return { path: provider.path, tag, reloads: provider.reloads, place: provider.place, codes: codesOf(providerCodes) };
    const [, file, codes = ""] = /^(?:ext:|&)(.+?)(?::([^:/\\]*))?$/.exec(written) ?? [];
    if (file === undefined) return null;
    const stem = file.replace(/^.*[/\\]|\.[^.]*$/g, "");
    return { path: pathBeside(this.#bundle.file, file), tag: stem, reloads: false, place, codes: codesOf(codes) };
  }
}

/** The zones that hold the reverse names of a network, of one level; null where it is none, or they are too many. */
function reverseZones(network: string): readonly string[] | null {
  const [base = "", prefix = ""] = network.split("/");
  const address = addressFromText(base);
  if (address === null) return null;
  const isFour = address.length === 4;
  const digits = isFour ? [...address].map(String) : Buffer.from(address).toString("hex").split("");
  const bits = prefix === "" ? address.length * 8 : Number(prefix);
  const width = isFour ? 8 : 4;
  const whole = Math.floor(bits / width);
  const count = bits % width === 0 ? 1 : 2 ** (width - (bits % width));
  const zone = digits.slice(0, whole).toReversed().join(".");
  const root = isFour ? "in-addr.arpa" : "ip6.arpa";
  if (count === 1) return [`${zone}${zone === "" ? "" : "."}${root}`];
  const start = Number.parseInt(digits[whole] ?? "0", isFour ? 10 : 16);
  return Array.from(
    { length: count },
    (_, index) => `${(start + index).toString(isFour ? 10 : 16)}.${zone}${zone === "" ? "" : "."}${root}`,
  );
}

function codesOf(written: string): readonly string[] {
  return written.split(",").filter((code) => code !== "");
}

function listsOf({ codes, ...file }: NamedFile, kind: ListFile["kind"]): readonly ListFile[] {
  if (codes.length > 0) return codes.map((code) => ({ ...file, kind, tag: `${file.tag}-${code}`, category: code }));
  const isPlain = kind === "domains" && !/\.(dat|mmdb)$/i.test(file.path);
  return [{ ...file, kind, category: isPlain ? "plain" : null, starsMatchNothing: isPlain }];
}

function prefixed(prefix: string, tree: Tree): Tree {
  return tree.kind === "scalar" && !tree.text.startsWith(prefix) ? { ...tree, text: `${prefix}${tree.text}` } : tree;
}

export const FORWARD_TYPES = ["forward", "fast_forward", "forward_dnsproxy", "aliapi"];

/** Keys that only say how connections are kept. */
const TUNING = "trusted enable_pipeline idle_timeout max_conns tag kernel_tx kernel_rx timeout bootstrap_version qtime".split(
  " ",
);

/** Turns forward plugins into groups, and collects their bootstrap servers. */
export class MosdnsGroups {
  readonly #findings: Findings;
  readonly #known = new Map<string, ServerGroup | { readonly why: string }>();
  readonly bootstrap = new Set<string>();

  constructor(findings: Findings) {
    this.#findings = findings;
  }

  /**
   * The group of a plugin that forwards, read once.
   * @param only the tags of the members that are asked; none = all.
   */
  groupOf(plugin: Plugin, only: readonly string[] = []): ServerGroup | { readonly why: string } {
    const key = JSON.stringify([plugin.tag, only]);
    const group = this.#known.get(key) ?? this.#read(plugin, only);
    this.#known.set(key, group);
    return group;
  }

  #read({ args, tag, type, place }: Plugin, only: readonly string[]): ServerGroup | { readonly why: string } {
    for (const item of itemsOf(childOf(args, "bootstrap"))) this.#addBootstrap(item);
    for (const { key, place: at } of othersThan(args, ["upstream", "upstreams", "bootstrap", "socks5", "concurrent", ...TUNING]))
      this.#findings.add("left", at, `\`${key}\` of \`${tag}\``);
    const all = [...itemsOf(childOf(args, "upstream")), ...itemsOf(childOf(args, "upstreams"))];
    const wanted = only.length === 0 ? all : all.filter((item) => only.includes(textAt(item, "tag")));
    const servers = new Map<string, SourceServer>();
    const proxies = new Set<string>();
    const reasons: string[] = [];
    for (const item of wanted) {
      const read = this.#readServer(item);
      if ("why" in read) {
        reasons.push(`${read.why} (line ${item.place.line})`);
        continue;
      }
      addServer(servers, read);
      proxies.add(textAt(item, "socks5") || textAt(args, "socks5"));
    }
    if (servers.size === 0) return { why: whyNobody(tag, reasons) };
    const [socks5 = "", ...others] = proxies;
    if (others.length > 0) {
      // Rule 13: with one proxy for all, a server would be asked another way than it was.
      return { why: `the servers of \`${tag}\` are asked through different proxies: make two groups of them` };
    }
    const concurrent = numberAt(args, "concurrent") ?? 1;
    const isRace = type !== "forward" || childOf(args, "upstreams") === null || concurrent >= Math.min(3, servers.size);
    const name = only.length === 0 ? tag : `${tag}-${only.join("-")}`;
    const proxy = socks5 === "" ? null : socks5.includes("://") ? socks5 : `socks5://${socks5}`;
    if (proxy !== null && !isProxy(proxy)) return { why: `the proxy of \`${tag}\` is none` };
    return serverGroup(name, [...servers.values()], place, { strategy: isRace || servers.size === 1 ? "race" : "spread", proxy });
  }

  #readServer(item: Tree): SourceServer | Unread {
    const written = item.kind === "scalar" ? textOf(item) : textAt(item, "addr");
    const { place } = item;
    for (const { key, place: at } of othersThan(item, ["addr", "dial_addr", "socks5", "bootstrap", ...TUNING]))
      this.#findings.add(/insecure/.test(key) ? "changed" : "left", at, `\`${key}\` of a server: nothing here corresponds to it`);
    for (const bootstrap of itemsOf(childOf(item, "bootstrap"))) this.#addBootstrap(bootstrap);
    if (/^udpme:/i.test(written))
      this.#findings.add("changed", place, "`udpme` is plain UDP: forged answers are told by other signs");
    const read = written === "" ? { why: "it has no address" } : readServer(written, { at: textAt(item, "dial_addr") });
    if ("server" in read) return read.server;
    const why = `the server \`${shownServer(written)}\`: ${read.why}`;
    this.#findings.add("left", place, why);
    return { why };
  }

  #addBootstrap(item: Tree): void {
    const read = readServer(textOf(item));
    if ("server" in read) this.bootstrap.add(read.server.url);
    else this.#findings.add("left", item.place, `the bootstrap server \`${shownServer(textOf(item))}\`: ${read.why}`);
  }
}

/** The lines of items and files; a file that cannot be read is reported. */
function entryLines(items: readonly Tree[], files: readonly NamedFile[], findings: Findings): readonly SourceLine[] {
  const lines: SourceLine[] = items.map((item) => ({ text: textOf(item), ...item.place }));
  for (const { path, place } of files) {
    try {
      lines.push(...readLines(path, place));
    } catch (error) {
      if (!(error instanceof ImportError)) throw error;
      findings.add("blank", place, `the entries of ${path}: ${error.message}`);
    }
  }
  return lines;
}

/** The entries of a hosts plugin: a pattern, then addresses; a bare name is that name alone. */
export function readHosts(items: readonly Tree[], files: readonly NamedFile[], findings: Findings): readonly Host[] {
  const hosts = new Map<string, Host>();
  for (const { text, file, line } of entryLines(items, files, findings)) {
    const [pattern = "", ...targets] = text.split(/\s+/);
    const place = { file, line };
    const [, kind = "full", written = pattern] = /^(full|domain|keyword|regexp):(.*)$/.exec(pattern) ?? [];
    const name = hostName(written);
    if (kind === "keyword" || kind === "regexp" || name === null) {
      findings.add("blank", place, `\`${pattern}\`: the hosts table has names and \`*.\` names, no patterns`);
      continue;
    }
    const addresses = targets.filter(isAddress);
    if (addresses.length === 0 || addresses.length < targets.length) {
      findings.add("blank", place, `\`${pattern}\` has no address`);
      continue;
    }
    // Of one pattern the last line holds.
    for (const host of hostsOf(kind === "domain" ? name : `full:${name}`, {
      ...hostWith(name, addresses, place),
      closesFamily: true,
    }))
      hosts.set(`${host.wildcard ? "*." : ""}${name}`, host);
  }
  return [...hosts.values()];
}

/** `redirect`: a bare name is that name alone. */
export function readRedirects(items: readonly Tree[], files: readonly NamedFile[], findings: Findings): readonly Host[] {
  return entryLines(items, files, findings).flatMap(({ text, ...place }): Host[] => {
    const [pattern = "", target = ""] = text.split(/\s+/);
    const [, kind = "full", written = pattern] = /^(full|domain|keyword|regexp):(.*)$/.exec(pattern) ?? [];
    const [name, cname] = [hostName(written), hostName(target)];
    if ((kind !== "full" && kind !== "domain") || name === null || cname === null) {
      findings.add("blank", place, `\`${pattern}\`: an alias has a name here, no pattern; those names are asked as they are`);
      return [];
    }
    const alias = { name, addresses: [], cname, others: "nodata", place } as const;
    if (kind === "full") return [{ ...alias, wildcard: false }];
    // The target is asked as it is, also below the name.
    const apart = cname === name || cname.endsWith(`.${name}`) ? excepted(`full:${cname}`, place) : [];
    return [...(cname === name ? [] : [{ ...alias, wildcard: false }]), { ...alias, wildcard: true }, ...apart];
  });
}

/** Bounds of docs/config.md; zero stands for none. */
export function ttlOf(minimum: number, maximum: number): NonNullable<Modifiers["ttl"]> {
  const most = maximum === 0 ? null : Math.min(maximum, 365 * 86_400);
  const least = minimum === 0 ? null : Math.min(minimum, 7 * 86_400, most ?? Number.POSITIVE_INFINITY);
  return {
    ...(least === null ? {} : { min: formatDuration(least * 1000) }),
    // The minimum must not stand above the default maximum, a day.
    ...(most === null && (least ?? 0) <= 86_400 ? {} : { max: formatDuration((most ?? least ?? 0) * 1000) }),
  };
}

/** Settings of the caches that a sequence runs through. */
export function cacheSettings(plugins: readonly Plugin[], findings: Findings): Readonly<Record<string, unknown>> {
  const [first, ...others] = plugins;
  if (first === undefined) return {};
  for (const { place, tag } of others)
    findings.add("changed", place, `the cache \`${tag}\`: there is one cache, set as \`${first.tag}\``);
  const keep = numberAt(first.args, "lazy_cache_ttl") ?? 0;
  const ttl = numberAt(first.args, "lazy_cache_reply_ttl") ?? 0;
  findings.add("changed", first.place, "the cache is counted in bytes: see `cache.size`");
  if (keep === 0) return { cache: { stale: false } };
  const stale = {
    keep: formatDuration(Math.min(keep, 365 * 86_400) * 1000),
    after: "0s",
    ...(ttl > 0 ? { ttl: formatDuration(Math.min(ttl, 3600) * 1000) } : {}),
  };
  return { cache: { stale } };
}
