import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort, start } from "../../test/clients/processes.ts";
import { answersDns } from "../../test/clients/readiness.ts";
import type { Peer } from "./peer.ts";

export const smartdns: Peer = {
  name: "smartdns",
  program: { command: "smartdns", versionArgs: ["-v"], debianPackage: "smartdns" },
  threads: "its own choice",
  // It ends connections, and with them dnsperf.
  lacks: ["tcp"],
  async start({ folder, upstreamPort, names }) {
    const port = await freePort();
    mkdirSync(folder, { recursive: true });
    const config = join(folder, "smartdns.conf");
    const lines = [
      `bind 127.0.0.1:${port}`,
      `server 127.0.0.1:${upstreamPort}`,
      `cache-size ${names * 2}`,
      "cache-persist no",
      // What it does beyond forwarding and caching: off, as the others do not do it.
      "speed-check-mode none",
      "dualstack-ip-selection no",
      "prefetch-domain no",
      "serve-expired no",
      "log-level error",
      `log-file ${join(folder, "smartdns.log")}`,
      "audit-enable no",
    ];
    writeFileSync(config, `${lines.join("\n")}\n`);
    const running = await start("smartdns", ["-f", "-c", config, "-p", "-"], () => answersDns(port));
    // Its DoH came after the version that Debian 12 has.
    return { running, udpPort: port, tlsPort: null, httpsPort: null };
  },
};
