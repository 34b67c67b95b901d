import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { emptyAnswer, negativeAnswer } from "../answers/negative.ts";
import { rejectionReply, render, replyLimit } from "../answers/render.ts";
import { App } from "../app/app.ts";
import { parseConfig } from "../config/load.ts";
import { printProblems } from "../config/reading.ts";
import { addressFromText } from "../dns/address.ts";
import { type Answer, buildAnswer } from "../dns/answer.ts";
import { isWithin, type Name, nameFromText } from "../dns/name.ts";
import { isRejection, parseQuery, type Query } from "../dns/query.ts";
import { RCODE, TYPE } from "../dns/types.ts";
import { type Clock, systemClock } from "../lib/clock.ts";
import { printable } from "../lib/text.ts";
import { type Listeners, openListeners } from "../listen/listeners.ts";
import type { Endpoint } from "../listen/options.ts";
import type { Handler } from "../listen/types.ts";
import type { QueryFilter } from "../log/filter.ts";
import { operationsLog } from "../log/operations.ts";
import type { QueryRecord } from "../log/record.ts";
import { milliseconds } from "../log/text.ts";
import { type Command, EXIT, type Invocation, refuseWords, type Terminal } from "./invocation.ts";

export const demoCommand: Command = {
  usage: `  fenliu demo                      try everything without the internet
`,
  options: [],
  run: demo,
};

/** Serves with two upstreams on loopback that see a made-up internet differently, until the user ends it. */
async function demo(invocation: Invocation, terminal: Terminal): Promise<number> {
  refuseWords(invocation);
  const stopped = terminal.untilStopped();
  const folder = await mkdtemp(join(tmpdir(), "fenliu-demo-"));
  const domestic = await openDemoUpstream("domestic");
  const overseas = await openDemoUpstream("overseas");
  try {
    const result = parseConfig(demoConfig(portOf(domestic.bound.dns), portOf(overseas.bound.dns), folder), null);
    if (result.kind === "invalid")
      throw new Error(`the demonstration's configuration: ${printProblems(result.problems, result.text)}`);
    const log = operationsLog("warn", (line) => terminal.err(line), terminal.interactive);
    const app = await App.start(result.config, { clock: systemClock, log, ca: null, resolvConf: "/etc/resolv.conf" });
    const admin = app.administration.bound;
    terminal.out(
      guide({
        dns: portOf(app.bound.dns),
        http: portOf(app.bound.http),
        admin: portOf(admin === null ? [] : [admin]),
        domestic: portOf(domestic.bound.dns),
      }),
    );
    app.recorder.feed.followers.add(EVERY_QUERY, (records) => {
      for (const { json } of records) terminal.out(storyOf(JSON.parse(json)));
    });
    await stopped;
    await app.close();
    return EXIT.ok;
  } finally {
    await Promise.all([domestic.close(0), overseas.close(0)]);
    await rm(folder, { recursive: true });
  }
}

/** @param folder takes what is learned, until the end. */
function demoConfig(domesticPort: number, overseasPort: number, folder: string): string {
  return `
listen: { dns: ["127.0.0.1:0"], http: ["127.0.0.1:0"], admin: "127.0.0.1:0" }
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
cache: { file: ${folder}/cache.db }
log: { queries: { store: ${folder}/queries.db } }
`;
}

const EVERY_QUERY: QueryFilter = { fromMs: null, toMs: null, conditions: [] };

/** What became of a query, and why, in one line. */
function storyOf({ name, type, rcode, answers, source, rule, route, upstream, durationUs }: QueryRecord): string {
  const why = rule === null ? "no rule" : `rule ${rule}`;
  const from = upstream === null ? source : `${route} (${upstream})`;
  const got = answers.length === 0 ? "no records" : answers.join(", ");
  return printable(`> ${name} ${type}: ${why}, from ${from}, ${milliseconds(durationUs / 1000)}: ${rcode}, ${got}`).concat("\n");
}

function guide(ports: Readonly<Record<"dns" | "http" | "admin" | "domestic", number>>): string {
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

Every question that comes is told below, with the rule that decided. Ctrl-C ends it.
`;
}

function portOf([endpoint]: readonly Endpoint[]): number {
  if (endpoint === undefined) throw new Error("nothing was bound");
  return endpoint.port;
}

/** A name, and the addresses that each side gives: the two sides differ, as real ones do. */
interface DemoName {
  readonly name: string;
  readonly domestic: readonly string[];
  readonly overseas: readonly string[];
}

/** A small made-up internet, with the addresses set aside for documentation (RFC 5737, RFC 3849). */
const DEMO_NAMES: readonly DemoName[] = [
  { name: "shop.example.cn", domestic: ["192.0.2.10", "2001:db8:1::10"], overseas: ["198.51.100.10"] },
  { name: "www.bank.example.cn", domestic: ["192.0.2.20"], overseas: ["198.51.100.20"] },
  { name: "video.example.net", domestic: ["203.0.113.66"], overseas: ["198.51.100.30", "2001:db8:2::30"] },
  { name: "news.example.org", domestic: ["203.0.113.66"], overseas: ["198.51.100.40", "2001:db8:2::40"] },
];

const ZONE_NAMES = ["example.cn", "example.net", "example.org"];
const TTL_SECONDS = 300;
const NEGATIVE_TTL_SECONDS = 60;

/** Serves the made-up internet as one side sees it, on a free port of 127.0.0.1. */
function openDemoUpstream(side: "domestic" | "overseas", clock: Clock = systemClock): Promise<Listeners> {
  const zone = new Map(DEMO_NAMES.map((entry) => [nameOf(entry.name), entry[side]]));
  const handler: Handler = {
    answer(message) {
      const query = parseQuery(message);
      if (query === null) return null;
      if (isRejection(query)) return { wire: rejectionReply(query), maxAgeSeconds: null };
      const sending = { ttl: { kind: "keep" }, authenticated: false, extendedErrors: [], encrypted: false } as const;
      return render({ ...sending, query, answer: answerFrom(zone, query), limitBytes: replyLimit(query, true) });
    },
    mayConnect: () => true,
    answerJson: () => Promise.resolve({ kind: "bad", text: "the demonstration's upstreams speak DNS only" }),
  };
  const dns = [{ address: "127.0.0.1", port: 0 }];
  const listen = { dns, tls: [], https: [], http: [], admin: null, dohPath: "/dns-query", proxyProtocol: [] };
  return openListeners({ listen, tls: null, trustedProxies: [] }, handler, { clock });
}

function answerFrom(zone: ReadonlyMap<Name, readonly string[]>, query: Query): Answer {
  const { name, type, class: klass } = query;
  const apex = ZONE_NAMES.map(nameOf).find((zoneName) => isWithin(name, zoneName));
  if (apex === undefined) return emptyAnswer(query, RCODE.REFUSED);
  const addresses = (zone.get(name) ?? []).map(addressFromText).filter((address) => address !== null);
  const ofFamily = addresses.filter(({ length }) => (type === TYPE.A && length === 4) || (type === TYPE.AAAA && length === 16));
  if (ofFamily.length > 0) {
    const answers = ofFamily.map((data) => ({ owner: name, type, ttlSeconds: TTL_SECONDS, data }));
    return buildAnswer({ name, type, class: klass, rcode: RCODE.NOERROR, answers, authority: [] });
  }
  const exists = [...zone.keys()].some((known) => isWithin(known, name));
  const rcode = exists ? RCODE.NOERROR : RCODE.NXDOMAIN;
  return negativeAnswer(query, { rcode, soaOwner: apex, ttlSeconds: NEGATIVE_TTL_SECONDS });
}

function nameOf(text: string): Name {
  const name = nameFromText(text);
  if (name === null) throw new Error(`${text} is no name`);
  return name;
}
