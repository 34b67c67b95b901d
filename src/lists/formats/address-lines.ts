import { type AddressRange, rangeFromText } from "../../dns/address.ts";
import type { Span } from "../span.ts";
import { clashValue } from "./clash.ts";
import { dnsmasqAddress } from "./dnsmasq.ts";

/**
 * Reads a line of an address list: a CIDR, an address or a range `a-b`; `IP-CIDR,x` and the like of Clash and Surge, also as YAML; `bogus-nxdomain=x` of dnsmasq.
 * null for a comment, a text that says why the line is not used.
 */
export function readAddressLine(line: Span): AddressRange | string | null {
  const text = clashValue(line);
  if (text === null) return null;
  const written = dnsmasqAddress(text) ?? addressPart(text.replace(/\s*[#;].*$/, "").trim());
  return rangeFromText(written) ?? "not an address, CIDR or range";
}

function addressPart(text: string): string {
  const [type = "", value] = text.split(",", 2);
  return value !== undefined && /^(src-)?ip6?-cidr6?$/i.test(type.trim()) ? value.trim() : text;
}
