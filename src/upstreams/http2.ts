import { type ClientHttp2Session, type ClientHttp2Stream, constants, connect as http2Connect } from "node:http2";
import type { Socket } from "node:net";
import { MAX_MESSAGE_BYTES } from "../dns/wire.ts";
import type { Clock } from "../lib/clock.ts";
import { destroyed, ignore } from "./dial.ts";
import {
  type HttpsExchange,
  type HttpsTarget,
  type HttpsTransport,
  httpsRequest,
  responseFault,
  type TransportEvents,
} from "./https-request.ts";
import { ConnectionWatch } from "./pending.ts";
import { UpstreamError } from "./upstream.ts";

/** How long a session may be silent under unanswered requests before it is pinged, and then how long until it counts as dead. */
const STALLED_MS = 1_000;
const PING_LIMIT_MS = 1_000;

/** RFC 9113 §5.1.1: stream identifiers end here, and mean in a first GOAWAY that the server is about to close. */
const MAX_STREAM_ID = 2 ** 31 - 1;

/**
 * One HTTP/2 session. A request is sent again elsewhere where the server has not looked at it (REFUSED_STREAM, or beyond the last stream of
 * GOAWAY, RFC 9113 §8.7), or the session broke that had carried answers before: most likely it was closed while the request was on its way.
 */
export class Http2Transport implements HttpsTransport {
  readonly #target: HttpsTarget;
  readonly #clock: Clock;
  readonly #events: TransportEvents;
  readonly #socket: Socket;
  readonly #session: ClientHttp2Session;
  readonly #jobs = new Set<HttpsExchange>();
  readonly #watch: ConnectionWatch;
  #lastStreamId = MAX_STREAM_ID;
  #hasAnswered = false;
  #retired = false;
  #ended = false;

  constructor(socket: Socket, target: HttpsTarget, parts: { readonly clock: Clock; readonly events: TransportEvents }) {
    this.#target = target;
    this.#clock = parts.clock;
    this.#events = parts.events;
    this.#socket = socket;
    this.#watch = new ConnectionWatch(parts.clock, {
      stalledMs: STALLED_MS,
      stalled: () => this.#probe(),
      idle: () => this.#retire(),
    });
    this.#session = http2Connect(`https://${target.authority}`, {
      createConnection: () => socket,
      settings: { enablePush: false },
    });
    this.#session.on("error", ignore);
    this.#session.on("goaway", (_, lastStreamId) => {
      this.#lastStreamId = Math.min(this.#lastStreamId, lastStreamId);
      this.#retire();
    });
    this.#session.on("close", () => this.#end());
    this.#watch.rest();
  }

  get hasRoom(): boolean {
    return !this.#retired && !this.#session.closed && !this.#session.destroyed;
  }

  ask(job: HttpsExchange): void {
    const { method, path, headers, body } = httpsRequest(this.#target, job.message);
    const stream = this.#session.request({ ":method": method, ":path": path, ...headers }, { endStream: body === null });
    this.#jobs.add(job);
    this.#watch.sent();
    job.cancel = () => {
      if (!this.#jobs.delete(job)) return;
      stream.close(constants.NGHTTP2_CANCEL);
      this.#settled();
    };
    this.#follow(stream, job);
    if (body !== null) stream.end(body);
  }

  async close(): Promise<void> {
    this.#session.destroy();
    this.#end();
    await destroyed(this.#socket);
  }

  #follow(stream: ClientHttp2Stream, job: HttpsExchange): void {
    const { label } = this.#target;
    const chunks: Buffer[] = [];
    let octets = 0;
    /** What the server says it will send; null = it has not answered yet. */
    let announced: string | undefined | null = null;
    const reject = (error: Error): void => {
      if (this.#take(job)) job.ends.reject(error);
      stream.close(constants.NGHTTP2_CANCEL);
    };
    // What an error says is known by the time of `close`, where all ends meet.
    stream.on("error", ignore);
    stream.on("response", (headers) => {
      this.#watch.heard();
      announced = headers["content-length"];
      const fault = responseFault(label, headers[":status"] ?? 0, headers["content-type"]);
      if (fault !== null) reject(fault);
    });
    stream.on("data", (chunk: Buffer) => {
      this.#watch.heard();
      octets += chunk.length;
      if (octets > MAX_MESSAGE_BYTES) reject(new UpstreamError("malformed", label, `more than ${MAX_MESSAGE_BYTES} octets`));
      else chunks.push(chunk);
    });
    stream.on("end", () => {
      // A stream that is reset without an error ends just as one that is complete.
      const isWhole = announced === undefined || announced === String(octets);
      if (!isWhole || stream.aborted || stream.rstCode !== constants.NGHTTP2_NO_ERROR || !this.#take(job)) return;
      this.#hasAnswered = true;
      job.ends.resolve(new Uint8Array(Buffer.concat(chunks)));
    });
    stream.on("close", () => {
      // Without an id it never went out: the session is at its end, or has used up all ids.
      if (stream.id === undefined) this.#retired = true;
      if (!this.#take(job)) return;
      if (!job.resent && this.#mayResend(stream)) this.#resend(job);
      else job.ends.reject(new UpstreamError("network", label, `the server ended the stream (code ${stream.rstCode})`));
    });
  }

  #mayResend({ rstCode, id }: ClientHttp2Stream): boolean {
    if (isRefusal(rstCode) || id === undefined || id > this.#lastStreamId) return true;
    const isLost = !this.hasRoom || rstCode === constants.NGHTTP2_NO_ERROR;
    return isLost && this.#hasAnswered;
  }

  #resend(job: HttpsExchange): void {
    job.resent = true;
    this.#events.resend(job);
  }

  /** Whether the job was still on this session; it is not any more. */
  #take(job: HttpsExchange): boolean {
    const wasHere = this.#jobs.delete(job);
    if (wasHere) this.#settled();
    return wasHere;
  }

  #settled(): void {
    if (this.#jobs.size > 0) return;
    // Where the server is gone without a word, a session that is only closed would wait for its goodbye.
    if (this.#retired) this.#session.destroy();
    else this.#watch.rest();
  }

  #retire(): void {
    this.#retired = true;
    this.#settled();
  }

  // A slow answer and a dead connection look the same from here; a ping tells them apart (RFC 9113 §6.7).
  #probe(): void {
    if (this.#session.destroyed) return;
    const timer = this.#clock.setTimer(() => this.#session.destroy(), PING_LIMIT_MS);
    const isSent = this.#session.ping((error) => {
      timer.cancel();
      if (error !== null) return this.#session.destroy();
      this.#watch.heard();
      this.#settled();
    });
    if (!isSent) this.#session.destroy();
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#retired = true;
    this.#watch.stop();
    this.#events.ended();
  }
}

// Node's servers say the second of a stream beyond their limit, which counts those that were given up until they have noticed it.
function isRefusal(code: number): boolean {
  return code === constants.NGHTTP2_REFUSED_STREAM || code === constants.NGHTTP2_ENHANCE_YOUR_CALM;
}
