import { AddressSet, addressFromText, rangeFromText, withoutZone } from "../dns/address.ts";
import type { Requester } from "../lib/client.ts";
import { recentlyUsed } from "../lib/recently-used.ts";

/** Client addresses whose bytes are kept, so that a query does not parse the address again for every rule. */
const MAX_ADDRESSES = 4_096;

const NO_ADDRESS = new Uint8Array(0);

/** Parses client addresses and remembers the results. */
export class ClientAddresses {
  readonly #bytes = recentlyUsed<string, Uint8Array>(MAX_ADDRESSES);

  /** 4 or 16 bytes without the zone; empty if the text is not an address. */
  bytesOf(text: string): Uint8Array {
    const known = this.#bytes.get(text);
    if (known !== undefined) return known;
    const bytes = addressFromText(withoutZone(text)) ?? NO_ADDRESS;
    this.#bytes.set(text, bytes);
    return bytes;
  }
}

/**
 * The condition `clients` of a rule, and `$client` of a line: addresses and CIDRs; every other text is a client id or a MAC address. `!` before an entry excepts it; exceptions alone mean all
 * other clients.
 */
export class ClientCondition {
  readonly #wanted: Clients | null;
  readonly #excepted: Clients | null;
  readonly #addresses: ClientAddresses;

  constructor(entries: readonly string[], addresses: ClientAddresses) {
    const excepted = entries.filter((entry) => entry.startsWith("!"));
    this.#wanted = excepted.length === entries.length ? null : clientsOf(entries.filter((entry) => !entry.startsWith("!")));
    this.#excepted = excepted.length === 0 ? null : clientsOf(excepted.map((entry) => entry.slice(1)));
    this.#addresses = addresses;
  }

  matches(requester: Requester): boolean {
    if (this.#wanted !== null && !this.#isAmong(requester, this.#wanted)) return false;
    return this.#excepted === null || !this.#isAmong(requester, this.#excepted);
  }

  #isAmong({ address, clientId, mac }: Requester, { networks, ids }: Clients): boolean {
    if ((clientId !== null && ids.has(clientId)) || (mac !== undefined && ids.has(mac))) return true;
    return networks.size > 0 && networks.has(this.#addresses.bytesOf(address));
  }
}

interface Clients {
  readonly networks: AddressSet;
  readonly ids: ReadonlySet<string>;
}

function clientsOf(entries: readonly string[]): Clients {
  const ranges = entries.map(rangeFromText);
  return {
    networks: new AddressSet(ranges.filter((range) => range !== null)),
    ids: new Set(entries.filter((_, index) => ranges[index] === null)),
  };
}
