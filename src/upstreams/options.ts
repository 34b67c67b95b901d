export type Strategy = "fastest" | "race" | "failover" | "spread";

/** One server of a group, as written in the configuration. */
export interface ServerOptions {
  /** As the user wrote it, without the parts of a DoH URL that may be a key. This text names the server everywhere. */
  readonly label: string;
  /** `udp` repeats a truncated exchange over TCP; `system` stands for the resolvers of the host itself. */
  readonly protocol: "udp" | "tcp" | "tls" | "https" | "system";
  /** A host name or an IP literal without brackets; empty for `system`. */
  readonly host: string;
  readonly port: number;
  /** Path and query of a DoH URL; empty for other protocols. */
  readonly path: string;
  /** Pinned addresses of `host`; empty = the host is looked up. */
  readonly addresses: readonly string[];
  /** The name in SNI and in the certificate; null = `host`. */
  readonly tlsName: string | null;
  readonly method: "GET" | "POST";
  readonly maxQps: number | null;
  /** Share of the questions with strategy `spread`; 1 or more. */
  readonly weight: number;
  /** Whether names go out over UDP with letters in random case, which an answer must repeat; absent = no. */
  readonly mixedCase?: boolean;
  /** Whether questions over UDP carry a cookie, which answers must repeat once the server has done so; absent = no. */
  readonly cookies?: boolean;
}

/** A SOCKS5 or HTTP CONNECT proxy. It gets the name of the server, or its address if the addresses are pinned. */
export interface ProxyOptions {
  readonly protocol: "socks5" | "http";
  readonly host: string;
  readonly port: number;
  readonly username: string | null;
  readonly password: string | null;
}

/** EDNS Client Subnet for an upstream: none, the client's option, the client's own network, or a fixed CIDR. */
export type EcsMode = "strip" | "forward" | "client" | { readonly subnet: string };

/** One entry of section `upstreams`. */
export interface GroupOptions {
  readonly name: string;
  readonly servers: readonly ServerOptions[];
  readonly strategy: Strategy;
  /** How long a member may be silent before the next one is asked too. */
  readonly attemptMs: number;
  /** The group to ask after every member of this one has failed. */
  readonly fallback: string | null;
  /** After so long without an answer the fallback is asked too, while members are still awaited; null = only after all have failed. */
  readonly fallbackAfterMs: number | null;
  /** CIDRs from which this group's members ask us. Their questions never go back to the group. */
  readonly asksFrom: readonly string[];
  readonly never: NeverOptions | null;
  readonly volatile: boolean;
  readonly ecs: EcsMode | null;
  readonly proxy: ProxyOptions | null;
  readonly rebinding: "allow" | "nodata" | null;
  /** CIDRs and `list:NAME`: other addresses are taken out of answers of this group; empty = all are taken. A family that is not named counts as taken. */
  readonly accept: readonly string[];
  /** CIDRs and `list:NAME`: these addresses are taken out of answers of this group. */
  readonly drop: readonly string[];
  /** Certificates in PEM that those of the members are checked against; null = those that the process trusts. */
  readonly ca: string | null;
}

/** What must not reach a group: patterns and `list:` references, type numbers, CIDRs and client ids. */
export interface NeverOptions {
  readonly domains: readonly string[];
  readonly types: readonly number[];
  readonly clients: readonly string[];
}

/** Sections `upstreams` (in the order of the file) and `bootstrap`. */
export interface UpstreamsOptions {
  readonly groups: readonly GroupOptions[];
  readonly bootstrap: readonly ServerOptions[];
}
