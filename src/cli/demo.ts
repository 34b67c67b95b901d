import { randomInt } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { App } from "../app/app.ts";
import { loadConfig } from "../config/load.ts";
import { printProblems } from "../config/reading.ts";
import type { Config } from "../config/types.ts";
import { printable } from "../lib/text.ts";
import type { Endpoint } from "../listen/options.ts";
import type { QueryFilter } from "../log/filter.ts";
import { operationsLog } from "../log/operations.ts";
import type { QueryRecord } from "../log/record.ts";
import { milliseconds } from "../log/text.ts";
import { makeCertificate } from "./demo-certificate.ts";
import { DemoClock, isDemoClient, liveAWeek, liveOn, WEEK_MS } from "./demo-house.ts";
import { type DemoFaults, openDemoUpstream } from "./demo-internet.ts";
import { type Command, EXIT, type Invocation, refuseWords, type Terminal } from "./invocation.ts";

export const demoCommand: Command = {
  usage: `  fenliu demo                      try everything without the internet
`,
  options: [],
  run: demo,
};

/** Serves a made-up house with two upstreams on loopback that see a made-up internet differently, until the user ends it. */
async function demo(invocation: Invocation, terminal: Terminal): Promise<number> {
  refuseWords(invocation);
  const stopped = terminal.untilStopped();
  const folder = await mkdtemp(join(tmpdir(), "fenliu-demo-"));
  const near: DemoFaults = { isDown: false, delayMs: 0 };
  const far: DemoFaults = { isDown: false, delayMs: 0 };
  const clock = new DemoClock(WEEK_MS);
  const domestic = await openDemoUpstream("domestic", near, clock);
  const overseas = await openDemoUpstream("overseas", far, clock);
  try {
    const [dns = 0, http = 0, tls = 0, https = 0, admin = 0] = await freePorts(5);
    const ports = { domestic: portOf(domestic.bound.dns), overseas: portOf(overseas.bound.dns), dns, http, tls, https, admin };
    const { cert, key } = makeCertificate(10, Date.now());
    await writeFile(join(folder, "fullchain.pem"), cert);
    await writeFile(join(folder, "privkey.pem"), key);
    await writeDemoFiles(folder, ports, false);
    // What the demonstration is made to show is no news to the operator.
    const log = operationsLog("error", (line) => terminal.err(line), terminal.interactive);
    const start = () => App.start(readDemo(folder), { clock, log, ca: null, resolvConf: "/etc/resolv.conf" });
    let app = await start();
    const url = `http://127.0.0.1:${http}/dns-query`;
    const changeRules = async () => {
      await writeDemoFiles(folder, ports, true);
      await app.reload(readDemo(folder));
    };
    const cutPower = async (pass: () => void) => {
      // What was recorded of the days before is what there is to see.
      await app.close(LOG_PATIENCE_MS);
      pass();
      app = await start();
    };
    terminal.out("A house is made up, with a week of queries …\n");
    await liveAWeek({ url, clock, overseas: far, changeRules, cutPower });
    near.delayMs = 9;
    far.delayMs = 48;
    terminal.out(guide(ports));
    app.recorder.feed.followers.add(EVERY_QUERY, (records) => {
      for (const { json } of records) {
        const record: QueryRecord = JSON.parse(json);
        if (!isDemoClient(record.client)) terminal.out(storyOf(record));
      }
    });
    const stop = liveOn(url);
    await stopped;
    stop();
    await app.close();
    return EXIT.ok;
  } finally {
    await Promise.all([domestic.close(0), overseas.close(0)]);
    await rm(folder, { recursive: true });
  }
}

function readDemo(folder: string): Config {
  const result = loadConfig(join(folder, "fenliu.yaml"));
  if (result.kind === "ok") return result.config;
  throw new Error(`the demonstration's configuration: ${printProblems(result.problems, result.text)}`);
}

/** @param isStricter whether the list of advertisements has the entry that it should not have. */
async function writeDemoFiles(folder: string, ports: DemoPorts, isStricter: boolean): Promise<void> {
  const ads = Array.from({ length: 420 }, (_, index) => `ad${index}.example.net`);
  ads.splice(210, 0, "metrics.game.example", "track.example.net", ...(isStricter ? ["page.example.cn"] : []));
  await writeFile(join(folder, "ads.txt"), `# Advertisements, made up\n${ads.join("\n")}\n`);
  await writeFile(join(folder, "world.txt"), "example\nexample.net\nexample.org\n");
  await writeFile(join(folder, "fenliu.yaml"), demoConfig(ports));
}

type DemoPorts = Readonly<Record<"domestic" | "overseas" | "dns" | "http" | "tls" | "https" | "admin", number>>;

/** Below those that systems give to whoever wants any: nobody is given one of these before the demonstration listens there. */
const PORTS = { from: 10_000, to: 32_000 } as const;

/** Ports that nobody uses at the moment: they stand in the configuration, and the page shows them. */
async function freePorts(count: number): Promise<readonly number[]> {
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = randomInt(PORTS.from, PORTS.to);
    const server = createServer().listen(port, "127.0.0.1");
    const isFree = await once(server, "listening").then(
      () => true,
      () => false,
    );
    if (!isFree) continue;
    await once(server.close(), "close");
    ports.add(port);
  }
  return [...ports];
}

function demoConfig({ domestic, overseas, dns, http, tls, https, admin }: DemoPorts): string {
  return `# The configuration of \`fenliu demo\`: change it on the page, it is gone when the demonstration ends.
listen:
  dns:   ["127.0.0.1:${dns}"]
  http:  ["127.0.0.1:${http}"]
  tls:   ["127.0.0.1:${tls}"]
  https: ["127.0.0.1:${https}"]
  admin: "127.0.0.1:${admin}"
tls: { cert: fullchain.pem, key: privkey.pem, name: localhost }   # expires in ten days
upstreams:
  domestic: { servers: ["127.0.0.1:${domestic}"] }
  overseas: { servers: ["127.0.0.1:${overseas}", "127.0.0.1:9"] }   # nobody listens on port 9
lists:
  ads:   { domains: [ads.txt] }
  world: { domains: ["https://127.0.0.1:9/world.txt"], seed: world.txt, refresh: 1h }   # cannot be downloaded
rules:
  - { name: ads,       domains: [ads.example.net, "list:ads"], answer: nodata }
  - { name: bedtime,   clients: [tablet], domains: [game.example], answer: nxdomain }
  - { name: no-ech,    domains: [video.example.net], https: nodata }
  - { name: mainland,  domains: [cn], upstream: domestic }
  - { name: elsewhere, upstream: overseas }
hosts:
  records:
    nas.lan: [10.0.0.5, "fd00::5"]
    "*.apps.lan": 10.0.0.6
    photos.lan: { cname: nas.lan }
log: { level: error }
expect:
  - { name: shop.example.cn, upstream: domestic }
  - { name: www.cloud.example, upstream: overseas }
  - { name: track.example.net, rule: ads }
  - { name: nas.lan, type: HTTPS, answer: nodata }
`;
}

/** On a machine that has little time for the thread of the log. */
const LOG_PATIENCE_MS = 60_000;

const EVERY_QUERY: QueryFilter = { fromMs: null, toMs: null, conditions: [] };

/** What became of a query, and why, in one line. */
function storyOf({ name, type, rcode, answers, source, rule, route, upstream, durationUs }: QueryRecord): string {
  const why = rule === null ? "no rule" : `rule ${rule}`;
  const from = upstream === null ? source : `${route} (${upstream})`;
  const got = answers.length === 0 ? "no records" : answers.join(", ");
  return printable(`> ${name} ${type}: ${why}, from ${from}, ${milliseconds(durationUs / 1000)}: ${rcode}, ${got}`).concat("\n");
}

function guide(ports: DemoPorts): string {
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
 why a name goes where it goes; what was asked; the whole API
  curl -s 'http://127.0.0.1:${ports.admin}/api/v1/explain?name=video.example.net&type=A'
  curl -s 'http://127.0.0.1:${ports.admin}/api/v1/queries?limit=5'
  http://127.0.0.1:${ports.admin}/docs in a browser
 is all well, why did page.example.cn fail for the tv last night, and the fix: the page
  http://127.0.0.1:${ports.admin}/ in a browser

Every question that you ask is told below, with the rule that decided; those of the made-up house are on the page. Ctrl-C ends it.
`;
}

function portOf([endpoint]: readonly Endpoint[]): number {
  if (endpoint === undefined) throw new Error("nothing was bound");
  return endpoint.port;
}
