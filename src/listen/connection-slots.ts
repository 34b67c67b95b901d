import { clientNetwork } from "./address.ts";
import type { ListenCounters } from "./counters.ts";

/** Counts open connections, in all and by client network, and says when there are too many. */
export class ConnectionSlots {
  readonly #limits: { readonly connections: number; readonly connectionsPerClient: number };
  readonly #counters: ListenCounters;
  readonly #ofNetwork = new Map<string, number>();

  constructor(limits: { readonly connections: number; readonly connectionsPerClient: number }, counters: ListenCounters) {
    this.#limits = limits;
    this.#counters = counters;
  }

  /** Takes a place among all connections; false = there is none. Every true is followed by one `leave`. */
  enter(): boolean {
    if (this.#counters.connections >= this.#limits.connections) {
      this.#counters.connectionsRefused++;
      return false;
    }
    this.#counters.connections++;
    return true;
  }

  leave(): void {
    this.#counters.connections--;
  }

  /** Takes a place for this client; null = there is none. The function given frees the place, once. */
  enterAs(address: string): (() => void) | null {
    const network = clientNetwork(address);
    const open = this.#ofNetwork.get(network) ?? 0;
    if (open >= this.#limits.connectionsPerClient) {
      this.#counters.connectionsRefused++;
      return null;
    }
    this.#ofNetwork.set(network, open + 1);
    return () => this.#leaveAs(network);
  }

  #leaveAs(network: string): void {
    const open = this.#ofNetwork.get(network) ?? 0;
    if (open <= 1) this.#ofNetwork.delete(network);
    else this.#ofNetwork.set(network, open - 1);
  }
}
