/** Section `ddns`. */
export interface DdnsOptions {
  readonly tokens: readonly DdnsToken[];
  /** Whether the DoH listeners take updates too, besides the address of the API. */
  readonly onDoh: boolean;
}

/** A secret, and the names whose addresses its bearer may report. */
export interface DdnsToken {
  readonly token: string;
  /** As written. */
  readonly names: readonly string[];
}

/** An HTTP request to /nic/update. */
export interface AddressUpdate {
  /** The query string, without `?`. */
  readonly query: string;
  /** The header Authorization. */
  readonly authorization: string | undefined;
  /** The address of the client, which counts where the request names none. */
  readonly client: string;
}

/** Plain text: a line for each name of the request, or one line for all. 401 wants a challenge for Basic authentication. */
export interface AddressUpdateReply {
  readonly status: 200 | 401;
  readonly text: string;
}
