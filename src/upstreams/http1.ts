import type { Socket } from "node:net";
import { errors, Pool } from "undici";
import { MAX_MESSAGE_BYTES } from "../dns/wire.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import { destroyed, ignore } from "./dial.ts";
import {
  type HttpsExchange,
  type HttpsTarget,
  type HttpsTransport,
  httpsRequest,
  responseFault,
  type TransportEvents,
} from "./https-request.ts";
import { UpstreamError } from "./upstream.ts";

/** Connections at a time; each carries one request after the other. */
const MAX_CONNECTIONS = 8;

/** How long a server is taken for one without HTTP/2. */
const HELD_MS = 600_000;

/**
 * How long a connection may be silent under a question, where others have been answered, before it is taken for dead: all of them, where nothing
 * came over any meanwhile.
 */
const STALLED_MS = 1_500;

/** What is read of an answer that does not count. */
const MAX_DUMPED_BYTES = 16_384;

interface Http1Parts {
  readonly clock: Clock;
  readonly events: TransportEvents;
  readonly dial: (signal: AbortSignal) => Promise<Socket>;
}

/** A few HTTP/1.1 connections, for servers that do not choose `h2`. */
export class Http1Transport implements HttpsTransport {
  readonly #target: HttpsTarget;
  readonly #parts: Http1Parts;
  readonly #pool: Pool;
  readonly #closing = new AbortController();
  readonly #sockets = new Set<Socket>();
  readonly #expiry: Timer;
  #spare: Socket | null;
  #retired = false;
  #hasAnswered = false;
  /** When the last answer began. */
  #heardMs = Number.NEGATIVE_INFINITY;

  /** `first` is the connection on which the server chose this version. */
  constructor(first: Socket, target: HttpsTarget, parts: Http1Parts) {
    this.#target = target;
    this.#parts = parts;
    this.#expiry = parts.clock.setTimer(() => void this.#retire(), HELD_MS);
    this.#spare = first;
    this.#pool = new Pool(`https://${target.authority}`, {
      connections: MAX_CONNECTIONS,
      pipelining: 1,
      allowH2: false,
      // The caller's signal is the limit of each request.
      headersTimeout: 0,
      bodyTimeout: 0,
      maxResponseSize: MAX_MESSAGE_BYTES,
      keepAliveTimeout: 30_000,
      connect: (_, connected) => {
        this.#connect().then(
          (socket) => connected(null, socket),
          (error: Error) => connected(error, null),
        );
      },
    });
  }

  get hasRoom(): boolean {
    return !this.#retired;
  }

  ask(job: HttpsExchange): void {
    const controller = new AbortController();
    job.cancel = () => controller.abort();
    const { clock } = this.#parts;
    const sentMs = clock.now();
    const stalling = clock.setTimer(() => {
      if (!this.#mayResend(job)) return;
      // Where others are answered it is this connection alone, or a slow answer.
      if (this.#heardMs <= sentMs) void this.#retire();
      controller.abort();
      this.#resend(job);
    }, STALLED_MS);
    const request = this.#request(job, controller.signal).finally(() => stalling.cancel());
    request.then(job.ends.resolve, (error: Error) => {
      // It was given up, or is on another connection.
      if (controller.signal.aborted) return;
      const failure = this.#failure(error);
      if (failure.failure === "network" && this.#mayResend(job)) this.#resend(job);
      else job.ends.reject(failure);
    });
  }

  async close(): Promise<void> {
    this.#retired = true;
    this.#expiry.cancel();
    this.#closing.abort(new UpstreamError("closed", this.#target.label, "closed"));
    this.#spare?.destroy();
    await this.#pool.destroy();
    await Promise.all(this.#sockets.values().map(destroyed));
    this.#parts.events.ended();
  }

  // The requests that wait are still carried; `close` of the pool waits for them.
  async #retire(): Promise<void> {
    this.#retired = true;
    // It fails where `close` has come in between.
    await this.#pool.close().catch(ignore);
    await this.close();
  }

  #mayResend(job: HttpsExchange): boolean {
    return this.#hasAnswered && !job.resent;
  }

  #resend(job: HttpsExchange): void {
    job.resent = true;
    this.#parts.events.resend(job);
  }

  async #connect(): Promise<Socket> {
    const spare = this.#spare;
    this.#spare = null;
    const socket = spare !== null && !spare.destroyed ? spare : await this.#parts.dial(this.#closing.signal);
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    return socket;
  }

  async #request(job: HttpsExchange, signal: AbortSignal): Promise<Uint8Array> {
    const { statusCode, headers, body } = await this.#pool.request({ ...httpsRequest(this.#target, job.message), signal });
    this.#heardMs = this.#parts.clock.now();
    const contentType = headers["content-type"];
    const fault = responseFault(this.#target.label, statusCode, Array.isArray(contentType) ? contentType[0] : contentType);
    if (fault !== null) {
      // A short page about an error is read to its end, so that it does not cost the connection.
      await body.dump({ limit: MAX_DUMPED_BYTES }).catch(ignore);
      throw fault;
    }
    const octets = new Uint8Array(await body.arrayBuffer());
    this.#hasAnswered = true;
    return octets;
  }

  #failure(error: Error): UpstreamError {
    if (error instanceof UpstreamError) return error;
    const isMalformed = error instanceof errors.ResponseExceededMaxSizeError || error instanceof errors.HTTPParserError;
    return new UpstreamError(isMalformed ? "malformed" : "network", this.#target.label, error.message);
  }
}
