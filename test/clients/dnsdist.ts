import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort, type Running, start } from "./processes.ts";
import { answersDns } from "./readiness.ts";

/** A dnsdist before a server on 127.0.0.1. */
export interface Dnsdist extends Running {
  readonly port: number;
  readonly tlsPort: number;
  readonly httpsPort: number;
}

export interface DnsdistOptions {
  readonly folder: string;
  readonly ports?: Pick<Dnsdist, "port" | "tlsPort" | "httpsPort">;
  readonly certificate: { readonly cert: string; readonly key: string };
  readonly serverPort: number;
  /** Further lines of its configuration, in Lua. */
  readonly rules?: readonly string[];
}

export async function startDnsdist({
  folder,
  certificate,
  serverPort,
  rules = [],
  ...options
}: DnsdistOptions): Promise<Dnsdist> {
  const ports = options.ports ?? { port: await freePort(), tlsPort: await freePort(), httpsPort: await freePort() };
  mkdirSync(folder, { recursive: true });
  const config = join(folder, "dnsdist.conf");
  const files = `"${certificate.cert}", "${certificate.key}"`;
  const lines = [
    // Without this option dnsdist queries the internet for its own status.
    'setSecurityPollSuffix("")',
    `setLocal("127.0.0.1:${ports.port}")`,
    `addTLSLocal("127.0.0.1:${ports.tlsPort}", ${files})`,
    `addDOHLocal("127.0.0.1:${ports.httpsPort}", ${files}, "/dns-query")`,
    `newServer({address="127.0.0.1:${serverPort}", healthCheckMode="up"})`,
    ...rules,
  ];
  writeFileSync(config, `${lines.join("\n")}\n`);
  const running = await start("dnsdist", ["--supervised", "--disable-syslog", "-C", config], () => answersDns(ports.port));
  const { port, tlsPort, httpsPort } = ports;
  return { ...running, port, tlsPort, httpsPort };
}
