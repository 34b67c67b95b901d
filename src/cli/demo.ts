import { App } from "../app.ts";
import { parseConfig } from "../config/load.ts";
import { printProblems } from "../config/reading.ts";
import { systemClock } from "../lib/clock.ts";
import type { Endpoint } from "../listen/options.ts";
import { operationsLog } from "../log/operations.ts";
import { openDemoUpstream } from "./demo-internet.ts";
import type { Invocation } from "./run.ts";
import { EXIT, type Terminal } from "./terminal.ts";

/** `fenliu demo`: two upstreams on loopback that see a made-up internet differently, and a Fenliu splitting between them. */
export async function demo(_invocation: Invocation, terminal: Terminal): Promise<number> {
  const stopped = terminal.untilStopped();
  const domestic = await openDemoUpstream("domestic");
  const overseas = await openDemoUpstream("overseas");
  try {
    const result = parseConfig(demoConfig(portOf(domestic.bound.dns), portOf(overseas.bound.dns)), null);
    if (result.kind === "invalid")
      throw new Error(`the demonstration's configuration: ${printProblems(result.problems, result.text)}`);
    const log = operationsLog("warn", (line) => terminal.err(line), terminal.interactive);
    const app = await App.start(result.config, { clock: systemClock, log, ca: null, resolvConf: "/etc/resolv.conf" });
    terminal.out(guide({ dns: portOf(app.bound.dns), http: portOf(app.bound.http), domestic: portOf(domestic.bound.dns) }));
    await stopped;
    await app.close();
    return EXIT.ok;
  } finally {
    await Promise.all([domestic.close(0), overseas.close(0)]);
  }
}

function demoConfig(domesticPort: number, overseasPort: number): string {
  return `
listen: { dns: ["127.0.0.1:0"], http: ["127.0.0.1:0"], admin: null }
upstreams:
  domestic: { servers: ["127.0.0.1:${domesticPort}"] }
  overseas: { servers: ["127.0.0.1:${overseasPort}"] }
rules:
  - { name: ads,       domains: [ads.example.net], answer: nodata }
  - { name: no-ech,    domains: [video.example.net], https: nodata }
  - { name: mainland,  domains: [cn], upstream: domestic }
  - { name: elsewhere, upstream: overseas }
hosts:
  records:
    nas.lan: [10.0.0.5, "fd00::5"]
    "*.apps.lan": 10.0.0.6
    photos.lan: { cname: nas.lan }
cache: { file: null }
log: { queries: { enabled: false } }
`;
}

function guide(ports: { readonly dns: number; readonly http: number; readonly domestic: number }): string {
  const ask = (rest: string) => `  dig @127.0.0.1 -p ${ports.dns} ${rest}`;
  return `Fenliu is answering on 127.0.0.1, port ${ports.dns} (UDP and TCP) and ${ports.http} (DoH in clear). No packet leaves this machine.
Type in another terminal:

 a mainland name: the domestic upstream answers, 192.0.2.10
${ask("shop.example.cn")}
 any other name: the overseas upstream answers, 198.51.100.30
${ask("video.example.net")}
 the domestic upstream would have said something else: 203.0.113.66
  dig @127.0.0.1 -p ${ports.domestic} video.example.net
 names of the house, from the hosts table; a wildcard; an alias; the way back
${ask("nas.lan")}
${ask("grafana.apps.lan")}
${ask("photos.lan AAAA")}
${ask("-x 10.0.0.5")}
 a blocked name: no records, one SOA, and in EDE the rule that did it
${ask("ads.example.net")}
 TYPE65 switched off for a name leaves its addresses alone
${ask("video.example.net TYPE65")}
 a name that is not there
${ask("nothing.example.org")}
 the same over DoH and as JSON
  curl -s 'http://127.0.0.1:${ports.http}/dns-query?name=shop.example.cn&type=AAAA' -H 'accept: application/dns-json'
  kdig @127.0.0.1 -p ${ports.dns} +tcp news.example.org

Ctrl-C ends it.
`;
}

function portOf([endpoint]: readonly Endpoint[]): number {
  if (endpoint === undefined) throw new Error("nothing was bound");
  return endpoint.port;
}
