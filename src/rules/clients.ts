import { LRUCache } from "lru-cache";
import { AddressSet, addressFromText, rangeFromText } from "../dns/address.ts";
import type { Asker } from "./decision.ts";

/** Client addresses kept in octets, so that a query does not parse its client's address at every rule. */
const MAX_ADDRESSES = 4_096;

const NO_ADDRESS = new Uint8Array(0);

/** Reads client addresses, the same ones over and over. */
export class ClientAddresses {
  readonly #octets = new LRUCache<string, Uint8Array>({ max: MAX_ADDRESSES });

  /** 4 or 16 octets, a zone disregarded; none where the text is no address. */
  octetsOf(text: string): Uint8Array {
    const known = this.#octets.get(text);
    if (known !== undefined) return known;
    const zone = text.indexOf("%");
    const octets = addressFromText(zone < 0 ? text : text.slice(0, zone)) ?? NO_ADDRESS;
    this.#octets.set(text, octets);
    return octets;
  }
}

/** The `clients` of a rule: addresses and CIDRs, and client ids, which are all that is neither. */
export class ClientCondition {
  readonly #addresses: AddressSet;
  readonly #ids: ReadonlySet<string>;
  readonly #known: ClientAddresses;

  constructor(entries: readonly string[], known: ClientAddresses) {
    const ranges = entries.map(rangeFromText);
    this.#addresses = new AddressSet(ranges.filter((range) => range !== null));
    this.#ids = new Set(entries.filter((_, index) => ranges[index] === null));
    this.#known = known;
  }

  matches({ address, clientId }: Asker): boolean {
    if (clientId !== null && this.#ids.has(clientId)) return true;
    return this.#addresses.size > 0 && this.#addresses.has(this.#known.octetsOf(address));
  }
}
