import { networkInterfaces } from "node:os";

/** The CIDRs of the networks this host has an address in, sorted, each once; a default route over an interface is no network of its own. */
export function localPrefixes(): readonly string[] {
  const prefixes = new Set<string>();
  for (const addresses of Object.values(networkInterfaces())) {
    for (const { cidr } of addresses ?? []) if (cidr !== null && !cidr.endsWith("/0")) prefixes.add(cidr);
  }
  return [...prefixes].sort();
}
