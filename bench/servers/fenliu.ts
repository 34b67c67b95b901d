import { startFenliu } from "../../test/clients/fenliu.ts";
import type { Peer } from "./peer.ts";

/** With the query log, or without, as the peers are. */
export const fenliu = fenliuWith("Fenliu", "{ enabled: false }");
export const fenliuLogging = fenliuWith("Fenliu with query log", "{ store: queries.db }");

function fenliuWith(name: string, queries: string): Peer {
  return {
    name,
    program: null,
    threads: "1",
    async start({ folder, upstreamPort, certificate }) {
      const running = await startFenliu(
        folder,
        `listen: { dns: ["127.0.0.1:0"], tls: ["127.0.0.1:0"], https: ["127.0.0.1:0"], http: [], admin: null }
tls: { cert: ${JSON.stringify(certificate.cert)}, key: ${JSON.stringify(certificate.key)} }
upstreams: { upstream: { servers: ["udp://127.0.0.1:${upstreamPort}"] } }
cache: { file: null }
log: { queries: ${queries} }
`,
      );
      return { running, udpPort: running.ports.dns, tlsPort: running.ports.tls, httpsPort: running.ports.https };
    },
  };
}
