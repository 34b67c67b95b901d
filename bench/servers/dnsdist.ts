import { startDnsdist } from "../../test/clients/dnsdist.ts";
import type { Peer } from "./peer.ts";

export const dnsdist: Peer = {
  name: "dnsdist",
  program: { command: "dnsdist", versionArgs: ["--version"], debianPackage: "dnsdist" },
  threads: "1 for UDP, 2 for DoH",
  async start({ folder, upstreamPort, certificate, names }) {
    // Each transport is held apart, and the half more keeps the shards of the cache from filling unevenly.
    const rules = [`getPool(""):setCache(newPacketCache(${Math.ceil(names * 6)}))`, "setMaxTCPClientThreads(1)"];
    const running = await startDnsdist({ folder, certificate, serverPort: upstreamPort, rules });
    return { running, udpPort: running.port, tlsPort: running.tlsPort, httpsPort: running.httpsPort };
  },
};
