/**
 * Divides a limited number of places among clients so that the client with the most places gives way first. A client gets another place only while it
 * has fewer places than are free: one greedy client alone gets half of all places, n greedy clients leave one part in n + 1 free. The clients of one
 * network together get at most three quarters, so that an attacker with many addresses leaves room for other networks. Nobody is reserved a place, and
 * nothing is taken back. (This is the dynamic threshold of shared-memory switches: Choudhury and Hahne, 1998.)
 */
export class FairShare {
  readonly #limit: number;
  readonly #networkOf: (client: string) => string;
  readonly #byClient = new Map<string, number>();
  readonly #byNetwork = new Map<string, number>();
  #taken = 0;

  /** @param networkOf the network of a client; a client that has its own network stands for itself. */
  constructor(limit: number, networkOf: (client: string) => string) {
    this.#limit = limit;
    this.#networkOf = networkOf;
  }

  /** Whether the client may take one more place. */
  hasRoom(client: string): boolean {
    const free = this.#limit - this.#taken;
    // No client and no network has more places than all of them together.
    if (this.#taken < free) return true;
    if ((this.#byClient.get(client) ?? 0) >= free) return false;
    const network = this.#networkOf(client);
    return network === client || (this.#byNetwork.get(network) ?? 0) < NETWORK_WEIGHT * free;
  }

  /** Each call needs one call of `release`. */
  take(client: string): void {
    this.#taken++;
    this.#byClient.set(client, (this.#byClient.get(client) ?? 0) + 1);
    const network = this.#networkOf(client);
    if (network !== client) this.#byNetwork.set(network, (this.#byNetwork.get(network) ?? 0) + 1);
  }

  release(client: string): void {
    this.#taken--;
    decrement(this.#byClient, client);
    const network = this.#networkOf(client);
    if (network !== client) decrement(this.#byNetwork, network);
  }

  get taken(): number {
    return this.#taken;
  }
}

/** The clients of one network may have this many times the places that are free: 3 of 4 in the long run. */
const NETWORK_WEIGHT = 3;

function decrement(counts: Map<string, number>, key: string): void {
  const count = counts.get(key) ?? 0;
  if (count <= 1) counts.delete(key);
  else counts.set(key, count - 1);
}
