import { isIP } from "node:net";
import ipaddr from "ipaddr.js";

/** A socket address of whoever is at the other end, `address` in the form `Client` demands. Port 0 = not known. */
export interface Peer {
  readonly address: string;
  readonly port: number;
}

/** Text from a header or the configuration as `Client.address`; null when it is no IP literal. No brackets, no port. */
export function parseAddress(text: string): string | null {
  switch (isIP(text)) {
    case 4:
      return text;
    case 6: {
      const address = ipaddr.IPv6.parse(text);
      return address.isIPv4MappedAddress() ? address.toIPv4Address().toString() : address.toString();
    }
    default:
      return null;
  }
}

/** An address that the kernel gave, which is in its shortest form already, as `Client.address`. */
export function addressOfSocket(address: string): string {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice("::ffff:".length) : address;
}

/** `address:port`, with brackets round IPv6. */
export function endpointText(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/** What counts as one client where clients are counted: an IPv4 address, or the /64 of an IPv6 address. */
export function clientNetwork(address: string): string {
  if (!address.includes(":")) return address;
  return ipaddr.IPv6.parse(address).parts.slice(0, 4).join(":");
}

/** A set of CIDRs and single addresses. */
export class AddressMatcher {
  readonly #ranges: readonly (readonly [ipaddr.IPv4 | ipaddr.IPv6, number])[];

  /** @throws Error for what is neither a CIDR nor an address; the configuration has checked that before. */
  constructor(cidrs: readonly string[]) {
    this.#ranges = cidrs.map((cidr) => {
      if (cidr.includes("/")) return ipaddr.parseCIDR(cidr);
      const address = ipaddr.process(cidr);
      return [address, address.kind() === "ipv4" ? 32 : 128];
    });
  }

  /** `address` as in `Client.address`. */
  has(address: string): boolean {
    if (this.#ranges.length === 0) return false;
    const parsed = ipaddr.parse(address);
    return this.#ranges.some(([range, bits]) => range.kind() === parsed.kind() && parsed.match(range, bits));
  }
}
