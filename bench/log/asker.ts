import { createSocket } from "node:dgram";
import { parentPort, workerData } from "node:worker_threads";

/** In a thread of its own: asks over UDP at a steady rate and times the answers. Each order is answered by the times, in milliseconds. */
export interface Order {
  readonly seconds: number;
  readonly perSecond: number;
}

const { port, messages }: { readonly port: number; readonly messages: readonly Uint8Array[] } = workerData;
const TICK_MS = 2;
const LATE_MS = 1000;

const socket = createSocket("udp4");
const sentMs = new Map<number, number>();
let times: number[] = [];
let id = 0;

socket.on("message", (reply) => {
  const sent = sentMs.get(reply.readUInt16BE(0));
  if (sent !== undefined) times.push(performance.now() - sent);
});
socket.connect(port, "127.0.0.1", () => parentPort?.on("message", (order: Order) => void run(order)));

async function run({ seconds, perSecond }: Order): Promise<void> {
  times = [];
  const startMs = performance.now();
  for (let asked = 0; asked < seconds * perSecond; ) {
    const due = Math.min(seconds, (performance.now() - startMs) / 1000) * perSecond;
    for (; asked < due; asked++) ask(messages[asked % messages.length]);
    await new Promise((resolve) => setTimeout(resolve, TICK_MS));
  }
  await new Promise((resolve) => setTimeout(resolve, LATE_MS));
  parentPort?.postMessage(times);
}

function ask(message: Uint8Array | undefined): void {
  if (message === undefined) return;
  id = (id + 1) & 0xffff;
  const wire = Buffer.from(message);
  wire.writeUInt16BE(id, 0);
  sentMs.set(id, performance.now());
  socket.send(wire);
}
