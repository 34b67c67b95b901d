import { isDeepStrictEqual } from "node:util";
import { Access } from "./access/access.ts";
import { localPrefixes } from "./access/local-prefixes.ts";
import { type Backing, closeBacking, openBacking, type SiteSurroundings } from "./backing.ts";
import type { Config } from "./config/config.ts";
import { AddressSet } from "./dns/address-set.ts";
import { loadHosts } from "./hosts/load.ts";
import { loadLists } from "./lists/load.ts";
import type { OperationsLog } from "./log/operations.ts";
import { notYet } from "./not-yet.ts";
import type { Resolver } from "./resolve/resolver.ts";
import { Decider } from "./rules/decider.ts";
import { checkExpectations } from "./rules/expectations.ts";
import { ruleProblems } from "./rules/problems.ts";

/** Everything that answers queries, built from one configuration. Swapped whole by a reload. */
export interface Site {
  readonly config: Config;
  readonly resolver: Resolver;
  readonly access: Access;
  readonly backing: Backing;
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
  await closeBacking(site.backing);
}

/** Addresses that proxies make up for names; what they stand for changes from minute to minute. */
const FAKE_IP_RANGES = ["198.18.0.0/15", "fc00::/18"];

function sharesBacking(next: Config, current: Config): boolean {
  return isDeepStrictEqual(next.upstreams, current.upstreams) && isDeepStrictEqual(next.cache, current.cache);
}
