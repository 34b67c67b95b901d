import { randomInt } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { LRUCache } from "lru-cache";
import { Access, localPrefixes } from "../access/access.ts";
import { AnswerCache } from "../cache/answer-cache.ts";
import { loadCache, saveCache } from "../cache/cache-file.ts";
import type { Config } from "../config/types.ts";
import { AddressSet, isLoopback } from "../dns/address.ts";
import { someAddress } from "../dns/answer.ts";
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
import { type Groups, groupMarks, openGroups, type Violation } from "../upstreams/group.ts";
import { openServer } from "../upstreams/server.ts";
import { Autosave, type SavedCollection } from "./autosave.ts";
import { openPolicy, type Policy } from "./policy.ts";
import { checkPolicy, checkServable } from "./preflight.ts";

/**
 * Everything that answers queries, built from one configuration. Immutable: a reload builds another state beside this one, and the server then
 * swaps one reference. What the reload does not concern, the next state takes over (`SharedResources`).
 */
export interface ServerState {
  readonly config: Config;
  readonly policy: Policy;
  /** `policy.version`. */
  readonly version: string;
  readonly access: Access;
  readonly resolver: Resolver;
  readonly shared: SharedResources;
}

/** What outlives a reload: connections, what is known about the servers, and their answers. */
export interface SharedResources extends Pick<Resolver, "cache" | "refreshThrottle" | "verdicts" | "volatileAddresses"> {
  readonly groups: Groups;
  readonly bootstrap: Bootstrap;
  /** One for each file of `cache.file`; empty without a file. */
  readonly autosaves: readonly Autosave[];
}

/** What the process gives to the server. */
export interface Dependencies {
  readonly clock: Clock;
  readonly log: OperationsLog;
  /** Certificates in PEM that upstreams are checked against; null = those that the process trusts. */
  readonly ca: string | null;
  /** Path of the file that names the host's own resolvers. */
  readonly resolvConf: string;
}

/** A configuration cannot be served, or a change not be made. */
export class ServerStateError extends Error {
  /** One sentence each. */
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.name = "ServerStateError";
    this.problems = problems;
  }
}

/** Different questions that may be under way at once over all groups, and queries that may wait for the same one. */
export const FETCH_LIMITS = { running: 10_000, callers: 2_000 };

/**
 * Builds a state beside the one that serves. `previous` goes on unchanged until `takeOver`; it is returned itself if nothing has changed.
 * @throws ServerStateError where the configuration cannot be served or fails its own expectations.
 */
export async function openState(config: Config, dependencies: Dependencies, previous: ServerState | null): Promise<ServerState> {
  const { clock, log } = dependencies;
  const isSameConfig = isDeepStrictEqual(config, previous?.config);
  if (!isSameConfig) refuseIf(checkServable(config));
  const policy = await openPolicy(config, log, { previous: previous?.policy ?? null });
  if (isSameConfig && policy === previous?.policy) return previous;
  refuseIf(checkPolicy(policy, config, log));
  const shared =
    previous !== null && isDeepStrictEqual(sharedOptions(config), sharedOptions(previous.config))
      ? previous.shared
      : await openShared(config, dependencies, previous);
  // A client that has used up its rate must not get a new one with every reload.
  const keepsAccess = previous !== null && isDeepStrictEqual(config.access, previous.config.access);
  const { groups, cache, refreshThrottle, verdicts, volatileAddresses } = shared;
  return {
    config,
    shared,
    policy,
    version: policy.version,
    access: keepsAccess ? previous.access : new Access(config.access, { clock, localPrefixes }),
    resolver: {
      groups,
      cache,
      refreshThrottle,
      verdicts,
      volatileAddresses,
      decider: policy.decider.withClock(clock.wallMs),
      egress: policy.egress,
      classifier: policy.classifier,
      singleFlight: new SingleFlight(FETCH_LIMITS),
      clock,
      deadlineMs: config.answers.deadlineMs,
      stale: config.cache.stale,
      prefetch: config.cache.prefetch,
    },
  };
}

function refuseIf(problems: readonly string[]): void {
  if (problems.length > 0) throw new ServerStateError(problems);
}

/** The same state with another policy. */
export function stateWith(state: ServerState, policy: Policy): ServerState {
  const { egress, classifier } = policy;
  const decider = policy.decider.withClock(state.resolver.clock.wallMs);
  // A fetch is verified by the policy of the query that began it, so that queries under another policy must not join it.
  const singleFlight: Resolver["singleFlight"] = new SingleFlight(FETCH_LIMITS);
  return {
    ...state,
    policy,
    version: policy.version,
    resolver: { ...state.resolver, decider, egress, classifier, singleFlight },
  };
}

/**
 * Takes the shared resources over from `previous`: to be called at the swap, after which `previous` only answers the queries it has begun.
 * Whatever a group said whose servers have changed is forgotten, and its late answers are not kept.
 */
export function takeOver(state: ServerState, previous: ServerState): void {
  if (state.shared === previous.shared) return;
  const { cache, verdicts, volatileAddresses } = state.shared;
  for (const autosave of previous.shared.autosaves) void autosave.stop();
  const marks = groupMarks(state.config.upstreams.groups);
  for (const [name, mark] of groupMarks(previous.config.upstreams.groups)) {
    if (marks.get(name) === mark) continue;
    previous.shared.groups.get(name).retire();
    cache.dropRoute(name);
    verdicts.dropNear(name);
  }
  cache.configure(state.config.cache);
  if (isDeepStrictEqual(state.config.cache.volatile, previous.config.cache.volatile)) return;
  for (const { key, held } of cache.entries()) {
    if (someAddress(held.answer, (address) => volatileAddresses.has(address))) cache.delete(key);
  }
}

/** Closes a state, but for what `next` goes on using; null = nothing goes on. */
export async function closeState(state: ServerState, next: ServerState | null): Promise<void> {
  if (state.access !== next?.access) await state.access.close();
  if (state.shared !== next?.shared) await closeShared(state.shared, next?.shared ?? null);
}

function sharedOptions({ upstreams, cache }: Config) {
  return { upstreams, cache };
}

/**
 * Opens upstreams and cache. Nothing is connected before the first query. The cache of `previous`, its verdicts, and its groups with equal
 * options go on; without `previous` the files of the last run are read.
 */
export async function openShared(
  config: Config,
  { clock, ca, log, resolvConf }: Dependencies,
  previous: Pick<ServerState, "config" | "shared"> | null,
): Promise<SharedResources> {
  const { upstreams, cache: cacheOptions, listen, answers: limits } = config;
  const context = {
    clock,
    ca,
    system: { resolvConf, isOurs: (address: string, port: number) => listensAt(listen.dns, address, port) },
  };
  const sameBootstrap =
    previous !== null && isDeepStrictEqual(upstreams.bootstrap, previous.config.upstreams.bootstrap) ? previous.shared : null;
  const bootstrap = sameBootstrap?.bootstrap ?? openBootstrap(upstreams.bootstrap, context);
  const cache = previous?.shared.cache ?? new AnswerCache(cacheOptions, clock);
  const verdicts = previous?.shared.verdicts ?? new Verdicts();
  const refreshThrottle = previous?.shared.refreshThrottle ?? new RefreshThrottle();
  const groups = openGroups(
    upstreams.groups,
    {
      openMember: (server, group) => openServer(server, { ...context, bootstrap, proxy: group.proxy, ca: group.ca ?? ca }),
      clock,
      random: () => randomInt(2 ** 32) / 2 ** 32,
      onRecovery: (group) => {
        cache.forgetFailures(group);
        refreshThrottle.clear();
      },
      onViolation: violationLog(log, clock),
    },
    sameBootstrap?.groups ?? null,
  );
  const volatileAddresses = AddressSet.of(...FAKE_IP_RANGES, ...cacheOptions.volatile);
  const load = { clock, limits, volatileAddresses, routes: groupMarks(upstreams.groups) };
  const autosaves = savedCollections(cacheOptions.file, { cache, verdicts, load }).map(
    (collection) => new Autosave(collection, { clock, log }),
  );
  if (previous === null) for (const autosave of autosaves) await autosave.load();
  return { groups, bootstrap, cache, refreshThrottle, verdicts, volatileAddresses, autosaves };
}

/** Closes the resources, but for what `next` goes on using. Files are written at the end of the server alone: `next` = null. */
export async function closeShared(
  { autosaves, groups, bootstrap }: SharedResources,
  next: SharedResources | null,
): Promise<void> {
  for (const autosave of autosaves) await (next === null ? autosave.close() : autosave.stop());
  await groups.close(next?.groups ?? null);
  if (bootstrap !== next?.bootstrap) await bootstrap.close();
}

interface SavedParts extends Pick<SharedResources, "cache" | "verdicts"> {
  readonly load: Parameters<typeof loadCache>[2];
}

/** Answers are kept in `cache.file`, verdicts beside it. */
function savedCollections(path: string | null, { cache, verdicts, load }: SavedParts): readonly SavedCollection[] {
  if (path === null) return [];
  const { clock, routes } = load;
  const verdictPath = `${path}.verdicts`;
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

/** Whether one of our own listeners is reached at this address: behind a wildcard, at any address of this host. */
function listensAt(endpoints: readonly Endpoint[], address: string, port: number): boolean {
  return endpoints.some((endpoint) => {
    if (endpoint.port !== port) return false;
    const family = wildcardFamily(endpoint.address);
    return family === null ? endpoint.address === address : localAddresses(family).includes(address) || isLoopback(address);
  });
}

/** A name is reported again after this time. */
const REPORT_AGAIN_MS = 600_000;

/** Names remembered as reported. A wrong rule may concern more; then some are reported again sooner. */
const MAX_REPORTED = 1024;

/** Reports questions that the rules sent to a group against its `never`: each name of each group once in ten minutes. */
function violationLog(log: OperationsLog, clock: Clock): (violation: Violation) => void {
  const reportedAtMs = new LRUCache<string, number>({ max: MAX_REPORTED });
  return ({ group, question, reason }) => {
    const key = `${group} ${question.name}`;
    const nowMs = clock.now();
    if (nowMs - (reportedAtMs.get(key) ?? Number.NEGATIVE_INFINITY) < REPORT_AGAIN_MS) return;
    reportedAtMs.set(key, nowMs);
    const details = { group, name: nameText(question.name), type: typeName(question.type), reason };
    log.warn(details, "a rule sent a question where it must never go: it was refused");
  };
}
