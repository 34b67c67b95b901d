import { AddressSet, canonicalAddress, networkOfAddress } from "../dns/address.ts";
import type { Peer, RequestHead } from "./types.ts";

/** Converts an address from the kernel, already in its shortest form, into the form of `Client.address`. */
export function addressOfSocket(address: string): string {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice("::ffff:".length) : address;
}

/** The headers in which a reverse proxy names its client. */
type ForwardedHeaders = Pick<RequestHead, "forwardedFor" | "realIp">;

/**
 * Returns the client behind a trusted proxy: the right-most element of X-Forwarded-For that is not itself a trusted proxy. Untrusted parties
 * wrote the elements to its left. An element that is not an address ends the search at the last trusted hop. Without X-Forwarded-For,
 * X-Real-IP counts.
 */
export function forwardedPeer(proxy: Peer, headers: ForwardedHeaders, trusted: AddressSet): Peer {
  if (headers.forwardedFor === undefined || headers.forwardedFor.trim() === "") {
    return headers.realIp === undefined ? proxy : (parseElement(headers.realIp) ?? proxy);
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

/** Parses `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:4711`, with or without quotes. */
function parseElement(element: string): Peer | null {
  const text = element.trim().replace(/^"(.*)"$/, "$1");
  const plain = canonicalAddress(text);
  if (plain !== null) return { address: plain, port: 0 };
  const withPort = /^(?:\[(?<six>[^\]]+)\]|(?<four>[\d.]+))(?::(?<port>\d{1,5}))?$/.exec(text)?.groups;
  const address = canonicalAddress(withPort?.["six"] ?? withPort?.["four"] ?? "");
  const port = Number(withPort?.["port"] ?? 0);
  return address === null || port > 65_535 ? null : { address, port };
}

/** Tells clients apart, also those behind a reverse proxy. For the API server. Addresses are in the form of sockets. */
export class ClientsBehind {
  readonly #trusted: AddressSet;

  constructor(trustedProxies: readonly string[]) {
    this.#trusted = AddressSet.of(...trustedProxies);
  }

  /** Whether the connections of this peer may carry many clients. */
  isProxy(peer: string): boolean {
    return this.#trusted.hasText(peer);
  }

  /** The address of the peer, or of the client that a trusted proxy names. */
  addressOf(peer: string, headers: ForwardedHeaders): string {
    return this.isProxy(peer) ? forwardedPeer({ address: peer, port: 0 }, headers, this.#trusted).address : addressOfSocket(peer);
  }

  /** The network that counts as one client. */
  networkOf(peer: string, headers: ForwardedHeaders): string {
    return networkOfAddress(this.addressOf(peer, headers));
  }
}
