import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { start } from "../../test/clients/processes.ts";
import { runProgram } from "../programs.ts";
import type { Peer } from "./peer.ts";

const COMPILE_MS = 30_000;

/** The floor under everything: an echo in C by the system calls that Fenliu makes for UDP and TCP. It is compiled when the bench begins. */
export const floor: Peer = {
  name: "C echo",
  program: { command: "cc", versionArgs: ["--version"], debianPackage: "gcc libc6-dev" },
  threads: "1 for UDP, 1 for TCP",
  async start({ folder }) {
    const source = fileURLToPath(new URL("../floor/echo.c", import.meta.url));
    const program = join(folder, "echo");
    const compiling = { limitMs: COMPILE_MS, signal: AbortSignal.timeout(COMPILE_MS) };
    await runProgram("cc", ["-O2", "-pthread", "-o", program, source], compiling);
    const running = await start(program, [], /port \d+\n/);
    return { running, udpPort: Number(/port (\d+)/.exec(running.output())?.[1]), tlsPort: null, httpsPort: null };
  },
};
