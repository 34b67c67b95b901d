import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { parentPort, workerData } from "node:worker_threads";
import { frame, MessageFramer } from "../../src/dns/wire.ts";
import { queryWire } from "../support/message.ts";
import { addressOf, type HouseTransport, LOST_MS, type Ports, Tally, TRANSPORTS, verdictOn } from "./household.ts";

/** Fit for structured cloning. */
export interface CachedTask {
  readonly ports: Ports;
  readonly names: readonly string[];
  readonly perSecond: number;
  readonly lateMs: number;
}

/** One name, and all that its reply has but for the TTL. */
interface CachedName {
  readonly name: string;
  readonly query: Buffer;
  readonly reply: Buffer;
  readonly ttlAt: number;
}

interface Question {
  readonly asked: CachedName;
  readonly sentMs: number;
  readonly again: boolean;
}

/** How questions are written to a connection and replies read from it; `key` = what ties one to the other. */
interface Protocol {
  readonly greeting: Buffer | null;
  write(asked: CachedName): { readonly key: number; readonly bytes: Buffer };
  /** @returns false = nothing more can be asked there. */
  read(chunk: Buffer, found: (key: number, reply: Buffer) => void, send: (bytes: Buffer) => void): boolean;
}

// Thousands of questions a second, each compared with what the zone says, for a few microseconds each: a client of Node's own takes more processor time
// than the server that it asks.
const { ports, names, perSecond, lateMs }: CachedTask = workerData;

const TICK_MS = 5;
const RAMP_MS = 10_000;

function cachedName(name: string): CachedName {
  const query = queryWire(name, "A", { id: 0, edns: null });
  const tail = Buffer.from(
    addressOf(name)
      .split(".")
      .map((part) => Number(part)),
  );
  const start = Buffer.concat([query, Buffer.from("c00c00010001", "hex")]);
  // A reply, recursion available, one answer.
  start.set([0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0], 2);
  return { name, query, ttlAt: start.length, reply: Buffer.concat([start, Buffer.alloc(4), Buffer.of(0, 4), tail]) };
}

function isAsExpected(reply: Buffer, { reply: expected, ttlAt }: CachedName): boolean {
  return (
    reply.length === expected.length &&
    reply.compare(expected, 2, ttlAt, 2, ttlAt) === 0 &&
    reply.compare(expected, ttlAt + 4, expected.length, ttlAt + 4, reply.length) === 0
  );
}

function withId(query: Buffer, id: number): Buffer {
  const copy = Buffer.from(query);
  copy.writeUInt16BE(id, 0);
  return copy;
}

/** Questions with one id after the other. */
function withIds(): (asked: CachedName) => { readonly key: number; readonly bytes: Buffer } {
  let id = 0;
  return ({ query }) => {
    id = (id + 1) & 0xffff;
    return { key: id, bytes: withId(query, id) };
  };
}

function datagrams(): Protocol {
  return {
    greeting: null,
    write: withIds(),
    read(chunk, found) {
      found(chunk.readUInt16BE(0), chunk);
      return true;
    },
  };
}

function framed(): Protocol {
  const reader = new MessageFramer();
  const write = withIds();
  return {
    greeting: null,
    write(asked) {
      const { key, bytes } = write(asked);
      return { key, bytes: Buffer.from(frame(bytes)) };
    },
    read(chunk, found) {
      reader.push(chunk);
      for (let reply = reader.next(); typeof reply !== "string"; reply = reader.next())
        found(((reply[0] ?? 0) << 8) | (reply[1] ?? 0), Buffer.from(reply));
      return true;
    },
  };
}

const pathOf = ({ query }: CachedName) => `/dns-query?dns=${query.toString("base64url")}`;

function http1(): Protocol {
  let sent = 0;
  let received = 0;
  let held: Buffer = Buffer.alloc(0);
  return {
    greeting: null,
    write: (asked) => ({ key: sent++, bytes: Buffer.from(`GET ${pathOf(asked)} HTTP/1.1\r\nHost: localhost\r\n\r\n`) }),
    read(chunk, found) {
      held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
      for (;;) {
        const end = held.indexOf("\r\n\r\n");
        if (end < 0) return true;
        const head = held.toString("latin1", 0, end);
        const next = end + 4 + Number(/^content-length: (\d+)$/im.exec(head)?.[1]);
        // Whoever waited for an answer that is not 200 asks again.
        if (!head.startsWith("HTTP/1.1 200") || !(next > 0)) return false;
        if (held.length < next) return true;
        found(received++, held.subarray(end + 4, next));
        held = held.subarray(next);
        if (/^connection: close$/im.test(head)) return false;
      }
    },
  };
}

const FRAME = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goaway: 7, windowUpdate: 8 } as const;

function h2Frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.alloc(9 + payload.length);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes[3] = type;
  bytes[4] = flags;
  bytes.writeUInt32BE(stream, 5);
  bytes.set(payload, 9);
  return bytes;
}

function http2(): Protocol {
  let stream = -1;
  let held: Buffer = Buffer.alloc(0);
  const bodies = new Map<number, Buffer>();
  return {
    greeting: Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), h2Frame(FRAME.settings, 0, 0, Buffer.alloc(0))]),
    write(asked) {
      stream += 2;
      const path = Buffer.from(pathOf(asked));
      const authority = Buffer.from("localhost");
      // GET, http, and two literals that are not indexed (RFC 7541 §6.2.2): all shorter than 127 octets.
      const headers = [Buffer.of(0x82, 0x86, 0x04, path.length), path, Buffer.of(0x01, authority.length), authority];
      return { key: stream, bytes: h2Frame(FRAME.headers, 0x5, stream, Buffer.concat(headers)) };
    },
    read(chunk, found, send) {
      held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
      let credit = 0;
      while (held.length >= 9) {
        const length = held.readUIntBE(0, 3);
        if (held.length < 9 + length) break;
        const [type, flags, id] = [held[3], held[4] ?? 0, held.readUInt32BE(5)];
        const payload = held.subarray(9, 9 + length);
        held = held.subarray(9 + length);
        if (type === FRAME.goaway || type === FRAME.reset) return false;
        if (type === FRAME.settings && (flags & 1) === 0) send(h2Frame(FRAME.settings, 1, 0, Buffer.alloc(0)));
        if (type === FRAME.ping && (flags & 1) === 0) send(h2Frame(FRAME.ping, 1, 0, payload));
        if (type !== FRAME.data) continue;
        credit += length;
        const body = Buffer.concat([bodies.get(id) ?? Buffer.alloc(0), payload]);
        bodies.delete(id);
        if ((flags & 1) === 1) found(id, body);
        else bodies.set(id, body);
      }
      if (credit > 0) {
        const increment = Buffer.alloc(4);
        increment.writeUInt32BE(credit);
        send(h2Frame(FRAME.windowUpdate, 0, 0, increment));
      }
      return stream < 0x3fff_ffff;
    },
  };
}

const PROTOCOLS: Readonly<Record<HouseTransport, () => Protocol>> = {
  udp: datagrams,
  tcp: framed,
  dot: framed,
  "http/1.1": http1,
  h2c: http2,
  h2: http2,
};

interface Channel {
  send(messages: readonly Buffer[]): void;
  end(): void;
}

async function openChannel(transport: HouseTransport, onBytes: (chunk: Buffer) => void, onEnd: () => void): Promise<Channel> {
  if (transport === "udp") {
    const socket = createSocket({ type: "udp4", recvBufferSize: 4 << 20 })
      .on("message", onBytes)
      .on("error", onEnd);
    socket.connect(ports.dns, "127.0.0.1");
    await once(socket, "connect");
    const send = (messages: readonly Buffer[]) => {
      for (const message of messages) socket.send(message);
    };
    return { send, end: () => void socket.close() };
  }
  const socket = await openSocket(transport);
  socket.setNoDelay(true);
  socket.on("data", onBytes).on("error", onEnd).on("end", onEnd).on("close", onEnd);
  return { send: (messages) => void socket.write(Buffer.concat(messages)), end: () => void socket.destroy() };
}

async function openSocket(transport: Exclude<HouseTransport, "udp">): Promise<Socket> {
  const host = "127.0.0.1";
  const isEncrypted = transport === "dot" || transport === "h2";
  const port = isEncrypted ? ports[transport === "dot" ? "tls" : "https"] : ports[transport === "tcp" ? "dns" : "http"];
  const socket = isEncrypted
    ? connectTls({ port, host, rejectUnauthorized: false, ALPNProtocols: [transport] })
    : connectTcp({ port, host });
  await once(socket, isEncrypted ? "secureConnect" : "connect");
  return socket;
}

/** One client, which opens a connection anew where one has ended. */
class CachedClient {
  readonly tally = new Tally(lateMs);
  readonly transport: HouseTransport;
  #protocol: Protocol;
  #channel: Channel | null = null;
  #opening = false;
  readonly #waiting = new Map<number, Question>();
  #toAsk: Question[] = [];

  constructor(transport: HouseTransport) {
    this.transport = transport;
    this.#protocol = PROTOCOLS[transport]();
  }

  get isIdle(): boolean {
    return this.#waiting.size === 0 && this.#toAsk.length === 0;
  }

  ask(asked: CachedName): void {
    this.#toAsk.push({ asked, sentMs: performance.now(), again: false });
  }

  /** Sends what was asked since the last time. */
  flush(): void {
    if (this.#channel === null) {
      if (!this.#opening && this.#toAsk.length > 0) void this.#open();
      return;
    }
    const messages: Buffer[] = [];
    for (const question of this.#toAsk.splice(0)) {
      const { key, bytes } = this.#protocol.write(question.asked);
      this.#waiting.set(key, question);
      messages.push(bytes);
    }
    if (messages.length > 0) this.#channel.send(messages);
  }

  /** Gives up what has waited too long. */
  sweep(): void {
    const sinceMs = performance.now() - LOST_MS;
    for (const [key, question] of this.#waiting) {
      if (question.sentMs > sinceMs) break;
      this.#waiting.delete(key);
      this.#note(question, "lost", question.asked.name);
    }
  }

  end(): void {
    this.#channel?.end();
  }

  async #open(): Promise<void> {
    this.#opening = true;
    const protocol = PROTOCOLS[this.transport]();
    let isOver = false;
    const end = () => {
      if (isOver) return;
      isOver = true;
      channel?.end();
      if (this.#protocol === protocol) this.#loseChannel();
    };
    let channel: Channel | null = null;
    const send = (bytes: Buffer) => channel?.send([bytes]);
    const found = (key: number, reply: Buffer) => this.#take(key, reply);
    try {
      channel = await openChannel(
        this.transport,
        (chunk) => {
          if (!isOver && !protocol.read(chunk, found, send)) end();
        },
        end,
      );
      this.#protocol = protocol;
      this.#channel = channel;
      if (protocol.greeting !== null) channel.send([protocol.greeting]);
      this.flush();
    } catch {
      // The next tick tries again.
    } finally {
      this.#opening = false;
    }
  }

  #loseChannel(): void {
    this.#channel = null;
    // RFC 7766 §6.2.4: what was not answered is asked again.
    this.#toAsk.unshift(...[...this.#waiting.values()].map((question) => ({ ...question, again: true })));
    this.#waiting.clear();
  }

  #take(key: number, reply: Buffer): void {
    const question = this.#waiting.get(key);
    if (question === undefined) return;
    this.#waiting.delete(key);
    const { asked } = question;
    if (isAsExpected(reply, asked)) {
      this.#note(question, "right", "");
      return;
    }
    const query = this.transport.startsWith("h") ? asked.query : withId(asked.query, key);
    const { kind, detail } = verdictOn(reply, query, addressOf(asked.name));
    this.#note(question, kind, detail);
  }

  #note({ sentMs, again }: Question, kind: "right" | "failed" | "wrong" | "lost", detail: string): void {
    this.tally.note({ kind, ms: performance.now() - sentMs, again, detail });
  }
}

const asked = names.map(cachedName);
// So many that none has hundreds of questions under way: a connection is not read further then.
const clients = Array.from({ length: 4 }, () => TRANSPORTS.map((transport) => new CachedClient(transport))).flat();
const startMs = performance.now();
let isOver = false;
let lastMs = startMs;
let owed = 0;
let serial = 0;
const ticking = setInterval(() => {
  const nowMs = performance.now();
  const rate = isOver ? 0 : perSecond * Math.min(1, (nowMs - startMs) / RAMP_MS);
  // What a busy machine holds up is asked later, and not all at once.
  owed = Math.min(owed + ((nowMs - lastMs) / 1000) * rate, perSecond / 20 + 1);
  lastMs = nowMs;
  for (; owed >= 1 && !isOver; owed--) {
    const name = asked[Math.floor(Math.random() * asked.length)];
    if (name !== undefined) clients[serial++ % clients.length]?.ask(name);
  }
  for (const client of clients) client.flush();
}, TICK_MS);
const reports = () =>
  TRANSPORTS.map((transport) => {
    const tally = new Tally(lateMs);
    for (const client of clients) if (client.transport === transport) tally.add(client.tally);
    return tally.report(transport);
  });
const sweeping = setInterval(() => {
  for (const client of clients) client.sweep();
  if (!isOver || !clients.every(({ isIdle }) => isIdle)) return;
  clearInterval(ticking);
  clearInterval(sweeping);
  for (const client of clients) client.end();
  parentPort?.postMessage(reports());
  parentPort?.close();
}, 1000);
parentPort?.on("message", (wanted: "reports" | "end") => {
  if (wanted === "end") isOver = true;
  else parentPort?.postMessage(reports());
});
