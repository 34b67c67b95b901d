/** Section `routeros`. */
export interface RouterosOptions {
  /** Of the REST API. */
  readonly url: string;
  readonly user: string;
  /** Absolute path of a file whose first line is the password. */
  readonly passwordFile: string;
  /** Absolute path of a PEM file; null = the certificates that the process trusts. */
  readonly ca: string | null;
  readonly addressLists: readonly AddressListOptions[];
  /** How long a reply may wait for its addresses to arrive; 0 = never. */
  readonly holdMs: number;
  /** Whether the address lists are only worked out, and the router is told nothing. */
  readonly dryRun: boolean;
  /** Whether the DNS cache of the router is dropped after a change of hosts, lists or rules. */
  readonly flush: boolean;
}

/** Addresses of answers that a rule decided go into this list. */
export interface AddressListOptions {
  readonly rule: string;
  readonly list: string;
}
