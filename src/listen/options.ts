/** A socket address to listen on: an IP literal (a zone may follow as `fe80::1%eth0`) and a port, 0 = any free one. */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** Section `listen`. */
export interface ListenOptions {
  readonly dns: readonly Endpoint[];
  readonly tls: readonly Endpoint[];
  readonly https: readonly Endpoint[];
  readonly http: readonly Endpoint[];
  readonly admin: Endpoint | null;
  /** Begins with `/`, has no trailing one. */
  readonly dohPath: string;
  /** Whether UDP is read in batches by a thread of its own, where the system can: `auto`; `off` = by `node:dgram`. */
  readonly batch: "auto" | "off";
  /** CIDRs whose PROXY header (v1 or v2) is read on the stream listeners. */
  readonly proxyProtocol: readonly string[];
}

/** Section `tls`. */
export interface TlsOptions {
  /** Absolute path of a PEM file. */
  readonly cert: string;
  /** Absolute path of a PEM file. */
  readonly key: string;
  /** The name of this server that clients know; null = the names of the certificate. */
  readonly name: string | null;
}
