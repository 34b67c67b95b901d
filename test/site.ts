import { onTestFinished } from "vitest";
import { App } from "../src/app.ts";
import type { Config } from "../src/config/config.ts";
import { parseConfig } from "../src/config/load.ts";
import { printProblems } from "../src/config/problem.ts";
import { typeName } from "../src/dns/types.ts";
import type { BoundEndpoints } from "../src/listen/listeners.ts";
import { operationsLog } from "../src/log/operations.ts";
import { type FakeClock, fakeClock } from "./fake-clock.ts";
import { ASKERS, type Asker } from "./listen/support/askers.ts";
import { tlsFixture } from "./listen/support/site.ts";
import { type AskOptions, queryWire, type Reply, readReply } from "./message.ts";
import {
  type Script,
  type ScriptedServer,
  type ScriptedTransport,
  scriptedServer,
  testCertificate,
} from "./upstreams/scripted-server.ts";

/** One member of a group, or several with the group's other keys. */
export interface GroupSetup {
  readonly servers: readonly Script[];
  /** `dns` is plain UDP and TCP. */
  readonly transport?: ScriptedTransport;
  /** Other keys of the group, as they stand in a YAML mapping: `strategy: race, attempt: 100ms`. */
  readonly keys?: string;
}

export interface SiteSetup {
  /** The file, but for `listen`, `tls` and `upstreams`. */
  readonly yaml?: string;
  /** By group, in the order of the file. */
  readonly upstreams?: Readonly<Record<string, Script | GroupSetup>>;
  readonly clock?: FakeClock;
}

export type AskTransport = "udp" | "tcp" | "dot" | "doh";

export interface SiteAskOptions extends AskOptions {
  readonly transport?: AskTransport;
  /** The address to ask as, by X-Forwarded-For; makes it a DoH question. */
  readonly client?: string;
  /** The id in the DoH path; makes it a DoH question. */
  readonly clientId?: string;
}

export interface TestSite {
  readonly app: App;
  readonly clock: FakeClock;
  /** What the operator reads, one JSON line each. */
  readonly log: readonly string[];
  ask(name: string, type?: string, options?: SiteAskOptions): Promise<Reply>;
  /** Sends octets as they are. */
  send(message: Uint8Array, transport?: AskTransport): Promise<Uint8Array>;
  /** Whether a message is met with silence: a question sent behind it on the same socket is answered, and it is not. */
  isSilentTo(message: Uint8Array, transport: "udp" | "tcp" | "dot"): Promise<boolean>;
  /** The questions that reached a group, such as "page.example A"; of all groups where none is named. */
  asked(group?: string): readonly string[];
  server(group?: string, member?: number): ScriptedServer;
  /** Waits, by real time, until sockets have brought this about. */
  until(condition: () => boolean): Promise<void>;
  /** The configuration with other sections; upstreams stay. @throws Error where it has problems. */
  config(yaml: string): Config;
  reload(yaml: string): Promise<void>;
  /** The same with some of the groups alone. */
  reloadWith(changes: { readonly upstreams: readonly string[]; readonly yaml?: string }): Promise<void>;
  close(): Promise<void>;
}

/** Starts Fenliu on free ports of the loopback interface, before scripted upstreams, and closes all of it when the test ends. */
export async function siteWith({ yaml = "", upstreams = {}, clock = fakeClock() }: SiteSetup): Promise<TestSite> {
  const groups = await openGroups(upstreams, clock);
  const text = (rest: string, chosen = groups) => `${LISTEN}${groupsText(chosen)}${rest}\n`;
  const log: string[] = [];
  const surroundings = {
    clock,
    log: operationsLog("info", (line) => log.push(line), false),
    ca: testCertificate,
    resolvConf: "/nowhere",
  };
  const app = await App.start(configOf(text(yaml)), surroundings);
  const askers = new Map<AskTransport, Promise<Asker>>();
  const open = (transport: AskTransport): Promise<Asker> => {
    const known = askers.get(transport) ?? openAsker(app.bound, transport);
    askers.set(transport, known);
    return known;
  };
  let closing: Promise<void> | null = null;
  const close = async (): Promise<void> => {
    for (const asker of askers.values()) await (await asker).close();
    await app.close();
    await Promise.all(groups.flatMap(({ servers }) => servers.map((server) => server.close())));
  };
  const site: TestSite = {
    app,
    clock,
    log,
    async ask(name, type = "A", { transport, client, clientId, ...options } = {}) {
      const message = queryWire(name, type, options);
      if (client !== undefined || clientId !== undefined) return readReply(await postAs(app, message, { client, clientId }));
      return readReply(await site.send(message, transport));
    },
    send: async (message, transport = "udp") => (await open(transport)).ask(message),
    async isSilentTo(message, transport) {
      const asker = await openAsker(app.bound, transport);
      let isSilent = true;
      void asker.ask(message).then(() => {
        isSilent = false;
      });
      await asker.ask(queryWire("localhost", "A", {}));
      await asker.close();
      return isSilent;
    },
    asked: (group) =>
      groups
        .filter(({ name }) => group === undefined || name === group)
        .flatMap(({ servers }) => servers.flatMap(({ asked }) => asked.map(({ name, type }) => `${name} ${typeName(type)}`))),
    server(group, member = 0) {
      const found = groups.find(({ name }) => group === undefined || name === group)?.servers[member];
      if (found === undefined) throw new Error(`there is no member ${member} of ${group}`);
      return found;
    },
    async until(condition) {
      while (!condition()) await new Promise((resolve) => setImmediate(resolve));
    },
    config: (rest) => configOf(text(rest)),
    reload: (rest) => app.reload(configOf(text(rest))),
    async reloadWith({ upstreams: names, yaml: rest = "" }) {
      const kept = groups.filter(({ name }) => names.includes(name));
      await app.reload(configOf(text(rest, kept)));
    },
    close() {
      closing ??= close();
      return closing;
    },
  };
  onTestFinished(() => site.close());
  return site;
}

const LISTEN = `listen: { dns: ["127.0.0.1:0"], http: ["127.0.0.1:0"], tls: ["127.0.0.1:0"], https: ["127.0.0.1:0"], admin: null }
tls: { cert: "${tlsFixture("cert.pem")}", key: "${tlsFixture("key.pem")}" }
`;

interface OpenGroup {
  readonly name: string;
  readonly servers: readonly ScriptedServer[];
  readonly keys: string;
}

async function openGroups(upstreams: NonNullable<SiteSetup["upstreams"]>, clock: FakeClock): Promise<OpenGroup[]> {
  const named = Object.entries(upstreams).length === 0 ? { main: () => ({ kind: "silence" }) as const } : upstreams;
  return await Promise.all(
    Object.entries(named).map(async ([name, setup]) => {
      const { servers, transport = "dns", keys = "" }: GroupSetup = typeof setup === "function" ? { servers: [setup] } : setup;
      return { name, keys, servers: await Promise.all(servers.map((script) => scriptedServer(transport, script, { clock }))) };
    }),
  );
}

function groupsText(groups: readonly OpenGroup[]): string {
  const lines = groups.map(({ name, servers, keys }) => {
    const urls = servers.map((server) => `"${server.options().label}${server.options().path}"`);
    return `  ${name}: { servers: [${urls.join(", ")}]${keys === "" ? "" : `, ${keys}`} }\n`;
  });
  return `upstreams:\n${lines.join("")}`;
}

function configOf(text: string): Config {
  const result = parseConfig(text, null);
  if (result.kind === "invalid") throw new Error(printProblems(result.problems, result.text));
  // The default file would carry answers from one test to the next.
  const { cache } = result.config;
  return /^cache:.*\bfile:/m.test(text) ? result.config : { ...result.config, cache: { ...cache, file: null } };
}

const KINDS: Readonly<Record<AskTransport, string>> = { udp: "udp", tcp: "tcp", dot: "dot", doh: "h2c POST" };

/** A client of whatever listens there: for `udp` and `tcp` it need have nothing but `dns`. */
export function openAsker(bound: Partial<BoundEndpoints>, transport: AskTransport): Promise<Asker> {
  const kind = ASKERS.find(({ title }) => title === KINDS[transport]);
  if (kind === undefined) throw new Error(`nobody asks over ${transport}`);
  const listeners = { bound: { ...NOTHING_BOUND, ...bound }, counters: NO_COUNTS, close: () => Promise.resolve() };
  return kind.open(listeners);
}

const NOTHING_BOUND: BoundEndpoints = { dns: [], tls: [], https: [], http: [] };
const NO_COUNTS = { udpInFlight: 0, udpShed: 0, udpUnsent: 0, connections: 0, connectionsRefused: 0 };

interface Somebody {
  readonly client: string | undefined;
  readonly clientId: string | undefined;
}

async function postAs(app: App, message: Uint8Array, { client, clientId }: Somebody): Promise<Uint8Array> {
  const path = clientId === undefined ? "/dns-query" : `/dns-query/${clientId}`;
  const response = await fetch(`http://127.0.0.1:${app.bound.http[0]?.port}${path}`, {
    method: "POST",
    headers: { "content-type": "application/dns-message", ...(client === undefined ? {} : { "x-forwarded-for": client }) },
    body: new Uint8Array(message),
  });
  if (response.status !== 200) throw new Error(`status ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}
