import { parse } from "yaml";
import { clientIdsOf } from "../access/access.ts";
import type { AccessOptions } from "../access/options.ts";
import type { CachedAnswer } from "../admin/schemas/record.ts";
import type { CacheView, HostView, ListView, UpstreamGroup } from "../admin/schemas/views.ts";
import type { CacheStats, Held, Inspected } from "../cache/entry.ts";
import { ageSeconds, type LifetimeLimits, lifetimeSeconds } from "../cache/lifetime.ts";
import type { Problem } from "../config/reading.ts";
import { parseServer } from "../config/server.ts";
import type { Config } from "../config/types.ts";
import { AddressSet, addressText } from "../dns/address.ts";
import { clientSubnetText } from "../dns/edns.ts";
import { nameText } from "../dns/name.ts";
import { rcodeName, typeName } from "../dns/types.ts";
import { OWN_SOURCE } from "../hosts/parse.ts";
import type { HostsMatch } from "../hosts/table.ts";
import { shownUrl } from "../lib/text.ts";
import type { ListReport } from "../lists/load.ts";

import type { GroupSide } from "../log/outcome.ts";
import { sentOf } from "../log/sent.ts";
import type { GroupStatus } from "../upstreams/group.ts";

export function groupView(
  { members, healthy, violations, ...group }: GroupStatus,
  sides: Readonly<Record<string, GroupSide>>,
): UpstreamGroup {
  return {
    ...group,
    side: sides[group.name] ?? "far",
    well: healthy,
    breaches: violations,
    members: members.map(({ label, healthy, lastFailure, latencyMs, ...member }) => ({
      server: label,
      well: healthy,
      ...member,
      // The value is a moving average: more digits mean nothing.
      latencyMs: latencyMs === null ? null : Math.round(latencyMs * 1000) / 1000,
      lastFailure: lastFailure === null ? null : { reason: lastFailure.reason, time: timeText(lastFailure.atWallMs) },
    })),
  };
}

/**
 * Where each group is: the first group and the near sides of comparisons are near. Of the others, a group whose servers all have addresses of a home
 * network is local; loopback addresses tell nothing, because a program beside us may ask anybody.
 */
export function groupSides({ upstreams, rules }: Pick<Config, "upstreams" | "rules">): Readonly<Record<string, GroupSide>> {
  const compared = rules.flatMap(({ action }) => (action?.kind === "compare" ? [action.compare] : []));
  const near = new Set([upstreams.groups[0]?.name, ...compared.map((compare) => compare.near)]);
  const far = new Set(compared.map((compare) => compare.far));
  const sideOf = ({ name, servers }: Config["upstreams"]["groups"][number]): GroupSide => {
    if (near.has(name)) return "near";
    if (far.has(name)) return "far";
    return servers.every(({ host, addresses }) => [host, ...addresses].some(isHomeAddress)) ? "local" : "far";
  };
  return Object.fromEntries(upstreams.groups.map((group) => [group.name, sideOf(group)]));
}

function isHomeAddress(text: string): boolean {
  return HOME_ADDRESSES.hasText(text);
}

const HOME_ADDRESSES = AddressSet.of("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fe80::/10");

/** @param access the ids of these clients are hidden. */
export function listView({ name, kind, size, sources }: ListReport, access: Pick<AccessOptions, "clients">): ListView {
  return {
    name,
    kind,
    size,
    sources: sources.map(({ changedWallMs, checkedWallMs, downloadProblem, mistake: _mistake, ...source }) => ({
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

export function hostView({ pattern, addresses, cname, others, a, aaaa, https, source, line }: HostsMatch): HostView {
  return {
    name: pattern,
    addresses: addresses.map(addressText),
    cname: cname === null ? null : nameText(cname),
    others,
    a: a ?? others,
    aaaa: aaaa ?? others,
    https,
    source,
    line,
    own: source === OWN_SOURCE,
    hidden: false,
  };
}

/** `2026-11-21T21:03:11.482Z` */
export function timeText(wallMs: number): string {
  return new Date(wallMs).toISOString();
}

const HIDDEN = "***";

/** Keys that name clients. An id in `access.clients` is a secret, because it admits its bearer from anywhere. */
const CLIENT_KEYS: ReadonlySet<string> = new Set(["client", "clients", "exempt"]);

/** Sections whose URLs name servers; they are shown like the labels of servers. */
const SERVER_SECTIONS: ReadonlySet<string> = new Set(["upstreams", "bootstrap"]);

/**
 * The text of the configuration as values, without its secrets: tokens, client ids that admit from anywhere, passwords and queries in URLs (which
 * may hold keys), and paths in URLs of servers that may be keys.
 */
export function shownConfig({ text, access }: Pick<Config, "text" | "access">): Readonly<Record<string, unknown>> {
  // The text has passed the parser before, so its aliases are bounded.
  const written: Readonly<Record<string, unknown>> = parse(text, { maxAliasCount: -1 }) ?? {};
  const admitted = clientIdsOf(access.clients);
  return Object.fromEntries(
    Object.entries(written).map(([section, value]) => {
      const url = SERVER_SECTIONS.has(section) ? shownServer : shownUrl;
      return [section, withoutSecrets(value, section, { admitted, url })];
    }),
  );
}

/** A message about a configuration, without the ids that admit clients. */
export function shownText(text: string, access: Pick<AccessOptions, "clients">): string {
  const admitted = clientIdsOf(access.clients);
  return text.replace(/[a-z0-9.-]+/g, (word) => (admitted.has(word) ? HIDDEN : word));
}

/** A message that quotes an invalid file: even a quoted text that is no valid URL may have been meant as one, and hold a password. */
export function withoutQuotedSecrets(text: string): string {
  return text.replace(/`([^`]*)`/g, (_, quoted: string) => {
    const shown = shownServer(quoted).replace(/^.*@/s, `${HIDDEN}@`).replace(/\?.*$/s, `?${HIDDEN}`);
    return `\`${shown}\``;
  });
}

interface Showing {
  /** Client ids. */
  readonly admitted: ReadonlySet<string>;
  readonly url: (text: string) => string;
}

function withoutSecrets(value: unknown, key: string, showing: Showing): unknown {
  if (key === "tokens" && Array.isArray(value)) return value.map((each) => withoutSecrets(each, "", showing));
  if (key === "token" && value !== null) return HIDDEN;
  if (typeof value === "string")
    return CLIENT_KEYS.has(key) && showing.admitted.has(value.replace(/^!/, "")) ? HIDDEN : showing.url(value);
  if (Array.isArray(value)) return value.map((each) => withoutSecrets(each, key, showing));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, withoutSecrets(each, name, showing)]));
}

/**
 * Returns a check whether a scalar of a configuration is hidden, by its value and the keys that lead to it.
 * @param written the whole configuration, as it is written
 */
export function secretFinder(written: unknown): (value: unknown, keys: readonly string[]) => boolean {
  const clients = Object(Object(written)["access"])["clients"];
  const admitted = clientIdsOf([clients].flat().filter((client) => typeof client === "string"));
  return (value, keys) => {
    const url = SERVER_SECTIONS.has(keys[0] ?? "") ? shownServer : shownUrl;
    return withoutSecrets(value, keys.at(-1) ?? "", { admitted, url }) !== value;
  };
}

function shownServer(text: string): string {
  const parsed = text.includes("://") ? parseServer(text) : null;
  return parsed !== null && "value" in parsed ? parsed.value.label : shownUrl(text);
}

/** A cached answer. The remaining time depends on the limits of the decision. */
export function cachedAnswer(
  inspected: Inspected,
  { limits, nowMs }: { readonly limits: LifetimeLimits; readonly nowMs: number },
): CachedAnswer {
  const { parts, outcome, held, bytes } = inspected;
  return {
    name: nameText(held.answer.name),
    type: parts.type === null ? "ANY" : typeName(parts.type),
    route: parts.route,
    dnssecOk: parts.dnssecOk,
    checkingDisabled: parts.checkingDisabled,
    subnet: parts.clientSubnet === null ? null : clientSubnetText(parts.clientSubnet),
    outcome: outcome === "nodataWithoutSoa" ? "bare" : outcome,
    rcode: rcodeName(held.answer.rcode),
    answers: sentOf(held.answer.wire).answers,
    ageSeconds: ageSeconds(held, nowMs),
    remainingSeconds: remainingSeconds(held, { limits, nowMs }),
    hits: held.hits,
    volatile: held.volatile,
    made: held.synthesized,
    bytes,
  };
}

/** Whole seconds until the answer is stale; negative = it has been stale for so long. */
function remainingSeconds(held: Held, { limits, nowMs }: { readonly limits: LifetimeLimits; readonly nowMs: number }): number {
  return lifetimeSeconds(held.answer, limits) - ageSeconds(held, nowMs);
}

/** A problem of a configuration in one line. */
export function problemText({ line, column, message, fix }: Problem): string {
  return `line ${line}, column ${column}: ${message}; ${fix}`;
}
