import { type ClientHttp2Session, type ClientHttp2Stream, constants, connect as http2Connect } from "node:http2";
import type { Socket } from "node:net";
import { MAX_MESSAGE_BYTES } from "../dns/wire.ts";
import { destroyAndWait, ignore } from "./dial.ts";
import {
  type HttpsExchange,
  type HttpsTransport,
  httpsRequest,
  responseFault,
  type TransportContext,
} from "./https-transport.ts";
import { ConnectionWatch, silenceLimitMs } from "./pending.ts";
import { UpstreamError } from "./upstream.ts";

/** How long a session may be silent while requests wait before it gets a PING, and how long the answer to the PING may take. */
const STALLED_MS = 1_000;
const PING_LIMIT_MS = 1_000;

/** RFC 9113 §5.1.1: the largest stream id. In a first GOAWAY it means that the server is about to close. */
const MAX_STREAM_ID = 2 ** 31 - 1;

/**
 * One HTTP/2 session. A request is sent again over another connection if the server did not process it (REFUSED_STREAM, or an id above the
 * last one of GOAWAY, RFC 9113 §8.7), or if the session broke after it had carried answers: most likely the server closed it while the
 * request was on its way.
 */
export class Http2Transport implements HttpsTransport {
  readonly #context: TransportContext;
  readonly #socket: Socket;
  readonly #session: ClientHttp2Session;
  readonly #exchanges = new Set<HttpsExchange>();
  readonly #watch: ConnectionWatch;
  #lastStreamId = MAX_STREAM_ID;
  #hasAnswered = false;
  #isRetired = false;
  /** No exchange is taken until something comes after all. */
  #isStalled = false;
  /** All streams that the server allows were without an answer for a while, although the line is alive. */
  #isMute = false;
  #pingLimitMs: number;
  #hasEnded = false;

  constructor(socket: Socket, context: TransportContext) {
    this.#context = context;
    this.#socket = socket;
    this.#pingLimitMs = silenceLimitMs(PING_LIMIT_MS, context.openingMs);
    this.#watch = new ConnectionWatch(context.clock, {
      onStalled: () => this.#ping(),
      onIdle: () => this.#retire(),
    });
    this.#session = http2Connect(`https://${context.target.authority}`, {
      createConnection: () => socket,
      settings: { enablePush: false },
    });
    this.#session.on("error", ignore);
    this.#session.on("goaway", (_, lastStreamId) => {
      this.#lastStreamId = Math.min(this.#lastStreamId, lastStreamId);
      this.#retire();
    });
    this.#session.on("close", () => this.#end());
    this.#watch.noteIdle();
  }

  get hasRoom(): boolean {
    if (this.#isRetired || this.#isStalled || this.#session.closed || this.#session.destroyed) return false;
    // What is sent to a full session waits there until one of its streams ends: for a moment, or as long as a mute server keeps others waiting.
    return !this.#isMute || this.#exchanges.size < this.#maxStreams;
  }

  /** How many streams the server allows at a time. */
  get #maxStreams(): number {
    return this.#session.remoteSettings.maxConcurrentStreams ?? Number.POSITIVE_INFINITY;
  }

  send(exchange: HttpsExchange): void {
    const { method, path, headers, body } = httpsRequest(this.#context.target, exchange.message);
    const stream = this.#session.request({ ":method": method, ":path": path, ...headers }, { endStream: body === null });
    this.#exchanges.add(exchange);
    this.#watch.noteSent(STALLED_MS);
    exchange.carried.join(stream, () => {
      if (this.#remove(exchange)) stream.close(constants.NGHTTP2_CANCEL);
    });
    this.#receive(stream, exchange);
    if (body !== null) stream.end(body);
  }

  async close(): Promise<void> {
    this.#session.destroy();
    this.#end();
    await destroyAndWait(this.#socket);
  }

  #receive(stream: ClientHttp2Stream, exchange: HttpsExchange): void {
    const { label } = this.#context.target;
    const chunks: Buffer[] = [];
    let bodyBytes = 0;
    /** The content-length of the response; null = no response yet. */
    let contentLength: string | undefined | null = null;
    const reject = (error: Error): void => {
      if (this.#remove(exchange)) exchange.carried.fail(stream, error);
      stream.close(constants.NGHTTP2_CANCEL);
    };
    // Every end of a stream comes to the handler of `close`, which reads the error code there.
    stream.on("error", ignore);
    stream.on("response", (headers) => {
      this.#isMute = false;
      this.#noteReceived();
      contentLength = headers["content-length"];
      const fault = responseFault(label, {
        status: headers[":status"] ?? 0,
        contentType: headers["content-type"],
        retryAfter: headers["retry-after"],
      });
      if (fault !== null) reject(fault);
    });
    stream.on("data", (chunk: Buffer) => {
      this.#noteReceived();
      bodyBytes += chunk.length;
      if (bodyBytes > MAX_MESSAGE_BYTES) reject(new UpstreamError("malformed", label, `more than ${MAX_MESSAGE_BYTES} bytes`));
      else chunks.push(chunk);
    });
    stream.on("end", () => {
      // A stream that the server resets without an error ends like a complete one.
      const isWhole = contentLength === undefined || contentLength === String(bodyBytes);
      if (!isWhole || stream.aborted || stream.rstCode !== constants.NGHTTP2_NO_ERROR || !this.#remove(exchange)) return;
      this.#hasAnswered = true;
      exchange.carried.resolve(new Uint8Array(Buffer.concat(chunks)));
    });
    stream.on("close", () => {
      // A stream without an id was never sent: the session is ending, or has used up its ids.
      if (stream.id === undefined) this.#isRetired = true;
      if (!this.#remove(exchange)) return;
      if (!exchange.wasResent && this.#mayResend(stream)) this.#resend(exchange);
      exchange.carried.fail(stream, new UpstreamError("network", label, `the server ended the stream (code ${stream.rstCode})`));
    });
  }

  #mayResend({ rstCode, id }: ClientHttp2Stream): boolean {
    if (isRefusal(rstCode) || id === undefined || id > this.#lastStreamId) return true;
    const isLost = !this.hasRoom || rstCode === constants.NGHTTP2_NO_ERROR;
    return isLost && this.#hasAnswered;
  }

  #resend(exchange: HttpsExchange): void {
    exchange.wasResent = true;
    this.#context.resend(exchange);
  }

  /** Takes the exchange off this session; false = it was not on it any more. */
  #remove(exchange: HttpsExchange): boolean {
    const wasHere = this.#exchanges.delete(exchange);
    if (wasHere) this.#settleIfIdle();
    return wasHere;
  }

  #settleIfIdle(): void {
    if (this.#exchanges.size > 0) return;
    // Closing the session would wait for the goodbye of a server that may be gone.
    if (this.#isRetired || this.#isStalled) this.#session.destroy();
    else this.#watch.noteIdle();
  }

  #retire(): void {
    this.#isRetired = true;
    this.#settleIfIdle();
  }

  // A slow answer and a dead connection look the same from here. A PING tells them apart (RFC 9113 §6.7).
  #ping(): void {
    if (this.#session.destroyed) return;
    const timer = this.#context.clock.setTimer(() => this.#stall(), this.#pingLimitMs);
    const isSent = this.#session.ping((error) => {
      timer.cancel();
      if (error !== null) return this.#session.destroy();
      this.#noteReceived();
      this.#noteMute();
      this.#settleIfIdle();
    });
    if (!isSent) this.#session.destroy();
  }

  /** Sends what has found no stream over another connection: one client's questions for names that hang must not keep the others waiting. */
  #noteMute(): void {
    const maxStreams = this.#maxStreams;
    if (this.#exchanges.size < maxStreams) return;
    this.#isMute = true;
    for (const exchange of [...this.#exchanges].slice(maxStreams)) if (!exchange.wasResent) this.#resend(exchange);
  }

  /** Takes no more exchanges, and sends those that wait over another connection. Their answers still count here, if the session ever worked. */
  #stall(): void {
    if (!this.#hasAnswered) {
      this.#session.destroy();
      return;
    }
    this.#isStalled = true;
    for (const exchange of this.#exchanges) if (!exchange.wasResent) this.#resend(exchange);
    this.#settleIfIdle();
  }

  #noteReceived(): void {
    this.#watch.noteReceived();
    if (!this.#isStalled) return;
    // The line is slow, not dead: a new session over it would take longer than the answers do.
    this.#isStalled = false;
    this.#pingLimitMs *= 2;
  }

  #end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#isRetired = true;
    this.#watch.stop();
    this.#context.onEnd();
  }
}

// Node's servers send ENHANCE_YOUR_CALM for a stream above their limit, which also counts cancelled streams until they notice.
function isRefusal(code: number): boolean {
  return code === constants.NGHTTP2_REFUSED_STREAM || code === constants.NGHTTP2_ENHANCE_YOUR_CALM;
}
