/**
 * What a server takes of memory, as Linux counts it.
 *
 * `node bench/memory.ts [--sizes=16MiB,64MiB,128MiB]`: servers with these `cache.size` are asked for ever new names until the cache is full, and the table
 * says what `cache.size` costs. `node bench/memory.ts --house [--seconds=60] [--limit=256MiB] [--rate=200]
 * [--fresh=0.1] [--size=64MiB]`: the shipped file with the query log before 40 clients of all transports, in a control group that is given no more. So
 * many questions a second, of which this share is about a name that was never asked for. `node bench/memory.ts --shipped [--questions=1000000]
 * [--domains=1000000]`: the shipped file with the query log with so many domains more, while nobody asks, and after so many questions about different names.
 */
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { parseArgs } from "node:util";
import { TYPE } from "../src/dns/types.ts";
import { type FenliuProcess, fenliuCommand, makeCertificate } from "../test/clients/fenliu.ts";
import { start } from "../test/clients/processes.ts";
import { addressOf, HouseClient, SteadyHouse, TRANSPORTS } from "../test/endurance/household.ts";
import { allocatorSettings } from "../test/endurance/world.ts";
import { empty } from "../test/support/zone-script.ts";
import { addresses } from "../test/upstreams/messages.ts";
import { type Asked, scriptedServer } from "../test/upstreams/scripted-server.ts";
import { seeded, zipf } from "./random.ts";
import { shippedYaml } from "./shipped.ts";

const MIB = 2 ** 20;

/** Addresses of an answer, by turns: of 45 to 150 bytes on the wire, as answers of popular names have. */
const COUNTS = [1, 1, 2, 3, 6];

/** Questions under way while the cache is filled. */
const UNDER_WAY = 50;

/** Names between two looks at the memory. */
const STEP = 5000;

/** Of 10,000 questions each. */
const WARMING_ROUNDS = 3;

/** As a house with guests. */
const CLIENTS = 40;

/** Later than this is told, whatever the upstream did. */
const LATE_MS = 1000;

/** How long after the start a server has nothing left to do for it. */
const SETTLED_MS = 10_000;

/** When the runtime has given back what it made room for under load. */
const FREED_MS = 30_000;

const { values } = parseArgs({
  options: {
    sizes: { type: "string", default: "16MiB,64MiB,128MiB" },
    house: { type: "boolean", default: false },
    shipped: { type: "boolean", default: false },
    questions: { type: "string", default: "1000000" },
    domains: { type: "string", default: "1000000" },
    seconds: { type: "string", default: "60" },
    limit: { type: "string", default: "256MiB" },
    rate: { type: "string", default: "200" },
    fresh: { type: "string", default: "0.1" },
    size: { type: "string", default: "64MiB" },
  },
});

const folder = mkdtempSync(join(tmpdir(), "fenliu-bench-memory-"));
const upstream = await scriptedServer("dns", (asked: Asked) => {
  if (asked.type !== TYPE.A) return empty(asked);
  const count = values.house || values.shipped ? 1 : (COUNTS[asked.name.length % COUNTS.length] ?? 1);
  return addresses(asked, addressOf(asked.name), ...Array.from({ length: count - 1 }, (_, index) => `203.0.113.${index + 1}`));
});
try {
  if (values.house) await watchHouse();
  else if (values.shipped) await watchShipped(Number(values.questions), Number(values.domains));
  else await fillCaches(values.sizes.split(","));
} finally {
  await upstream.close();
  rmSync(folder, { recursive: true, force: true });
}

async function fillCaches(sizes: readonly string[]): Promise<void> {
  printRow([
    "`cache.size`",
    "answers that fit",
    "memory with none",
    "memory full",
    "for 10,000 answers",
    "for each MiB of `cache.size`",
  ]);
  printRow(["---", "--:", "--:", "--:", "--:", "--:", "--:"]);
  for (const size of sizes) {
    const server = await startServer(
      size,
      `listen: { dns: ["127.0.0.1:0"], http: [], admin: "127.0.0.1:0" }
upstreams: { main: { servers: ["127.0.0.1:${upstream.port}"] } }
cache: { size: ${size}, file: null }
log: { queries: { enabled: false } }
access: { rateLimit: { exempt: [private] } }
`,
      { debugged: true },
    );
    // Work alone makes a process grow, by code that is compiled and by what is yet to be collected. It is not to count for the answers.
    for (let round = 0; round < WARMING_ROUNDS; round++) {
      await askFor(server, 0, 10_000);
      const headers = { "content-type": "application/json" };
      await fetch(`http://127.0.0.1:${server.ports.admin}/api/v1/cache?name=example.com&subtree=true`, {
        method: "DELETE",
        headers,
      });
    }
    const samples: Sample[] = [];
    let atRunMiB = 0;
    for (let asked = 0; ; asked += STEP) {
      const answers = await metric(server, 'fenliu_cache_entries{segment="positive"}');
      // Full: of the names since, hardly one found room.
      if (answers - (samples.at(-1)?.answers ?? -STEP) < STEP / 10) break;
      atRunMiB = residentMiB(server);
      await collectGarbage(server);
      samples.push({ answers, memoryMiB: residentMiB(server) });
      await askFor(server, asked, STEP);
    }
    const { first, last, slope } = fitLine(samples);
    const held = samples.at(-1)?.answers ?? 0;
    const budgetMiB = parseInt(size, 10);
    const cells = [
      `${first.toFixed(0)} MiB`,
      `${last.toFixed(0)} MiB`,
      `${atRunMiB.toFixed(0)} MiB`,
      `${(slope * 10_000).toFixed(1)} MiB`,
    ];
    printRow([size, String(held), ...cells, `${((slope * held) / budgetMiB).toFixed(1)} MiB`]);
    await server.stop();
  }
}

interface Sample {
  readonly answers: number;
  readonly memoryMiB: number;
}

/** Memory as a line over the answers held, by least squares: pages that the heap keeps for later make each sample a little more or less. */
function fitLine(samples: readonly Sample[]): { readonly first: number; readonly last: number; readonly slope: number } {
  const mean = (of: (sample: Sample) => number) => samples.reduce((sum, sample) => sum + of(sample), 0) / samples.length;
  const [meanX, meanY] = [mean(({ answers }) => answers), mean(({ memoryMiB }) => memoryMiB)];
  const slope =
    mean(({ answers, memoryMiB }) => (answers - meanX) * (memoryMiB - meanY)) / mean(({ answers }) => (answers - meanX) ** 2);
  const at = (answers: number) => meanY + slope * (answers - meanX);
  return { first: at(0), last: at(samples.at(-1)?.answers ?? 0), slope };
}

function printRow(cells: readonly string[]): void {
  console.log(`| ${cells.join(" | ")} |`);
}

/** Asks for names from `first` on, each of another name. */
async function askFor(server: FenliuProcess, first: number, count: number): Promise<void> {
  const client = new HouseClient("tcp", () => server.ports);
  let next = first;
  const work = async () => {
    while (next < first + count) await client.ask(`host-${next++}.${next % 3 === 0 ? "cdn.static." : ""}example.com`, null);
  };
  await Promise.all(Array.from({ length: UNDER_WAY }, work));
  client.close();
}

async function watchHouse(): Promise<void> {
  const { limit, size } = values;
  const [seconds, perSecond, fresh] = [Number(values.seconds), Number(values.rate), Number(values.fresh)];
  await makeCertificate(folder);
  const group = controlGroup(limit);
  console.log(
    group === null ? `not limited to ${limit}: control groups cannot be made here` : `limited to ${limit} by ${group.path}`,
  );
  const yaml = shippedYaml(
    folder,
    upstream.port,
    `listen: { dns: ["127.0.0.1:0"], tls: ["127.0.0.1:0"], https: ["127.0.0.1:0"], http: ["127.0.0.1:0"], admin: "127.0.0.1:0" }
tls: { cert: fullchain.pem, key: privkey.pem }
cache: { size: ${size} }
`,
  );
  const server = await startServer("house", yaml, { debugged: false, ...(group === null ? {} : { group: group.join }) });
  const random = seeded(7);
  const rank = zipf(3000, 1);
  const clients = Array.from({ length: CLIENTS }, (_, index) => {
    const transport = TRANSPORTS[index % (TRANSPORTS.length * 2)] ?? "udp";
    return new HouseClient(transport, () => server.ports, `127.0.1.${index + 1}`);
  });
  console.log(`after the start ${residentMiB(server).toFixed(0)} MiB resident`);
  const house = new SteadyHouse(clients, { perSecond, lateMs: LATE_MS }, (serial) =>
    random() < fresh ? `fresh${serial}.example.net` : `host${rank(random())}.example.com`,
  );
  let most = 0;
  for (let second = 1; second <= seconds; second++) {
    await setTimeout(1000);
    if (server.child.exitCode !== null || server.child.signalCode !== null) break;
    most = Math.max(most, residentMiB(server));
    if (second % 10 === 0) console.log(`after ${second} s ${residentMiB(server).toFixed(0)} MiB resident`);
  }
  await house.stop();
  for (const [transport, tally] of house.tallies) console.log(`${transport.padEnd(9)} ${tally.row()}`);
  const held = await metric(server, 'fenliu_cache_entries{segment="positive"}').catch(() => 0);
  const used = group === null ? "" : `, ${group.usage()}`;
  console.log(`at most ${most.toFixed(0)} MiB resident${used}; ${held} answers in the cache; ended with ${await server.stop()}`);
  group?.remove();
}

async function watchShipped(questions: number, domains: number): Promise<void> {
  const plain = shippedYaml(folder, upstream.port, `listen: { dns: ["127.0.0.1:0"], http: [], admin: "127.0.0.1:0" }\n`);
  writeFileSync(
    join(folder, "rules/many.txt"),
    Array.from({ length: domains }, (_, index) => `host-${index.toString(36)}.zone-${index % 5000}.example.org\n`).join(""),
  );
  const withMany = plain
    .replace(/^lists:\n/m, "lists:\n  many: { domains: [rules/many.txt] }\n")
    .replace(/^rules:\n/m, 'rules:\n  - { name: many, domains: ["list:many"], answer: nodata }\n');
  printRow(["the shipped file, with its query log", "MiB resident", "of that, its own (RssAnon)"]);
  printRow(["---", "--:", "--:"]);
  const tell = (what: string, server: FenliuProcess) =>
    printRow([what, residentMiB(server).toFixed(0), residentMiB(server, "RssAnon").toFixed(0)]);
  for (const [what, yaml] of [
    [`${domains} domains more, nobody asks`, withMany],
    ["nobody asks", plain],
  ] as const) {
    const server = await startServer("shipped", yaml, { debugged: false });
    await setTimeout(SETTLED_MS);
    tell(what, server);
    if (yaml === plain) {
      await askFor(server, 0, questions);
      tell(`right after ${questions} questions about different names`, server);
      await setTimeout(FREED_MS);
      tell("half a minute later", server);
    }
    await server.stop();
  }
}

/** A control group with no more memory than `limit`, of either version; null where none can be made. */
function controlGroup(limit: string) {
  const bytes = parseInt(limit, 10) * MIB;
  const name = `fenliu-bench-${process.pid}`;
  const [path, limitFile, usageFile] = existsSync("/sys/fs/cgroup/memory")
    ? [`/sys/fs/cgroup/memory/${name}`, "memory.limit_in_bytes", "memory.max_usage_in_bytes"]
    : [`/sys/fs/cgroup/${name}`, "memory.max", "memory.peak"];
  try {
    mkdirSync(path);
    writeFileSync(join(path, limitFile), String(bytes));
  } catch {
    return null;
  }
  return {
    path,
    join: join(path, "cgroup.procs"),
    usage: () =>
      `at most ${(Number(readFileSync(join(path, usageFile), "utf8")) / MIB).toFixed(0)} MiB with pages of files, which Linux drops where it must`,
    remove: () => rmdirSync(path),
  };
}

interface StartOptions {
  /** Where the process tells its number before it begins. */
  readonly group?: string;
  /** Whether it has a debugger, which takes some memory. */
  readonly debugged: boolean;
}

async function startServer(name: string, yaml: string, { group, debugged }: StartOptions): Promise<FenliuProcess> {
  const file = join(folder, `${name}.yaml`);
  writeFileSync(file, yaml);
  const command = fenliuCommand(file);
  const [program, ...args] = group === undefined ? command : ["sh", "-c", 'echo $$ > "$0" && exec "$@"', group, ...command];
  const env = { ...allocatorSettings(), ...(debugged ? { NODE_OPTIONS: "--inspect=127.0.0.1:0" } : {}) };
  const running = await start(program, args, /Fenliu is answering/, { env, limitMs: 120_000 });
  const port = (kind: string) => Number(new RegExp(`"${kind}":"[^"]*?:(\\d+)[ "]`).exec(running.output())?.[1] ?? 0);
  const ports = { dns: port("dns"), dns6: 0, tls: port("tls"), https: port("https"), http: port("http"), admin: port("admin") };
  return { ...running, ports };
}

/** What waits for being collected is no part of what the answers cost, and is some ten MiB more or less. Asked of the debugger, as any tool may. */
async function collectGarbage(server: FenliuProcess): Promise<void> {
  const [url] = /ws:\/\/127\.0\.0\.1:\S+/.exec(server.output()) ?? [];
  if (url === undefined) throw new Error("the server has no debugger");
  const socket = new WebSocket(url);
  await once(socket, "open");
  socket.send(JSON.stringify({ id: 1, method: "HeapProfiler.collectGarbage" }));
  await once(socket, "message");
  socket.close();
}

function residentMiB({ child }: FenliuProcess, part = "VmRSS"): number {
  return Number(new RegExp(`^${part}:\\s*(\\d+) kB`, "m").exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))?.[1]) / 1024;
}

async function metric({ ports }: FenliuProcess, name: string): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${ports.admin}/metrics`)).text();
  const line = text.split("\n").find((each) => each.startsWith(`${name} `));
  if (line === undefined) throw new Error(`there is no ${name} in:\n${text.slice(0, 2000)}`);
  return Number(line.slice(name.length));
}
