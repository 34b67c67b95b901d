import ipaddr from "ipaddr.js";
import { AddressSet, canonicalAddress, withoutZone } from "../dns/address.ts";

/** A socket address of whoever is at the other end, `address` in the form `Client` demands. Port 0 = not known. */
export interface Peer {
  readonly address: string;
  readonly port: number;
}

/** An address that the kernel gave, which is in its shortest form already, as `Client.address`. */
export function addressOfSocket(address: string): string {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice("::ffff:".length) : address;
}

/** What counts as one client where clients are counted: an IPv4 address, or the /64 of an IPv6 address. */
export function clientNetwork(address: string): string {
  if (!address.includes(":")) return address;
  const parsed = ipaddr.process(withoutZone(address));
  return parsed instanceof ipaddr.IPv6 ? parsed.parts.slice(0, 4).join(":") : parsed.toString();
}

/** The two headers by which reverse proxies tell whom they speak for; several X-Forwarded-For lines joined by commas. */
interface ForwardedHeaders {
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
  const plain = canonicalAddress(text);
  if (plain !== null) return { address: plain, port: 0 };
  const withPort = /^(?:\[(?<six>[^\]]+)\]|(?<four>[\d.]+))(?::(?<port>\d{1,5}))?$/.exec(text)?.groups;
  const address = canonicalAddress(withPort?.["six"] ?? withPort?.["four"] ?? "");
  const port = Number(withPort?.["port"] ?? 0);
  return address === null || port > 65_535 ? null : { address, port };
}

/** Tells clients apart, also those that come by way of a reverse proxy. Addresses are as sockets give them. */
export class ClientsBehind {
  readonly #trusted: AddressSet;

  constructor(trustedProxies: readonly string[]) {
    this.#trusted = AddressSet.of(...trustedProxies);
  }

  /** Whether many clients may share the connections of this peer. */
  isProxy(peer: string): boolean {
    return this.#trusted.hasText(peer);
  }

  /** What counts as one client: the network of the peer, or of whom it speaks for. */
  networkOf(peer: string, headers: ForwardedHeaders): string {
    const address = this.isProxy(peer) ? forwardedPeer({ address: peer, port: 0 }, headers, this.#trusted).address : peer;
    return clientNetwork(address);
  }
}
