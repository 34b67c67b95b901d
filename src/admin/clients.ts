/** Tells clients apart: those of a reverse proxy too, where it is one that is trusted. Addresses are as sockets give them. */
export interface Clients {
  /** Whether many clients may share the connections of this peer. */
  isProxy(peer: string): boolean;
  /** What counts as one client: an IPv4 address, or the /64 of an IPv6 address. */
  networkOf(peer: string, forwarded: Forwarded): string;
}

/** Whom a proxy says that it speaks for. */
export interface Forwarded {
  /** X-Forwarded-For, several lines joined by commas. */
  readonly forwardedFor: string | undefined;
  /** X-Real-IP */
  readonly realIp: string | undefined;
}
