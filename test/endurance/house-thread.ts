import { setTimeout as pause } from "node:timers/promises";
import { parentPort, workerData } from "node:worker_threads";
import { addressOf, HouseClient, type HouseTransport, type Ports } from "./household.ts";

/** Clients that ask for names which need no waiting. Fit for structured cloning. */
export interface HouseTask {
  readonly ports: Ports;
  readonly transports: readonly HouseTransport[];
  readonly names: readonly string[];
  /** Milliseconds between one question and the next. */
  readonly everyMs: number;
}

/** How long each question took, by transport; and those without the right answer. */
export interface HouseReport {
  readonly ms: Readonly<Record<string, readonly number[]>>;
  readonly faults: readonly string[];
}

// In a thread of its own: what else the command has to do would count as the server's time.
const { ports, transports, names, everyMs }: HouseTask = workerData;
const clients = transports.map((transport) => new HouseClient(transport, () => ports));
const ms: Record<string, number[]> = Object.fromEntries(transports.map((transport) => [transport, []]));
const faults: string[] = [];
let isOver = false;
parentPort?.once("message", () => {
  isOver = true;
});
const asking: Promise<void>[] = [];
for (let number = 0; !isOver; number++) {
  const client = clients[number % clients.length];
  const name = names[Math.floor(number / clients.length) % names.length];
  if (client !== undefined && name !== undefined)
    asking.push(
      client.ask(name, addressOf(name)).then((heard) => {
        ms[client.transport]?.push(heard.ms);
        if (heard.kind !== "right") faults.push(`${client.transport} ${name}: ${heard.kind} ${heard.detail}`);
      }),
    );
  await pause(everyMs);
}
await Promise.all(asking);
for (const client of clients) client.close();
const report: HouseReport = { ms, faults };
parentPort?.postMessage(report);
parentPort?.close();
