import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort, type Running, start } from "./processes.ts";
import { answersDns } from "./readiness.ts";

/** An unbound: an upstream with records of its own over every transport, or a forwarder with a cache. */
export interface Unbound extends Running {
  readonly port: number;
  readonly tlsPort: number;
  readonly httpsPort: number;
}

export interface UnboundOptions {
  readonly folder: string;
  /** To start again where another one was. */
  readonly ports?: Pick<Unbound, "port" | "tlsPort" | "httpsPort">;
  readonly certificate?: { readonly cert: string; readonly key: string };
  /** Further lines of section `server`. */
  readonly server?: readonly string[];
  /** A port of 127.0.0.1 that all questions are sent to, or one for each zone; without it none leaves. */
  readonly forwardTo?: number | ForwardZones;
}

/** Ports of 127.0.0.1 by the zone whose questions go there. */
export type ForwardZones = Readonly<Record<string, number>>;

/** Starts an unbound on 127.0.0.1 and waits until it answers. */
export async function startUnbound(options: UnboundOptions): Promise<Unbound> {
  const { folder, certificate, forwardTo } = options;
  const ports = options.ports ?? { port: await freePort(), tlsPort: await freePort(), httpsPort: await freePort() };
  mkdirSync(folder, { recursive: true });
  const config = join(folder, "unbound.conf");
  const secure =
    certificate === undefined
      ? []
      : [
          `interface: 127.0.0.1@${ports.tlsPort}`,
          `interface: 127.0.0.1@${ports.httpsPort}`,
          `tls-port: ${ports.tlsPort}`,
          `https-port: ${ports.httpsPort}`,
          `tls-service-pem: "${certificate.cert}"`,
          `tls-service-key: "${certificate.key}"`,
        ];
  const own = forwardTo === undefined ? ['local-zone: "." static'] : ["do-not-query-localhost: no"];
  const lines = [...COMMON, `interface: 127.0.0.1@${ports.port}`, `pidfile: "${folder}/unbound.pid"`, ...secure, ...own];
  const zones = typeof forwardTo === "number" ? { ".": forwardTo } : (forwardTo ?? {});
  const forward = Object.entries(zones)
    .map(([zone, port]) => `forward-zone:\n  name: "${zone}"\n  forward-addr: 127.0.0.1@${port}\n`)
    .join("");
  const server = [...lines, ...(options.server ?? [])].map((line) => `  ${line}\n`).join("");
  writeFileSync(config, `server:\n${server}remote-control:\n  control-enable: no\n${forward}`);
  const running = await start("unbound", ["-d", "-c", config], () => answersDns(ports.port));
  const { port, tlsPort, httpsPort } = ports;
  return { ...running, port, tlsPort, httpsPort };
}

const COMMON = [
  'username: ""',
  'chroot: ""',
  'directory: ""',
  'logfile: ""',
  "use-syslog: no",
  "num-threads: 1",
  'module-config: "iterator"',
  "do-ip6: no",
  "log-queries: yes",
];
