import { createHash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import type { Shaping } from "../answers/options.ts";
import type { Config } from "../config/types.ts";
import type { HostsOptions, OwnHosts } from "../hosts/options.ts";
import { type HostsFile, hostsTable, type LoadedHosts, loadHosts } from "../hosts/parse.ts";
import type { HostsTable } from "../hosts/table.ts";
import { shownUrl } from "../lib/text.ts";
import { type ListCacheReader, listCacheOf } from "../lists/cache.ts";
import { type Lists, loadLists, reloadList, type SourceStatus } from "../lists/load.ts";
import type { ListOptions, ListSource } from "../lists/options.ts";
import { type AddressClassifier, addressClassifier } from "../resolve/classify.ts";
import { checkExpectations } from "../rules/checks.ts";
import { Decider } from "../rules/decider.ts";
import { EgressPolicy } from "../rules/egress.ts";
import type { RuleOptions, SpecialOptions } from "../rules/options.ts";
import type { GroupOptions } from "../upstreams/options.ts";
import { type OwnHostsFile, readOwnHosts } from "./host-overrides.ts";

/** How queries are decided, and the data that says so. Immutable: a changed list or hosts table makes another policy. */
export interface Policy {
  readonly hosts: HostsTable;
  readonly hostsSource: HostsSource;
  readonly lists: Lists;
  readonly decider: Decider;
  /** The questions that each group must never get, whatever the decider says. */
  readonly egress: EgressPolicy;
  readonly classifier: AddressClassifier;
  readonly inputs: PolicyInputs;
  /** Digest of `inputs`: policies with equal versions decide alike, also after a restart. */
  readonly version: string;
}

/** The hosts of the configuration, and the names set through the API or reported. */
export interface HostsSource {
  readonly loaded: LoadedHosts;
  readonly ownFile: OwnHostsFile;
}

/** Takes reports of input that was left out because it could not be read. */
export interface Diagnostics {
  warn(place: DiagnosticPlace, text: string): void;
}

/** Where the input stands, as far as it is known. */
export interface DiagnosticPlace {
  readonly list?: string;
  readonly source?: string;
  readonly line?: number;
  /** Number of lines concerned. */
  readonly lines?: number;
}

export const NO_DIAGNOSTICS: Diagnostics = { warn: () => {} };

interface OpenOptions {
  /** Where downloads of lists are kept. */
  readonly cache?: ListCacheReader;
  /** Returned as it is where the lists, hosts and rules read now say the same. */
  readonly previous?: Policy | null;
}

/** Reads lists and hosts and builds the policy of a configuration. Input that cannot be read is reported and left out. */
export async function openPolicy(
  config: Config,
  diagnostics: Diagnostics,
  { cache = listCacheOf(config), previous = null }: OpenOptions = {},
): Promise<Policy> {
  const [loaded, { file, problems }, lists] = await Promise.all([
    loadHosts(config.hosts),
    readOwnHosts(config),
    loadLists(config.lists, cache),
  ]);
  for (const { source, line, reason } of [...loaded.problems, ...problems])
    diagnostics.warn({ source, line }, `hosts: ${reason}`);
  for (const { name, sources } of lists.status()) {
    for (const { source: written, problem, mistake, warningCount } of sources) {
      const source = shownUrl(written);
      // `checkPolicy` refuses the configuration for a mistake.
      if (mistake !== null) continue;
      if (problem !== null) diagnostics.warn({ list: name, source }, problem);
      else if (warningCount > 0) diagnostics.warn({ list: name, source, lines: warningCount }, "lines were passed over");
    }
  }
  const hostsSource = { loaded, ownFile: file };
  const isUnchanged =
    previous?.version === versionOf(policyInputs(config, hostsSource, lists)) &&
    isDeepStrictEqual(lists.status(), previous.lists.status());
  return isUnchanged ? previous : buildPolicy(config, hostsSource, lists);
}

interface ChangedPolicy {
  readonly policy: Policy;
  /** A sentence for each expectation or source that was in order before the change and no longer is. */
  readonly faults: readonly string[];
}

/** The same policy with one list read again. */
export async function withList(
  before: Policy,
  { config, list, cache }: { readonly config: Config; readonly list: ListOptions; readonly cache: ListCacheReader },
): Promise<ChangedPolicy> {
  const lists = await reloadList(before.lists, list, cache);
  const policy = buildPolicy(config, before.hostsSource, lists);
  return { policy, faults: [...lostSources(before.lists, lists, list.name), ...newFailures(config, before, policy)] };
}

/** The same policy with other names set through the API. */
export function withOwnHosts(before: Policy, config: Config, ownFile: OwnHostsFile): ChangedPolicy {
  const policy = buildPolicy(config, { ...before.hostsSource, ownFile }, before.lists);
  return { policy, faults: newFailures(config, before, policy) };
}

function newFailures({ expect }: Config, before: Policy, after: Policy): string[] {
  const known = new Set(checkExpectations(before.decider, expect).map(({ expectation }) => expectation));
  const failures = checkExpectations(after.decider, expect).filter(({ expectation }) => !known.has(expectation));
  return failures.map(({ message }) => message);
}

// A file that is just being written, or was removed, must not empty a list that serves.
function lostSources(before: Lists, after: Lists, list: string): string[] {
  const sourcesBefore = sourcesOf(before, list);
  return sourcesOf(after, list).flatMap(({ source, problem }, index) =>
    problem !== null && sourcesBefore[index]?.problem === null ? [`${shownUrl(source)}: ${problem}`] : [],
  );
}

function sourcesOf(lists: Lists, list: string): readonly SourceStatus[] {
  return lists.status().find(({ name }) => name === list)?.sources ?? [];
}

/** @param config has passed `checkDecisions`. */
export function buildPolicy(config: PolicyConfig, hostsSource: HostsSource, lists: Lists): Policy {
  const { loaded, ownFile } = hostsSource;
  const { groups } = config.upstreams;
  const hosts = hostsTable(loaded, ownFile.own);
  const [first] = groups;
  if (first === undefined) throw new Error("a configuration without upstream groups");
  const inputs = policyInputs(config, hostsSource, lists);
  return {
    hosts,
    hostsSource,
    lists,
    decider: new Decider({
      rules: config.rules,
      answers: config.answers,
      special: config.special,
      hosts,
      hostsTtlSeconds: config.hosts.ttlSeconds,
      lists,
      firstGroup: first.name,
    }),
    egress: new EgressPolicy({ groups, rules: config.rules, lists }),
    classifier: addressClassifier({ ...config, groups: config.upstreams.groups, addresses: lists.addresses }),
    inputs,
    version: versionOf(inputs),
  };
}

/** The part of a configuration that decisions depend on. */
interface PolicyConfig extends Pick<Config, "rules" | "special" | "poison" | "bogus"> {
  readonly answers: Shaping;
  readonly hosts: HostsOptions;
  readonly lists: readonly Pick<ListOptions, "name" | "kind" | "seed" | "sha256" | "sources">[];
  readonly upstreams: { readonly groups: readonly GroupInput[] };
}

/**
 * Everything that a policy is made from, as JSON data; files stand as digests of their bytes. Equal inputs decide alike. Contains no secrets: neither
 * how upstreams are reached nor how the API is.
 */
export interface PolicyInputs {
  /** Raised by every change that gives older inputs another meaning. */
  readonly format: 2;
  readonly rules: readonly RuleOptions[];
  readonly answers: Shaping;
  readonly special: SpecialOptions;
  readonly poison: readonly string[];
  readonly bogus: readonly string[];
  readonly hosts: Pick<HostsOptions, "ttlSeconds" | "records"> & {
    readonly files: readonly HostsFile[];
    readonly own: OwnHosts;
  };
  readonly lists: readonly ListInput[];
  /** In the order of the file: the first group gets the queries that no rule decides. */
  readonly groups: readonly GroupInput[];
}

export interface ListInput extends Pick<ListOptions, "name" | "kind" | "seed" | "sha256"> {
  readonly sources: readonly SourceInput[];
}

/** A source of a list, and where its bytes came from; `sha256` null = there were none. */
export type SourceInput = ListSource & Pick<SourceStatus, "servedFrom" | "sha256">;

type GroupInput = Pick<GroupOptions, "name" | "never" | "ecs" | "rebinding" | "accept" | "drop">;

function policyInputs(config: PolicyConfig, { loaded, ownFile }: HostsSource, lists: Lists): PolicyInputs {
  const { rules, special, poison, bogus, hosts } = config;
  const { https, ipv6, ipv4, ttl, negative, rebinding } = config.answers;
  return {
    format: 2,
    rules,
    answers: { https, ipv6, ipv4, ttl, negative, rebinding },
    special,
    poison,
    bogus,
    hosts: { ttlSeconds: hosts.ttlSeconds, records: hosts.records, files: loaded.files, own: ownFile.own },
    lists: config.lists.map((list) => listInput(list, sourcesOf(lists, list.name))),
    groups: config.upstreams.groups.map(({ name, never, ecs, rebinding, accept, drop }) => ({
      name,
      never,
      ecs,
      rebinding,
      accept,
      drop,
    })),
  };
}

function listInput(
  { name, kind, seed, sha256, sources }: PolicyConfig["lists"][number],
  statuses: readonly SourceStatus[],
): ListInput {
  const read = sources.map((source, index) => {
    const status = statuses[index];
    return { ...source, servedFrom: status?.servedFrom ?? "nothing", sha256: status?.sha256 ?? null };
  });
  return { name, kind, seed, sha256, sources: read };
}

/** A short digest that does not depend on machine or time. */
export function versionOf(inputs: PolicyInputs): string {
  return createHash("sha256").update(JSON.stringify(inputs)).digest("hex").slice(0, VERSION_DIGITS);
}

/** 48 bits: among a thousand versions two collide in one of 10^8 installations. */
const VERSION_DIGITS = 12;
