import { createHash } from "node:crypto";
import type { Shaping } from "../answers/options.ts";
import type { Config } from "../config/types.ts";
import type { HostRecord, HostsOptions, OwnHosts } from "../hosts/options.ts";
import { type HostsFile, hostsTable, type LoadedHosts, loadHosts } from "../hosts/parse.ts";
import type { HostsTable } from "../hosts/table.ts";
import { shownUrl } from "../lib/text.ts";
import type { CopySource } from "../lists/cache.ts";
import { type ListStatus, type Lists, loadLists, reloadList, type SourceStatus } from "../lists/load.ts";
import type { ListOptions, ListSource } from "../lists/options.ts";
import { type AddressClassifier, addressClassifier } from "../resolve/classify.ts";
import { checkExpectations } from "../rules/checks.ts";
import { Decider } from "../rules/decider.ts";
import { EgressPolicy } from "../rules/egress.ts";
import type { RuleOptions, SpecialOptions } from "../rules/options.ts";
import type { GroupOptions } from "../upstreams/options.ts";
import { type OwnHostsFile, ownHostsPath, readOwnHosts } from "./host-overrides.ts";

/** The decisions of a configuration, with what they were made from. Immutable: a list that changed makes others. */
export interface Policy {
  readonly hosts: HostsTable;
  readonly hostsParts: HostsParts;
  readonly lists: Lists;
  readonly decider: Decider;
  /** What must not reach a group, whatever is decided. */
  readonly never: EgressPolicy;
  readonly measures: AddressClassifier;
  readonly basis: PolicyInputs;
  /** Of configuration, hosts and lists: equal for what decides alike, also after a restart. */
  readonly version: string;
}

/** What the table of hosts was made of. */
interface HostsParts {
  readonly loaded: LoadedHosts;
  readonly ownFile: OwnHostsFile;
}

interface PolicyDependencies {
  /** Where downloads of lists are kept. */
  readonly copies: CopySource;
  readonly log: Diagnostics;
}

/** Told of what could not be read, and was left out. */
export interface Diagnostics {
  warn(place: DiagnosticPlace, text: string): void;
}

/** What of it is known. */
export interface DiagnosticPlace {
  readonly list?: string;
  readonly source?: string;
  readonly line?: number;
  /** How many lines. */
  readonly lines?: number;
}

export const NO_DIAGNOSTICS: Diagnostics = { warn: () => {} };

/** Reads the lists and the hosts, and builds the decisions from them. What could not be read is reported and left out. */
export async function openPolicy(config: Config, { copies, log }: PolicyDependencies): Promise<Policy> {
  const [loaded, { file, problems }, lists] = await Promise.all([
    loadHosts(config.hosts),
    readOwnHosts(ownHostsPath(config)),
    loadLists(config.lists, copies),
  ]);
  for (const { source, line, reason } of [...loaded.problems, ...problems]) log.warn({ source, line }, `hosts: ${reason}`);
  for (const { name, sources } of lists.status()) {
    for (const { source: written, problem, warningCount } of sources) {
      const source = shownUrl(written);
      if (problem !== null) log.warn({ list: name, source }, problem);
      else if (warningCount > 0) log.warn({ list: name, source, lines: warningCount }, "lines were passed over");
    }
  }
  return buildPolicy(config, { loaded, ownFile: file }, lists);
}

/**
 * What the decisions do otherwise than expected. While a list waits for its first download nothing can be held against them: it has to be
 * possible to start, so that the list can be fetched. Then it is reported only.
 */
export function expectationFaults({ decider, lists }: Policy, config: Config, log: Diagnostics): string[] {
  const faults = faultsOf(decider, config);
  const isWaiting = lists.status().some(({ sources }) => sources.some(({ servedFrom }) => servedFrom === "nothing"));
  if (!isWaiting) return faults;
  for (const fault of faults) log.warn({}, `${fault}; a list has not been downloaded yet`);
  return [];
}

interface ChangedPolicy {
  readonly decisions: Policy;
  /** What was right before and would not be any more. */
  readonly faults: readonly string[];
}

/** The same decisions with one list read anew. */
export async function withList(
  before: Policy,
  { config, list, copies }: { readonly config: Config; readonly list: ListOptions; readonly copies: CopySource },
): Promise<ChangedPolicy> {
  const lists = await reloadList(before.lists, list, copies);
  const decisions = buildPolicy(config, before.hostsParts, lists);
  const lost = lostSources(statusOf(before.lists, list), statusOf(lists, list));
  return { decisions, faults: [...lost, ...newlyBroken(config, before, decisions)] };
}

/** The same decisions with other hosts put in while running. */
export function withOwnHosts(before: Policy, config: Config, ownFile: OwnHostsFile): ChangedPolicy {
  const decisions = buildPolicy(config, { ...before.hostsParts, ownFile }, before.lists);
  return { decisions, faults: newlyBroken(config, before, decisions) };
}

function newlyBroken({ expect }: Config, before: Policy, after: Policy): string[] {
  const known = new Set(checkExpectations(before.decider, expect).map(({ expectation }) => expectation));
  const broken = checkExpectations(after.decider, expect).filter(({ expectation }) => !known.has(expectation));
  return broken.map(({ message }) => message);
}

/** Builds the decisions from what was read. @param config whose rules can be carried out: see `ruleProblems`. */
export function buildPolicy(config: DecidingConfig, hostsParts: HostsParts, lists: Lists): Policy {
  const { loaded, ownFile } = hostsParts;
  const hosts = hostsTable(loaded, ownFile.own);
  const [first] = config.upstreams.groups;
  if (first === undefined) throw new Error("a configuration without upstream groups");
  const decider = new Decider({
    rules: config.rules,
    answers: config.answers,
    special: config.special,
    hosts,
    hostsTtlSeconds: config.hosts.ttlSeconds,
    lists,
    firstGroup: first.name,
  });
  const never = new EgressPolicy({ groups: config.upstreams.groups, rules: config.rules, lists });
  const measures = addressClassifier({ ...config, addresses: lists.addresses });
  const basis = policyInputs(config, { hostsFiles: loaded.files, ownHosts: ownFile.own, lists: lists.status() });
  return { hosts, hostsParts, lists, decider, never, measures, basis, version: versionOf(basis) };
}

function faultsOf(decider: Decider, config: Config): string[] {
  return checkExpectations(decider, config.expect).map(({ message }) => message);
}

function statusOf(lists: Lists, { name }: ListOptions): ListStatus | null {
  return lists.status().find((status) => status.name === name) ?? null;
}

/** A file that is being written, or was taken away, must not empty a list that serves. */
function lostSources(before: ListStatus | null, after: ListStatus | null): string[] {
  return (after?.sources ?? []).flatMap(({ source, problem }, index) =>
    problem !== null && before?.sources[index]?.problem === null ? [`${shownUrl(source)}: ${problem}`] : [],
  );
}

/**
 * Everything that decisions are made from, JSON as it stands, with files by the digest of their bytes. Equal bases decide alike. There are no
 * secrets in it: neither how upstreams are reached nor how the API is.
 */
export interface PolicyInputs {
  /** Goes up with every change that makes a basis of before mean something else. */
  readonly format: 1;
  readonly rules: readonly RuleOptions[];
  readonly answers: Shaping;
  readonly special: SpecialOptions;
  readonly poison: readonly string[];
  readonly bogus: readonly string[];
  readonly hosts: HostsInput;
  readonly lists: readonly ListInput[];
  /** In the order of the file: the first gets what no rule decides. */
  readonly groups: readonly GroupInput[];
}

interface HostsInput {
  readonly ttlSeconds: number;
  readonly records: readonly HostRecord[];
  readonly files: readonly HostsFile[];
  readonly own: OwnHosts;
}

export interface ListInput extends Pick<ListOptions, "name" | "kind" | "seed" | "sha256"> {
  readonly sources: readonly SourceInput[];
}

/** A part of a list, and where its bytes came from; `sha256` null = there were none. */
export type SourceInput = ListSource & Pick<SourceStatus, "servedFrom" | "sha256">;

type GroupInput = Pick<GroupOptions, "name" | "never" | "ecs" | "rebinding">;

/** What of a configuration decisions depend on. */
interface DecidingConfig extends Pick<Config, "rules" | "special" | "poison" | "bogus"> {
  readonly answers: Shaping;
  readonly hosts: HostsOptions;
  readonly lists: readonly Pick<ListOptions, "name" | "kind" | "seed" | "sha256" | "sources">[];
  readonly upstreams: { readonly groups: readonly GroupInput[] };
}

/** What was read for the decisions of a configuration. */
interface Read {
  readonly hostsFiles: readonly HostsFile[];
  readonly ownHosts: OwnHosts;
  readonly lists: readonly ListStatus[];
}

function policyInputs(config: DecidingConfig, { hostsFiles, ownHosts, lists }: Read): PolicyInputs {
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
): ListInput {
  const read = sources.map((source, index) => {
    const status = statuses[index];
    return { ...source, servedFrom: status?.servedFrom ?? "nothing", sha256: status?.sha256 ?? null };
  });
  return { name, kind, seed, sha256, sources: read };
}

/** Short, and the same for the same basis wherever and whenever it is computed. */
export function versionOf(basis: PolicyInputs): string {
  return createHash("sha256").update(JSON.stringify(basis)).digest("hex").slice(0, VERSION_DIGITS);
}

/** 48 bits: two of a thousand versions are alike once in 10^8 installations. */
const VERSION_DIGITS = 12;
