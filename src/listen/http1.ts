import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { http } from "../lib/http.ts";
import { NO_BODY, readBody } from "./body.ts";
import { ALLOWED_METHODS, type DohService, type HttpPeer } from "./doh.ts";
import { HeadTrailer, Http1Connection } from "./http1-connection.ts";
import type { Connection, HttpResponse, ListenServices, RequestHead } from "./types.ts";

/** How long the rest of a too long body is discarded after the 413, so that the client can read the answer. */
const LINGER_MS = 1000;

const CHECK_MS = 1000;

/** How much longer than `keepAliveTimeout` says Node keeps an idle connection, so that a request under way is not cut. */
const KEEP_ALIVE_MARGIN_MS = 1000;

/** DoH over HTTP/1.0 and HTTP/1.1 on accepted connections. Responses are sent in the order of the requests. */
export class Http1Server {
  readonly #service: DohService;
  readonly #services: ListenServices;
  readonly #server: Server;
  readonly #trailer: HeadTrailer;
  readonly #connections = new WeakMap<Duplex, Http1Connection>();

  constructor(service: DohService, services: ListenServices) {
    const { limits } = services;
    this.#service = service;
    this.#services = services;
    this.#server = http.createServer({
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
    this.#trailer = new HeadTrailer(services.clock, Math.floor(limits.httpIdleMs / 1000));
    // A client that ends its side after the request still wants the answer. Node's types lack the property.
    Object.assign(this.#server, { httpAllowHalfOpen: true });
    const answer = (request: IncomingMessage, response: ServerResponse): void => void this.#answer(request, response);
    this.#server.on("request", answer);
    this.#server.on("checkExpectation", answer);
    this.#server.on("checkContinue", (request, response) => void this.#continue(request, response));
    this.#server.on("connect", (_request, socket) => this.#end(socket, 405, `allow: ${ALLOWED_METHODS}\r\n`));
    this.#server.on("clientError", (error, socket) => this.#refuse(error, socket));
    // A server that never listens starts its request timers only at this event.
    this.#server.emit("listening");
  }

  serve(socket: Socket, peer: HttpPeer): Connection {
    const sharing = {
      service: this.#service,
      services: this.#services,
      trailer: this.#trailer,
      idleMs: this.#services.limits.httpIdleMs + KEEP_ALIVE_MARGIN_MS,
      stallMs: this.#server.timeout,
    };
    const connection = new Http1Connection(socket, peer, sharing, this.#handToNode);
    this.#connections.set(socket, connection);
    socket.resume();
    return connection;
  }

  readonly #handToNode = (socket: Socket): void => {
    this.#server.emit("connection", socket);
    // The socket was read from before, so Node does not start the flow by itself.
    socket.resume();
  };

  async close(): Promise<void> {
    this.#server.close();
  }

  /** Node would send the interim response at once, before answers of our own that are awaited. */
  async #continue(request: IncomingMessage, response: ServerResponse): Promise<void> {
    await this.#connectionOf(request).ownAnswers;
    response.writeContinue();
    await this.#answer(request, response);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const connection = this.#connectionOf(request);
    let unreadBytes = 0;
    connection.begin();
    response.on("close", () => connection.complete(unreadBytes));
    const { method = "", url: target = "", headers } = request;
    const head: RequestHead = {
      method,
      target,
      contentType: headers["content-type"],
      contentEncoding: headers["content-encoding"],
      forwardedFor: joinLines(headers["x-forwarded-for"]),
      realIp: joinLines(headers["x-real-ip"]),
      authorization: headers.authorization,
    };
    const version = request.httpVersion === "1.0" ? "1.0" : "1.1";
    const body = hasBody(request) ? await readBody(request) : NO_BODY;
    const reply = await this.#service.respond(head, body, {
      version,
      peer: connection.peer,
      arrivedMs: this.#services.clock.now(),
    });
    if (reply === null || response.destroyed || request.socket.destroyed) return;
    unreadBytes = reply.body.length;
    connection.countUnread(unreadBytes);
    await connection.ownAnswers;
    if (response.destroyed || request.socket.destroyed) return;
    this.#send(response, reply, connection.closesAfterThis);
  }

  #connectionOf(request: IncomingMessage): Http1Connection {
    const connection = this.#connections.get(request.socket);
    if (connection === undefined) throw new Error("a request came on a connection that was never served");
    return connection;
  }

  #send(response: ServerResponse, reply: HttpResponse, closes: boolean): void {
    const { status, contentType, cacheControl, allow, challenge, body, unread } = reply;
    response.setHeader("content-type", contentType).setHeader("content-length", body.length);
    if (cacheControl !== null) response.setHeader("cache-control", cacheControl);
    if (allow !== null) response.setHeader("allow", allow);
    if (challenge !== undefined) response.setHeader("www-authenticate", challenge);
    if (closes || unread) response.setHeader("connection", "close");
    response.writeHead(status);
    if (!unread) {
      response.end(body);
      return;
    }
    // Closing now would reset the connection because bytes still arrive, and the client might lose the answer.
    response.write(body);
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
    const text = `${http.STATUS_CODES[status]}\n`;
    socket.end(
      `HTTP/1.1 ${status} ${http.STATUS_CODES[status]}\r\ncontent-type: text/plain; charset=utf-8\r\n` +
        `content-length: ${text.length}\r\n${extraHeaders}connection: close\r\n\r\n${text}`,
      () => socket.destroy(),
    );
  }
}

/** RFC 9112 §6.3: a request with neither header has no body. */
function hasBody({ headers }: IncomingMessage): boolean {
  return headers["transfer-encoding"] !== undefined || (headers["content-length"] ?? "0") !== "0";
}

function joinLines(value: string | readonly string[] | undefined): string | undefined {
  return value === undefined || typeof value === "string" ? value : value.join(",");
}
