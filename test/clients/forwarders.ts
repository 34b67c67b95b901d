import { freePort, type Running, start } from "./processes.ts";
import { answersDns } from "./readiness.ts";
import { type ForwardZones, startUnbound } from "./unbound.ts";

/** A caching forwarder on a port of 127.0.0.1, such as stands in a router. */
export type Forwarder = Running & { readonly port: number };

export interface ForwarderKind {
  readonly name: "dnsmasq" | "pdns-recursor" | "unbound";
  /** Whether an unsigned NXDOMAIN for one type makes it answer NXDOMAIN for the others: unbound holds it by type. */
  readonly spreadsNxdomain: boolean;
  /** Starts one that sends the questions of each zone to a port of 127.0.0.1, and waits until it answers. */
  readonly start: (folder: string, zones: ForwardZones) => Promise<Forwarder>;
}

export const FORWARDERS: readonly ForwarderKind[] = [
  { name: "dnsmasq", spreadsNxdomain: true, start: startDnsmasq },
  { name: "pdns-recursor", spreadsNxdomain: true, start: startRecursor },
  { name: "unbound", spreadsNxdomain: false, start: (folder, forwardTo) => startUnbound({ folder, forwardTo }) },
];

// The limits on its cache and on questions under way are those of a small router, and smaller than these suites.
async function startDnsmasq(_folder: string, zones: ForwardZones): Promise<Forwarder> {
  const port = await freePort();
  const alone = ["--keep-in-foreground", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--pid-file=", "--user=root"];
  const where = ["--listen-address=127.0.0.1", "--bind-interfaces", `--port=${port}`];
  const servers = Object.entries(zones).map(([zone, target]) => `--server=${zone === "." ? "" : `/${zone}/`}127.0.0.1#${target}`);
  const room = ["--cache-size=10000", "--dns-forward-max=2000", "--log-facility=-"];
  const running = await start("dnsmasq", [...alone, ...where, ...servers, ...room], () => answersDns(port));
  return { ...running, port };
}

async function startRecursor(folder: string, zones: ForwardZones): Promise<Forwarder> {
  const port = await freePort();
  const settings = {
    "config-dir": folder,
    "socket-dir": folder,
    "local-address": "127.0.0.1",
    "local-port": port,
    "forward-zones-recurse": Object.entries(zones)
      .map(([zone, target]) => `${zone}=127.0.0.1:${target}`)
      .join(","),
    "dont-query": "",
    dnssec: "off",
    // Both programs query the internet without being asked.
    "security-poll-suffix": "",
    "hint-file": "no",
    daemon: "no",
    "disable-syslog": "yes",
    "max-negative-ttl": 60,
    // On a busy machine an answer takes longer than its 1.5 s, and it must be asked about no more than Fenliu is.
    "network-timeout": 5000,
  };
  const args = Object.entries(settings).map(([key, value]) => `--${key}=${value}`);
  const running = await start("pdns_recursor", args, () => answersDns(port));
  return { ...running, port };
}
