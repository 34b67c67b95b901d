import { isIPv4, isIPv6 } from "node:net";
import ipaddr from "ipaddr.js";
import type { QueryLogOptions } from "./options.ts";

/**
 * What the log shows of a client's address, as `log.queries.clients` allows: all of it, its /24 or /48 (`192.168.88.0/24`, `2001:db8:1::/48`;
 * the zone of a link-local address goes), or nothing. What is no address is shown in full or not at all.
 */
export function clientShown(address: string, clients: QueryLogOptions["clients"]): string {
  if (clients === "full") return address;
  if (clients === "none") return "";
  if (isIPv4(address)) return `${address.slice(0, address.lastIndexOf("."))}.0/24`;
  const [bare = ""] = address.split("%");
  return isIPv6(bare) ? `${ipaddr.IPv6.networkAddressFromCIDR(`${bare}/48`).toString()}/48` : "";
}
