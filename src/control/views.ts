import type { AccessOptions } from "../access/options.ts";
import type { CacheView, HostView, ListView, UpstreamGroup } from "../admin/control.ts";
import type { CacheStats } from "../cache/entry.ts";
import { addressText } from "../dns/address.ts";
import { nameText } from "../dns/name.ts";
import { OWN_SOURCE } from "../hosts/parse.ts";
import type { HostsMatch } from "../hosts/table.ts";
import { shownUrl } from "../lib/text.ts";
import type { ListReport } from "../lists/load.ts";
import type { GroupStatus } from "../upstreams/group.ts";
import { shownText } from "./redact.ts";

export function groupView({ members, ...group }: GroupStatus): UpstreamGroup {
  return {
    ...group,
    members: members.map(({ label, lastFailure, latencyMs, ...member }) => ({
      server: label,
      ...member,
      // Smoothed, so that further digits mean nothing.
      latencyMs: latencyMs === null ? null : Math.round(latencyMs * 1000) / 1000,
      lastFailure: lastFailure === null ? null : { reason: lastFailure.reason, time: timeText(lastFailure.atWallMs) },
    })),
  };
}

/** @param access whose ids are left out. */
export function listView({ name, kind, size, sources }: ListReport, access: Pick<AccessOptions, "clients">): ListView {
  return {
    name,
    kind,
    size,
    sources: sources.map(({ changedWallMs, checkedWallMs, downloadProblem, ...source }) => ({
      ...source,
      source: shownUrl(source.source),
      changed: changedWallMs === null ? null : timeText(changedWallMs),
      checked: checkedWallMs === null ? null : timeText(checkedWallMs),
      downloadProblem: downloadProblem && {
        reason: shownText(downloadProblem.reason, access),
        held: downloadProblem.held,
        since: timeText(downloadProblem.sinceWallMs),
      },
    })),
  };
}

export function cacheView({ hits, misses, positive, negative }: CacheStats): CacheView {
  return { hits, misses, positive, negative };
}

export function hostView({ pattern, addresses, cname, others, https, source, line }: HostsMatch): HostView {
  return {
    name: pattern,
    addresses: addresses.map(addressText),
    cname: cname === null ? null : nameText(cname),
    others,
    https,
    source,
    line,
    own: source === OWN_SOURCE,
  };
}

/** `2026-11-21T21:03:11.482Z` */
export function timeText(wallMs: number): string {
  return new Date(wallMs).toISOString();
}
