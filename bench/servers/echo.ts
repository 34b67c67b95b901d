import { fileURLToPath } from "node:url";
import { start } from "../../test/clients/processes.ts";
import type { Peer } from "./peer.ts";

/** The floor under everything that answers by `node:dgram`: it sends back what came, with QR set. */
export const echo: Peer = {
  name: "dgram echo",
  program: null,
  threads: "1",
  lacks: ["tcp"],
  async start() {
    const script = fileURLToPath(new URL("./echo-process.ts", import.meta.url));
    const running = await start(process.execPath, [script], /port \d+\n/);
    return { running, udpPort: Number(/port (\d+)/.exec(running.output())?.[1]), tlsPort: null, httpsPort: null };
  },
};
