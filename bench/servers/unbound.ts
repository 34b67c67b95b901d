import { startUnbound } from "../../test/clients/unbound.ts";
import type { Peer } from "./peer.ts";

export const unbound: Peer = {
  name: "unbound",
  program: { command: "unbound", versionArgs: ["-V"], debianPackage: "unbound" },
  threads: "1",
  lacks: ["http1"],
  async start({ folder, upstreamPort, certificate }) {
    const server = ["log-queries: no", "verbosity: 0", "msg-cache-size: 64m", "rrset-cache-size: 64m"];
    const running = await startUnbound({ folder, certificate, server, forwardTo: upstreamPort });
    return { running, udpPort: running.port, tlsPort: running.tlsPort, httpsPort: running.httpsPort };
  },
};
