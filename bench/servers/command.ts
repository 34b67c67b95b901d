import { freePort, start } from "../../test/clients/processes.ts";
import { answersDns } from "../../test/clients/readiness.ts";
import type { Peer } from "./peer.ts";

/**
 * A server that this bench does not know, asked over UDP and TCP.
 * @param text `NAME=COMMAND` for a shell, in which `{port}` is where the server is to listen on 127.0.0.1, `{upstream}` the port there that it is to forward
 * to, and `{folder}` one of its own. It is one command, and stays in the foreground. null = the text is none.
 */
export function commandPeer(text: string): Peer | null {
  const [, name, command] = /^([^=]+)=(.+)$/s.exec(text) ?? [];
  if (name === undefined || command === undefined) return null;
  return {
    name,
    program: null,
    threads: "its own choice",
    async start({ folder, upstreamPort }) {
      const port = await freePort();
      const values: Readonly<Record<string, string>> = { port: String(port), upstream: String(upstreamPort), folder };
      const line = command.replaceAll(/\{(\w+)\}/g, (whole, key: string) => values[key] ?? whole);
      const running = await start("sh", ["-c", `exec ${line}`], () => answersDns(port));
      return { running, udpPort: port, tlsPort: null, httpsPort: null };
    },
  };
}
