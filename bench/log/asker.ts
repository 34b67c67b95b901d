import { createSocket } from "node:dgram";
import { setTimeout } from "node:timers/promises";

/**
 * A process of its own, as clients are: asks a server over UDP at a steady rate and times the answers. It is told the server first; after that, each
 * order is answered by the times in milliseconds.
 */
export interface Asked {
  readonly port: number;
  readonly messages: readonly Uint8Array[];
}

export interface Order {
  readonly seconds: number;
  readonly perSecond: number;
}

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
process.once("message", ({ port, messages }: Asked) => {
  // The first order may come before the socket knows whom it asks.
  const connected = new Promise<void>((resolve) => socket.connect(port, "127.0.0.1", resolve));
  process.on("message", (order: Order) => void connected.then(() => run(messages, order)));
});
process.once("disconnect", () => socket.close());

async function run(messages: readonly Uint8Array[], { seconds, perSecond }: Order): Promise<void> {
  times = [];
  const startMs = performance.now();
  for (let asked = 0; asked < seconds * perSecond; ) {
    const due = Math.min(seconds, (performance.now() - startMs) / 1000) * perSecond;
    for (; asked < due; asked++) ask(messages[asked % messages.length]);
    await setTimeout(TICK_MS);
  }
  await setTimeout(LATE_MS);
  process.send?.(times);
}

function ask(message: Uint8Array | undefined): void {
  if (message === undefined) return;
  id = (id + 1) & 0xffff;
  const wire = Buffer.from(message);
  wire.writeUInt16BE(id, 0);
  sentMs.set(id, performance.now());
  socket.send(wire);
}
