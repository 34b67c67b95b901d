import { AddressSet } from "../dns/address.ts";
import { clientNetwork } from "./address.ts";
import { type ForwardedHeaders, forwardedPeer } from "./forwarded.ts";

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
