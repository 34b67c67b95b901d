import { createSocket, type Socket as DatagramSocket } from "node:dgram";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { createSecureServer, Http2ServerRequest } from "node:http2";
import { createServer as createHttpsServer } from "node:https";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import type { Readable } from "node:stream";
import { createServer as createTlsServer } from "node:tls";
import { nameText } from "../../src/dns/name.ts";
import { isRejection, parseQuery, type Query } from "../../src/dns/query.ts";
import { frame, MessageFramer } from "../../src/dns/wire.ts";
import type { Clock } from "../../src/lib/clock.ts";
import type { ServerOptions } from "../../src/upstreams/options.ts";
import { serverOptions } from "./server-options.ts";

/** `dns` = UDP and TCP on one port; `h1` and `h2` = HTTPS with that version alone, `https` = the client's choice. */
export type ScriptedTransport = "dns" | "tls" | "https" | "h1" | "h2";

/** A question as the server got it. */
export interface Asked {
  readonly query: Query;
  /** Presentation format, in lower case. */
  readonly name: string;
  readonly type: number;
  /** The whole message. */
  readonly message: Buffer;
  readonly transport: "udp" | "tcp" | "tls" | "https";
  readonly remotePort: number;
  /** Which connection it came on, counted from 1; 0 for UDP. */
  readonly connection: number;
  /** Counted from 1 over all transports. */
  readonly serial: number;
  readonly http: { readonly version: string; readonly method: string; readonly path: string; readonly accept: string } | null;
}

/** What the server does about a question. */
export type Action =
  /** Sends the message under the query's id. */
  | { readonly kind: "reply"; readonly message: Uint8Array }
  /** Sends the bytes as they are: a datagram, a framed message, a body with status 200. */
  | { readonly kind: "raw"; readonly message: Uint8Array }
  /** On streams: the bytes without framing. On HTTPS a body, on UDP a datagram. */
  | { readonly kind: "unframed"; readonly message: Uint8Array }
  | { readonly kind: "silence" }
  /** Closes the connection; nothing on UDP. */
  | { readonly kind: "close" }
  /** Sends the first half of what `reply` would, then closes the connection; nothing on UDP. */
  | { readonly kind: "closeMidway"; readonly message: Uint8Array }
  | { readonly kind: "after"; readonly delayMs: number; readonly action: Action }
  | { readonly kind: "all"; readonly actions: readonly Action[] }
  /** An HTTP answer of any kind; a silence elsewhere. */
  | {
      readonly kind: "http";
      readonly status: number;
      readonly headers: Readonly<Record<string, string>>;
      readonly body: Uint8Array;
    }
  /** HTTP/2: RST_STREAM with REFUSED_STREAM; a silence elsewhere. */
  | { readonly kind: "refuseStream" }
  /** HTTP/2: GOAWAY, with which every stream after `lastStreamId` (1 or more) has not been processed; a silence elsewhere. */
  | { readonly kind: "goaway"; readonly lastStreamId: number };

export type Script = (asked: Asked) => Action | Promise<Action>;

export interface ScriptedServer {
  readonly port: number;
  /** What has been asked so far, in order. */
  readonly asked: readonly Asked[];
  /** Connections accepted so far, and those open now. */
  readonly accepted: number;
  readonly open: number;
  /** Replaces the script from the next question on. */
  follow(script: Script): void;
  /** Ends all open connections, as a server does with idle ones. */
  dropConnections(): void;
  /** The options of a server that lead here, over the first protocol of the transport. */
  options(changes?: Partial<ServerOptions>): ServerOptions;
  close(): Promise<void>;
}

export interface ScriptedOptions {
  /** For actions of kind `after`. */
  readonly clock?: Clock;
  readonly address?: string;
  /** How many streams a session of HTTP/2 may have at a time. */
  readonly maxStreams?: number;
}

const directory = new URL("../fixtures/tls/", import.meta.url);
export const testKey = readFileSync(new URL("key.pem", directory), "utf8");
/** Signed by itself, for localhost, 127.0.0.1 and ::1. */
export const testCertificate = readFileSync(new URL("cert.pem", directory), "utf8");

/** A server on a free port of the loopback interface that does with every question what a script says. */
export async function scriptedServer(
  transport: ScriptedTransport,
  script: Script,
  { clock, address = "127.0.0.1", maxStreams = 100 }: ScriptedOptions = {},
): Promise<ScriptedServer> {
  const stage = new Stage(script, clock ?? null);
  const closers = await (transport === "dns" ? openDns(stage, address) : openSecure(transport, stage, { address, maxStreams }));
  let closing: Promise<void> | null = null;
  const protocol = transport === "dns" ? "udp" : transport === "tls" ? "tls" : "https";
  const host = address.includes(":") ? `[${address}]` : address;
  return {
    port: closers.port,
    asked: stage.asked,
    get accepted() {
      return stage.accepted;
    },
    get open() {
      return stage.sockets.size;
    },
    follow: (next) => {
      stage.script = next;
    },
    dropConnections: () => {
      for (const socket of stage.sockets) socket.destroy();
    },
    options: (changes = {}) => ({
      ...serverOptions(`${changes.protocol ?? protocol}://${host}:${closers.port}`),
      protocol,
      host: address,
      port: closers.port,
      path: protocol === "https" ? "/dns-query" : "",
      ...changes,
    }),
    close: () => {
      for (const socket of stage.sockets) socket.destroy();
      closing ??= closers.close();
      return closing;
    },
  };
}

interface Opened {
  readonly port: number;
  close(): Promise<void>;
}

/** How an action reaches the client over one transport. */
interface Way {
  /** Sends a message, or with `framed` false bare bytes. */
  send(bytes: Uint8Array, framed: boolean): void;
  end(half: Uint8Array | null): void;
  http(action: Extract<Action, { kind: "http" | "refuseStream" | "goaway" }>): void;
}

class Stage {
  script: Script;
  readonly asked: Asked[] = [];
  readonly sockets = new Set<Socket>();
  accepted = 0;
  readonly #clock: Clock | null;

  constructor(script: Script, clock: Clock | null) {
    this.script = script;
    this.#clock = clock;
  }

  /** Counts a connection and gives its number. */
  accept(socket: Socket): number {
    this.sockets.add(socket);
    this.accepted += 1;
    socket.on("error", () => undefined).on("close", () => this.sockets.delete(socket));
    return this.accepted;
  }

  async meet(message: Buffer, about: Pick<Asked, "transport" | "remotePort" | "connection" | "http">, way: Way): Promise<void> {
    const query = parseQuery(message);
    if (query === null || isRejection(query)) throw new Error(`not a query: ${message.toString("hex")}`);
    const asked: Asked = {
      query,
      name: nameText(query.name),
      type: query.type,
      message,
      serial: this.asked.length + 1,
      ...about,
    };
    this.asked.push(asked);
    this.#perform(await this.script(asked), query.id, way);
  }

  #perform(action: Action, id: number, way: Way): void {
    switch (action.kind) {
      case "silence":
        break;
      case "reply":
        way.send(underId(action.message, id), true);
        break;
      case "raw":
        way.send(action.message, true);
        break;
      case "unframed":
        way.send(action.message, false);
        break;
      case "close":
        way.end(null);
        break;
      case "closeMidway":
        way.end(underId(action.message, id));
        break;
      case "after":
        if (this.#clock === null) throw new Error("a delay needs a clock");
        this.#clock.setTimer(() => this.#perform(action.action, id, way), action.delayMs);
        break;
      case "all":
        for (const each of action.actions) this.#perform(each, id, way);
        break;
      default:
        way.http(action);
    }
  }
}

function underId(message: Uint8Array, id: number): Buffer {
  const copy = Buffer.from(message);
  copy.writeUInt16BE(id, 0);
  return copy;
}

async function openDns(stage: Stage, address: string): Promise<Opened> {
  for (;;) {
    const datagrams = createSocket(address.includes(":") ? "udp6" : "udp4");
    datagrams.bind(0, address);
    await once(datagrams, "listening");
    const { port } = datagrams.address();
    const streams = createServer({ noDelay: true }, (socket) => serveStream(stage, socket, "tcp"));
    try {
      await listening(streams, port, address);
    } catch {
      // Somebody else has the TCP port of this number.
      datagrams.close();
      continue;
    }
    serveDatagrams(stage, datagrams);
    return {
      port,
      close: async () => {
        await new Promise<void>((resolve) => datagrams.close(() => resolve()));
        await closed(streams);
      },
    };
  }
}

type SecureTransport = Exclude<ScriptedTransport, "dns">;

async function openSecure(
  transport: SecureTransport,
  stage: Stage,
  { address, maxStreams }: { readonly address: string; readonly maxStreams: number },
): Promise<Opened> {
  const server = secureServer(transport, stage, maxStreams);
  const port = await listening(server, 0, address);
  return { port, close: () => closed(server) };
}

function secureServer(transport: SecureTransport, stage: Stage, maxConcurrentStreams: number): Server {
  const identity = { key: testKey, cert: testCertificate };
  if (transport === "tls")
    return createTlsServer({ ...identity, ALPNProtocols: ["dot"], noDelay: true }, (socket) => serveStream(stage, socket, "tls"));
  // By the client's port: what a request shows of its HTTP/2 connection is not the socket itself.
  const connections = new Map<number | undefined, number>();
  const serve = (request: IncomingMessage | Http2ServerRequest, response: ResponseWriter): void =>
    serveRequest(stage, { request, response, connection: connections.get(request.socket.remotePort) ?? 0 });
  const server =
    transport === "h1"
      ? createHttpsServer(identity, serve)
      : createSecureServer({ ...identity, allowHTTP1: transport === "https", settings: { maxConcurrentStreams } }, serve);
  server.on("secureConnection", (socket) => connections.set(socket.remotePort, stage.accept(socket)));
  return server.on("tlsClientError", () => undefined);
}

async function listening(server: Server, port: number, host: string): Promise<number> {
  server.listen(port, host);
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}

function serveDatagrams(stage: Stage, socket: DatagramSocket): void {
  socket.on("error", () => undefined);
  socket.on("message", (message, { port, address }) => {
    // Not a question but an answer: a late one of ours went to a port that another program has by now, which answers whatever comes.
    if (((message[2] ?? 0) & 0x80) !== 0) return;
    const about = { transport: "udp", remotePort: port, connection: 0, http: null } as const;
    void stage.meet(message, about, {
      send: (bytes) => socket.send(bytes, port, address),
      end: () => undefined,
      http: () => undefined,
    });
  });
}

function serveStream(stage: Stage, socket: Socket, transport: "tcp" | "tls"): void {
  const about = { transport, remotePort: socket.remotePort ?? 0, connection: stage.accept(socket), http: null };
  const reader = new MessageFramer();
  const way: Way = {
    send: (bytes, framed) => socket.writable && socket.write(framed ? frame(bytes) : bytes),
    end: (message) => {
      if (message === null) socket.destroySoon();
      else socket.end(frame(message).subarray(0, message.length >> 1));
    },
    http: () => undefined,
  };
  socket.on("data", (chunk: Buffer) => {
    reader.push(chunk);
    while (reader.ready) {
      const message = reader.next();
      if (typeof message === "string") throw new Error("not a framed message");
      void stage.meet(Buffer.from(message), about, way);
    }
  });
}

interface Exchange {
  readonly request: IncomingMessage | Http2ServerRequest;
  readonly response: ResponseWriter;
  readonly connection: number;
}

/** What the responses of both versions have in common. */
interface ResponseWriter {
  readonly writable: boolean;
  readonly headersSent: boolean;
  writeHead(status: number, headers: Readonly<Record<string, string>>): unknown;
  write(chunk: Uint8Array, written: () => void): boolean;
  end(body: Uint8Array): unknown;
}

function serveRequest(stage: Stage, { request, response, connection }: Exchange): void {
  const chunks: Buffer[] = [];
  const stream = request instanceof Http2ServerRequest ? request.stream : null;
  const body: Readable = request;
  const { socket } = request;
  const respond = (status: number, headers: Readonly<Record<string, string>>, bytes: Uint8Array): void => {
    // One answer is all a request can have.
    if (response.headersSent || !response.writable) return;
    response.writeHead(status, headers);
    response.end(bytes);
  };
  const type = { "content-type": "application/dns-message" };
  const way: Way = {
    send: (bytes) => respond(200, type, bytes),
    end: (message) => {
      if (message === null) socket.destroy();
      else {
        response.writeHead(200, { ...type, "content-length": String(message.length) });
        response.write(message.subarray(0, message.length >> 1), () => socket.destroy());
      }
    },
    http: (action) => {
      if (action.kind === "http") respond(action.status, action.headers, action.body);
      else if (action.kind === "refuseStream") stream?.close(7);
      else stream?.session?.goaway(0, action.lastStreamId);
    },
  };
  body.on("error", () => undefined);
  body.on("data", (chunk: Buffer) => chunks.push(chunk));
  body.on("end", () => {
    const { url = "/", method = "", httpVersion, headers } = request;
    const encoded = new URL(url, "https://localhost").searchParams.get("dns");
    const message = encoded === null ? Buffer.concat(chunks) : Buffer.from(encoded, "base64url");
    const http = { version: httpVersion, method, path: url, accept: headers.accept ?? "" };
    void stage.meet(message, { transport: "https", remotePort: socket.remotePort ?? 0, connection, http }, way);
  });
}
