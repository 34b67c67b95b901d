import { unsupportedKeys } from "../../config/file.ts";
import { parseConfig } from "../../config/load.ts";
import { formatDuration } from "../../lib/duration.ts";
import { type Bundle, numberAt, othersThan, type Plugin, pathIn } from "./bundle.ts";
import type { Capabilities, DraftGroup, DraftList, DraftRule } from "./draft.ts";
import { type Findings, ImportError } from "./findings.ts";
import { ImportGroups } from "./groups.ts";
import { readHosts } from "./hosts.ts";
import { type Listening, readListeners, SERVER_TYPES } from "./listeners.ts";
import { ImportLists, isReadableFile } from "./lists.ts";
import { Matchers } from "./matchers.ts";
import { EVERYTHING, type Roles, RuleMaker } from "./rules.ts";
import { StepReader } from "./steps.ts";

/** The sections of the new file. */
export interface ImportDraft {
  readonly listening: Listening;
  readonly groups: ReadonlyMap<string, DraftGroup>;
  readonly bootstrap: readonly string[];
  readonly lists: ReadonlyMap<string, DraftList>;
  readonly rules: readonly DraftRule[];
  readonly hosts: ReadonlyMap<string, readonly string[]>;
  readonly cache: Readonly<Record<string, unknown>> | null;
}

interface Surroundings {
  readonly capabilities: Capabilities;
  /** A path as the new file names it. */
  readonly relative: (path: string) => string;
}

/** What this version can be asked for, by asking it. */
export function capabilities(): Capabilities {
  const can = (yaml: string): boolean => {
    const result = parseConfig(yaml, null);
    return result.kind === "ok" && unsupportedKeys(result.config).length === 0;
  };
  return {
    compare: can(`
upstreams: { a: { servers: 127.0.0.1 }, b: { servers: 127.0.0.2 } }
lists: { near: { addresses: "https://lists.example/near.txt" } }
rules: [{ name: r, compare: { near: a, far: b, keepNearIf: "list:near" } }]`),
    ecs: can("rules: [{ name: r, ecs: client }]"),
    preferFamily: can("rules: [{ name: r, ipv6: prefer-ipv4 }]"),
  };
}

/** Translates the bundle twice: what the groups are for is seen only once all rules are made. @throws ImportError where no server is left to ask. */
export function translate(
  bundle: Bundle,
  newFindings: () => Findings,
  surroundings: Surroundings,
): { draft: ImportDraft; findings: Findings } {
  const { roles } = translateOnce(bundle, newFindings(), { ...surroundings, roles: new Map() });
  const findings = newFindings();
  const { draft } = translateOnce(bundle, findings, { ...surroundings, roles });
  return { draft, findings };
}

function translateOnce(
  bundle: Bundle,
  findings: Findings,
  { capabilities: able, relative, roles }: Surroundings & { readonly roles: Roles },
): { readonly draft: ImportDraft; readonly roles: Roles } {
  const lists = new ImportLists(bundle, findings, relative);
  const matchers = new Matchers(bundle, lists);
  const steps = new StepReader(bundle, matchers, findings);
  const groups = new ImportGroups(findings);
  const maker = new RuleMaker({ groups, findings, capabilities: able, roles });
  const listening = readListeners(bundle, findings, relative);
  const [entry, ...others] = [...new Map(entriesOf(bundle, listening).map((each) => [each.tag, each])).values()];
  if (entry === undefined) throw new ImportError({ file: bundle.file, line: 1 }, "no server runs a sequence here");
  for (const { tag, place } of others)
    findings.left(place, `the sequence \`${tag}\` of another server: all listeners share one set of rules`);
  const ending = maker.walk(steps.plugin(entry.tag, entry.place), { condition: EVERYTHING, modifiers: {} });
  const rules = [...maker.rules];
  const all = groups.all;
  const last = all.has("overseas") ? "overseas" : [...all.keys()].at(-1);
  if (last === undefined) throw new ImportError(entry.place, `\`${entry.tag}\` asks no server that could be asked here`);
  if (ending !== "decided") {
    findings.changed(
      entry.place,
      `what no rule decides goes to \`${last}\`: the end of \`${entry.tag}\` could not be carried over`,
    );
    rules.push({ name: freeName("rest", rules), upstream: last });
  }
  const used = [...steps.used.values()];
  const hosts = readHosts(
    used.filter(({ type }) => type === "hosts"),
    bundle,
    findings,
  );
  const cache = readCache(
    used.filter(({ type }) => type === "cache"),
    findings,
  );
  reportUnused(bundle, new Set([...steps.used.keys(), ...matchers.used]), findings);
  if (groups.bootstrap.length === 0) reportLookedUp(bundle, all, findings);
  return {
    draft: {
      listening,
      groups: domesticFirst(all),
      bootstrap: groups.bootstrap,
      lists: usedLists(lists, rules, findings),
      rules,
      hosts,
      cache,
    },
    roles: maker.roles,
  };
}

/** The first group gets what no rule decides. */
function domesticFirst(groups: ReadonlyMap<string, DraftGroup>): ReadonlyMap<string, DraftGroup> {
  return new Map([...groups].toSorted(([one], [other]) => Number(other === "domestic") - Number(one === "domestic")));
}

function usedLists(lists: ImportLists, rules: readonly DraftRule[], findings: Findings): ReadonlyMap<string, DraftList> {
  const named = new Set(
    rules.flatMap(({ domains = [], compare }) => [...domains.map((domain) => domain.replace(/^!/, "")), compare?.keepNearIf]),
  );
  const used = [...lists.all].filter(([name]) => named.has(`list:${name}`));
  lists.report(new Set(used.map(([name]) => name)), findings);
  return new Map(used);
}

function entriesOf(bundle: Bundle, { entries }: Listening): Listening["entries"] {
  const named = entries.filter(({ tag }) => bundle.plugins.has(tag));
  if (named.length > 0) return named;
  // A bundle that is included by another has no servers of its own.
  const sequences = [...bundle.plugins.values()].filter(({ type }) => type === "sequence");
  return sequences.slice(-1).map(({ tag, place }) => ({ tag, place }));
}

function readCache(plugins: readonly Plugin[], findings: Findings): Readonly<Record<string, unknown>> | null {
  const [first, ...others] = plugins;
  if (first === undefined) return null;
  for (const { place, tag } of others) findings.left(place, `the cache \`${tag}\`: there is one cache, set as \`${first.tag}\``);
  const { args, place } = first;
  for (const { key, place: at } of othersThan(args, [
    "size",
    "lazy_cache_ttl",
    "lazy_cache_reply_ttl",
    "cache_everything",
    "compress_resp",
  ]))
    findings.left(at, `\`${key}\` of the cache \`${first.tag}\``);
  if (numberAt(args, "size") !== null)
    findings.changed(place, "the size of the cache counts octets, not answers, and is left at its default; see `cache.size`");
  const keep = numberAt(args, "lazy_cache_ttl") ?? 0;
  if (keep === 0) {
    findings.carried(place, "expired answers are never given: `cache.stale` is false");
    return { stale: false };
  }
  findings.changed(
    place,
    "expired answers are kept as long, and given only when a fresh one takes longer than 1800 ms; `cache.stale.after: 0s` gives them at once",
  );
  const replyTtl = numberAt(args, "lazy_cache_reply_ttl");
  const stale = {
    keep: formatDuration(Math.min(keep, 365 * 86_400) * 1000),
    ...(replyTtl === null || replyTtl === 0 ? {} : { ttl: formatDuration(Math.min(replyTtl, 3600) * 1000) }),
  };
  return { stale };
}

/** The rest is listed, never dropped in silence. */
function reportUnused(bundle: Bundle, used: ReadonlySet<string>, findings: Findings): void {
  const silent = ["domain_set", "ip_set", ...SERVER_TYPES];
  for (const { tag, type, place } of bundle.plugins.values())
    if (!used.has(tag) && !silent.includes(type)) findings.left(place, `\`${tag}\` (${type}): no sequence that runs comes to it`);
  const mentioned = new Set([...bundle.providers.values()].map(({ path }) => path));
  for (const name of FILES) {
    const path = pathIn(bundle.directory, name);
    if (isReadableFile(path) && !mentioned.has(path) && !isNamed(bundle, name))
      findings.left({ file: path, line: 1 }, "the configuration does not name this file");
  }
}

/** Files that the bundle is known to hold. */
const FILES = [
  "hosts.txt",
  "ecs_cn_domain.txt",
  "ecs_noncn_domain.txt",
  "ecs_tw_domain.txt",
  ...["china_domain", "gfw_domain", "cdn_domain", "ad_domain", "china_ip", "gfw_ip"].map((name) => `rules/${name}_list.txt`),
];

function isNamed(bundle: Bundle, name: string): boolean {
  return [...bundle.plugins.values()].some(({ args }) => JSON.stringify(args ?? "").includes(name));
}

function reportLookedUp(bundle: Bundle, groups: ReadonlyMap<string, DraftGroup>, findings: Findings): void {
  const servers = [...groups.values()].flatMap((group) => group.servers);
  const named = servers.flatMap((server) => (typeof server === "string" && /:\/\/[^/]*[a-z]/i.test(server) ? [server] : []));
  if (named.length > 0)
    findings.changed(
      { file: bundle.file, line: 1 },
      `${named.join(", ")}: looked up by the default \`bootstrap\`, not by this host`,
    );
}

function freeName(wanted: string, rules: readonly DraftRule[]): string {
  let name = wanted;
  for (let count = 2; rules.some((rule) => rule.name === name); count++) name = `${wanted}-${count}`;
  return name;
}
