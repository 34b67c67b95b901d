import {
  constants,
  type IncomingHttpHeaders,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { Socket } from "node:net";
import type { Peer } from "../address.ts";
import { Deadline } from "../deadline.ts";
import type { ListenServices } from "../services.ts";
import type { Connection } from "../stream-listener.ts";
import type { DohService, HttpPeer } from "./service.ts";

/** A DoH head is a few hundred octets, and a GET of the usual size adds as many again. */
const MAX_HEADER_LIST_BYTES = 16_384;

/** What one session may hold, in megabytes, before new streams are refused. */
const SESSION_MEMORY_MB = 4;

/** Streams that a client may reset in a burst, and per second, before its session is ended (CVE-2023-44487). */
const RESETS = { streamResetBurst: 500, streamResetRate: 50 };

const MAX_INVALID_FRAMES = 100;
const MAX_REJECTED_STREAMS = 100;

/** DoH over one HTTP/2 connection. */
export class Http2Connection implements Connection {
  readonly #service: DohService;
  readonly #services: ListenServices;
  readonly #peer: HttpPeer;
  readonly #session: ServerHttp2Session;
  /** Open streams with the time of their beginning, the oldest first. */
  readonly #streams = new Map<ServerHttp2Stream, number>();
  readonly #deadline: Deadline;
  /** Requests whose answer is awaited, those of streams that were reset meanwhile included. */
  #outstanding = 0;
  /** Of answers whose streams are still open. */
  #unreadBytes = 0;

  constructor(socket: Socket, peer: Peer, behind: { readonly service: DohService; readonly services: ListenServices }) {
    this.#service = behind.service;
    this.#services = behind.services;
    this.#peer = behind.service.peer(peer);
    this.#deadline = new Deadline(behind.services.clock, () => this.#expire());
    // A client that ends its side of an HTTP/2 connection is gone.
    socket.allowHalfOpen = false;
    this.#session = performServerHandshake(socket, {
      maxSessionMemory: SESSION_MEMORY_MB,
      maxSessionInvalidFrames: MAX_INVALID_FRAMES,
      maxSessionRejectedStreams: MAX_REJECTED_STREAMS,
      ...RESETS,
      settings: {
        maxConcurrentStreams: behind.services.limits.outstandingPerConnection,
        maxHeaderListSize: MAX_HEADER_LIST_BYTES,
      },
    });
    // A session that breaks is destroyed, and its socket with it.
    this.#session.on("error", () => {});
    this.#session.on("stream", (stream, headers, flags) => void this.#take(stream, headers, flags));
    this.#session.on("close", () => {
      this.#deadline.cancel();
      socket.destroy();
    });
    this.#watch();
  }

  finish(): void {
    if (!this.#session.closed) this.#session.close();
  }

  async #take(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, flags: number): Promise<void> {
    stream.on("error", () => {});
    // Its reset may have come in the same segment; nothing can be sent on it, and nobody waits.
    if (stream.closed || stream.destroyed) return;
    if (this.#outstanding >= 2 * this.#services.limits.outstandingPerConnection) {
      stream.close(constants.NGHTTP2_REFUSED_STREAM);
      return;
    }
    this.#streams.set(stream, this.#services.clock.now());
    stream.on("close", () => {
      this.#streams.delete(stream);
      this.#watch();
    });
    this.#watch();
    this.#outstanding++;
    if (headers.expect === "100-continue") stream.additionalHeaders({ ":status": constants.HTTP_STATUS_CONTINUE });
    const hasEnded = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
    const reply = await this.#service.respond(
      {
        version: "2",
        method: headers[":method"] ?? "",
        target: headers[":path"] ?? "",
        contentType: headers["content-type"],
        contentEncoding: headers["content-encoding"],
        forwardedFor: joined(headers["x-forwarded-for"]),
        realIp: joined(headers["x-real-ip"]),
        body: hasEnded ? null : stream,
      },
      this.#peer,
    );
    this.#outstanding--;
    if (reply === null || stream.destroyed || stream.closed) return;
    if (this.#unreadBytes > this.#services.limits.writeBacklogBytes) {
      stream.close(constants.NGHTTP2_REFUSED_STREAM);
      return;
    }
    this.#unreadBytes += reply.body.length;
    stream.on("close", () => {
      this.#unreadBytes -= reply.body.length;
    });
    const isHead = headers[":method"] === "HEAD";
    stream.respond({ ":status": reply.status, ...reply.headers }, { endStream: isHead });
    if (!isHead) stream.end(reply.body);
    // RFC 9113 §8.1: after a whole response the client is told to stop sending.
    if (reply.unread) stream.close(constants.NGHTTP2_NO_ERROR);
  }

  /** Sets the deadline to the oldest stream's, or to the end of the idle time when there is none. */
  #watch(): void {
    const { clock, limits } = this.#services;
    if (this.#session.destroyed) return;
    const [oldestMs] = this.#streams.values();
    this.#deadline.set(oldestMs === undefined ? limits.httpIdleMs : oldestMs + limits.httpRequestMs - clock.now());
  }

  #expire(): void {
    const { clock, limits } = this.#services;
    if (this.#streams.size === 0) {
      // The client gets its GOAWAY; whether it then closes is not waited for.
      this.#session.close();
      this.#session.destroy();
      return;
    }
    for (const [stream, begunMs] of this.#streams) {
      if (begunMs + limits.httpRequestMs > clock.now()) break;
      stream.close(constants.NGHTTP2_CANCEL);
      this.#streams.delete(stream);
    }
    this.#watch();
  }
}

function joined(value: string | readonly string[] | undefined): string | undefined {
  return value === undefined || typeof value === "string" ? value : value.join(",");
}
