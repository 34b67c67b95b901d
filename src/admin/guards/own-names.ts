import { networkInterfaces } from "node:os";
import ipaddr from "ipaddr.js";
import type { Endpoint } from "../../listen/options.ts";

/**
 * Whether a Host header names this server, so that no page can have a browser ask us under a name of its own (DNS rebinding): the address we are
 * bound to, on our port; with a wildcard every address of this host; `localhost` where loopback is among them; and `hosts`, on any port, because a
 * proxy or a forwarded port may stand between.
 */
export function ownNames(
  bound: Endpoint,
  hosts: readonly string[],
  localAddresses = addressesOfInterfaces,
): (host: string) => boolean {
  const named = new Set(hosts.map((host) => canonicalHost(host.includes(":") ? `[${host}]` : host)?.name));
  const address = canonicalAddress(bound.address);
  return (host) => {
    const asked = canonicalHost(host);
    if (asked === null) return false;
    if (named.has(asked.name)) return true;
    if ((asked.port ?? 80) !== bound.port) return false;
    const literal = canonicalAddress(asked.name.replace(/^\[|\]$/g, ""));
    if (literal === null) return asked.name === "localhost" && (address === null || isWildcard(address) || isLoopback(address));
    if (address === null || literal === address) return true;
    if (isLoopback(address)) return isLoopback(literal);
    return isWildcard(address) && (isLoopback(literal) || localAddresses().some((local) => canonicalAddress(local) === literal));
  };
}

/** Whether nobody outside this host can connect to the address. */
export function isLoopbackAddress(address: string): boolean {
  const canonical = canonicalAddress(address);
  return canonical !== null && isLoopback(canonical);
}

/** A name, or an address with brackets round IPv6, in the one form that browsers give it, and the port if there is one. */
function canonicalHost(host: string): { readonly name: string; readonly port: number | null } | null {
  if (!/^[^\s/@?#\\]+$/.test(host)) return null;
  const url = URL.parse(`http://${host}`);
  if (url === null) return null;
  return { name: url.hostname.replace(/\.$/, ""), port: url.port === "" ? null : Number(url.port) };
}

/** Without a zone; IPv4-mapped addresses become IPv4. null = it is no address. */
function canonicalAddress(text: string): string | null {
  const plain = text.split("%", 1)[0] ?? "";
  return ipaddr.isValid(plain) ? ipaddr.process(plain).toString() : null;
}

function isLoopback(canonical: string): boolean {
  return ipaddr.parse(canonical).range() === "loopback";
}

function isWildcard(canonical: string): boolean {
  return ipaddr.parse(canonical).range() === "unspecified";
}

function addressesOfInterfaces(): readonly string[] {
  return Object.values(networkInterfaces()).flatMap((infos) => (infos ?? []).map(({ address }) => address));
}
