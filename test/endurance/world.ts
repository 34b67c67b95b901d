import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { fileURLToPath } from "node:url";
import { TYPE } from "../../src/dns/types.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { type FenliuProcess, fenliuCommand, makeCertificate } from "../clients/fenliu.ts";
import { eventually, projectRoot, start } from "../clients/processes.ts";
import { empty } from "../support/zone-script.ts";
import { addresses } from "../upstreams/messages.ts";
import {
  type Action,
  type Asked,
  type Script,
  type ScriptedServer,
  type ScriptedTransport,
  scriptedServer,
} from "../upstreams/scripted-server.ts";
import { addressOf, HouseClient, type HouseTransport, type Ports } from "./household.ts";

/** Every name has the address that `addressOf` says, and nothing else. */
export function inOrder(asked: Asked): Action {
  return asked.type === TYPE.A ? addresses(asked, addressOf(asked.name)) : empty(asked);
}

/** The upstreams of the configuration below, by their groups. */
export type Upstreams = Readonly<Record<"near" | "far" | "dot", ScriptedServer>>;

export async function openUpstreams(nearAt = "127.0.0.1", farAt = nearAt, dotAt = nearAt): Promise<Upstreams> {
  const open = (transport: ScriptedTransport, address: string) =>
    scriptedServer(transport, inOrder, { clock: systemClock, address });
  return { near: await open("dns", nearAt), far: await open("https", farAt), dot: await open("tls", dotAt) };
}

/** The address of a server. */
const hostOf = (server: ScriptedServer): string => server.options().host;

const CA = fileURLToPath(new URL("../fixtures/tls/cert.pem", import.meta.url));

/** How `npm start` has the C library share out memory. */
export function allocatorSettings(): Readonly<Record<string, string>> {
  const { scripts } = JSON.parse(readFileSync(join(projectRoot, "package.json"), "utf8"));
  return Object.fromEntries(
    [...scripts.start.matchAll(/(MALLOC_\w+)=\$\{\w+:-(\d+)\}/g)].map(([, name, value]) => [name, value]),
  );
}

/** Shifts what `Date.now` says, by what a file says: the clock of the machine is not ours to set. */
const CLOCK = `
import { readFileSync, writeFileSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { isMainThread } from "node:worker_threads";
const now = Date.now.bind(Date);
let shiftMs = 0;
let readAt = Number.NEGATIVE_INFINITY;
// Not by a timer: a thread that does not leave a call would have another clock than the rest.
Date.now = () => {
  const real = now();
  if (real - readAt >= 50) {
    readAt = real;
    try { shiftMs = Number(readFileSync(process.env.CLOCK_SHIFT, "utf8")); } catch {}
  }
  return real + shiftMs;
};
// Each thread runs this, and wakes a thousand times a second for it.
if (isMainThread && process.env.LAG !== undefined) {
  const lag = monitorEventLoopDelay({ resolution: 1 });
  lag.enable();
  let workedMs = 0;
  let last = process.threadCpuUsage();
  setInterval(() => {
    const now = process.threadCpuUsage();
    workedMs = Math.max(workedMs, (now.user + now.system - last.user - last.system) / 1000);
    last = now;
  }, 1).unref();
  process.on("SIGWINCH", () => {
    const round = (ms) => Math.round(ms * 10) / 10;
    writeFileSync(process.env.LAG, JSON.stringify({ mostMs: round(lag.max / 1e6), workedMs: round(workedMs) }));
    lag.reset();
    workedMs = 0;
  });
}
`;

/** A Fenliu with all its listeners, in a process of its own, before upstreams that do as they are told. */
export class World {
  readonly folder: string;
  readonly upstreams: Upstreams;
  readonly #preload: string;
  readonly #programs: string;
  /** 0 = any. */
  #ports: Ports = { dns: 0, tls: 0, https: 0, http: 0 };
  #fenliu: FenliuProcess | null = null;

  /** @param upstreams which the world closes at its end; absent = on the loopback interface. */
  static async open(upstreams?: Upstreams): Promise<World> {
    const folder = mkdtempSync(join(tmpdir(), "fenliu-endurance-"));
    await makeCertificate(folder);
    return new World(folder, upstreams ?? (await openUpstreams()));
  }

  private constructor(folder: string, upstreams: Upstreams) {
    this.folder = folder;
    this.upstreams = upstreams;
    this.#programs = join(folder, "bin");
    mkdirSync(this.#programs);
    writeFileSync(join(this.#programs, "systemd-notify"), "#!/bin/sh\n", { mode: 0o755 });
    this.#preload = join(folder, "clock.mjs");
    writeFileSync(this.#preload, CLOCK);
    mkdirSync(join(folder, "data"));
    this.writeList(100);
    writeFileSync(join(folder, "near.txt"), "198.51.0.0/17\n");
    // A geosite file: the category CN, with one name.
    writeFileSync(join(folder, "geo.dat"), "\n\x18\n\x02CN\x12\x12\b\x02\x12\x0egeo.cn.example");
    writeFileSync(join(folder, "fenliu.yaml"), this.yaml("first"));
  }

  /** Names below `far.example` and `dot.example` go to these groups, those below `both.example` are compared; `kept` is as `example`. All others go to `near`. */
  yaml(mark: string): string {
    const { near, far, dot } = this.upstreams;
    const { dns, tls, https, http } = this.#ports;
    return `
listen: { dns: ["127.0.0.1:${dns}"], tls: ["127.0.0.1:${tls}"], https: ["127.0.0.1:${https}"], http: ["127.0.0.1:${http}"], admin: "127.0.0.1:0" }
tls: { cert: fullchain.pem, key: privkey.pem }
upstreams:
  near: { servers: ["${hostOf(near)}:${near.port}"] }
  far: { servers: [{ url: "https://localhost:${far.port}/dns-query", addresses: [${hostOf(far)}] }], ca: ${CA} }
  dot: { servers: [{ url: "tls://localhost:${dot.port}", addresses: [${hostOf(dot)}] }], ca: ${CA} }
lists:
  ads: { domains: [ads.txt] }
  near-ip: { addresses: [near.txt] }
  geo: { domains: ["geo.dat#cn"] }
rules:
  - { name: ${mark}, clients: [192.0.2.77], ipv6: nodata }
  - { name: ads, domains: "list:ads", answer: nodata }
  - { name: geo, domains: "list:geo", answer: nodata }
  - { name: far, domains: [far.example, far.kept], upstream: far }
  - { name: dot, domains: [dot.example, dot.kept], upstream: dot }
  - { name: both, domains: [both.example, both.kept], compare: { near: near, far: dot, keepNearIf: "list:near-ip", within: 800ms } }
hosts: { records: { nas.lan: ${addressOf("nas.lan")} } }
cache: { size: 8MiB, file: data/cache.db }
log: { queries: { enabled: true, store: data/queries.db } }
access: { rateLimit: { exempt: [private] } }
`;
  }

  writeList(entries: number): void {
    writeFileSync(join(this.folder, "ads.txt"), Array.from({ length: entries }, (_, index) => `ads${index}.example\n`).join(""));
  }

  /** Shifts the wall clock of the server. */
  shiftClock(ms: number): void {
    writeFileSync(join(this.folder, "shift"), String(ms));
  }

  /** Starts the server, and waits until it answers. */
  async startFenliu(): Promise<FenliuProcess> {
    const [node, ...args] = fenliuCommand(join(this.folder, "fenliu.yaml"));
    const env = {
      ...allocatorSettings(),
      CLOCK_SHIFT: join(this.folder, "shift"),
      LAG: this.#lagFile,
      FENLIU_NO_UPDATE: "1",
      // A service manager that hears everything.
      NOTIFY_SOCKET: "/run/none",
      PATH: `${this.#programs}:${process.env["PATH"]}`,
    };
    const running = await start(node, ["--import", this.#preload, ...args], /Fenliu is answering/, { env, limitMs: 120_000 });
    const port = (kind: string) => Number(new RegExp(`"${kind}":"[^"]*?:(\\d+)[ "]`).exec(running.output())?.[1] ?? 0);
    const ports = { dns: port("dns"), dns6: 0, tls: port("tls"), https: port("https"), http: port("http"), admin: port("admin") };
    this.#fenliu = { ...running, ports };
    return this.#fenliu;
  }

  /** The process that answers. */
  get pid(): number {
    const pids = [...this.fenliu.output().matchAll(/"pid":(\d+),"msg":"the other process answers/g)].map(([, pid]) =>
      Number(pid),
    );
    return pids.at(-1) ?? this.fenliu.child.pid ?? 0;
  }

  /** Has another process take the place of the server's, and waits until that one is ready and the first one has ended. */
  async handOver(): Promise<void> {
    const before = this.pid;
    const { length } = this.fenliu.output();
    process.kill(before, "SIGUSR2");
    await eventually(async () => {
      const said = this.fenliu.output().slice(length);
      if (said.includes("no other process takes over")) throw new Error(said);
      return said.includes("Fenliu is answering") && !existsSync(`/proc/${before}/fd/0`) ? true : null;
    }, 60_000);
  }

  /** Ends the process that answers, as a service manager would. @returns the exit code of the one that was started here. */
  async stopFenliu(): Promise<number | null> {
    // It writes where the first one wrote, which counts as running until that is closed.
    if (this.pid !== this.fenliu.child.pid) process.kill(this.pid, "SIGTERM");
    return await this.fenliu.stop();
  }

  /** Starts the server again, on the ports that it has from now on at each start. */
  async keepPorts(): Promise<void> {
    const { ports } = this.fenliu;
    await this.fenliu.stop();
    this.#ports = ports;
    writeFileSync(join(this.folder, "fenliu.yaml"), this.yaml("first"));
    await this.startFenliu();
  }

  /** Replaces the certificate by another one, and waits until it is served. */
  async renewCertificate(): Promise<void> {
    const served = () =>
      new Promise<string | null>((resolve) => {
        const socket = connectTls({ port: this.fenliu.ports.tls, host: "127.0.0.1", rejectUnauthorized: false }, () => {
          resolve(socket.getPeerX509Certificate()?.fingerprint256 ?? null);
          socket.destroy();
        });
        socket.on("error", () => resolve(null));
      });
    const before = await served();
    await makeCertificate(this.folder);
    await eventually(async () => {
      const now = await served();
      return now === before ? null : now;
    }, 30_000);
  }

  get fenliu(): FenliuProcess {
    if (this.#fenliu === null) throw new Error("the server was not started");
    return this.#fenliu;
  }

  client(transport: HouseTransport, localAddress?: string): HouseClient {
    return new HouseClient(transport, (): Ports => this.fenliu.ports, localAddress);
  }

  /** Calls the API. @returns the body. */
  async call(method: "GET" | "POST" | "PUT" | "DELETE", path: string, body?: unknown): Promise<string> {
    const response = await fetch(`http://127.0.0.1:${this.fenliu.ports.admin}${path}`, {
      method,
      headers: { "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(20_000),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text;
  }

  /** Has the server read its file again, changed. */
  async reload(mark: string): Promise<void> {
    writeFileSync(join(this.folder, "fenliu.yaml"), this.yaml(mark));
    const before = this.fenliu.output().length;
    this.fenliu.signal("SIGHUP");
    await eventually(async () => (/"(not )?reloaded/.test(this.fenliu.output().slice(before)) ? true : null), 30_000);
  }

  /** Memory in MiB and open handles of the process, as Linux tells them. */
  usage(): { readonly residentMiB: number; readonly handles: number } {
    const pages = Number(readFileSync(`/proc/${this.pid}/statm`, "utf8").split(" ")[1]);
    return { residentMiB: (pages * 4096) / 2 ** 20, handles: readdirSync(`/proc/${this.pid}/fd`).length };
  }

  get #lagFile(): string {
    return join(this.folder, "lag.json");
  }

  /**
   * How long the answering thread was held at most since this was asked last, and how long it worked at most between two turns: a busy machine
   * holds it too.
   */
  async lag(): Promise<{ readonly mostMs: number; readonly workedMs: number }> {
    rmSync(this.#lagFile, { force: true });
    process.kill(this.pid, "SIGWINCH");
    return await eventually(async () => {
      const text = existsSync(this.#lagFile) ? readFileSync(this.#lagFile, "utf8") : "";
      return text.endsWith("}") ? JSON.parse(text) : null;
    });
  }

  /** What the server has said that it should never say. */
  complaints(): readonly string[] {
    const lines = this.fenliu.output().split("\n");
    return lines.filter((line) =>
      /a fault in Fenliu itself|nhandled|Warning:|could not be recorded|a query at a time|FATAL/.test(line),
    );
  }

  follow(script: Script): void {
    for (const upstream of Object.values(this.upstreams)) upstream.follow(script);
  }

  async close(): Promise<void> {
    if (this.#fenliu !== null) await this.stopFenliu();
    await Promise.all(Object.values(this.upstreams).map((upstream) => upstream.close()));
    rmSync(this.folder, { recursive: true, force: true });
  }
}
