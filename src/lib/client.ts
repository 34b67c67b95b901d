export type Transport = "udp" | "tcp" | "dot" | "doh";
export type HttpVersion = "1.0" | "1.1" | "2";
export type HttpMethod = "GET" | "POST";

/** Who asked, and how. Made by the listeners, read by everything behind them. */
export interface Client {
  /** IPv4 in dotted form (also for IPv4-mapped IPv6), IPv6 compressed in lower case, a zone kept after `%`. */
  readonly address: string;
  readonly port: number;
  readonly transport: Transport;
  /** Set for `doh` only. */
  readonly http: HttpVersion | null;
  /** Set for `doh` only. */
  readonly method: HttpMethod | null;
  /** The last segment of a DoH path such as /dns-query/tv: `[a-z0-9-]{1,63}`. */
  readonly clientId: string | null;
}
