import type { Socket } from "node:net";
import { errors, Pool } from "undici";
import { MAX_MESSAGE_BYTES } from "../dns/wire.ts";
import type { Timer } from "../lib/clock.ts";
import { ignore } from "./dial.ts";
import {
  type HttpsExchange,
  type HttpsTransport,
  httpsRequest,
  responseFault,
  type TransportContext,
} from "./https-transport.ts";
import { IDLE_MS, silenceLimitMs } from "./pending.ts";
import { UpstreamError } from "./upstream.ts";

/** Open connections. Each carries one request at a time. */
const MAX_CONNECTIONS = 8;

/** How long a server counts as one without HTTP/2. */
const LIFETIME_MS = 600_000;

/**
 * How long a request may be unanswered on a transport that has answered others before its connection counts as dead. If no connection
 * received anything in that time, all count as dead.
 */
const STALLED_MS = 1_500;

/** How much of the body of an error response is read. */
const MAX_DUMPED_BYTES = 16_384;

/** A few HTTP/1.1 connections, for servers that do not choose `h2`. */
export class Http1Transport implements HttpsTransport {
  readonly #context: TransportContext;
  readonly #pool: Pool;
  readonly #closing = new AbortController();
  readonly #expiry: Timer;
  #spare: Socket | null;
  #isRetired = false;
  #hasAnswered = false;
  /** When the last response began. */
  #respondedAtMs = Number.NEGATIVE_INFINITY;

  /** `first` is the connection on which the server chose this version. */
  constructor(first: Socket, context: TransportContext) {
    this.#context = context;
    this.#expiry = context.clock.setTimer(() => void this.#retire(), LIFETIME_MS);
    this.#spare = first;
    this.#pool = new Pool(`https://${context.target.authority}`, {
      connections: MAX_CONNECTIONS,
      pipelining: 1,
      allowH2: false,
      // The caller's signal limits each request.
      headersTimeout: 0,
      bodyTimeout: 0,
      maxResponseSize: MAX_MESSAGE_BYTES,
      keepAliveTimeout: IDLE_MS,
      connect: (_, connected) => {
        this.#connect().then(
          (socket) => connected(null, socket),
          (error: Error) => connected(error, null),
        );
      },
    });
  }

  get hasRoom(): boolean {
    return !this.#isRetired;
  }

  send(exchange: HttpsExchange): void {
    const controller = new AbortController();
    exchange.carried.join(controller, () => controller.abort());
    const { clock, openingMs } = this.#context;
    const sentAtMs = clock.now();
    const stallTimer = clock.setTimer(
      () => {
        if (!this.#mayResend(exchange)) return;
        // If another request was answered meanwhile, only this connection is dead, or this answer is slow.
        if (this.#respondedAtMs <= sentAtMs) void this.#retire();
        this.#resend(exchange);
      },
      silenceLimitMs(STALLED_MS, openingMs),
    );
    const body = this.#request(exchange, controller.signal).finally(() => stallTimer.cancel());
    body.then(
      (message) => exchange.carried.resolve(message),
      (error: Error) => {
        // The exchange was cancelled, or answered on another connection.
        if (controller.signal.aborted) return;
        const failure = this.#failure(error);
        if (failure.failure === "network" && this.#mayResend(exchange)) this.#resend(exchange);
        exchange.carried.fail(controller, failure);
      },
    );
  }

  async close(): Promise<void> {
    this.#isRetired = true;
    this.#expiry.cancel();
    this.#closing.abort(new UpstreamError("closed", this.#context.target.label, "closed"));
    this.#spare?.destroy();
    await this.#pool.destroy();
    this.#context.onEnd();
  }

  // Closing the pool waits for the requests in it.
  async #retire(): Promise<void> {
    this.#isRetired = true;
    // Closing the pool fails if `close` was called meanwhile.
    await this.#pool.close().catch(ignore);
    await this.close();
  }

  #mayResend(exchange: HttpsExchange): boolean {
    return this.#hasAnswered && !exchange.wasResent;
  }

  #resend(exchange: HttpsExchange): void {
    exchange.wasResent = true;
    this.#context.resend(exchange);
  }

  async #connect(): Promise<Socket> {
    const spare = this.#spare;
    this.#spare = null;
    return spare !== null && !spare.destroyed ? spare : await this.#context.dial(this.#closing.signal);
  }

  async #request(exchange: HttpsExchange, signal: AbortSignal): Promise<Uint8Array> {
    const { statusCode, headers, body } = await this.#pool.request({
      ...httpsRequest(this.#context.target, exchange.message),
      signal,
    });
    this.#respondedAtMs = this.#context.clock.now();
    const first = (value: string | string[] | undefined) => (Array.isArray(value) ? value[0] : value);
    const fault = responseFault(this.#context.target.label, {
      status: statusCode,
      contentType: first(headers["content-type"]),
      retryAfter: first(headers["retry-after"]),
    });
    if (fault !== null) {
      // A short error page is read to its end, so the connection can be kept.
      await body.dump({ limit: MAX_DUMPED_BYTES }).catch(ignore);
      throw fault;
    }
    const message = new Uint8Array(await body.arrayBuffer());
    this.#hasAnswered = true;
    return message;
  }

  #failure(error: Error): UpstreamError {
    if (error instanceof UpstreamError) return error;
    const isMalformed = error instanceof errors.ResponseExceededMaxSizeError || error instanceof errors.HTTPParserError;
    return new UpstreamError(isMalformed ? "malformed" : "network", this.#context.target.label, error.message);
  }
}
