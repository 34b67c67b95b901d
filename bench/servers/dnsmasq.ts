import { freePort, start } from "../../test/clients/processes.ts";
import { answersDns } from "../../test/clients/readiness.ts";
import type { Peer } from "./peer.ts";

export const dnsmasq: Peer = {
  name: "dnsmasq",
  program: { command: "dnsmasq", versionArgs: ["--version"], debianPackage: "dnsmasq-base" },
  threads: "1",
  // It closes a connection after a hundred questions, and dnsperf ends there.
  lacks: ["tcp"],
  async start({ upstreamPort, names }) {
    const port = await freePort();
    const files = [
      "--keep-in-foreground",
      "--conf-file=/dev/null",
      "--pid-file=",
      "--no-resolv",
      "--no-hosts",
      "--log-facility=-",
    ];
    const listening = [`--port=${port}`, "--listen-address=127.0.0.1", "--bind-interfaces"];
    const asking = [`--server=127.0.0.1#${upstreamPort}`, `--cache-size=${names * 2}`];
    // As root it would become `nobody`, who is not there on every machine.
    const user = process.getuid?.() === 0 ? ["--user=root"] : [];
    const running = await start("dnsmasq", [...files, ...listening, ...asking, ...user], () => answersDns(port));
    return { running, udpPort: port, tlsPort: null, httpsPort: null };
  },
};
