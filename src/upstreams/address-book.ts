import { isIP } from "node:net";

/** Finds the addresses of a host name: never through ourselves, never by the resolver of the system. */
export interface AddressLookup {
  /**
   * At least one address, IPv4 first.
   * @throws UpstreamError `bootstrap` where there is none.
   */
  lookUp(host: string): Promise<readonly string[]>;
  /** To be told when none of the addresses found for a name works: it may have moved, and is to be looked up anew before their time is up. */
  doubt?(host: string): void;
}

/** The addresses of one server, those that failed most recently last. */
export class AddressBook {
  readonly #host: string;
  readonly #pinned: readonly string[];
  readonly #lookup: AddressLookup;
  readonly #failures = new Map<string, number>();
  #latest: readonly string[];
  #serial = 0;

  constructor(host: string, pinned: readonly string[], lookup: AddressLookup) {
    this.#host = host;
    this.#pinned = pinned.length > 0 ? pinned : isIP(host) === 0 ? [] : [host];
    this.#lookup = lookup;
    this.#latest = this.#pinned;
  }

  /** What `list` would have given when it was last called; nothing before a first look-up. */
  get latest(): readonly string[] {
    return this.#latest;
  }

  /** null = they have to be looked up first. */
  known(): readonly string[] | null {
    return this.#pinned.length === 0 ? null : this.#inOrder(this.#pinned);
  }

  /** @throws UpstreamError `bootstrap` */
  async list(): Promise<readonly string[]> {
    if (this.#pinned.length === 0) this.#latest = await this.#lookup.lookUp(this.#host);
    return this.#inOrder(this.#latest);
  }

  noteFailure(address: string): void {
    // Names whose addresses change often must not make this grow.
    if (this.#failures.size >= MAX_FAILURES) this.#failures.clear();
    this.#serial += 1;
    this.#failures.set(address, this.#serial);
    const isLookedUp = this.#pinned.length === 0;
    if (isLookedUp && this.#latest.every((each) => this.#failures.has(each))) this.#lookup.doubt?.(this.#host);
  }

  #inOrder(addresses: readonly string[]): readonly string[] {
    if (addresses.length === 1 || this.#failures.size === 0) return addresses;
    return addresses.toSorted((a, b) => (this.#failures.get(a) ?? 0) - (this.#failures.get(b) ?? 0));
  }
}

const MAX_FAILURES = 64;
