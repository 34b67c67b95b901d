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
      const address = parseWithoutZone(text);
      const mark = text.indexOf("%");
      return mark === -1 ? address.toString() : `${address.toString()}${text.slice(mark)}`;
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
  const parsed = parseWithoutZone(address);
  return parsed instanceof ipaddr.IPv6 ? parsed.parts.slice(0, 4).join(":") : parsed.toString();
}

/** ipaddr.js knows no zones such as `%br-lan`. IPv4-mapped addresses become IPv4. */
function parseWithoutZone(address: string): ipaddr.IPv4 | ipaddr.IPv6 {
  const mark = address.indexOf("%");
  return ipaddr.process(mark === -1 ? address : address.slice(0, mark));
}
