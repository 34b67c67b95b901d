import { shownUrl } from "../lib/text.ts";
import { type DownloadTarget, download } from "../lists/download.ts";
import type { RefreshEvent } from "../lists/refresher.ts";
import type { Fetcher } from "../lists/update.ts";
import type { OperationsLog } from "../log/operations.ts";
import type { Dependencies, SharedResources } from "../server/state.ts";
import { Bootstrap } from "../upstreams/bootstrap.ts";
import { Dialer } from "../upstreams/dial.ts";
import type { Egress } from "../upstreams/upstream.ts";

/**
 * Downloads lists over the connections that their configuration asks for: host names are looked up by the list's group (`via`), else by the
 * bootstrap servers; with a proxy the proxy gets the name.
 * @param egress what must not reach the group at the moment.
 */
export function listFetcher(
  { groups, bootstrap }: Pick<SharedResources, "groups" | "bootstrap">,
  { clock, ca, resolvConf }: Pick<Dependencies, "clock" | "ca" | "resolvConf">,
  egress?: () => Egress,
): Fetcher {
  const system = { resolvConf, isOurs: () => false };
  return async (list, request) => {
    // Never closed: closing it would close the group, which others use.
    const lookup = list.via === null ? bootstrap : new Bootstrap([groups.get(list.via)], clock, egress);
    const context = { clock, ca: list.ca ?? ca, bootstrap: lookup, proxy: list.proxy, system };
    const dial = (target: DownloadTarget, signal: AbortSignal) =>
      new Dialer(serverAt(target), context).open(target.protocol === "https" ? ["http/1.1"] : null, signal);
    return await download(request, { dial, clock });
  };
}

/** As a server of section `upstreams`, with which a dialer connects. */
function serverAt({ protocol, host, port }: DownloadTarget) {
  const plain = { path: "", addresses: [], tlsName: null, method: "GET", maxQps: null, weight: 1 } as const;
  return { label: `${protocol}://${host}:${port}`, protocol: "https", host, port, ...plain } as const;
}

/** Tells the operator how a refresh ended. */
export function logRefresh({ list, source, outcome }: RefreshEvent, log: OperationsLog): void {
  const details = { list, ...(source === null ? {} : { source: shownUrl(source) }) };
  if (outcome.kind === "new") log.info({ ...details, entries: outcome.entries }, "a list was renewed");
  else if (outcome.kind === "unchanged") log.debug(details, "a list is up to date");
  else log.warn({ ...details, reason: outcome.reason }, REPORTS[outcome.kind]);
}

const REPORTS = {
  failed: "a list could not be renewed: it stays as it was, and is tried again",
  held: "a list was not taken: it stays as it was",
} as const;
