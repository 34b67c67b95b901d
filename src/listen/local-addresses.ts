import { networkInterfaces } from "node:os";

export type Family = "IPv4" | "IPv6";

/** This host's own addresses of one family, link-local ones with their zone. Aliases such as 127.0.0.2 are not among them. */
export function localAddresses(family: Family): readonly string[] {
  const addresses = new Set<string>();
  for (const [name, infos] of Object.entries(networkInterfaces())) {
    for (const info of infos ?? []) {
      if (info.family !== family) continue;
      addresses.add(info.family === "IPv6" && info.scopeid !== 0 ? `${info.address}%${name}` : info.address);
    }
  }
  return [...addresses];
}

/** The family whose every address this one stands for; null = it stands for itself. */
export function wildcardFamily(address: string): Family | null {
  if (address === "0.0.0.0") return "IPv4";
  return /^[0:]+$/.test(address) && address.includes(":") ? "IPv6" : null;
}
