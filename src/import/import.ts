/**
 * Makes a fenliu.yaml of another server's configuration. `fenliu import` calls this room.
 *
 * Read `model.ts` first: it says what all sources have in common. A reader, one folder a source, makes a `Meaning` of its files (`source.ts`,
 * `servers.ts`, `lists.ts` and `hosts.ts` help it); `lower.ts` (with `patterns.ts`, `longest.ts` and `simplify.ts`) and `write.ts` (with `parts.ts`) make the
 * configuration of it; `report.ts` prints what became of each statement.
 * A new source is one more reader in the table below.
 */
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { readAdguardHome } from "./adguardhome/read.ts";
import { readChinadnsNg } from "./chinadns-ng/read.ts";
import { readDnsmasq } from "./dnsmasq/read.ts";
import { readMihomo } from "./mihomo/read.ts";
import { type Finding, Findings, ImportError, type Meaning, type Place, type ReaderOptions } from "./model.ts";
import { readMosdns } from "./mosdns/read.ts";
import { inOrder } from "./report.ts";
import { readSmartdns } from "./smartdns/read.ts";
import { childOf, parseTree, readText, type Tree } from "./source.ts";
import { type Written, writeConfig } from "./write.ts";

export interface ImportOptions extends ReaderOptions {
  /** A path as the new file names it. */
  readonly relative: (path: string) => string;
  /** Where the new server may write; null = beside the new file. */
  readonly dataFolder: string | null;
}

export interface Imported extends Written {
  /** The kind that was read. */
  readonly kind: string;
  /** In the order of the report. */
  readonly findings: readonly Finding[];
  /** Whether names could go to another side than before. */
  readonly leaks: boolean;
}

interface Reader {
  /** Names under which it can be demanded; the first is shown. */
  readonly names: readonly string[];
  /** Files that it looks for in a folder. */
  readonly files: readonly string[];
  /** Whether a file is of this kind. `tree` is null where it is no YAML. */
  readonly recognises: (tree: Tree | null, text: string) => boolean;
  readonly read: (file: string, findings: Findings, options: ReaderOptions) => Meaning;
}

const READERS: readonly Reader[] = [
  {
    names: ["mosdns", "easymosdns", "mosdns-x", "oxidns"],
    files: ["config.yaml", "config.yml", "mosdns.yaml"],
    recognises: (tree) => childOf(tree, "plugins", "plugin") !== null || childOf(tree, "data_providers") !== null,
    read: readMosdns,
  },
  {
    names: ["adguardhome", "adguard"],
    files: ["AdGuardHome.yaml"],
    recognises: (tree) => childOf(childOf(tree, "dns"), "upstream_dns", "upstream_dns_file", "bind_hosts") !== null,
    read: readAdguardHome,
  },
  {
    names: ["mihomo", "clash"],
    files: ["config.yaml", "mihomo.yaml", "clash.yaml"],
    recognises: (tree) => childOf(childOf(tree, "dns"), "nameserver", "enhanced-mode", "nameserver-policy") !== null,
    read: readMihomo,
  },
  {
    names: ["smartdns"],
    files: ["smartdns.conf"],
    recognises: (_, text) =>
      /^[ \t]*((server(-\w+)?|bind|conf-file)\s+[^\s=]|nameserver\s+\/|group-begin\s|domain-rules\s|speed-check-mode\s)/m.test(
        text,
      ),
    read: readSmartdns,
  },
  {
    names: ["chinadns-ng"],
    files: ["chinadns-ng.conf"],
    recognises: (_, text) => /^[ \t]*-{0,2}(china-dns|trust-dns|gfwlist-file|chnlist-file)\s/m.test(text),
    read: readChinadnsNg,
  },
  {
    names: ["dnsmasq"],
    files: ["dnsmasq.conf"],
    recognises: (_, text) =>
      /^[ \t]*((server|address|local|conf-dir|conf-file|resolv-file|listen-address|bogus-nxdomain|dhcp-range)[ \t]*=|(no-resolv|domain-needed|bogus-priv|strict-order|all-servers)[ \t]*$)/m.test(
        text,
      ),
    read: readDnsmasq,
  },
];

/** @param kind null = to be recognised. @throws ImportError where nothing can be made of it. */
export function importConfig(path: string, kind: string | null, options: ImportOptions): Imported {
  const place = { file: path, line: 1 };
  const wanted = kind === null ? READERS : READERS.filter(({ names }) => names.includes(kind));
  const file = findFile(path, wanted, place);
  const text = readText(file, place);
  const reader = kind === null ? recognise(text, file) : wanted[0];
  if (reader === undefined && /^config\s+\S/m.test(text) && /^\s*(option|list)\s/m.test(text))
    throw new ImportError(
      { file, line: 1 },
      "these are settings of OpenWrt: import the file that its service makes of them, such as /var/etc/smartdns/smartdns.conf or /var/etc/dnsmasq.conf.*",
    );
  if (text.trim() === "") throw new ImportError({ file, line: 1 }, "this file is empty");
  if (reader === undefined)
    throw new ImportError(
      { file, line: 1 },
      `this is none of the configurations that are known: ${importKinds().join(", ")}. What is missing is said where its kind stands before the path`,
    );
  const findings = new Findings();
  const meaning = reader.read(file, findings, options);
  const written = writeConfig(meaning, findings, options);
  return { ...written, kind: reader.names[0] ?? "", findings: inOrder(findings.all), leaks: findings.has("leak") };
}

/** The names of the kinds. */
export function importKinds(): readonly string[] {
  return READERS.flatMap(({ names }) => names);
}

function findFile(path: string, readers: readonly Reader[], place: Place): string {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isDirectory() !== true) return path;
  const names = readers.flatMap(({ files }) => files);
  const file = names.map((name) => join(path, name)).find((each) => existsSync(each));
  if (file === undefined) throw new ImportError(place, `none of ${names.join(", ")} is in this folder`);
  return file;
}

function recognise(text: string, file: string): Reader | undefined {
  let tree: Tree | null = null;
  try {
    tree = parseTree(text, file);
  } catch (error) {
    if (!(error instanceof ImportError)) throw error;
    if (/\.ya?ml$/i.test(file)) throw error;
  }
  return READERS.find(({ recognises }) => recognises(tree?.kind === "map" ? tree : null, text));
}
