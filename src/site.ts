import { randomInt } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { Access } from "./access/access.ts";
import { localPrefixes } from "./access/local-prefixes.ts";
import { AnswerCache } from "./cache/answer-cache.ts";
import { CacheKeeper } from "./cache-keeper.ts";
import type { Clock } from "./clock.ts";
import type { Config } from "./config/config.ts";
import { AddressSet } from "./dns/address-set.ts";
import { loadHosts } from "./hosts/load.ts";
import { loadLists } from "./lists/load.ts";
import type { OperationsLog } from "./log/operations.ts";
import { notYet } from "./not-yet.ts";
import { Flights } from "./resolve/flights.ts";
import { Rechecks } from "./resolve/rechecks.ts";
import type { Resolver } from "./resolve/resolver.ts";
import { Decider } from "./rules/decider.ts";
import { checkExpectations } from "./rules/expectations.ts";
import { ruleProblems } from "./rules/problems.ts";
import { Bootstrap } from "./upstreams/bootstrap.ts";
import { type Groups, openGroups } from "./upstreams/groups.ts";
import { openServer } from "./upstreams/server.ts";

/** Everything that answers queries, built from one configuration. Swapped whole by a reload. */
export interface Site {
  readonly config: Config;
  readonly resolver: Resolver;
  readonly access: Access;
  readonly backing: Backing;
}

/** What outlives a reload that does not concern it: connections, what is known of the servers, and the answers they gave. */
interface Backing {
  readonly groups: Groups;
  readonly bootstrap: Bootstrap;
  readonly cache: AnswerCache;
  readonly flights: Resolver["flights"];
  readonly rechecks: Rechecks;
  /** null = nothing is kept across restarts. */
  readonly saving: CacheKeeper | null;
}

export interface SiteSurroundings {
  readonly clock: Clock;
  readonly log: OperationsLog;
  /** Certificates in PEM that upstreams are checked against; null = those that the process trusts. */
  readonly ca: string | null;
  /** Path of the file that names the host's own resolvers. */
  readonly resolvConf: string;
}

/** What keeps a configuration from being served, one sentence each. */
export class SiteError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.name = "SiteError";
    this.problems = problems;
  }
}

/**
 * Builds a site beside whatever is serving, taking over from `previous` what the new configuration leaves as it was.
 * @throws SiteError where the configuration asks for what cannot be done, or breaks its own expectations.
 */
export async function openSite(config: Config, surroundings: SiteSurroundings, previous: Site | null): Promise<Site> {
  const refusals = [...notYet(config), ...ruleProblems(config.rules)];
  if (refusals.length > 0) throw new SiteError(refusals);
  const decider = await openDecider(config, surroundings.log);
  const failures = checkExpectations(decider, config.expect);
  if (failures.length > 0) throw new SiteError(failures.map(({ message }) => message));
  const backing =
    previous !== null && sharesBacking(config, previous.config) ? previous.backing : await openBacking(config, surroundings);
  const { clock } = surroundings;
  // Who has used up its rate does not begin anew with every reload.
  const keepsAccess = previous !== null && isDeepStrictEqual(config.access, previous.config.access);
  return {
    config,
    backing,
    access: keepsAccess ? previous.access : new Access(config.access, { clock, localPrefixes }),
    resolver: {
      ...backing,
      decider,
      clock,
      deadlineMs: config.answers.deadlineMs,
      stale: config.cache.stale,
      prefetch: config.cache.prefetch,
      volatileAddresses: AddressSet.of(...FAKE_IP_RANGES, ...config.cache.volatile),
    },
  };
}

/** Reads the lists and the hosts, and builds the decisions from them. What could not be read is reported and left out. */
export async function openDecider(config: Config, log: OperationsLog): Promise<Decider> {
  const [hosts, lists] = await Promise.all([loadHosts(config.hosts), loadLists(config.lists)]);
  for (const { source, line, reason } of hosts.problems) log.warn({ source, line }, `hosts: ${reason}`);
  for (const { name, sources } of lists.status()) {
    for (const { source, problem, warningCount } of sources) {
      if (problem !== null) log.warn({ list: name, source }, problem);
      else if (warningCount > 0) log.warn({ list: name, source }, `${warningCount} lines were passed over`);
    }
  }
  const [first] = config.upstreams.groups;
  if (first === undefined) throw new Error("a configuration without upstream groups");
  return new Decider({
    rules: config.rules,
    answers: config.answers,
    special: config.special,
    hosts: hosts.table,
    hostsTtlSeconds: config.hosts.ttlSeconds,
    lists,
    firstGroup: first.name,
  });
}

/** Closes what `next` does not go on using; null = everything. Questions under way on the old servers have until the deadline. */
export async function closeSite(site: Site, next: Site | null): Promise<void> {
  if (site.access !== next?.access) await site.access.close();
  if (site.backing === next?.backing) return;
  await site.backing.saving?.close();
  await site.backing.groups.close();
  await site.backing.bootstrap.close();
}

/** Addresses that proxies make up for names; what they stand for changes from minute to minute. */
const FAKE_IP_RANGES = ["198.18.0.0/15", "fc00::/18"];

/** Questions to upstreams under way at once, over all groups. */
const MAX_FLIGHTS = 10_000;

function sharesBacking(next: Config, current: Config): boolean {
  return isDeepStrictEqual(next.upstreams, current.upstreams) && isDeepStrictEqual(next.cache, current.cache);
}

async function openBacking(
  { upstreams, cache, listen, answers: limits }: Config,
  surroundings: SiteSurroundings,
): Promise<Backing> {
  const { clock, ca, resolvConf } = surroundings;
  const isOurs = (address: string, port: number) =>
    listen.dns.some((endpoint) => endpoint.port === port && (endpoint.address === address || isWildcard(endpoint.address)));
  const common = { clock, ca, system: { resolvConf, isOurs } };
  const nowhere = new Bootstrap([], clock);
  const bootstrapServers = upstreams.bootstrap.map((server) =>
    openServer(server, { ...common, bootstrap: nowhere, proxy: null }),
  );
  const bootstrap = new Bootstrap(bootstrapServers, clock);
  const answers = new AnswerCache(cache, clock);
  const rechecks = new Rechecks(cache.stale?.recheckMs ?? 0);
  const groups = openGroups(upstreams.groups, {
    openMember: (server, group) => openServer(server, { ...common, bootstrap, proxy: group.proxy }),
    clock,
    random: () => randomInt(2 ** 32) / 2 ** 32,
  });
  groups.onWell((route) => {
    answers.forgetFailures(route);
    rechecks.clear();
  });
  const saving =
    cache.file === null ? null : await CacheKeeper.open(answers, cache.file, { clock, log: surroundings.log, limits });
  return { groups, bootstrap, cache: answers, rechecks, flights: new Flights(MAX_FLIGHTS), saving };
}

function isWildcard(address: string): boolean {
  return address === "0.0.0.0" || address === "::";
}
