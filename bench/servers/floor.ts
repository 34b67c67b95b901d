import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { start } from "../../test/clients/processes.ts";
import { runProgram } from "../programs.ts";
import type { Peer } from "./peer.ts";

const COMPILE_MS = 30_000;

/** The floor under everything: an echo in C by the system calls that Fenliu makes, over TLS by the library that Node has. It is compiled when the bench begins. */
export const floor: Peer = {
  name: "C echo",
  program: { command: "cc", versionArgs: ["--version"], debianPackage: "gcc libc6-dev libssl-dev" },
  threads: "1 each for UDP, TCP, TLS",
  lacks: ["http1"],
  async start({ folder, certificate }) {
    const sources = ["echo.c", "echo-tls.c"].map((name) => fileURLToPath(new URL(`../floor/${name}`, import.meta.url)));
    const program = join(folder, "echo");
    const compiling = { limitMs: COMPILE_MS, signal: AbortSignal.timeout(COMPILE_MS) };
    await runProgram("cc", ["-O2", "-pthread", "-o", program, ...sources, "-lssl", "-lcrypto"], compiling);
    const running = await start(program, [certificate.cert, certificate.key], /port \d+\n/);
    const [, tlsPort, port] = /tls (\d+), port (\d+)/.exec(running.output()) ?? [];
    return { running, udpPort: Number(port), tlsPort: Number(tlsPort), httpsPort: Number(tlsPort) };
  },
};
