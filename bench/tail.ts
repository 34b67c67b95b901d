/**
 * `npm run bench:tail [-- --seconds 12] [--rate 10000] [--rows 5000000] [--store FILE]`: how late the latest answers from the cache are over UDP while nothing
 * else is done, while a list of 110,000 names is read again and again, while the log is searched from end to end, and while both are done for twice as
 * long. The log records all the time, and closes, counts and indexes what it has whenever it has enough. Without a file a store with so many rows is
 * made first, which takes a minute or two; one that is there already is taken as it is, and grows.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { parseArgs } from "node:util";
import { openForReading } from "../src/log/database.ts";
import { allParts } from "../src/log/maintenance.ts";
import { type FenliuProcess, startFenliu } from "../test/clients/fenliu.ts";
import { eventually } from "../test/clients/processes.ts";
import { LoadGenerator, type Target } from "./load.ts";
import { filledStore } from "./log/filled-store.ts";
import { QuerySource } from "./log/rows.ts";
import { Scene } from "./scene.ts";
import type { Setting, Started } from "./servers/peer.ts";
import { median } from "./statistics.ts";
import { zoneOf } from "./zone.ts";

const NAMES = 10_000;
const LISTED = 110_000;

/** Between two reloads: what they disturb is to be seen beside what they leave alone. */
const CALM_MS = 500;

/** To close, count and index what was there before. */
const SETTLING_MS = 120_000;

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "12" },
    rate: { type: "string", default: "10000" },
    rows: { type: "string", default: "5000000" },
    store: { type: "string" },
  },
});
const [seconds, rate, rows] = [Number(values.seconds), Number(values.rate), Number(values.rows)];

const zone = zoneOf(NAMES);
const scene = await Scene.open(zone, ["udp"]);
const store = values.store ?? join(scene.folder, "queries.db");
try {
  const filled = filledStore(store, rows, new QuerySource({ names: 60_000, clients: 40, seed: 1 }));
  console.log(`${filled.rows} rows in the log (${(filled.bytes / 2 ** 20).toFixed(0)} MiB), ${rate} queries a second\n`);
  const signal = AbortSignal.timeout(3_600_000);
  await scene.start([{ name: "Fenliu", program: null, threads: "1", start: startWithStore }], NAMES);
  const load = new LoadGenerator({ folder: scene.folder, hosts: zone.hosts, signal });
  await scene.fillCaches(load);
  const [contestant] = scene.contestants;
  const [target] = contestant?.targets ?? [];
  if (contestant === undefined || target === undefined) throw new Error("nothing was started");
  const server = contestant.running as FenliuProcess;
  await load.ask(target, rate, 2);
  await eventually(async () => (partsIn("closed").length === 0 ? true : null), SETTLING_MS);
  console.log("| meanwhile | p50 µs | p99 µs | p99.9 µs | lost | reloads | searches | parts of the log finished |");
  console.log("| --- | --: | --: | --: | --: | --: | --: | --: |");
  await measure("nothing", seconds, { load, target }, []);
  await measure("reloads", seconds, { load, target }, [(isOver) => reload(server, isOver)]);
  await measure("searches", seconds, { load, target }, [(isOver) => search(server, isOver)]);
  await measure("both", 2 * seconds, { load, target }, [(isOver) => reload(server, isOver), (isOver) => search(server, isOver)]);
} finally {
  await scene.close();
}

/** Does something until it is over. @returns how it went, for a cell of the table. */
type Disturbance = (isOver: () => boolean) => Promise<{ readonly column: "reloads" | "searches"; readonly text: string }>;

async function measure(
  what: string,
  forSeconds: number,
  { load, target }: { readonly load: LoadGenerator; readonly target: Target },
  disturbances: readonly Disturbance[],
): Promise<void> {
  const before = partsIn("indexed");
  let over = false;
  const asked = load.ask(target, rate, forSeconds).finally(() => {
    over = true;
  });
  const [{ latency, lost }, ...told] = await Promise.all([asked, ...disturbances.map((disturb) => disturb(() => over))]);
  const cell = (column: string) => told.find((each) => each.column === column)?.text ?? "";
  const finished = partsIn("indexed").filter((key) => !before.includes(key)).length;
  const micros = [latency?.medianMicros, latency?.p99Micros, latency?.p999Micros].map((each) => each?.toFixed(0));
  console.log(`| ${[what, ...micros, lost, cell("reloads"), cell("searches"), finished].join(" | ")} |`);
}

/** Writes the list anew, with one name that is new, and has it read. */
async function reload(server: FenliuProcess, isOver: () => boolean) {
  const tookMs: number[] = [];
  while (!isOver()) {
    writeList(join(scene.folder, "Fenliu"), tookMs.length);
    const before = server.output().length;
    const startMs = performance.now();
    server.signal("SIGHUP");
    await eventually(async () => (server.output().slice(before).includes('"msg":"reloaded"') ? true : null));
    tookMs.push(performance.now() - startMs);
    await setTimeout(CALM_MS);
  }
  return { column: "reloads", text: tally(tookMs) } as const;
}

/** Looks for a part of a name that nobody asked for, through all rows; then counts a week. */
async function search({ ports }: FenliuProcess, isOver: () => boolean) {
  const tookMs: number[] = [];
  const url = `http://127.0.0.1:${ports.admin}/api/v1`;
  while (!isOver()) {
    const startMs = performance.now();
    for (let cursor: string | null = ""; cursor !== null; ) {
      const after: string = cursor === "" ? "" : `&cursor=${cursor}`;
      const response = await fetch(`${url}/queries?name=*nobody${tookMs.length}*&limit=100${after}`);
      if (!response.ok) throw new Error(`a search: ${response.status} ${await response.text()}`);
      ({ cursor } = (await response.json()) as { cursor: string | null });
    }
    await (await fetch(`${url}/stats?from=30d`)).arrayBuffer();
    tookMs.push(performance.now() - startMs);
  }
  return { column: "searches", text: tally(tookMs) } as const;
}

function tally(tookMs: readonly number[]): string {
  return `${tookMs.length} of ${median(tookMs).toFixed(0)} ms`;
}

function partsIn(state: "closed" | "indexed"): readonly string[] {
  const database = openForReading(store, { busyTimeoutMs: 1000 });
  try {
    return allParts(database)
      .filter((part) => part.state === state)
      .map(({ key }) => key);
  } finally {
    database.close();
  }
}

function writeList(folder: string, serial: number): void {
  const names = Array.from({ length: LISTED }, (_, index) => `n${index}.ads.example\n`);
  writeFileSync(join(folder, "ads.txt"), `${names.join("")}new${serial}.ads.example\n`);
}

async function startWithStore({ folder, upstreamPort }: Setting): Promise<Started> {
  writeList(folder, 0);
  const running = await startFenliu(
    folder,
    `listen: { dns: ["127.0.0.1:0"], http: [], admin: "127.0.0.1:0" }
upstreams: { upstream: { servers: ["udp://127.0.0.1:${upstreamPort}"] } }
access: { rateLimit: false }
lists: { ads: { domains: [ads.txt] } }
rules: [{ name: ads, domains: "list:ads", answer: nodata }]
cache: { file: null }
log: { queries: { store: ${JSON.stringify(store)}, keep: 3650d, max: ${rows} } }
`,
  );
  return { running, udpPort: running.ports.dns, tlsPort: null, httpsPort: null };
}
