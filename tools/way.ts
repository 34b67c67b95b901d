/**
 * `node tools/way.ts [hit|dohHit|miss|reload]`: prints which files and functions of `src/` a cache hit over UDP, one over DoH, a miss and an unchanged
 * reload run through, as V8's precise coverage of a real server tells it. Newcomers read along; whoever changes the way compares before and after.
 *
 * Each step is done five times, and after each the server rests for twice as long. A function counts if every one of the five ran it, in the main thread or in
 * the thread of UDP, and ran it more often than the rests did: what timers run, an idle server runs as well. The query log's threads and the
 * system below Node are not seen. `async` marks the functions of a way that a promise stands for: its layers.
 */

import { spawn } from "node:child_process";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const REPEATS = 5;
/** What timers run is not run equally often in times of equal length, so that rests are longer than what they are compared with. */
const REST_FACTOR = 2;
/** A server that does not answer is given up. */
const DEADLINE_MS = 120_000;
/** How long what a reload leaves running may take to come to rest. */
const SETTLE_MS = 300;

interface RanFunction {
  readonly file: string;
  readonly line: number;
  readonly name: string;
  readonly isAsync: boolean;
  readonly count: number;
}

interface ScriptCoverage {
  readonly url: string;
  readonly functions: readonly {
    readonly functionName: string;
    readonly ranges: readonly { readonly startOffset: number; readonly endOffset: number; readonly count: number }[];
  }[];
}

async function main(wanted: readonly string[]): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "fenliu-way-"));
  const upstream = await openUpstream();
  const config = join(folder, "fenliu.yaml");
  writeFileSync(
    config,
    `listen: { dns: ["127.0.0.1:0"], http: ["127.0.0.1:0"], admin: null }
upstreams: { domestic: { servers: ["127.0.0.1:${upstream.address().port}"] } }
log: { level: info, queries: { store: ${join(folder, "queries.db")} } }
cache: { file: null }
`,
  );
  const server = spawn(
    process.execPath,
    ["--disable-warning=ExperimentalWarning", "--inspect=127.0.0.1:0", "src/main.ts", "serve", "-c", config],
    {
      cwd: ROOT,
      stdio: ["ignore", "ignore", "pipe"],
    },
  );
  const deadline = setTimeout(() => {
    console.error("way: the server did not answer in time");
    server.kill("SIGKILL");
    process.exit(1);
  }, DEADLINE_MS);
  try {
    const said = linesOf(server.stderr);
    const inspector = await Inspector.open(await said.find(/ws:\/\/\S+/));
    const bound = await said.find(/.*Fenliu is answering.*/);
    const port = portOf(bound, "dns");
    const doh = `http://127.0.0.1:${portOf(bound, "http")}/dns-query?dns=`;
    const client = createSocket("udp4");
    let id = 0;
    const ask = async (name: string) => {
      client.send(question(++id, name), port, "127.0.0.1");
      await once(client, "message");
    };
    await ask("warm.example");
    await ask("warm.example");
    await rest(SETTLE_MS);
    await inspector.start();
    const askDoh = async (name: string) => {
      await (await fetch(doh + question(0, name).toString("base64url"))).arrayBuffer();
    };
    await askDoh("warm.example");
    const ways = {
      hit: () => ask("warm.example"),
      dohHit: () => askDoh("warm.example"),
      miss: () => ask(`${++id}.example`),
      reload: async () => {
        server.kill("SIGHUP");
        await said.find(/.*"msg":"reloaded".*/);
        await rest(SETTLE_MS);
      },
    };
    for (const [name, walk] of Object.entries(ways)) {
      if (wanted.length > 0 && !wanted.includes(name)) continue;
      print(name, await trace(inspector, walk));
    }
    client.close();
    // Node waits at its end for whoever looks on.
    inspector.close();
  } finally {
    clearTimeout(deadline);
    server.kill();
    upstream.close();
    await once(server, "exit");
    rmSync(folder, { recursive: true });
  }
}

/** The functions that ran each time, and not by timers alone, in the order of their files. */
async function trace(inspector: Inspector, walk: () => Promise<void>): Promise<readonly RanFunction[]> {
  const runs: Map<string, RanFunction>[] = [];
  const idle: Map<string, RanFunction>[] = [];
  for (let run = 0; run < REPEATS; run++) {
    await inspector.take();
    const startedMs = performance.now();
    await walk();
    const durationMs = performance.now() - startedMs;
    runs.push(functionsOf(await inspector.take()));
    await rest(REST_FACTOR * durationMs);
    idle.push(functionsOf(await inspector.take()));
  }
  const countIn = (times: readonly Map<string, RanFunction>[], key: string): number =>
    times.reduce((sum, ran) => sum + (ran.get(key)?.count ?? 0), 0);
  const [first = new Map<string, RanFunction>(), ...others] = runs;
  return [...first]
    .filter(([key]) => others.every((ran) => ran.has(key)) && countIn(runs, key) > countIn(idle, key))
    .map(([, ran]) => ran);
}

function functionsOf(scripts: readonly ScriptCoverage[]): Map<string, RanFunction> {
  const found = new Map<string, RanFunction>();
  for (const { url, functions } of scripts) {
    const path = url.startsWith("file:") ? fileURLToPath(url).slice(ROOT.length) : "";
    if (!path.startsWith("src/")) continue;
    const text = readFileSync(join(ROOT, path), "utf8");
    for (const { functionName, ranges } of functions) {
      const [range] = ranges;
      if (range === undefined || range.count === 0 || range.startOffset === 0) continue;
      const line = text.slice(0, range.startOffset).split("\n").length;
      const isAsync = text.startsWith("async", range.startOffset);
      const { count } = range;
      found.set(`${path}:${range.startOffset}`, { file: path, line, name: functionName || "(arrow)", isAsync, count });
    }
  }
  return found;
}

function print(way: string, ran: readonly RanFunction[]): void {
  const files = Map.groupBy(ran, ({ file }) => file);
  const layers = ran.filter(({ isAsync }) => isAsync).length;
  console.log(`\n${way}: ${files.size} files, ${ran.length} functions, ${layers} of them async`);
  for (const [file, functions] of files) {
    const names = functions.map(({ name, line, isAsync }) => `${isAsync ? "async " : ""}${name}:${line}`);
    console.log(`  ${file.padEnd(32)} ${names.join("  ")}`);
  }
}

/** A resolver that has one address for every name. */
async function openUpstream(): Promise<Socket> {
  const socket = createSocket("udp4");
  socket.on("message", (query, { port, address }) => {
    const end = query.indexOf(0, 12) + 5;
    const header = Buffer.from([query[0] ?? 0, query[1] ?? 0, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
    const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 14, 16, 0, 4, 192, 0, 2, 1]);
    socket.send(Buffer.concat([header, query.subarray(12, end), record]), port, address);
  });
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return socket;
}

/** The port of one kind of listener, from the line that says where the server answers. */
function portOf(bound: string, kind: string): number {
  return Number(new RegExp(`"${kind}":"127\\.0\\.0\\.1:(\\d+)`).exec(bound)?.[1]);
}

function question(id: number, name: string): Buffer {
  const labels = name.split(".").map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]));
  return Buffer.concat([Buffer.from([id >> 8, id & 255, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]), ...labels, Buffer.from([0, 0, 1, 0, 1])]);
}

/** Waits for texts that a stream says, in the order in which they are said. */
function linesOf(stream: NodeJS.ReadableStream): { find(pattern: RegExp): Promise<string> } {
  let unread = "";
  let more = Promise.withResolvers<void>();
  stream.on("data", (chunk: Buffer) => {
    unread += chunk.toString();
    more.resolve();
  });
  const find = async (pattern: RegExp): Promise<string> => {
    for (;;) {
      const match = pattern.exec(unread);
      if (match !== null) {
        unread = unread.slice(match.index + match[0].length);
        return match[0];
      }
      more = Promise.withResolvers<void>();
      await more.promise;
    }
  };
  return { find };
}

function rest(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: { readonly sessionId: string; readonly message: string; readonly workerInfo: { readonly url: string } };
  readonly result?: { readonly result: readonly ScriptCoverage[] };
}

/** The profilers of the main thread and of the thread of UDP, over Node's inspector protocol. */
class Inspector {
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, (result: Message["result"]) => void>();
  #id = 0;
  /** Where the inspector reaches the thread of UDP. */
  #udpSession: string | null = null;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.addEventListener("message", ({ data }) => this.#take(JSON.parse(String(data))));
  }

  static async open(url: string): Promise<Inspector> {
    const socket = new WebSocket(url);
    await once(socket, "open");
    const inspector = new Inspector(socket);
    await inspector.#call(null, "NodeWorker.enable", { waitForDebuggerOnStart: false });
    return inspector;
  }

  /** Begins to count, in every thread that there is by now. */
  async start(): Promise<void> {
    for (const session of this.#sessions()) {
      await this.#call(session, "Profiler.enable");
      await this.#call(session, "Profiler.startPreciseCoverage", { callCount: true, detailed: false });
    }
  }

  /** What has run since the last call. */
  async take(): Promise<readonly ScriptCoverage[]> {
    const taken: ScriptCoverage[] = [];
    for (const session of this.#sessions())
      taken.push(...((await this.#call(session, "Profiler.takePreciseCoverage"))?.result ?? []));
    return taken;
  }

  close(): void {
    this.#socket.close();
  }

  #sessions(): readonly (string | null)[] {
    return this.#udpSession === null ? [null] : [null, this.#udpSession];
  }

  #take({ id, method, params, result }: Message): void {
    if (method === "NodeWorker.attachedToWorker" && params?.workerInfo.url.includes("udp-thread"))
      this.#udpSession = params.sessionId;
    if (method === "NodeWorker.receivedMessageFromWorker" && params !== undefined) this.#take(JSON.parse(params.message));
    if (id === undefined) return;
    this.#waiting.get(id)?.(result);
    this.#waiting.delete(id);
  }

  /** @param session the thread that is asked; null for the main one. */
  #call(session: string | null, method: string, params: object = {}): Promise<Message["result"]> {
    return new Promise((resolve) => {
      const id = ++this.#id;
      this.#waiting.set(id, resolve);
      const message = JSON.stringify({ id, method, params });
      if (session === null) this.#socket.send(message);
      else void this.#call(null, "NodeWorker.sendMessageToWorker", { sessionId: session, message });
    });
  }
}

await main(process.argv.slice(2));
