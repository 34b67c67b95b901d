import { createSocket } from "node:dgram";
import { once } from "node:events";
import { Agent, request as httpRequest } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { frame, MessageFramer } from "../../../src/dns/wire.ts";
import type { HttpMethod, HttpVersion, Transport } from "../../../src/lib/client.ts";
import type { Listeners } from "../../../src/listen/listeners.ts";
import { idOf, portOf } from "./site.ts";

/** One client with one transport. */
export interface Asker {
  /** The reply with the message's id; never settles where none comes. HTTP errors reject. */
  ask(message: Uint8Array): Promise<Uint8Array>;
  close(): Promise<void>;
}

export interface AskerKind {
  readonly title: string;
  readonly transport: Transport;
  readonly http: HttpVersion | null;
  readonly method: HttpMethod | null;
  /** A quick answer may overtake a slow one, as seen by one asker. */
  readonly overtakes: boolean;
  /** What a message gets that the handler gives nothing for. */
  readonly silence: "nothing" | "status 400";
  open(listeners: Listeners): Promise<Asker>;
}

const HOST = "127.0.0.1";

export const ASKERS: readonly AskerKind[] = [
  { title: "udp", transport: "udp", http: null, method: null, overtakes: true, silence: "nothing", open: openUdp },
  { title: "tcp", transport: "tcp", http: null, method: null, overtakes: true, silence: "nothing", open: openTcp },
  { title: "dot", transport: "dot", http: null, method: null, overtakes: true, silence: "nothing", open: openDot },
  { title: "http/1.0", transport: "doh", http: "1.0", method: "GET", overtakes: true, silence: "status 400", open: openHttp10 },
  {
    title: "http/1.1 GET",
    transport: "doh",
    http: "1.1",
    method: "GET",
    overtakes: true,
    silence: "status 400",
    open: async (site) => openHttp11(site, "GET"),
  },
  {
    title: "http/1.1 POST",
    transport: "doh",
    http: "1.1",
    method: "POST",
    overtakes: true,
    silence: "status 400",
    open: async (site) => openHttp11(site, "POST"),
  },
  {
    title: "h2c GET",
    transport: "doh",
    http: "2",
    method: "GET",
    overtakes: true,
    silence: "status 400",
    open: (site) => openHttp2(`http://${HOST}:${portOf(site, "http")}`, "GET"),
  },
  {
    title: "h2c POST",
    transport: "doh",
    http: "2",
    method: "POST",
    overtakes: true,
    silence: "status 400",
    open: (site) => openHttp2(`http://${HOST}:${portOf(site, "http")}`, "POST"),
  },
  {
    title: "h2 over tls",
    transport: "doh",
    http: "2",
    method: "POST",
    overtakes: true,
    silence: "status 400",
    open: (site) => openHttp2(`https://${HOST}:${portOf(site, "https")}`, "POST"),
  },
];

/** Hands replies to whoever asked with their id. */
class Waiting {
  readonly #resolvers = new Map<number, (reply: Uint8Array) => void>();

  for(message: Uint8Array): Promise<Uint8Array> {
    return new Promise((resolve) => this.#resolvers.set(idOf(message), resolve));
  }

  give(reply: Uint8Array): void {
    this.#resolvers.get(idOf(reply))?.(reply);
  }
}

async function openUdp(site: Listeners): Promise<Asker> {
  const socket = createSocket("udp4");
  const waiting = new Waiting();
  socket.on("message", (reply) => waiting.give(new Uint8Array(reply)));
  socket.connect(portOf(site, "dns"), HOST);
  await once(socket, "connect");
  return {
    ask(message) {
      const reply = waiting.for(message);
      socket.send(message);
      return reply;
    },
    close: () => new Promise((resolve) => socket.close(() => resolve())),
  };
}

async function openTcp(site: Listeners): Promise<Asker> {
  const socket = connectTcp(portOf(site, "dns"), HOST);
  await once(socket, "connect");
  return overStream(socket);
}

async function openDot(site: Listeners): Promise<Asker> {
  const socket = connectTls({ host: HOST, port: portOf(site, "tls"), rejectUnauthorized: false, ALPNProtocols: ["dot"] });
  await once(socket, "secureConnect");
  return overStream(socket);
}

function overStream(socket: Socket): Asker {
  const waiting = new Waiting();
  const reader = new MessageFramer();
  socket.on("error", () => {});
  socket.on("data", (chunk: Buffer) => {
    reader.push(chunk);
    while (reader.ready) {
      const reply = reader.next();
      if (reply instanceof Uint8Array) waiting.give(reply);
    }
  });
  return {
    ask(message) {
      const reply = waiting.for(message);
      socket.write(frame(message));
      return reply;
    },
    async close() {
      if (socket.closed) return;
      const closed = once(socket, "close");
      socket.destroy();
      await closed;
    },
  };
}

async function openHttp10(site: Listeners): Promise<Asker> {
  return {
    async ask(message) {
      const socket = connectTcp(portOf(site, "http"), HOST);
      socket.write(`GET /dns-query?dns=${Buffer.from(message).toString("base64url")} HTTP/1.0\r\n\r\n`);
      const chunks: Buffer[] = [];
      socket.on("data", (chunk: Buffer) => chunks.push(chunk));
      await once(socket, "end");
      socket.destroy();
      const whole = Buffer.concat(chunks);
      const headEnd = whole.indexOf("\r\n\r\n");
      const status = Number(whole.toString("latin1", 9, 12));
      if (status !== 200) throw new Error(`status ${status}`);
      return new Uint8Array(whole.subarray(headEnd + 4));
    },
    close: async () => {},
  };
}

function openHttp11(site: Listeners, method: "GET" | "POST"): Asker {
  const agent = new Agent({ keepAlive: true });
  return {
    ask: (message) =>
      new Promise((resolve, reject) => {
        const query = method === "GET" ? `?dns=${Buffer.from(message).toString("base64url")}` : "";
        const request = httpRequest(
          { host: HOST, port: portOf(site, "http"), path: `/dns-query${query}`, method, agent },
          (response) => {
            const chunks: Buffer[] = [];
            response.on("data", (chunk: Buffer) => chunks.push(chunk));
            response.on("end", () => {
              if (response.statusCode === 200) resolve(new Uint8Array(Buffer.concat(chunks)));
              else reject(new Error(`status ${response.statusCode}`));
            });
          },
        );
        request.on("error", reject);
        if (method === "POST") request.setHeader("content-type", "application/dns-message");
        request.end(method === "POST" ? message : undefined);
      }),
    close: async () => agent.destroy(),
  };
}

async function openHttp2(origin: string, method: "GET" | "POST"): Promise<Asker> {
  const session = connectHttp2(origin, { rejectUnauthorized: false });
  session.on("error", () => {});
  await once(session, "connect");
  return {
    ask: (message) =>
      new Promise((resolve, reject) => {
        const isGet = method === "GET";
        const stream = session.request(
          isGet
            ? { ":path": `/dns-query?dns=${Buffer.from(message).toString("base64url")}` }
            : { ":method": "POST", ":path": "/dns-query", "content-type": "application/dns-message" },
        );
        let status = 0;
        const chunks: Buffer[] = [];
        stream.on("response", (headers) => {
          status = Number(headers[":status"]);
        });
        stream.on("data", (chunk: Buffer) => chunks.push(chunk));
        stream.on("error", reject);
        stream.on("end", () =>
          status === 200 ? resolve(new Uint8Array(Buffer.concat(chunks))) : reject(new Error(`status ${status}`)),
        );
        stream.end(isGet ? undefined : message);
      }),
    async close() {
      // Its end is not awaited: under a server that has gone, Node has been seen never to tell it.
      session.destroy();
    },
  };
}
