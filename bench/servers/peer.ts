import type { Running } from "../../test/clients/processes.ts";
import type { Transport } from "../load.ts";

/** What a server is given: each is to be a caching forwarder on 127.0.0.1, on one thread where that can be set, with its log off. */
export interface Setting {
  /** Its own. */
  readonly folder: string;
  /** A port of 127.0.0.1, UDP and TCP. */
  readonly upstreamPort: number;
  /** The authoritative server behind that port. */
  readonly upstream: Running;
  readonly certificate: { readonly cert: string; readonly key: string };
  /** Answers there must be room for. */
  readonly names: number;
}

export interface Peer {
  readonly name: string;
  /** How to ask for its version; null for what is part of this project. */
  readonly program: { readonly command: string; readonly versionArgs: readonly string[]; readonly debianPackage: string } | null;
  /** Threads that answer queries, and what else is to be known of its set-up. */
  readonly threads: string;
  /** What it cannot be asked over, although it listens there. */
  readonly lacks?: readonly Transport[];
  readonly start: (setting: Setting) => Promise<Started>;
}

export interface Started {
  readonly running: Running;
  /** For TCP too. */
  readonly udpPort: number;
  /** null = it does not serve DoT. */
  readonly tlsPort: number | null;
  /** null = it does not serve DoH. */
  readonly httpsPort: number | null;
}
