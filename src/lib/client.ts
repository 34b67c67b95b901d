export type Transport = "udp" | "tcp" | "dot" | "doh";
export type HttpVersion = "1.0" | "1.1" | "2";
export type HttpMethod = "GET" | "POST";

/** The client of a query and its transport. Listeners make it; every later stage reads it. */
export interface Client {
  /** IPv4 in dotted form (also for IPv4-mapped IPv6); IPv6 compressed in lower case, with its zone after `%`. */
  readonly address: string;
  readonly port: number;
  readonly transport: Transport;
  /** null except for `doh`. */
  readonly http: HttpVersion | null;
  /** null except for `doh`. */
  readonly method: HttpMethod | null;
  /** The last segment of a DoH path such as /dns-query/tv: `[a-z0-9-]{1,63}`. For rules and the log, where the client has none, the name of its lease. */
  readonly clientId: string | null;
  /** `aa:bb:cc:dd:ee:ff`; absent = not known. */
  readonly mac?: string;
}

/** The parts of a client that rules and upstreams depend on. */
export type Requester = Pick<Client, "address" | "clientId" | "mac">;
