/** Section `routeros`. */
export interface RouterosOptions {
  /** Of the REST API. */
  readonly url: string;
  readonly user: string;
  /** Absolute path of a file whose first line is the password. */
  readonly passwordFile: string;
  /** Absolute path of a PEM file; null = the certificates that the process trusts. */
  readonly ca: string | null;
  /** SHA-256 of the router's own certificate in hex, lower case, in place of an authority; null = none is pinned. */
  readonly fingerprint: string | null;
  /** Where the router reaches the DoH service; null = the check has nothing to compare with. */
  readonly doh: string | null;
  /** The account that checks; null = the one above. The router serves the calls of one user one after the other, so a check holds up address lists. */
  readonly reader: { readonly user: string; readonly passwordFile: string } | null;
  /** How often the router is checked for the metrics; null = only when somebody asks. */
  readonly checkMs: number | null;
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
