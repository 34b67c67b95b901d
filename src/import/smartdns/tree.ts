import type { Names, Place, SourceServer } from "../model.ts";

/** The rules of one tree: that of all questions, or of a group with clients or domains of its own. */
export interface Tree {
  readonly name: string;
  /** Where it is named first. */
  readonly place: Place;
  readonly clients: { readonly written: string; readonly place: Place }[];
  /** As between the slashes of a rule. */
  readonly domains: { readonly written: string; readonly place: Place }[];
  /** The group with whose rules it begins; `""` = the default one, null = none. */
  inherits: string | null;
  /** What is done with AAAA, null where a setting of the whole file says so; and types that are empty. */
  ipv6: { readonly value: "nodata" | "pass"; readonly place: Place } | null;
  readonly emptyTypes: { readonly types: readonly number[]; readonly place: Place }[];
  /** Groups by pattern, and address rules. */
  readonly nameservers: Map<string, Route>;
  readonly addresses: Map<string, { readonly names: Names; readonly rule: string; readonly place: Place }>;
  /** Names of `nameserver /x/-`. */
  readonly freed: { readonly names: Names; readonly place: Place }[];
}

export interface Route {
  readonly names: Names;
  /** `""` = the default one. */
  readonly group: string;
  readonly place: Place;
}

export interface GroupMember {
  readonly server: SourceServer;
  readonly proxy: string | null;
  readonly isFallback: boolean;
  readonly ecs: string | null;
  /** Whether addresses of `blacklist-ip` are taken out of its answers, and all but those of `whitelist-ip`. */
  readonly drops: boolean;
  readonly accepts: boolean;
}

/** A rule of `#` or `-` for names. */
export interface Flag {
  readonly names: Names;
  readonly rule: string;
  readonly place: Place;
}

export function newTree(name: string, place: Place): Tree {
  return {
    name,
    place,
    clients: [],
    domains: [],
    inherits: "",
    ipv6: null,
    emptyTypes: [],
    nameservers: new Map(),
    addresses: new Map(),
    freed: [],
  };
}

export function copyRules(from: Tree, to: Tree): void {
  for (const [key, route] of from.nameservers) to.nameservers.set(key, route);
  for (const [key, rule] of from.addresses) to.addresses.set(key, rule);
  to.emptyTypes.push(...from.emptyTypes);
  to.freed.push(...from.freed);
}
