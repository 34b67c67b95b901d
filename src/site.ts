import { isDeepStrictEqual } from "node:util";
import { Access, localPrefixes } from "./access/access.ts";
import { type Backing, closeBacking, openBacking, type SiteSurroundings, saveBacking } from "./backing.ts";
import type { Config } from "./config/types.ts";
import { type Decisions, expectationFaults, openDecisions } from "./decisions.ts";
import { copiesOf } from "./lists/cache.ts";
import { refusalsOf } from "./refusals.ts";
import { Flights } from "./resolve/fetch.ts";
import type { Resolver } from "./resolve/types.ts";

/** Everything that answers queries, built from one configuration. Swapped whole by a reload. */
export interface Site {
  readonly config: Config;
  readonly resolver: Resolver;
  readonly decisions: Decisions;
  /** As in `Decisions`. */
  readonly version: string;
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
  const refusals = refusalsOf(config);
  if (refusals.length > 0) throw new SiteError(refusals);
  const { clock, log } = surroundings;
  const decisions = await openDecisions(config, { copies: copiesOf(config), log });
  const faults = expectationFaults(decisions, config, log);
  if (faults.length > 0) throw new SiteError(faults);
  const backing = await backingFor(config, surroundings, previous);
  // Who has used up its rate does not begin anew with every reload.
  const keepsAccess = previous !== null && isDeepStrictEqual(config.access, previous.config.access);
  return {
    config,
    backing,
    decisions,
    version: decisions.version,
    access: keepsAccess ? previous.access : new Access(config.access, { clock, localPrefixes }),
    resolver: {
      ...backing,
      decider: decisions.decider,
      measures: decisions.measures,
      flights: new Flights(MAX_FLIGHTS),
      clock,
      deadlineMs: config.answers.deadlineMs,
      stale: config.cache.stale,
      prefetch: config.cache.prefetch,
    },
  };
}

/** The same site with other decisions, sharing all else. */
export function siteWith(site: Site, decisions: Decisions): Site {
  return {
    ...site,
    decisions,
    version: decisions.version,
    resolver: {
      ...site.resolver,
      decider: decisions.decider,
      measures: decisions.measures,
      flights: new Flights(MAX_FLIGHTS),
    },
  };
}

/** Questions to upstreams under way at once, over all groups. */
const MAX_FLIGHTS = 10_000;

/** The groups go by the `never` of this site from now on, also those that it shares with the one before: to be called as it is put in place. */
export function guardGroups({ backing, decisions: { never } }: Site): void {
  backing.groups.guardBy((group, question, asker) => never.forbids(group, question, asker));
}

/** Closes what `next` does not go on using; null = everything. */
export async function closeSite(site: Site, next: Site | null): Promise<void> {
  if (site.access !== next?.access) await site.access.close();
  if (site.backing === next?.backing) return;
  await closeBacking(site.backing, next !== null && next.config.cache.file === site.config.cache.file);
}

/** The one at hand, or another that begins with what that one keeps in its files. */
async function backingFor(config: Config, surroundings: SiteSurroundings, previous: Site | null): Promise<Backing> {
  if (previous === null) return await openBacking(config, surroundings);
  if (sharesBacking(config, previous.config)) return previous.backing;
  await saveBacking(previous.backing);
  return await openBacking(config, surroundings);
}

function sharesBacking(next: Config, current: Config): boolean {
  return isDeepStrictEqual(next.upstreams, current.upstreams) && isDeepStrictEqual(next.cache, current.cache);
}
