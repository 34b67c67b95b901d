import { createHash } from "node:crypto";
import type { Shaping } from "./answers/options.ts";
import type { Config } from "./config/types.ts";
import type { HostRecord, HostsOptions, OwnHosts } from "./hosts/options.ts";
import type { HostsFile } from "./hosts/parse.ts";
import type { ListStatus, SourceStatus } from "./lists/load.ts";
import type { ListOptions, ListSource } from "./lists/options.ts";
import type { RuleOptions, SpecialOptions } from "./rules/options.ts";
import type { GroupOptions } from "./upstreams/options.ts";

/**
 * Everything that decisions are made from, JSON as it stands, with files by the digest of their bytes. Equal bases decide alike. There are no
 * secrets in it: neither how upstreams are reached nor how the API is.
 */
export interface DecisionBasis {
  /** Goes up with every change that makes a basis of before mean something else. */
  readonly format: 1;
  readonly rules: readonly RuleOptions[];
  readonly answers: Shaping;
  readonly special: SpecialOptions;
  readonly poison: readonly string[];
  readonly bogus: readonly string[];
  readonly hosts: HostsBasis;
  readonly lists: readonly ListBasis[];
  /** In the order of the file: the first gets what no rule decides. */
  readonly groups: readonly GroupBasis[];
}

export interface HostsBasis {
  readonly ttlSeconds: number;
  readonly records: readonly HostRecord[];
  readonly files: readonly HostsFile[];
  readonly own: OwnHosts;
}

export interface ListBasis extends Pick<ListOptions, "name" | "kind" | "seed" | "sha256"> {
  readonly sources: readonly SourceBasis[];
}

/** A part of a list, and where its bytes came from; `sha256` null = there were none. */
export type SourceBasis = ListSource & Pick<SourceStatus, "servedFrom" | "sha256">;

export type GroupBasis = Pick<GroupOptions, "name" | "never" | "ecs" | "rebinding">;

/** What of a configuration decisions depend on. */
export interface DecidingConfig extends Pick<Config, "rules" | "special" | "poison" | "bogus"> {
  readonly answers: Shaping;
  readonly hosts: HostsOptions;
  readonly lists: readonly Pick<ListOptions, "name" | "kind" | "seed" | "sha256" | "sources">[];
  readonly upstreams: { readonly groups: readonly GroupBasis[] };
}

/** What was read for the decisions of a configuration. */
export interface Read {
  readonly hostsFiles: readonly HostsFile[];
  readonly ownHosts: OwnHosts;
  readonly lists: readonly ListStatus[];
}

export function basisOf(config: DecidingConfig, { hostsFiles, ownHosts, lists }: Read): DecisionBasis {
  const { rules, special, poison, bogus, hosts } = config;
  const { https, ipv6, ipv4, ttl, negative, rebinding } = config.answers;
  return {
    format: 1,
    rules,
    answers: { https, ipv6, ipv4, ttl, negative, rebinding },
    special,
    poison,
    bogus,
    hosts: { ttlSeconds: hosts.ttlSeconds, records: hosts.records, files: hostsFiles, own: ownHosts },
    lists: config.lists.map((list) => listBasis(list, lists.find(({ name }) => name === list.name)?.sources ?? [])),
    groups: config.upstreams.groups.map(({ name, never, ecs, rebinding }) => ({ name, never, ecs, rebinding })),
  };
}

function listBasis(
  { name, kind, seed, sha256, sources }: DecidingConfig["lists"][number],
  statuses: readonly SourceStatus[],
): ListBasis {
  const read = sources.map((source, index) => {
    const status = statuses[index];
    return { ...source, servedFrom: status?.servedFrom ?? "nothing", sha256: status?.sha256 ?? null };
  });
  return { name, kind, seed, sha256, sources: read };
}

/** Short, and the same for the same basis wherever and whenever it is computed. */
export function versionOf(basis: DecisionBasis): string {
  return createHash("sha256").update(JSON.stringify(basis)).digest("hex").slice(0, VERSION_DIGITS);
}

/** 48 bits: two of a thousand versions are alike once in 10^8 installations. */
const VERSION_DIGITS = 12;
