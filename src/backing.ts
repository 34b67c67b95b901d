import { randomInt } from "node:crypto";
import { AnswerCache } from "./cache/answer-cache.ts";
import { type LoadOptions, loadCache, saveCache } from "./cache/cache-file.ts";
import type { Config } from "./config/types.ts";
import { AddressSet } from "./dns/address.ts";
import { Keeper, type Kept } from "./keeper.ts";
import { leakLog } from "./leak-log.ts";
import type { Clock } from "./lib/clock.ts";
import type { Endpoint } from "./listen/options.ts";
import { localAddresses, wildcardFamily } from "./listen/udp.ts";
import type { OperationsLog } from "./log/operations.ts";
import { Rechecks } from "./resolve/fetch.ts";
import { FAKE_IP_RANGES } from "./resolve/filters.ts";
import { loadVerdicts, saveVerdicts, Verdicts } from "./resolve/verdicts.ts";
import { type Bootstrap, openBootstrap, openServer } from "./upstreams/bootstrap.ts";
import { type Groups, groupMarks, openGroups } from "./upstreams/group.ts";

/** What outlives a reload that does not concern it: connections, what is known of the servers, and the answers they gave. */
export interface Backing {
  readonly groups: Groups;
  readonly bootstrap: Bootstrap;
  readonly cache: AnswerCache;
  readonly rechecks: Rechecks;
  readonly verdicts: Verdicts;
  /** As in `Resolver`. */
  readonly volatileAddresses: AddressSet;
  /** What is kept across restarts; empty where nothing is. */
  readonly saving: readonly Keeper[];
}

export interface SiteSurroundings {
  readonly clock: Clock;
  readonly log: OperationsLog;
  /** Certificates in PEM that upstreams are checked against; null = those that the process trusts. */
  readonly ca: string | null;
  /** Path of the file that names the host's own resolvers. */
  readonly resolvConf: string;
}

/** Opens the upstreams and the cache before them. Nothing is connected before the first question. */
export async function openBacking(config: Config, { clock, ca, log, resolvConf }: SiteSurroundings): Promise<Backing> {
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
  groups.onBreach(leakLog(log, clock));
  const cache = new AnswerCache(cacheOptions, clock);
  const rechecks = new Rechecks(cacheOptions.stale?.recheckMs ?? 0);
  groups.onWell((route) => {
    cache.forgetFailures(route);
    rechecks.clear();
  });
  const verdicts = new Verdicts();
  const volatileAddresses = AddressSet.of(...FAKE_IP_RANGES, ...cacheOptions.volatile);
  const kept = { cache, verdicts, load: { clock, limits, volatileAddresses, routes: groupMarks(upstreams.groups) } };
  const saving: Keeper[] = [];
  for (const each of cacheOptions.file === null ? [] : keptAt(cacheOptions.file, kept))
    saving.push(await Keeper.open(each, { clock, log }));
  return { groups, bootstrap, cache, rechecks, verdicts, volatileAddresses, saving };
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
export async function saveBacking({ saving }: Backing): Promise<void> {
  for (const keeper of saving) await keeper.save();
}

/** Writes what is kept, unless another goes on with the files, ends the questions under way and closes the connections. */
export async function closeBacking({ saving, groups, bootstrap }: Backing, leavesFiles: boolean): Promise<void> {
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

function isLoopback(address: string): boolean {
  return address === "::1" || address.startsWith("127.");
}
