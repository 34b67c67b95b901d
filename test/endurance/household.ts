import { createHash } from "node:crypto";
import { createSocket, type Socket as DatagramSocket } from "node:dgram";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { Agent, request as httpRequest } from "node:http";
import { type ClientHttp2Session, connect as connectHttp2, constants } from "node:http2";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { frame, MessageFramer } from "../../src/dns/wire.ts";
import { queryWire, readReply } from "../support/message.ts";

/** The ports of a Fenliu on 127.0.0.1. */
export type Ports = Readonly<Record<"dns" | "tls" | "https" | "http", number>>;

export const TRANSPORTS = ["udp", "tcp", "dot", "http/1.1", "h2c", "h2"] as const;
export type HouseTransport = (typeof TRANSPORTS)[number];

/** The one address of a name, of upstreams that are in order. */
export function addressOf(name: string): string {
  const [first = 0, second = 0] = createHash("sha256").update(name).digest();
  return `198.51.${first}.${second}`;
}

/** What became of one question: `again` = answered after its connection had ended, on another one, as RFC 7766 §6.2.4 has it. */
export interface Heard {
  /** `failed` = SERVFAIL, or no address and no other one either. */
  readonly kind: "right" | "failed" | "wrong" | "lost";
  readonly ms: number;
  readonly again: boolean;
  /** What was heard in place of the right answer. */
  readonly detail: string;
}

function ignore(): void {}

/** Longer than every deadline of a server that holds its own. */
export const LOST_MS = 8000;

/** A connection that ends before the answer. */
class Ended extends Error {}

/** One client with one transport, which opens connections as it needs them. */
export class HouseClient {
  readonly transport: HouseTransport;
  readonly #ports: () => Ports;
  readonly #localAddress: string;
  #lastId = Math.floor(Math.random() * 0x1_0000);
  #way: Way | null = null;
  #opening: Promise<Way> | null = null;
  /** Replies to questions that were given up already. */
  late = 0;

  /** @param ports asked for at each connection: a server that is started again has others. */
  constructor(transport: HouseTransport, ports: () => Ports, localAddress = "127.0.0.1") {
    this.transport = transport;
    this.#ports = ports;
    this.#localAddress = localAddress;
  }

  /** Never rejects. */
  async ask(name: string, expected: string | null = addressOf(name)): Promise<Heard> {
    const startMs = performance.now();
    // No two questions under way have the same one.
    this.#lastId = (this.#lastId + 1) & 0xffff;
    const query = queryWire(name, "A", { id: this.#lastId });
    const within = AbortSignal.timeout(LOST_MS);
    for (let tries = 0; ; tries++) {
      const reply = await this.#try(query, within);
      const ms = performance.now() - startMs;
      const again = tries > 0;
      if (reply !== null) return { ...verdictOn(reply, query, expected), ms, again };
      if (within.aborted || this.transport === "udp" || tries === 3) return { kind: "lost", ms, again, detail: name };
    }
  }

  /** Sends these bytes, whose id no other question under way has. @returns the reply; null = there was none in this time. */
  async send(message: Buffer, withinMs: number): Promise<Uint8Array | null> {
    return await this.#try(message, AbortSignal.timeout(withinMs));
  }

  close(): void {
    this.#way?.close();
    this.#way = null;
  }

  async #try(query: Buffer, within: AbortSignal): Promise<Uint8Array | null> {
    const late = Promise.withResolvers<null>();
    const giveUp = () => late.resolve(null);
    within.addEventListener("abort", giveUp);
    try {
      if (this.#way === null || this.#way.isOver()) {
        this.#opening ??= openWay(this.transport, this.#ports(), this.#localAddress).finally(() => {
          this.#opening = null;
        });
        this.#way = await this.#opening;
      }
      const asked = this.#way.ask(query);
      asked.then(() => {
        if (within.aborted) this.late++;
      }, ignore);
      return await Promise.race([asked, late.promise]);
    } catch {
      return null;
    } finally {
      within.removeEventListener("abort", giveUp);
    }
  }
}

export function verdictOn(wire: Uint8Array, query: Buffer, expected: string | null): Pick<Heard, "kind" | "detail"> {
  const { question, rcode, answers } = readReply(wire);
  const isOurs = wire[0] === query[0] && wire[1] === query[1];
  const detail = `${question} ${rcode} ${answers.join(" ")}, not ${expected}`;
  if (isOurs && answers.length === 0 && (rcode === "SERVFAIL" || rcode === "NOERROR")) return { kind: "failed", detail };
  return { kind: isOurs && (expected === null || answers.join() === expected) ? "right" : "wrong", detail };
}

interface Way {
  ask(query: Buffer): Promise<Uint8Array>;
  isOver(): boolean;
  close(): void;
}

async function openWay(transport: HouseTransport, ports: Ports, localAddress: string): Promise<Way> {
  switch (transport) {
    case "udp":
      return openDatagrams(ports.dns, localAddress);
    case "tcp":
      return overStream(await connected(connectTcp({ port: ports.dns, host: "127.0.0.1", localAddress }), "connect"));
    case "dot": {
      const options = { port: ports.tls, host: "127.0.0.1", localAddress, rejectUnauthorized: false, ALPNProtocols: ["dot"] };
      return overStream(await connected(connectTls(options), "secureConnect"));
    }
    case "http/1.1":
      return overHttp1(ports.http, localAddress);
    case "h2c":
      return overHttp2(await connected(connectTcp({ port: ports.http, host: "127.0.0.1", localAddress }), "connect"));
    case "h2": {
      const options = { port: ports.https, host: "127.0.0.1", localAddress, rejectUnauthorized: false, ALPNProtocols: ["h2"] };
      return overHttp2(await connected(connectTls(options), "secureConnect"));
    }
  }
}

async function connected<S extends Socket>(socket: S, event: string): Promise<S> {
  await once(socket, event);
  return socket;
}

async function openDatagrams(port: number, localAddress: string): Promise<Way> {
  const socket: DatagramSocket = createSocket({ type: "udp4", recvBufferSize: 4 << 20 });
  const waiting = new Waiting();
  socket.on("message", (reply) => waiting.give(new Uint8Array(reply)));
  socket.on("error", () => {});
  socket.bind(0, localAddress);
  await once(socket, "listening");
  return {
    ask(query) {
      socket.send(query, port, "127.0.0.1");
      return waiting.for(query);
    },
    isOver: () => false,
    close: () => void socket.close(),
  };
}

function overStream(socket: Socket): Way {
  const waiting = new Waiting();
  const reader = new MessageFramer();
  let isOver = false;
  const end = () => {
    isOver = true;
    waiting.fail();
    socket.end();
  };
  socket.on("error", end).on("end", end).on("close", end);
  socket.on("data", (chunk: Buffer) => {
    reader.push(chunk);
    for (let reply = reader.next(); typeof reply !== "string"; reply = reader.next()) waiting.give(reply);
  });
  return {
    ask(query) {
      if (isOver) throw new Ended();
      socket.write(frame(query));
      return waiting.for(query);
    },
    isOver: () => isOver,
    close: () => void socket.destroy(),
  };
}

function overHttp1(port: number, localAddress: string): Way {
  const agent = new Agent({ keepAlive: true, maxSockets: 256 });
  return {
    ask: (query) =>
      new Promise((resolve, reject) => {
        const path = `/dns-query?dns=${query.toString("base64url")}`;
        httpRequest({ host: "127.0.0.1", port, path, agent, localAddress }, (response) => {
          const chunks: Buffer[] = [];
          response.on("data", (chunk: Buffer) => chunks.push(chunk));
          response.on("end", () => resolve(withId(Buffer.concat(chunks), query)));
          response.on("error", reject);
        })
          .on("error", reject)
          .end();
      }),
    isOver: () => false,
    close: () => agent.destroy(),
  };
}

function overHttp2(socket: Socket): Way {
  const session: ClientHttp2Session = connectHttp2("http://127.0.0.1", { createConnection: () => socket });
  let isOver = false;
  const end = () => {
    isOver = true;
  };
  session.on("error", end).on("goaway", end).on("close", end);
  return {
    ask: (query) =>
      new Promise((resolve, reject) => {
        const path = `/dns-query?dns=${query.toString("base64url")}`;
        const stream = session.request({ ":method": "GET", ":path": path, accept: "application/dns-message" });
        const chunks: Buffer[] = [];
        stream.on("data", (chunk: Buffer) => chunks.push(chunk));
        stream.on("end", () => (chunks.length > 0 ? resolve(Buffer.concat(chunks)) : undefined));
        stream.on("error", reject);
        stream.on("close", () => reject(new Ended(String(stream.rstCode ?? constants.NGHTTP2_NO_ERROR))));
      }),
    isOver: () => isOver || session.closed || session.destroyed,
    close: () => session.destroy(),
  };
}

function withId(reply: Buffer, query: Buffer): Buffer {
  if (reply.length < 12) throw new Ended();
  query.copy(reply, 0, 0, 2);
  return reply;
}

/** Hands replies to whoever asked with their id. */
class Waiting {
  readonly #callers = new Map<number, PromiseWithResolvers<Uint8Array>>();

  for(query: Buffer): Promise<Uint8Array> {
    const caller = Promise.withResolvers<Uint8Array>();
    this.#callers.set(query.readUInt16BE(0), caller);
    return caller.promise;
  }

  give(reply: Uint8Array): void {
    const id = ((reply[0] ?? 0) << 8) | (reply[1] ?? 0);
    this.#callers.get(id)?.resolve(reply);
    this.#callers.delete(id);
  }

  fail(): void {
    for (const { reject } of this.#callers.values()) reject(new Ended());
    this.#callers.clear();
  }
}

/** Fit for structured cloning. */
export interface TallyReport {
  readonly transport: HouseTransport;
  readonly asked: number;
  readonly row: string;
  readonly wrong: number;
  readonly lost: number;
  readonly slowestMs: number;
  readonly details: readonly string[];
}

/** How the questions of one client or of one scene were answered. */
export class Tally {
  /** The first that were wrong, lost or late. */
  readonly details: string[] = [];
  readonly counts = { right: 0, failed: 0, wrong: 0, lost: 0, again: 0 };
  /** How many took so many tenths of a millisecond, the last those that took longer: a soak asks millions. */
  readonly #tenths = new Uint32Array(LOST_MS * 10 + 1);
  #asked = 0;
  #slowestMs = 0;
  readonly #lateMs: number;

  /** @param lateMs above which an answer is noted as late. */
  constructor(lateMs: number) {
    this.#lateMs = lateMs;
  }

  note({ kind, ms, again, detail }: Heard): void {
    const isOdd = kind === "wrong" || kind === "lost" || ms > this.#lateMs;
    if (isOdd && this.details.length < 8)
      this.details.push(`${new Date().toISOString().slice(11, 19)} ${kind} after ${Math.round(ms)} ms: ${detail}`);
    this.counts[kind]++;
    if (again) this.counts.again++;
    this.#asked++;
    this.#slowestMs = Math.max(this.#slowestMs, ms);
    const place = Math.min(Math.round(ms * 10), this.#tenths.length - 1);
    this.#tenths[place] = (this.#tenths[place] ?? 0) + 1;
  }

  /** Takes what another one has noted. */
  add(other: Tally): void {
    for (const kind of ["right", "failed", "wrong", "lost", "again"] as const) this.counts[kind] += other.counts[kind];
    for (const [place, count] of other.#tenths.entries()) this.#tenths[place] = (this.#tenths[place] ?? 0) + count;
    this.#asked += other.#asked;
    this.#slowestMs = Math.max(this.#slowestMs, other.#slowestMs);
    this.details.push(...other.details);
  }

  get asked(): number {
    return this.#asked;
  }

  get slowestMs(): number {
    return Math.round(this.#slowestMs);
  }

  /** @param share in [0, 1] */
  quantileMs(share: number): number {
    let left = Math.floor(share * this.#asked);
    const place = this.#tenths.findIndex((count) => {
      left -= count;
      return left < 0;
    });
    return (place < 0 ? this.#slowestMs * 10 : place) / 10;
  }

  row(): string {
    const { right, failed, wrong, lost, again } = this.counts;
    return `${right} right, ${failed} failed, ${wrong} wrong, ${lost} lost, ${again} asked again; p50 ${this.quantileMs(0.5)} ms, p99 ${this.quantileMs(0.99)} ms, slowest ${this.slowestMs} ms`;
  }

  report(transport: HouseTransport): TallyReport {
    const { asked, counts, slowestMs, details } = this;
    return { transport, asked, row: this.row(), wrong: counts.wrong, lost: counts.lost, slowestMs, details };
  }
}

/** Asks at a steady rate, over all clients in turn, until `stop`. */
export class SteadyHouse {
  readonly tallies: ReadonlyMap<HouseTransport, Tally>;
  readonly #clients: readonly HouseClient[];
  readonly #nameOf: (serial: number) => string;
  readonly #timer: NodeJS.Timeout;
  readonly #pending = new Set<Promise<void>>();
  #serial = 0;
  #owed = 0;

  constructor(
    clients: readonly HouseClient[],
    { perSecond, lateMs }: { readonly perSecond: number; readonly lateMs: number },
    nameOf: (serial: number) => string,
  ) {
    this.tallies = new Map(TRANSPORTS.map((transport) => [transport, new Tally(lateMs)]));
    this.#clients = clients;
    this.#nameOf = nameOf;
    let lastMs = performance.now();
    this.#timer = setInterval(() => {
      const nowMs = performance.now();
      // What a busy machine holds up is asked later, and not all at once.
      this.#owed = Math.min(this.#owed + ((nowMs - lastMs) / 1000) * perSecond, perSecond / 5 + 1);
      lastMs = nowMs;
      for (; this.#owed >= 1; this.#owed--) this.#ask();
    }, 5);
  }

  /** Asks no more, and waits for what is under way. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#pending);
    for (const client of this.#clients) client.close();
  }

  reports(): TallyReport[] {
    return [...this.tallies].map(([transport, tally]) => tally.report(transport));
  }

  #ask(): void {
    const client = this.#clients[this.#serial % this.#clients.length];
    if (client === undefined) return;
    const asking = client.ask(this.#nameOf(this.#serial++)).then((heard) => {
      this.tallies.get(client.transport)?.note(heard);
      this.#pending.delete(asking);
    });
    this.#pending.add(asking);
  }
}

/** Datagrams to the port that found no room in a receive buffer, as Linux counts them. */
export function droppedDatagrams(port: number): number {
  const at = `:${port.toString(16).toUpperCase().padStart(4, "0")} `;
  const lines = readFileSync("/proc/net/udp", "latin1").split("\n");
  return lines.filter((line) => line.includes(at)).reduce((sum, line) => sum + Number(line.trim().split(/\s+/).at(-1)), 0);
}

/** Those to all ports of this host, be their sockets open or not. */
export function droppedInAll(): number {
  const [names = [], counts = []] = readFileSync("/proc/net/snmp", "latin1")
    .split("\n")
    .filter((line) => line.startsWith("Udp: "))
    .map((line) => line.split(" "));
  return Number(counts[names.indexOf("RcvbufErrors")]);
}
