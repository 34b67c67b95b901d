/**
 * Days of a house in some minutes: `npm run soak [-- --minutes 1 --rate 100 --cached 5000 --reload-seconds 10]`. Clients of every transport ask at a steady
 * rate, others for cached names alone, while the configuration is reloaded, a list and the hosts change, the upstreams misbehave, the clock jumps and the
 * process is suspended. Ends with 1 where an answer was wrong, one came after the deadline, the process complained, the log lost a record, or memory or
 * handles have grown. SIGINT ends it before its time, with all that it says at its end.
 */
import { once } from "node:events";
import { setTimeout } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import { seeded, zipf } from "../../bench/random.ts";
import { BEHAVIOURS } from "./behaviours.ts";
import type { CachedTask } from "./cached-thread.ts";
import { SteadyHouse, type TallyReport, TRANSPORTS } from "./household.ts";
import { inOrder, World } from "./world.ts";

/** For how long the process is suspended. */
const SUSPENDED_MS = 1500;

/** The deadline of the configuration, a suspension that falls into it, and what a busy machine may take on top. */
const LATEST_MS = 4000 + SUSPENDED_MS + 1500;

/** How long what was done last has to show: a reload's former state is closed after the deadline. */
const SETTLE_MS = 6000;

const PHASE_MS = 5000;

/** Names of the clients that ask for cached ones alone: none of them is flushed, but each has to be renewed all the time. */
const CACHED_NAMES = 1000;

/** In MiB an hour; on top comes what a slope of so few samples may be by chance. */
const MAX_SLOPE = 20;

/** In less time the tables and caches that have a limit are not full. */
const LEAST_MINUTES = 60;

interface Sample {
  readonly minutes: number;
  readonly residentMiB: number;
  readonly handles: number;
}

/** Slope of the last part of the samples in MiB an hour, with its standard error. */
function slopeOf(samples: readonly Sample[]): { readonly perHour: number; readonly error: number } {
  const count = samples.length;
  const mean = (of: (sample: Sample) => number) => samples.reduce((sum, sample) => sum + of(sample), 0) / count;
  const [meanX, meanY] = [mean(({ minutes }) => minutes), mean(({ residentMiB }) => residentMiB)];
  const spread = samples.reduce((sum, { minutes }) => sum + (minutes - meanX) ** 2, 0);
  const slope = samples.reduce((sum, { minutes, residentMiB }) => sum + (minutes - meanX) * (residentMiB - meanY), 0) / spread;
  const rest = samples.reduce((sum, { minutes, residentMiB }) => sum + (residentMiB - meanY - slope * (minutes - meanX)) ** 2, 0);
  return { perHour: slope * 60, error: Math.sqrt(rest / Math.max(1, count - 2) / spread) * 60 };
}

/** Where the memory is, in MiB. */
function memoryText(metrics: string): string {
  const names = ["process_resident_memory_bytes", "fenliu_heap_bytes", "fenliu_external_bytes"];
  return names
    .map((name) => `${name} ${(Number(new RegExp(`^${name} (\\S+)`, "m").exec(metrics)?.[1]) / 2 ** 20).toFixed(0)}`)
    .join(", ");
}

/** Records of queries that the server says it has lost. */
function lostRecords(metrics: string): number {
  const counts = [...metrics.matchAll(/^fenliu_log_dropped_total\{.*\} (\d+)$/gm)];
  return counts.length === 0 ? Number.NaN : counts.reduce((sum, [, count]) => sum + Number(count), 0);
}

/** How many were asked and wrong, and by which transports how many were lost. */
function totals(reports: readonly TallyReport[]): string {
  const sum = (of: "asked" | "wrong") => reports.reduce((total, report) => total + report[of], 0);
  const lost = reports.flatMap((report) => (report.lost > 0 ? [`${report.lost} lost over ${report.transport}`] : []));
  return [`${sum("asked")} asked`, `${sum("wrong")} wrong`, ...lost].join(", ");
}

/** Reloads a changed file all the time, at best every so many seconds, until `isOver`. @returns how often. */
async function reloadSteadily(
  world: World,
  { seconds, isOver }: { readonly seconds: number; readonly isOver: () => boolean },
): Promise<number> {
  let count = 0;
  for (; seconds > 0 && !isOver(); count++) {
    await world.reload(`steady${count % 2}`);
    await setTimeout(seconds * 1000);
  }
  return count;
}

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "1" },
    rate: { type: "string", default: "100" },
    cached: { type: "string", default: "0" },
    "reload-seconds": { type: "string", default: "0" },
    verbose: { type: "boolean", default: false },
  },
});
const minutes = Number(values.minutes);
const random = seeded(7);
const rank = zipf(2000, 1);
const groups = ["near.example", "far.example", "dot.example", "both.example"];
const world = await World.open();
const problems: string[] = [];
try {
  await world.startFenliu();
  const clients = TRANSPORTS.flatMap((transport) => [world.client(transport), world.client(transport)]);
  const startedMs = performance.now();
  const samples: Sample[] = [];
  const elapsedMinutes = () => (performance.now() - startedMs) / 60_000;
  const house = new SteadyHouse(clients, { perSecond: Number(values.rate), lateMs: LATEST_MS }, (serial) => {
    const kind = random();
    if (kind < 0.1) return "nas.lan";
    const group = groups[Math.floor(random() * groups.length)];
    return kind < 0.8 ? `host${rank(random())}.${group}` : `fresh${serial}.${group}`;
  });
  const cached = new Worker(new URL("./cached-thread.ts", import.meta.url), {
    workerData: {
      ports: world.fenliu.ports,
      names: Array.from(
        { length: CACHED_NAMES },
        (_, index) => `cached${index}.${groups[index % groups.length]?.replace("example", "kept")}`,
      ),
      perSecond: Number(values.cached),
      lateMs: LATEST_MS,
    } satisfies CachedTask,
  });
  let cachedReports: readonly TallyReport[] = [];
  cached.on("message", (reports: readonly TallyReport[]) => {
    cachedReports = reports;
  });
  let isOver = false;
  process.once("SIGINT", () => {
    isOver = true;
  });
  const reloading = reloadSteadily(world, { seconds: Number(values["reload-seconds"]), isOver: () => isOver }).catch(
    (error: unknown) => void problems.push(`reload: ${String(error)}`),
  );
  const chores: readonly (() => Promise<unknown>)[] = [
    () => world.reload(`round${Math.floor(random() * 2)}`),
    async () => {
      world.writeList(100 + Math.floor(random() * 100));
      // A reload at the same moment has it refused.
      const refresh = () => world.call("POST", "/api/v1/lists/ads/refresh", {});
      await refresh().catch((error: unknown) => (String(error).includes("try again") ? refresh() : Promise.reject(error)));
    },
    () => world.call("PUT", "/api/v1/hosts/printer.lan", { address: ["10.0.0.9"] }),
    () => world.call("DELETE", "/api/v1/hosts/printer.lan"),
    () => world.call("DELETE", "/api/v1/cache?name=example&subtree=true"),
    () => world.call("GET", "/api/v1/queries?name=*host*&limit=100"),
    () => world.call("GET", "/api/v1/stats?from=1h"),
    () => world.call("POST", "/api/v1/config/check", { config: world.yaml("draft") }),
    async () => world.shiftClock([0, 3_600_000, -3_600_000, 86_400_000][Math.floor(random() * 4)] ?? 0),
    async () => {
      world.fenliu.child.kill("SIGSTOP");
      await setTimeout(SUSPENDED_MS);
      world.fenliu.child.kill("SIGCONT");
    },
    async () => {
      for (const upstream of Object.values(world.upstreams)) upstream.dropConnections();
    },
  ];
  const scripts = Object.entries(BEHAVIOURS);
  for (let phase = 0; elapsedMinutes() < minutes && !isOver; phase++) {
    // Every other phase all is well.
    const [name, script] = (phase % 2 === 1 ? scripts[(phase >> 1) % scripts.length] : undefined) ?? ["in order", inOrder];
    world.follow(script);
    const chore = chores[phase % chores.length];
    if (values.verbose)
      console.log(`${new Date().toISOString().slice(11, 19)} upstreams are ${name}, chore ${phase % chores.length}`);
    await chore?.().catch((error: unknown) =>
      problems.push(`chore ${phase % chores.length} while upstreams are ${name}: ${String(error)}`),
    );
    await setTimeout(PHASE_MS);
    samples.push({ minutes: elapsedMinutes(), ...world.usage() });
    if (phase % 24 !== 0) continue;
    cached.postMessage("reports");
    console.log(`${new Date().toISOString().slice(11, 19)} ${totals([...house.reports(), ...cachedReports])}`);
    await world.call("GET", "/metrics").then(
      (metrics) =>
        console.log(`${new Date().toISOString().slice(11, 19)} ${memoryText(metrics)}, ${lostRecords(metrics)} records lost`),
      (error: unknown) => problems.push(`metrics: ${String(error)}`),
    );
  }
  isOver = true;
  world.follow(inOrder);
  cached.postMessage("end");
  await once(cached, "exit");
  await house.stop();
  const reloads = await reloading;
  await setTimeout(SETTLE_MS);
  const end = world.usage();
  const metrics = await world.call("GET", "/metrics");
  const lost = lostRecords(metrics);
  if (lost !== 0) problems.push(`the query log has lost ${lost} records`);
  const reports = [...house.reports(), ...cachedReports].filter(({ asked }) => asked > 0);
  for (const { transport, row, wrong, lost: missing, slowestMs, details } of reports) {
    console.log(`${transport.padEnd(9)} ${row}`);
    if (wrong > 0) problems.push(`${transport}: ${wrong} wrong answers`);
    if (slowestMs > LATEST_MS) problems.push(`${transport}: an answer after ${slowestMs} ms`);
    problems.push(...details.map((detail) => `${transport}: ${detail}`));
    if (transport !== "udp" && missing > 0) problems.push(`${transport}: ${missing} lost`);
  }
  const settled = samples.slice(samples.length >> 1);
  const { perHour, error } = slopeOf(settled);
  const memory = settled.map(({ residentMiB }) => residentMiB);
  const workedSeconds = Number(/^process_cpu_seconds_total (\S+)/m.exec(metrics)?.[1]);
  const { user, system } = process.cpuUsage();
  console.log(
    `${elapsedMinutes().toFixed(1)} minutes, ${reloads ?? 0} steady reloads, ${lost} records lost; the server worked ${workedSeconds.toFixed(0)} s, ` +
      `clients and upstreams ${((user + system) / 1e6).toFixed(0)} s`,
  );
  console.log(
    `memory in the second half ${Math.min(...memory).toFixed(0)} to ${Math.max(...memory).toFixed(0)} MiB, slope ${perHour.toFixed(1)} ± ${error.toFixed(1)} MiB an hour; ` +
      `handles at most ${Math.max(...samples.map(({ handles }) => handles))}, ${end.handles} at the end`,
  );
  if (minutes >= LEAST_MINUTES && perHour > MAX_SLOPE + 3 * error) problems.push("memory grows");
  // Listeners, threads, files and a few connections.
  if (end.handles > 80) problems.push(`${end.handles} handles are left`);
  problems.push(...world.complaints().slice(0, 5));
  if ((await world.fenliu.stop()) !== 0) problems.push("the server did not end with 0");
} finally {
  await world.close();
}
for (const problem of problems) console.log(`PROBLEM ${problem}`);
process.exit(problems.length > 0 ? 1 : 0);
