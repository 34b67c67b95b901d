import { isIP } from "node:net";
import { hostName } from "./lists.ts";
import type { Host, Place } from "./model.ts";
import { one } from "./parts.ts";
import { readLines } from "./source.ts";

/** Names that are answered here: as several sources write them, and as the new file does. */

/** Of a source that reads the hosts file of its machine, which may be another one. */
export const NO_HOSTS_FILE =
  "names of /etc/hosts on its machine were answered too: here they are not, unless `hosts.files` names that file";

/** The hosts of a pattern: `full:x` is the name alone, `*.x` what is below it, `x` both. */
export function hostsOf(pattern: string, host: Omit<Host, "name" | "wildcard">): readonly Host[] {
  const name = pattern.replace(/^(full:|\*\.)/, "");
  const wildcards = pattern.startsWith("full:") ? [false] : pattern.startsWith("*.") ? [true] : [false, true];
  return wildcards.map((wildcard) => ({ ...host, name, wildcard }));
}

/** The names of a pattern that a wildcard of the hosts does not hold. */
export function excepted(pattern: string, place: Place): readonly Host[] {
  return hostsOf(pattern, { addresses: [], cname: null, others: "forward", opens: "all", place });
}

/** A name alone with addresses of its own. */
export function hostWith(name: string, addresses: readonly string[], place: Place): Host {
  return { name, wildcard: false, addresses, cname: null, others: "forward", place };
}

/** The lines of a file as /etc/hosts: an address, then its names, which may stand in several lines. Other lines are passed over. */
export function readHostLines(
  path: string,
  place: Place,
  isAddress: (text: string) => boolean = (text) => isIP(text) !== 0,
): readonly Host[] {
  const lines = readLines(path, place).flatMap(({ text, ...at }) => {
    const [address = "", ...names] = text.split(/\s+/);
    if (!isAddress(address)) return [];
    return names.flatMap((each) => hostName(each) ?? []).map((name) => hostWith(name, [address], at));
  });
  return joinHosts(lines);
}

/** Names with all the addresses that they have. An alias takes the place of addresses, wherever it stands. */
export function joinHosts(hosts: readonly Host[]): readonly Host[] {
  const joined = new Map<string, Host>();
  for (const host of hosts) {
    const key = `${host.wildcard ? "*." : ""}${host.name}`;
    const { addresses = [], cname = null, place = host.place } = joined.get(key) ?? {};
    const alias = host.cname ?? cname;
    joined.set(key, {
      ...host,
      addresses: alias === null ? [...new Set([...addresses, ...host.addresses])] : [],
      cname: alias,
      place,
    });
  }
  return [...joined.values()];
}

/** A record as `hosts.records` writes it. */
export function writtenRecord({ addresses, cname, others, closesFamily = false, opens = [] }: Host): unknown {
  if (opens === "all") return { forward: true };
  if (cname !== null) return { cname };
  const missing = (["a", "aaaa"] as const).flatMap((key) => {
    if (addresses.some((address) => address.includes(":") === (key === "aaaa"))) return [];
    if (opens.includes(key)) return [[key, "forward"]];
    return closesFamily && others === "forward" ? [[key, "nodata"]] : [];
  });
  if (missing.length === 0 && others === "nodata") return one(addresses);
  return {
    ...(addresses.length === 0 ? {} : { address: one(addresses) }),
    ...(others === "forward" ? { others } : {}),
    ...Object.fromEntries(missing),
  };
}
