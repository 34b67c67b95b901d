import { join } from "node:path";
import { onTestFinished } from "vitest";
import { App } from "../../src/app/app.ts";
import { parseConfig } from "../../src/config/load.ts";
import { printProblems } from "../../src/config/reading.ts";
import type { Config } from "../../src/config/types.ts";
import { typeName } from "../../src/dns/types.ts";
import type { BoundEndpoints } from "../../src/listen/listeners.ts";
import { operationsLog } from "../../src/log/operations.ts";
import { ASKERS, type Asker } from "../listen/support/askers.ts";
import { tlsFixture } from "../listen/support/site.ts";
import {
  type Script,
  type ScriptedServer,
  type ScriptedTransport,
  scriptedServer,
  testCertificate,
} from "../upstreams/scripted-server.ts";
import { type FakeClock, fakeClock } from "./fake-clock.ts";
import { type AskOptions, queryWire, type Reply, readReply } from "./message.ts";

/** A member of a group, or several members with further keys of the group. */
export interface GroupSetup {
  /** An upstream that is already open is closed by its opener. */
  readonly servers: readonly (Script | ScriptedServer)[];
  /** `dns` is plain UDP and TCP. */
  readonly transport?: ScriptedTransport;
  /** `maxQps` of each server. */
  readonly maxQps?: number | null;
  /** Other keys of each server: `mixedCase: true`. */
  readonly serverKeys?: string;
  /** Other keys of the group, as they stand in a YAML mapping: `strategy: race, attempt: 100ms`. */
  readonly keys?: string;
}

export interface SiteSetup {
  /** The file without `listen`, `tls` and `upstreams`. */
  readonly yaml?: string;
  /** By group, in the order of the file. */
  readonly upstreams?: Readonly<Record<string, Script | GroupSetup>>;
  readonly clock?: FakeClock;
  /** Whether the API listens, for `api`. */
  readonly admin?: boolean;
  /** The folder of the file and of `data`; without it nothing is kept on disk. */
  readonly folder?: string;
}

export type AskTransport = "udp" | "tcp" | "dot" | "doh";

export interface SiteAskOptions extends AskOptions {
  readonly transport?: AskTransport;
  /** The client's address, sent as X-Forwarded-For; makes the query a DoH query. */
  readonly client?: string;
  /** The id in the DoH path; makes it a DoH question. */
  readonly clientId?: string;
}

/** Starts Fenliu on free ports of the loopback interface, before scripted upstreams, and closes all of it when the test ends. */
export async function siteWith({
  yaml = "",
  upstreams = {},
  clock = fakeClock(),
  folder,
  admin = false,
}: SiteSetup): Promise<TestSite> {
  const groups = await openGroups(upstreams, clock);
  const log: string[] = [];
  const operations = operationsLog("info", (line) => log.push(line), false);
  const dependencies = { clock, log: operations, ca: testCertificate, resolvConf: "/nowhere" };
  const path = folder === undefined ? null : join(folder, "fenliu.yaml");
  const app = await App.start(configOf(textOf({ groups, admin }, yaml), path), dependencies);
  const site = new TestSite({ app, clock, log, groups, path, admin });
  onTestFinished(() => site.close());
  return site;
}

interface Parts {
  readonly app: App;
  readonly clock: FakeClock;
  readonly log: readonly string[];
  readonly groups: readonly OpenGroup[];
  readonly path: string | null;
  readonly admin: boolean;
}

export class TestSite {
  readonly app: App;
  readonly clock: FakeClock;
  /** The lines of the log, one JSON object each. */
  readonly log: readonly string[];
  readonly #groups: readonly OpenGroup[];
  readonly #path: string | null;
  readonly #admin: boolean;
  readonly #askers = new Map<AskTransport, Promise<Asker>>();
  #closed: Promise<void> | null = null;

  constructor({ app, clock, log, groups, path, admin }: Parts) {
    this.app = app;
    this.clock = clock;
    this.log = log;
    this.#groups = groups;
    this.#path = path;
    this.#admin = admin;
  }

  async ask(name: string, type = "A", { transport, client, clientId, ...options }: SiteAskOptions = {}): Promise<Reply> {
    const message = queryWire(name, type, options);
    if (client === undefined && clientId === undefined) return readReply(await this.send(message, transport));
    return readReply(await postAs(this.app, message, { client, clientId }));
  }

  /** Sends bytes as they are. */
  async send(message: Uint8Array, transport: AskTransport = "udp"): Promise<Uint8Array> {
    const asker = this.#askers.get(transport) ?? openAsker(this.app.bound, transport);
    this.#askers.set(transport, asker);
    return (await asker).ask(message);
  }

  /** Whether a message gets no reply: a query sent after it on the same socket is answered. */
  async isSilentTo(message: Uint8Array, transport: "udp" | "tcp" | "dot"): Promise<boolean> {
    const asker = await openAsker(this.app.bound, transport);
    let isSilent = true;
    void asker.ask(message).then(() => {
      isSilent = false;
    });
    await asker.ask(queryWire("localhost", "A"));
    await asker.close();
    return isSilent;
  }

  /** Calls the API: `cache?name=page.example` is below /api/v1/, and a path that begins with `/` is not. */
  api(path: string, init: RequestInit = {}): Promise<Response> {
    const { bound } = this.app.administration;
    return fetch(new URL(path, `http://127.0.0.1:${bound?.port}/api/v1/`), init);
  }

  /** The questions that reached a group, such as "page.example A"; of all groups where none is named. */
  asked(group?: string): readonly string[] {
    const servers = this.#groups.filter(({ name }) => group === undefined || name === group).flatMap((each) => each.servers);
    return servers.flatMap(({ asked }) => asked.map(({ name, type }) => `${name} ${typeName(type)}`));
  }

  server(group?: string, member = 0): ScriptedServer {
    const found = this.#groups.find(({ name }) => group === undefined || name === group)?.servers[member];
    if (found === undefined) throw new Error(`there is no member ${member} of ${group}`);
    return found;
  }

  /** Waits in real time for events on sockets. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise((resolve) => setImmediate(resolve));
  }

  /** The configuration with other sections; upstreams stay. @throws Error where it has problems. */
  config(yaml: string): Config {
    return configOf(textOf({ groups: this.#groups, admin: this.#admin }, yaml), this.#path);
  }

  reload(yaml: string): Promise<void> {
    return this.app.reload(this.config(yaml));
  }

  /** With some of the groups alone, and without any other section. */
  async reloadWith({ upstreams }: { readonly upstreams: readonly string[] }): Promise<void> {
    const kept = this.#groups.filter(({ name }) => upstreams.includes(name));
    await this.app.reload(configOf(textOf({ groups: kept, admin: this.#admin }, ""), this.#path));
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  /** Lets time pass for the drain of connections, and less of it than the query log has for its last records. */
  async #closeApp(): Promise<void> {
    const closing = this.app.close();
    for (let passedMs = 0; passedMs < 1550; passedMs += 50) await this.clock.advance(50);
    await closing;
  }

  async #close(): Promise<void> {
    for (const asker of this.#askers.values()) await (await asker).close();
    await this.#closeApp();
    await Promise.all(this.#groups.flatMap(({ own }) => own.map((server) => server.close())));
  }
}

const LISTEN = `listen: { batch: ${process.env["FENLIU_TEST_BATCH"] ?? "off"}, dns: ["127.0.0.1:0"], http: ["127.0.0.1:0"], tls: ["127.0.0.1:0"], https: ["127.0.0.1:0"], admin: ADMIN }
tls: { cert: "${tlsFixture("cert.pem")}", key: "${tlsFixture("key.pem")}" }
`;

interface OpenGroup {
  readonly name: string;
  readonly servers: readonly ScriptedServer[];
  /** Those to be closed. */
  readonly own: readonly ScriptedServer[];
  readonly keys: string;
  readonly serverKeys: string;
}

async function openGroups(upstreams: NonNullable<SiteSetup["upstreams"]>, clock: FakeClock): Promise<OpenGroup[]> {
  const named = Object.entries(upstreams).length === 0 ? { main: () => ({ kind: "silence" }) as const } : upstreams;
  return await Promise.all(
    Object.entries(named).map(async ([name, setup]) => {
      const {
        servers,
        transport = "dns",
        keys = "",
        maxQps = null,
        serverKeys = maxQps === null ? "" : `maxQps: ${maxQps}`,
      }: GroupSetup = typeof setup === "function" ? { servers: [setup] } : setup;
      const own: ScriptedServer[] = [];
      const open = async (server: Script | ScriptedServer) => {
        if (typeof server !== "function") return server;
        const opened = await scriptedServer(transport, server, { clock });
        own.push(opened);
        return opened;
      };
      return { name, keys, serverKeys, servers: await Promise.all(servers.map(open)), own };
    }),
  );
}

/** The whole file. */
function textOf({ groups, admin }: { readonly groups: readonly OpenGroup[]; readonly admin: boolean }, yaml: string): string {
  const lines = groups.map(({ name, servers, keys, serverKeys }) => {
    const urls = servers
      .map((server) => `"${server.options().label}${server.options().path}"`)
      .map((url) => (serverKeys === "" ? url : `{ url: ${url}, ${serverKeys} }`));
    return `  ${name}: { servers: [${urls.join(", ")}]${keys === "" ? "" : `, ${keys}`} }\n`;
  });
  const listen = LISTEN.replace("ADMIN", admin ? '"127.0.0.1:0"' : "null");
  return `${listen}upstreams:\n${lines.join("")}${yaml}\n`;
}

function configOf(text: string, path: string | null): Config {
  const result = parseConfig(text, path);
  if (result.kind === "invalid") throw new Error(printProblems(result.problems, result.text));
  // The default files would carry answers from one test to the next, and are in the working directory.
  const { cache, log } = result.config;
  return {
    ...result.config,
    cache: /^cache:.*\bfile:/m.test(text) ? cache : { ...cache, file: null },
    log: /^log:.*\bstore:/m.test(text) ? log : { ...log, queries: { ...log.queries, enabled: false } },
  };
}

const KINDS: Readonly<Record<AskTransport, string>> = { udp: "udp", tcp: "tcp", dot: "dot", doh: "h2c POST" };

/** A client of these listeners: `udp` and `tcp` need only `dns`. */
export function openAsker(bound: Partial<BoundEndpoints>, transport: AskTransport): Promise<Asker> {
  const kind = ASKERS.find(({ title }) => title === KINDS[transport]);
  if (kind === undefined) throw new Error(`nobody asks over ${transport}`);
  const listeners = {
    bound: { ...NOTHING_BOUND, ...bound },
    counters: NO_COUNTS,
    certificate: () => null,
    udpUnbatched: () => null,
    shareSockets: async () => [],
    close: () => Promise.resolve(),
  };
  return kind.open(listeners);
}

const NOTHING_BOUND: BoundEndpoints = { dns: [], tls: [], https: [], http: [] };
const NO_COUNTS = { udpInFlight: 0, udpUnsent: 0, udpShed: 0, connections: 0, connectionsRefused: 0, connectionsEvicted: 0 };

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
