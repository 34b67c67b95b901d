import type { AddressSet } from "../dns/address.ts";
import { type Peer, parseAddress } from "./address.ts";

/** The two headers by which reverse proxies tell whom they speak for; several X-Forwarded-For lines joined by commas. */
export interface ForwardedHeaders {
  readonly forwardedFor: string | undefined;
  readonly realIp: string | undefined;
}

/**
 * Who asked, where the peer is a trusted proxy: the right-most element of X-Forwarded-For that is not itself a trusted proxy.
 * What stands left of it was written by somebody we do not trust. An element that is no address ends the search at the
 * last trusted hop. Without X-Forwarded-For, X-Real-IP counts.
 */
export function forwardedPeer(proxy: Peer, headers: ForwardedHeaders, trusted: AddressSet): Peer {
  if (headers.forwardedFor === undefined || headers.forwardedFor.trim() === "") {
    return parseElement(headers.realIp ?? "") ?? proxy;
  }
  let hop = proxy;
  for (const element of headers.forwardedFor.split(",").reverse()) {
    const parsed = parseElement(element);
    if (parsed === null) return hop;
    hop = parsed;
    if (!trusted.hasText(hop.address)) return hop;
  }
  return hop;
}

/** `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:4711`, each perhaps in quotes. */
function parseElement(element: string): Peer | null {
  const text = element.trim().replace(/^"(.*)"$/, "$1");
  const plain = parseAddress(text);
  if (plain !== null) return { address: plain, port: 0 };
  const withPort = /^(?:\[(?<six>[^\]]+)\]|(?<four>[\d.]+))(?::(?<port>\d{1,5}))?$/.exec(text)?.groups;
  const address = parseAddress(withPort?.["six"] ?? withPort?.["four"] ?? "");
  const port = Number(withPort?.["port"] ?? 0);
  return address === null || port > 65_535 ? null : { address, port };
}
