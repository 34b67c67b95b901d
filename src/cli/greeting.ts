import { dirname } from "node:path";
import { styleText } from "node:util";
import type { App } from "../app/app.ts";
import { endpointText } from "../dns/address.ts";
import { printable } from "../lib/text.ts";
import { version } from "../lib/version.ts";
import type { Endpoint } from "../listen/options.ts";
import { listCacheOf } from "../lists/cache.ts";
import { reportLists, type SourceReport } from "../lists/load.ts";
import { milliseconds } from "../log/text.ts";
import { ownHostsPath } from "../server/host-overrides.ts";
import { ROOT_SERVERS } from "../upstreams/probes.ts";
import { type Attempt, UpstreamError, type UpstreamFailure } from "../upstreams/upstream.ts";
import { ageText, endpointToAsk, type Terminal } from "./invocation.ts";

/** How long a group may take to answer the question that measures it. */
const MEASURE_MS = 3000;

type Row = readonly [title: string, text: string, hint?: string | undefined, format?: Style];

/** What a person at a terminal wants to know of a server that has just started: where it answers, what to try, what it uses and how that fares. */
export async function greet(app: App, path: string | null, terminal: Terminal): Promise<void> {
  const style = (format: Style, text: string) => (terminal.colors ? styleText(format, text, { validateStream: false }) : text);
  const show = (heading: string, rows: readonly Row[]): void => {
    if (rows.length === 0) return;
    const width = Math.max(...rows.map(([title]) => title.length));
    const texts = rows.map(([title, text, hint, format]) => {
      const shown = format === undefined ? printable(text) : style(format, printable(text));
      const line = `  ${title.padEnd(width)}  ${shown}`;
      return hint === undefined ? `${line}\n` : `${line}\n  ${" ".repeat(width)}  ${style("cyan", hint)}\n`;
    });
    terminal.out(`\n${style("bold", heading)}\n${texts.join("")}`);
  };
  const { config } = app.state;
  terminal.out(`${style("green", "Fenliu is answering")} (version ${version()}). Ctrl-C ends it.\n`);
  show("Where", [...addressRows(app), ...adminRows(app)]);
  show("Files", [
    ["configuration", path ?? "none: the defaults hold"],
    ["data", dirname(ownHostsPath(config))],
  ]);
  show("Lists", await listRows(app));
  const groups = await Promise.all(config.upstreams.groups.map(({ name }) => measure(app, name)));
  show(
    "Groups",
    groups.map(({ name, text, hint, well }) => [name, text, hint, well ? "green" : "red"]),
  );
  terminal.out("\n");
}

type Style = "bold" | "cyan" | "green" | "red";

/** Each address with the line to try it. */
function addressRows(app: App): readonly Row[] {
  const { dns, tls, https, http } = app.bound;
  const { listen, expect } = app.state.config;
  // A name that the configuration itself promises something about, else one that needs no upstream.
  const name = expect[0]?.name ?? "localhost";
  const hostAndPort = ({ address, port }: Endpoint) => {
    const [, host = "", text = String(port)] = /^\[?(.*?)\]?:(\d+)$/.exec(endpointToAsk({ address, port })) ?? [];
    return { host, port: text };
  };
  const dig = (endpoint: Endpoint): string => {
    const { host, port } = hostAndPort(endpoint);
    return `dig @${host}${port === "53" ? "" : ` -p ${port}`} ${name}`;
  };
  const doh = (scheme: string, endpoint: Endpoint) => `${scheme}://${endpointToAsk(endpoint)}${listen.dohPath}`;
  const curl = (insecure: string, url: string) =>
    `curl ${insecure}'${url}?name=${name}&type=A' -H 'accept: application/dns-json'`;
  return [
    ...dns.map((each): Row => ["DNS", `${endpointText(each.address, each.port)} (UDP and TCP)`, dig(each)]),
    ...tls.map((each): Row => {
      const { host, port } = hostAndPort(each);
      return ["DoT", endpointText(each.address, each.port), `kdig +tls @${host} -p ${port} ${name}`];
    }),
    ...https.map((each): Row => ["DoH", doh("https", each), curl("-k ", doh("https", each))]),
    ...http.map((each): Row => ["DoH in clear", doh("http", each), curl("", doh("http", each))]),
  ];
}

function adminRows({ administration: { bound } }: App): readonly Row[] {
  if (bound === null) return [["API", "none: `listen.admin` is null"]];
  const url = `http://${endpointToAsk(bound)}`;
  return [
    ["Page", `${url}/`],
    ["API", `${url}/docs`],
  ];
}

async function listRows(app: App): Promise<readonly Row[]> {
  const { config, policy } = app.state;
  const reports = await reportLists(config.lists, policy.lists.status(), listCacheOf(config));
  return reports.map(({ name, size, sources }): Row => [name, `${size} entries${sources.map(sourceText).join("")}`]);
}

function sourceText(source: SourceReport): string {
  if (source.problem !== null) return `, ${source.problem}`;
  if (source.servedFrom === "nothing") return ", not downloaded yet";
  const age = ageText(source);
  const from = source.servedFrom === "seed" ? ", the seed" : "";
  return age === "" ? from : `${from}, ${age} old`;
}

interface Measured {
  readonly name: string;
  readonly text: string;
  /** What to do where the group does not answer. */
  readonly hint?: string;
  readonly well: boolean;
}

/** By what the last server tried came to. */
const HINTS: Partial<Readonly<Record<UpstreamFailure, string>>> = {
  bootstrap: "the servers of `bootstrap` know no address for its name: name others there, or write `addresses` beside the URL",
  tls: "its certificate is not believed: is the clock of this machine right, and the name in the URL? A private authority goes into `ca`",
  proxy: "the proxy refuses or does not run: look at `proxy` of the group",
  refused: "nothing listens at that port: is the address right?",
};
const UNREACHED = "is this machine's network up, and does a firewall let the server's port through? Queries go on being tried";

/** Asks a group once. Never rejects. */
async function measure(app: App, name: string): Promise<Measured> {
  const { shared, policy } = app.state;
  const attempts: Attempt[] = [];
  const signal = AbortSignal.timeout(MEASURE_MS);
  try {
    await shared.groups.get(name).exchange(ROOT_SERVERS, { signal, attempts, requester: null, egress: policy.egress });
    const answered = attempts.find(({ rcode }) => rcode !== null);
    const text = answered === undefined ? "answers" : `${answered.server} answers after ${milliseconds(answered.elapsedMs)}`;
    return { name, text, well: true };
  } catch (error) {
    if (!(error instanceof UpstreamError) && !signal.aborted) throw error;
    const failed = attempts.map(({ server, failure }) => `${server}: ${failure ?? "no good answer"}`);
    const reason = signal.aborted ? `nothing came within ${MEASURE_MS / 1000} s` : failed.join(", ");
    const last = attempts.findLast(({ failure }) => failure !== null)?.failure;
    return { name, text: `does not answer (${reason})`, hint: HINTS[last ?? "timeout"] ?? UNREACHED, well: false };
  }
}
