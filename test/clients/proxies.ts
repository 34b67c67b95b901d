import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort, type Running, start } from "./processes.ts";
import { acceptsTcp } from "./readiness.ts";

/** A forward proxy on 127.0.0.1. */
export interface ForwardProxy extends Running {
  readonly url: string;
  /** How many connections to this port of this host its log tells of. */
  tunnels(host: string, port: number): number;
}

/** A SOCKS5 proxy. */
export async function startMicrosocks(): Promise<ForwardProxy> {
  const port = await freePort();
  const running = await start("microsocks", ["-i", "127.0.0.1", "-p", String(port)], () => acceptsTcp(port));
  return {
    ...running,
    url: `socks5://127.0.0.1:${port}`,
    tunnels: (host, target) => running.output().split(`connected to ${host}:${target}\n`).length - 1,
  };
}

/** An HTTP proxy, used by CONNECT. */
export async function startTinyproxy(folder: string): Promise<ForwardProxy> {
  const port = await freePort();
  mkdirSync(folder, { recursive: true });
  const config = join(folder, "tinyproxy.conf");
  writeFileSync(
    config,
    `Port ${port}\nListen 127.0.0.1\nAllow 127.0.0.1\nTimeout 600\nLogLevel Connect\nUser root\nGroup root\n`,
  );
  const running = await start("tinyproxy", ["-d", "-c", config], () => acceptsTcp(port));
  return {
    ...running,
    url: `http://127.0.0.1:${port}`,
    tunnels: (host, target) => running.output().split(`CONNECT ${host}:${target} `).length - 1,
  };
}
