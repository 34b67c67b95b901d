import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { NO_BODY, readBody } from "./body.ts";
import { ALLOWED_METHODS, type DohService, type HttpPeer } from "./doh.ts";
import type { Connection, HttpResponse, ListenServices, RequestHead } from "./types.ts";

/** How long the rest of a too long body is discarded after the 413, so that the client can read the answer. */
const LINGER_MS = 1000;

const CHECK_MS = 1000;

/** DoH over HTTP/1.0 and HTTP/1.1 on accepted connections. Responses are sent in the order of the requests. */
export class Http1Server {
  readonly #service: DohService;
  readonly #services: ListenServices;
  readonly #server: Server;
  readonly #connections = new WeakMap<Duplex, Http1Connection>();

  constructor(service: DohService, services: ListenServices) {
    const { limits } = services;
    this.#service = service;
    this.#services = services;
    this.#server = createServer({
      keepAliveTimeout: limits.httpIdleMs,
      headersTimeout: limits.httpHeaderMs,
      requestTimeout: limits.httpRequestMs,
      connectionsCheckingInterval: CHECK_MS,
      // Else Node itself answers a request without a Host header, in chunks.
      requireHostHeader: false,
      noDelay: true,
    });
    // Cuts a client that does not read its answer. The margin lets an incomplete request get its 408 first.
    this.#server.timeout = limits.httpRequestMs + 2 * CHECK_MS;
    // A client that ends its side after the request still wants the answer. Node's types lack the property.
    Object.assign(this.#server, { httpAllowHalfOpen: true });
    const answer = (request: IncomingMessage, response: ServerResponse): void => void this.#answer(request, response);
    this.#server.on("request", answer);
    this.#server.on("checkExpectation", answer);
    this.#server.on("connect", (_request, socket) => this.#end(socket, 405, `allow: ${ALLOWED_METHODS}\r\n`));
    this.#server.on("clientError", (error, socket) => this.#refuse(error, socket));
    // A server that never listens starts its request timers only at this event.
    this.#server.emit("listening");
  }

  serve(socket: Socket, peer: HttpPeer): Connection {
    const connection = new Http1Connection(socket, peer, this.#services);
    this.#connections.set(socket, connection);
    this.#server.emit("connection", socket);
    // `readStart` has read from the socket, so Node does not start the flow by itself.
    socket.resume();
    return connection;
  }

  async close(): Promise<void> {
    this.#server.close();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const connection = this.#connections.get(request.socket);
    if (connection === undefined) throw new Error("a request came on a connection that was never served");
    connection.begin(response);
    const { method = "", url: target = "", headers } = request;
    const head: RequestHead = {
      method,
      target,
      contentType: headers["content-type"],
      contentEncoding: headers["content-encoding"],
      forwardedFor: joinLines(headers["x-forwarded-for"]),
      realIp: joinLines(headers["x-real-ip"]),
    };
    const version = request.httpVersion === "1.0" ? "1.0" : "1.1";
    const body = hasBody(request) ? await readBody(request) : NO_BODY;
    const reply = await this.#service.respond({ version, head, body }, connection.peer);
    if (reply === null || response.destroyed || request.socket.destroyed) return;
    this.#send(response, reply, connection.closesAfterThis);
    connection.countUnread(response, reply.body.length);
  }

  #send(response: ServerResponse, reply: HttpResponse, closes: boolean): void {
    response.writeHead(reply.status, closes || reply.unread ? { ...reply.headers, connection: "close" } : reply.headers);
    if (!reply.unread) {
      response.end(reply.body);
      return;
    }
    // Closing now would reset the connection because bytes still arrive, and the client might lose the answer.
    response.write(reply.body);
    const end = (): void => void response.end();
    const timer = this.#services.clock.setTimer(end, LINGER_MS);
    response.req.on("end", end);
    response.req.socket.on("end", end);
    response.on("close", () => timer.cancel());
  }

  #refuse(error: Error & { readonly code?: string }, socket: Duplex): void {
    if (error.code === "ECONNRESET") socket.destroy();
    else this.#end(socket, error.code === "HPE_HEADER_OVERFLOW" ? 431 : error.code === "ERR_HTTP_REQUEST_TIMEOUT" ? 408 : 400);
  }

  /** Answers bytes that never became a request, and closes. While earlier answers are pending it only closes: the client would take this for the first of them. */
  #end(socket: Duplex, status: number, extraHeaders = ""): void {
    if (!socket.writable || this.#connections.get(socket)?.isIdle !== true) {
      socket.destroy();
      return;
    }
    const text = `${STATUS_CODES[status]}\n`;
    socket.end(
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\ncontent-type: text/plain; charset=utf-8\r\n` +
        `content-length: ${text.length}\r\n${extraHeaders}connection: close\r\n\r\n${text}`,
      () => socket.destroy(),
    );
  }
}

/** One HTTP/1 connection and its pending requests. */
class Http1Connection implements Connection {
  readonly peer: HttpPeer;
  readonly #socket: Socket;
  readonly #services: ListenServices;
  /** When the last answer was sent. */
  #answeredMs: number;
  #outstanding = 0;
  /** Bytes of answers, those that wait for their turn included. */
  #unreadBytes = 0;
  #isFinishing = false;

  constructor(socket: Socket, peer: HttpPeer, services: ListenServices) {
    this.#socket = socket;
    this.peer = peer;
    this.#services = services;
    this.#answeredMs = services.clock.now();
  }

  get idleSinceMs(): number | null {
    return this.isIdle ? this.#answeredMs : null;
  }

  get isIdle(): boolean {
    return this.#outstanding === 0;
  }

  get closesAfterThis(): boolean {
    return this.#isFinishing && this.#outstanding === 1;
  }

  begin(response: ServerResponse): void {
    this.#outstanding++;
    // Node reads all pipelined requests of a chunk and resumes the socket after each one, so we pause after the whole chunk.
    if (this.#outstanding === this.#services.limits.outstandingPerConnection) process.nextTick(() => this.#pauseIfFull());
    response.on("close", () => {
      this.#outstanding--;
      this.#answeredMs = this.#services.clock.now();
      if (this.#outstanding === this.#services.limits.outstandingPerConnection - 1) this.#socket.resume();
      if (this.#isFinishing && this.isIdle) this.#socket.destroySoon();
    });
  }

  /** Counts an answer until the system has taken it. Cuts the connection when too many bytes wait. */
  countUnread(response: ServerResponse, bytes: number): void {
    this.#unreadBytes += bytes;
    response.on("close", () => {
      this.#unreadBytes -= bytes;
    });
    if (this.#unreadBytes > this.#services.limits.writeBacklogBytes) this.#socket.destroy();
  }

  finish(): void {
    this.#isFinishing = true;
    if (this.isIdle) this.#socket.destroySoon();
  }

  #pauseIfFull(): void {
    if (this.#outstanding >= this.#services.limits.outstandingPerConnection) this.#socket.pause();
  }
}

/** RFC 9112 §6.3: a request with neither header has no body. */
function hasBody({ headers }: IncomingMessage): boolean {
  return headers["transfer-encoding"] !== undefined || (headers["content-length"] ?? "0") !== "0";
}

function joinLines(value: string | readonly string[] | undefined): string | undefined {
  return value === undefined || typeof value === "string" ? value : value.join(",");
}
