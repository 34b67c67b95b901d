import { randomInt } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { LRUCache } from "lru-cache";
import { Access, localPrefixes } from "../access/access.ts";
import { AnswerCache } from "../cache/answer-cache.ts";
import { type LoadOptions, loadCache, saveCache } from "../cache/cache-file.ts";
import type { Config } from "../config/types.ts";
import { AddressSet, isLoopback } from "../dns/address.ts";
import { nameText } from "../dns/name.ts";
import { typeName } from "../dns/types.ts";
import type { Clock } from "../lib/clock.ts";
import type { Endpoint } from "../listen/options.ts";
import { localAddresses, wildcardFamily } from "../listen/udp.ts";
import type { OperationsLog } from "../log/operations.ts";
import { RefreshThrottle, SingleFlight } from "../resolve/fetch.ts";
import { FAKE_IP_RANGES } from "../resolve/filters.ts";
import type { Resolver } from "../resolve/types.ts";
import { loadVerdicts, saveVerdicts, Verdicts } from "../resolve/verdicts.ts";
import { type Bootstrap, openBootstrap } from "../upstreams/bootstrap.ts";
import { type Groups, groupMarks, openGroups } from "../upstreams/group.ts";
import type { Violation } from "../upstreams/route-guard.ts";
import { openServer } from "../upstreams/server.ts";
import { Autosave, type Kept } from "./autosave.ts";
import { openPolicy, type Policy } from "./policy.ts";
import { checkExpected, checkServable } from "./preflight.ts";

/** Everything that answers queries, built from one configuration. Swapped whole by a reload. */
export interface ServerState {
  readonly config: Config;
  readonly resolver: Resolver;
  readonly policy: Policy;
  /** As in `Decisions`. */
  readonly version: string;
  readonly access: Access;
  readonly shared: SharedResources;
}

/** What keeps a configuration from being served, one sentence each. */
export class ServerStateError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.name = "ServerStateError";
    this.problems = problems;
  }
}

/**
 * Builds a site beside whatever is serving, taking over from `previous` what the new configuration leaves as it was.
 * @throws ServerStateError where the configuration asks for what cannot be done, or breaks its own expectations.
 */
export async function openState(config: Config, surroundings: Dependencies, previous: ServerState | null): Promise<ServerState> {
  const refusals = checkServable(config);
  if (refusals.length > 0) throw new ServerStateError(refusals);
  const { clock, log } = surroundings;
  const policy = await openPolicy(config, log);
  const faults = checkExpected(policy, config, log);
  if (faults.length > 0) throw new ServerStateError(faults);
  const backing = await sharedFor(config, surroundings, previous);
  // Who has used up its rate does not begin anew with every reload.
  const keepsAccess = previous !== null && isDeepStrictEqual(config.access, previous.config.access);
  return {
    config,
    shared: backing,
    policy,
    version: policy.version,
    access: keepsAccess ? previous.access : new Access(config.access, { clock, localPrefixes }),
    resolver: {
      ...backing,
      decider: policy.decider,
      classifier: policy.classifier,
      singleFlight: new SingleFlight(MAX_FLIGHTS),
      clock,
      deadlineMs: config.answers.deadlineMs,
      stale: config.cache.stale,
      prefetch: config.cache.prefetch,
    },
  };
}

/** The same site with other decisions, sharing all else. */
export function stateWith(site: ServerState, policy: Policy): ServerState {
  return {
    ...site,
    policy,
    version: policy.version,
    resolver: {
      ...site.resolver,
      decider: policy.decider,
      classifier: policy.classifier,
      singleFlight: new SingleFlight(MAX_FLIGHTS),
    },
  };
}

/** Questions to upstreams under way at once, over all groups. */
const MAX_FLIGHTS = 10_000;

/** The groups go by the `never` of this site from now on, also those that it shares with the one before: to be called as it is put in place. */
export function guardGroups({ shared: backing, policy: { egress } }: ServerState): void {
  backing.groups.guardBy((group, question, asker) => egress.forbids(group, question, asker));
}

/** Closes what `next` does not go on using; null = everything. */
export async function closeState(site: ServerState, next: ServerState | null): Promise<void> {
  if (site.access !== next?.access) await site.access.close();
  if (site.shared === next?.shared) return;
  await closeShared(site.shared, next !== null && next.config.cache.file === site.config.cache.file);
}

/** The one at hand, or another that begins with what that one keeps in its files. */
async function sharedFor(config: Config, surroundings: Dependencies, previous: ServerState | null): Promise<SharedResources> {
  if (previous === null) return await openShared(config, surroundings);
  if (canShare(config, previous.config)) return previous.shared;
  await saveShared(previous.shared);
  return await openShared(config, surroundings);
}

function canShare(next: Config, current: Config): boolean {
  return isDeepStrictEqual(next.upstreams, current.upstreams) && isDeepStrictEqual(next.cache, current.cache);
}

/** What outlives a reload that does not concern it: connections, what is known of the servers, and the answers they gave. */
export interface SharedResources {
  readonly groups: Groups;
  readonly bootstrap: Bootstrap;
  readonly cache: AnswerCache;
  readonly refreshThrottle: RefreshThrottle;
  readonly verdicts: Verdicts;
  /** As in `Resolver`. */
  readonly volatileAddresses: AddressSet;
  /** What is kept across restarts; empty where nothing is. */
  readonly saving: readonly Autosave[];
}

export interface Dependencies {
  readonly clock: Clock;
  readonly log: OperationsLog;
  /** Certificates in PEM that upstreams are checked against; null = those that the process trusts. */
  readonly ca: string | null;
  /** Path of the file that names the host's own resolvers. */
  readonly resolvConf: string;
}

/** Opens the upstreams and the cache before them. Nothing is connected before the first question. */
export async function openShared(config: Config, { clock, ca, log, resolvConf }: Dependencies): Promise<SharedResources> {
  const { upstreams, cache: cacheOptions, listen, answers: limits } = config;
  const context = {
    clock,
    ca,
    system: { resolvConf, isOurs: (address: string, port: number) => listensAt(listen.dns, address, port) },
  };
  const bootstrap = openBootstrap(upstreams.bootstrap, context);
  const groups = openGroups(upstreams.groups, {
    openMember: (server, group) => openServer(server, { ...context, bootstrap, proxy: group.proxy }),
    clock,
    random: () => randomInt(2 ** 32) / 2 ** 32,
  });
  groups.onViolation(leakLog(log, clock));
  const cache = new AnswerCache(cacheOptions, clock);
  const rechecks = new RefreshThrottle(cacheOptions.stale?.recheckMs ?? 0);
  groups.onRecovery((route) => {
    cache.forgetFailures(route);
    rechecks.clear();
  });
  const verdicts = new Verdicts();
  const volatileAddresses = AddressSet.of(...FAKE_IP_RANGES, ...cacheOptions.volatile);
  const kept = { cache, verdicts, load: { clock, limits, volatileAddresses, routes: groupMarks(upstreams.groups) } };
  const saving: Autosave[] = [];
  for (const each of cacheOptions.file === null ? [] : keptAt(cacheOptions.file, kept))
    saving.push(await Autosave.open(each, { clock, log }));
  return { groups, bootstrap, cache, refreshThrottle: rechecks, verdicts, volatileAddresses, saving };
}

interface Keepable {
  readonly cache: AnswerCache;
  readonly verdicts: Verdicts;
  readonly load: LoadOptions;
}

/** The answers lie in the file itself, the verdicts beside it. */
function keptAt(path: string, { cache, verdicts, load }: Keepable): Kept[] {
  const verdictPath = `${path}.verdicts`;
  const { clock, routes } = load;
  return [
    { name: "cache", path, load: () => loadCache(cache, path, load), save: () => saveCache(cache, path, routes) },
    {
      name: "verdicts",
      path: verdictPath,
      load: () => loadVerdicts(verdicts, verdictPath, clock),
      save: () => saveVerdicts(verdicts, verdictPath, clock),
    },
  ];
}

/** Writes what is kept, so that another may begin with it. */
async function saveShared({ saving }: SharedResources): Promise<void> {
  for (const keeper of saving) await keeper.save();
}

/** Writes what is kept, unless another goes on with the files, ends the questions under way and closes the connections. */
export async function closeShared({ saving, groups, bootstrap }: SharedResources, leavesFiles: boolean): Promise<void> {
  for (const keeper of saving) await (leavesFiles ? keeper.stop() : keeper.close());
  await groups.close();
  await bootstrap.close();
}

/** Whether one of our own listeners is asked at this address: behind a wildcard, at any address of this host. */
function listensAt(endpoints: readonly Endpoint[], address: string, port: number): boolean {
  return endpoints.some((endpoint) => {
    if (endpoint.port !== port) return false;
    const family = wildcardFamily(endpoint.address);
    return family === null ? endpoint.address === address : localAddresses(family).includes(address) || isLoopback(address);
  });
}

/** How long a name is kept quiet after it was told, for each group. */
const QUIET_MS = 600_000;

/** Names remembered; a wrong rule may concern more, and then some are told sooner again. */
const MAX_NAMES = 1_024;

/** Tells the operator of questions that were to go where they must not: each name once in ten minutes. */
function leakLog(log: OperationsLog, clock: Clock): (breach: Violation) => void {
  const toldAtMs = new LRUCache<string, number>({ max: MAX_NAMES });
  return ({ group, question, reason }) => {
    const key = `${group} ${question.name}`;
    const nowMs = clock.now();
    if (nowMs - (toldAtMs.get(key) ?? Number.NEGATIVE_INFINITY) < QUIET_MS) return;
    toldAtMs.set(key, nowMs);
    const details = { group, name: nameText(question.name), type: typeName(question.type), reason };
    log.warn(details, "a rule sent a question where it must never go: it was refused");
  };
}
