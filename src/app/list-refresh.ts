import { randomInt } from "node:crypto";
import type { Config } from "../config/types.ts";
import { shownUrl } from "../lib/text.ts";
import { listCacheOf } from "../lists/cache.ts";
import { type DownloadTarget, download } from "../lists/download.ts";
import type { ListStatus } from "../lists/load.ts";
import { ListRefresher, type RefreshEvent } from "../lists/refresher.ts";
import type { Activate, Fetcher } from "../lists/update.ts";
import type { OperationsLog } from "../log/operations.ts";
import type { Dependencies, SharedResources } from "../server/state.ts";
import { Bootstrap } from "../upstreams/bootstrap.ts";
import { Dialer, ServerAddresses } from "../upstreams/dial.ts";

/** What refreshes the lists of a site works with. */
interface ListKeeping {
  readonly config: Config;
  readonly backing: SharedResources;
  readonly serving: () => readonly ListStatus[];
  readonly adopt: Activate;
}

/** Keeps the lists of one site fresh until it is closed. */
export function openListRefresh(
  { config, backing, serving, adopt }: ListKeeping,
  surroundings: Dependencies,
): Promise<ListRefresher> {
  const { clock, log } = surroundings;
  return ListRefresher.open({
    lists: config.lists,
    cache: listCacheOf(config),
    fetch: listFetcher(backing, surroundings),
    activate: adopt,
    serving,
    clock,
    random: () => randomInt(2 ** 32) / 2 ** 32,
    report: (event) => logRefresh(event, log),
  });
}

/** Downloads as each list wants it: names are looked up by its group, else by the bootstrap servers, or go to its proxy. */
export function listFetcher(
  { groups, bootstrap }: Pick<SharedResources, "groups" | "bootstrap">,
  { clock, ca, resolvConf }: Pick<Dependencies, "clock" | "ca" | "resolvConf">,
): Fetcher {
  const system = { resolvConf, isOurs: () => false };
  return async (list, order) => {
    // It is not closed: that would close the group, which is not ours.
    const lookup = list.via === null ? bootstrap : new Bootstrap([groups.get(list.via)], clock);
    const dialer = (target: DownloadTarget): Dialer =>
      new Dialer(
        serverAt(target),
        { clock, ca, bootstrap: lookup, proxy: list.proxy, system },
        new ServerAddresses(target.host, [], lookup),
      );
    const dial = (target: DownloadTarget, signal: AbortSignal) =>
      dialer(target).open(target.protocol === "https" ? ["http/1.1"] : null, signal);
    return await download(order, { dial, clock });
  };
}

function serverAt({ protocol, host, port }: DownloadTarget) {
  const label = `${protocol}://${host}:${port}`;
  return { label, protocol: "https", host, port, path: "", ...NOTHING_SPECIAL } as const;
}

const NOTHING_SPECIAL = { addresses: [], tlsName: null, method: "GET", maxQps: null, weight: 1 } as const;

function logRefresh({ list, source, outcome }: RefreshEvent, log: OperationsLog): void {
  const details = { list, ...(source === null ? {} : { source: shownUrl(source) }) };
  if (outcome.kind === "new") log.info({ ...details, entries: outcome.entries }, "a list was renewed");
  else if (outcome.kind === "unchanged") log.debug(details, "a list is up to date");
  else log.warn({ ...details, reason: outcome.reason }, REPORTS[outcome.kind]);
}

const REPORTS = {
  failed: "a list could not be renewed: it stays as it was",
  held: "a list was not taken: it stays as it was",
} as const;
