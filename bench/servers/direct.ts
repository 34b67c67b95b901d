import type { Peer } from "./peer.ts";

/** No forwarder: the authoritative server that is behind all of them, asked itself. What it takes nobody in front of it can undercut. */
export const direct: Peer = {
  name: "nsd itself",
  program: null,
  threads: "1",
  start: ({ upstream, upstreamPort }) =>
    Promise.resolve({ running: upstream, udpPort: upstreamPort, tlsPort: null, httpsPort: null }),
};
