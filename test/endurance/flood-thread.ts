import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readlinkSync } from "node:fs";
import { type ClientHttp2Session, connect as connectHttp2 } from "node:http2";
import { connect, type Socket } from "node:net";
import { setPriority } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import { parentPort, workerData } from "node:worker_threads";
import { frame, MessageFramer } from "../../src/dns/wire.ts";
import { queryWire } from "../support/message.ts";
import { droppedDatagrams } from "./household.ts";

/** One client that asks for names that hang. Fit for structured cloning. */
export interface FloodTask {
  readonly transport: keyof typeof WAYS;
  readonly port: number;
  readonly localAddress: string;
  readonly count: number;
  readonly perSecond: number;
  /** The same name each time; null = another one each time. */
  readonly name: string | null;
  /** Where different names are; the last label of their names' beginnings. */
  readonly mark: string;
  readonly zones: readonly string[];
}

/** What became of a flood. */
export interface FloodReport {
  readonly sent: number;
  readonly answered: number;
  /** Of the answered ones: those that waited at least a second. */
  readonly waited: number;
  readonly slowestMs: number;
  /** Replies over UDP that found no room in the client's own receive buffer. */
  readonly unheard: number;
}

/** Questions on one connection: fewer than it may have outstanding, so that all that is sent is read at once. */
const EACH = 250;

/** Longer than every deadline. */
const LATEST_MS = 9000;

class Flood {
  readonly #task: FloodTask;
  readonly #sentMs: Float64Array;
  #sent = 0;
  #answered = 0;
  #waited = 0;
  #slowestMs = 0;
  unheard = 0;

  constructor(task: FloodTask) {
    this.#task = task;
    this.#sentMs = new Float64Array(task.count);
  }

  /** The message of the question with this number; its id is the number, modulo 2^16. */
  query(number: number): Buffer {
    const { name, mark, zones } = this.#task;
    return queryWire(name ?? `hang${number}.${mark}.${zones[number % zones.length]}`, "A", { id: number & 0xffff });
  }

  noteSent(number: number): void {
    this.#sent++;
    this.#sentMs[number] = performance.now();
  }

  noteAnswer(number: number): void {
    const ms = performance.now() - (this.#sentMs[number] ?? 0);
    this.#answered++;
    if (ms >= 1000) this.#waited++;
    this.#slowestMs = Math.max(this.#slowestMs, ms);
  }

  /** Sends all at the rate of the task by `send`, which gets the number of the question. */
  async run(send: (number: number) => void): Promise<void> {
    const { count, perSecond } = this.#task;
    const startMs = performance.now();
    for (let number = 0; number < count; ) {
      const due = Math.min(count, Math.ceil(((performance.now() - startMs) / 1000) * perSecond));
      for (; number < due; number++) send(number);
      await pause(2);
    }
    const untilMs = performance.now() + LATEST_MS;
    while (this.#answered < this.#sent && performance.now() < untilMs) await pause(20);
  }

  get report(): FloodReport {
    return {
      sent: this.#sent,
      answered: this.#answered,
      waited: this.#waited,
      slowestMs: Math.round(this.#slowestMs),
      unheard: this.unheard,
    };
  }
}

async function overUdp(flood: Flood, { port, localAddress }: FloodTask): Promise<void> {
  const socket = createSocket({ type: "udp4", recvBufferSize: 4 << 20 });
  socket.on("message", (reply) => flood.noteAnswer(reply.readUInt16BE(0)));
  socket.bind(0, localAddress);
  await once(socket, "listening");
  await flood.run((number) => {
    flood.noteSent(number);
    socket.send(flood.query(number), port, "127.0.0.1");
  });
  flood.unheard = droppedDatagrams(socket.address().port);
  socket.close();
}

async function sockets({ port, localAddress, count }: FloodTask): Promise<Socket[]> {
  const opening = Array.from({ length: Math.ceil(count / EACH) }, async () => {
    const socket = connect({ port, host: "127.0.0.1", localAddress });
    socket.on("error", () => {});
    await once(socket, "connect");
    return socket;
  });
  return await Promise.all(opening);
}

async function overTcp(flood: Flood, task: FloodTask): Promise<void> {
  const open = await sockets(task);
  for (const socket of open) {
    const reader = new MessageFramer();
    socket.on("data", (chunk: Buffer) => {
      reader.push(chunk);
      for (let reply = reader.next(); typeof reply !== "string"; reply = reader.next())
        flood.noteAnswer(((reply[0] ?? 0) << 8) | (reply[1] ?? 0));
    });
  }
  await flood.run((number) => {
    flood.noteSent(number);
    open[number % open.length]?.write(frame(flood.query(number)));
  });
  for (const socket of open) socket.destroy();
}

/** Pipelined; the replies of a connection come in the order of its requests. */
async function overHttp1(flood: Flood, task: FloodTask): Promise<void> {
  const open = await sockets(task);
  for (const [index, socket] of open.entries()) {
    let number = index;
    let tail = "";
    socket.on("data", (chunk: Buffer) => {
      const text = tail + chunk.toString("latin1");
      const heads = text.split("HTTP/1.1 200").length - 1;
      for (let head = 0; head < heads; head++, number += open.length) flood.noteAnswer(number);
      tail = text.endsWith("HTTP/1.1 200") ? "" : text.slice(-11);
    });
  }
  await flood.run((number) => {
    flood.noteSent(number);
    const path = `/dns-query?dns=${flood.query(number).toString("base64url")}`;
    open[number % open.length]?.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  });
  for (const socket of open) socket.destroy();
}

async function overHttp2(flood: Flood, task: FloodTask): Promise<void> {
  const sessions: ClientHttp2Session[] = (await sockets(task)).map((socket) =>
    connectHttp2("http://127.0.0.1", { createConnection: () => socket }).on("error", () => {}),
  );
  await flood.run((number) => {
    flood.noteSent(number);
    const path = `/dns-query?dns=${flood.query(number).toString("base64url")}`;
    const stream = sessions[number % sessions.length]?.request({ ":method": "GET", ":path": path });
    stream?.on("error", () => {});
    stream?.on("data", () => {});
    stream?.on("end", () => flood.noteAnswer(number));
  });
  for (const session of sessions) session.destroy();
}

const WAYS = { udp: overUdp, tcp: overTcp, "http/1.1": overHttp1, h2c: overHttp2 } as const;

// A flood comes from other machines: it must not take the processor from the server and from those who measure. Linux has a priority for each thread.
setPriority(Number(readlinkSync("/proc/thread-self").split("/").at(-1)), 10);
const task: FloodTask = workerData;
const flood = new Flood(task);
await WAYS[task.transport](flood, task);
parentPort?.postMessage(flood.report);
