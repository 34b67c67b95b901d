import { setTimeout as pause } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import type { FloodReport, FloodTask } from "./flood-thread.ts";
import type { HouseReport, HouseTask } from "./house-thread.ts";
import { droppedDatagrams } from "./household.ts";
import { inOrder, type World } from "./world.ts";

/** The deadline of the configuration, and what a busy machine may take on top. */
const LATEST_MS = 4000 + 500;

/** What needs no waiting is answered this soon. */
const AT_ONCE_MS = 20;

/** After the upstream's return. */
const RECOVERED_MS = 2000;

/** Different names of a second client, which is no flood. */
const PENDING = 500;

const ZONES = ["near.example", "far.example", "dot.example"] as const;
const TRANSPORTS = ["udp", "tcp", "http/1.1", "h2c"] as const;

interface HangOptions {
  readonly count: number;
  readonly perSecond: number;
  /** Takes the floods with this in their description. */
  readonly only: string;
  readonly expect: (scene: string, holds: boolean, promise: string) => void;
}

/**
 * Floods of questions for names that hang, the same name and different ones, over each transport; beside them a second client whose questions hang,
 * and a house that asks for what needs no waiting. Then the upstreams come back while questions are pending.
 */
export async function hang(world: World, { count, perSecond, only, expect }: HangOptions): Promise<void> {
  const warm = world.client("tcp");
  for (const zone of ZONES) await warm.ask(`cached.${zone}`);
  // The API loads its code when it is first asked.
  await counts(world);
  for (const kind of ["equal", "different"] as const)
    for (const transport of TRANSPORTS) {
      const scene = `${count} ${kind} over ${transport}`;
      if (!scene.includes(only)) continue;
      world.follow((asked) => (asked.name.startsWith("hang") ? { kind: "silence" } : inOrder(asked)));
      const house = new Worker(new URL("./house-thread.ts", import.meta.url), { workerData: houseTask(world) });
      await world.lag();
      const before = world.usage();
      const sinceWallMs = Date.now();
      const mark = `${kind}-${transport}`.replace(/[^a-z0-9-]/g, "");
      const from = (localAddress: string, task: Pick<FloodTask, "count" | "perSecond" | "name" | "mark" | "transport">) => ({
        ...task,
        zones: ZONES,
        port: task.transport === "udp" || task.transport === "tcp" ? world.fenliu.ports.dns : world.fenliu.ports.http,
        localAddress,
      });
      const name = kind === "equal" ? `hang.${mark}.near.example` : null;
      const flood = ended<FloodReport>(
        new Worker(new URL("./flood-thread.ts", import.meta.url), {
          workerData: from("127.0.0.2", { transport, count, perSecond, name, mark }),
        }),
      );
      await pause(500);
      const second = ended<FloodReport>(
        new Worker(new URL("./flood-thread.ts", import.meta.url), {
          workerData: from("127.0.0.3", { transport, count: PENDING, perSecond: 1000, name: null, mark: `${mark}2` }),
        }),
      );
      const dropped = droppedDatagrams(world.fenliu.ports.dns);
      const counted = await counts(world);
      const [heard, pending] = await Promise.all([flood, second]);
      const lost = droppedDatagrams(world.fenliu.ports.dns) - dropped;
      const after = await counts(world);
      const [shed, unsent] = [after.shed - counted.shed, after.unsent - counted.unsent];
      const beside = ended<HouseReport>(house);
      house.postMessage("over");
      const { ms, faults } = await beside;
      const usage = world.usage();
      const lag = await world.lag();
      const late = await lateBy(world, sinceWallMs);
      const quantiles = TRANSPORTS.map((way) => `${way} ${quantile(ms[way] ?? [], 0.5)}/${quantile(ms[way] ?? [], 0.99)}`);
      console.log(
        `  ${scene}: beside it, p50/p99 in ms: ${quantiles.join(", ")}; the thread worked ${lag.workedMs} ms at a time, held ${lag.mostMs} ms; by its own record it was late with ${late}`,
      );
      console.log(
        `    ${heard.answered} of ${heard.sent} answered, ${heard.waited} after waiting, slowest ${heard.slowestMs} ms; ${lost} dropped by the kernel, ${unsent} by the server, ` +
          `${heard.unheard} replies by the client's socket; ${shed} of UDP were shed with SERVFAIL; ` +
          `second client ${pending.answered} of ${pending.sent}, ${pending.waited} after waiting, slowest ${pending.slowestMs} ms; ` +
          `${before.residentMiB.toFixed(0)} to ${usage.residentMiB.toFixed(0)} MiB`,
      );
      for (const way of TRANSPORTS) {
        const p99 = quantile(ms[way] ?? [], 0.99);
        expect(scene, p99 <= AT_ONCE_MS, `p99 of ${p99} ms beside it over ${way}`);
      }
      expect(scene, faults.length === 0, `beside it: ${faults.slice(0, 3).join("; ")}`);
      const missing = heard.sent - heard.answered - lost - unsent - heard.unheard;
      expect(scene, missing <= 0, `${missing} questions without an answer`);
      expect(scene, pending.answered === pending.sent, "a question of the second client without an answer");
      expect(scene, pending.waited === pending.sent, `${pending.sent - pending.waited} of the second client's were refused`);
      expect(scene, late === 0, `by the server's own record ${late} answers after the deadline`);
      expect(scene, Math.max(heard.slowestMs, pending.slowestMs) <= LATEST_MS, "an answer after the deadline");
    }
  if (only === "") await recover(world, { count, perSecond, expect });
}

/** The upstreams come back while a flood of different names hangs. */
async function recover(world: World, { count, perSecond, expect }: Omit<HangOptions, "only">): Promise<void> {
  const mark = "back";
  const { http } = world.fenliu.ports;
  const task: FloodTask = {
    transport: "h2c",
    count,
    perSecond,
    name: null,
    mark,
    zones: ZONES,
    port: http,
    localAddress: "127.0.0.2",
  };
  world.follow(() => ({ kind: "silence" }));
  const flood = ended<FloodReport>(new Worker(new URL("./flood-thread.ts", import.meta.url), { workerData: task }));
  await pause(6000);
  world.follow(inOrder);
  const startMs = performance.now();
  const client = world.client("tcp");
  const backMs = new Map<string, number>();
  for (let serial = 0; backMs.size < ZONES.length && performance.now() - startMs < 10_000; serial++) {
    const waiting = ZONES.filter((zone) => !backMs.has(zone));
    const asked = waiting.map(async (zone) => {
      const { kind } = await client.ask(`back${serial}.${zone}`);
      if (kind === "right") backMs.set(zone, Math.round(performance.now() - startMs));
    });
    await Promise.race([Promise.all(asked), pause(100)]);
  }
  await flood;
  client.close();
  console.log(`  after the upstreams' return: ${ZONES.map((zone) => `${zone} ${backMs.get(zone)} ms`).join(", ")}`);
  for (const zone of ZONES)
    expect(
      "the upstreams' return",
      (backMs.get(zone) ?? Number.POSITIVE_INFINITY) <= RECOVERED_MS,
      `${zone} after ${backMs.get(zone)} ms`,
    );
}

function houseTask(world: World): HouseTask {
  const { ports } = world.fenliu;
  return { ports, transports: TRANSPORTS, names: ["nas.lan", ...ZONES.map((zone) => `cached.${zone}`)], everyMs: 5 };
}

/** What the server counts of datagrams. */
async function counts(world: World): Promise<{ readonly shed: number; readonly unsent: number }> {
  const metrics = await world.call("GET", "/metrics");
  const count = (name: string) => Number(new RegExp(`^${name} (\\d+)`, "m").exec(metrics)?.[1]);
  return { shed: count("fenliu_udp_shed_total"), unsent: count("fenliu_udp_unsent_total") };
}

/** How many questions the server itself says that it was late with: what a client measures has the client's own time in it. */
async function lateBy(world: World, sinceWallMs: number): Promise<number> {
  const from = new Date(sinceWallMs).toISOString();
  const { records } = JSON.parse(await world.call("GET", `/api/v1/queries?limit=1000&minMs=${LATEST_MS}&from=${from}`));
  return records.length;
}

/** What the thread says at its end. */
function ended<T>(worker: Worker): Promise<T> {
  return new Promise((resolve, reject) => {
    worker.once("error", reject);
    worker.once("message", resolve);
  });
}

function quantile(ms: readonly number[], share: number): number {
  const sorted = ms.toSorted((a, b) => a - b);
  return Math.round((sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0) * 10) / 10;
}
