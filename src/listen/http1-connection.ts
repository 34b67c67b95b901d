import type { Socket } from "node:net";
import type { Clock, Timer } from "../lib/clock.ts";
import { http } from "../lib/http.ts";
import type { DohService, HttpPeer } from "./doh.ts";
import { readWholeRequest } from "./http1-request.ts";
import { ConnectionTurns } from "./turns.ts";
import type { Connection, HttpResponse, ListenServices } from "./types.ts";

/** How long a client has to close the connection after we ended it. */
const LINGER_MS = 1000;

/** What the connections of one server share. */
interface Http1Sharing {
  readonly service: DohService;
  readonly services: ListenServices;
  readonly trailer: HeadTrailer;
  /** How long a connection may be silent while it owes nothing, and while an answer is awaited or unread. */
  readonly idleMs: number;
  readonly stallMs: number;
}

/** An answer whose turn has not come; `bytes` null = the handler still works on it. */
interface PendingAnswer {
  bytes: Buffer | null;
}

/**
 * One HTTP/1 connection. Answers plain requests itself, in the order of the requests, all answers of a chunk in one write. At the first bytes
 * that `readWholeRequest` declines it hands the connection to Node's parser for good, and from then on counts what Node's parser takes.
 */
export class Http1Connection implements Connection {
  readonly peer: HttpPeer;
  readonly #socket: Socket;
  readonly #sharing: Http1Sharing;
  readonly #handOver: (socket: Socket) => void;
  /** When the last answer was sent. */
  #answeredMs: number;
  /** Requests without their complete answer. */
  #outstanding = 0;
  /** Bytes of answers that wait for their turn; of Node's, also those that the system has not taken. */
  #unreadBytes = 0;
  /** What was read, and waits for its turn; null = nothing does. */
  #unserved: Buffer | null = null;
  readonly #turns: ConnectionTurns;
  #isFinishing = false;
  /** More of the chunk follows the request that is being answered. */
  #readsOn = false;
  /** Our side has ended. */
  #isOver = false;
  /** Ends the connection at the stop of the server. */
  #closing: Timer | null = null;
  /** The client has ended its side. */
  #hasEnded = false;
  /** Answers of our own from the first awaited one on. */
  readonly #queue: PendingAnswer[] = [];
  readonly #onQueueEmpty: (() => void)[] = [];
  /** Answers to be written at the end of the turn. */
  #parts: Buffer[] = [];
  /** How long the connection has been silent when the timeout of the socket fires next. */
  #silentMs = 0;

  /** @param handOver gives the socket to Node's parser, with the bytes that it shall read unshifted. */
  constructor(socket: Socket, peer: HttpPeer, sharing: Http1Sharing, handOver: (socket: Socket) => void) {
    this.#socket = socket;
    this.peer = peer;
    this.#sharing = sharing;
    this.#handOver = handOver;
    this.#answeredMs = sharing.services.clock.now();
    this.#turns = new ConnectionTurns(sharing.services.turns, peer.direct.address, this.#goOn);
    socket.on("data", this.#read).on("end", this.#end).on("timeout", this.#expire);
    socket.on("close", () => this.#closing?.cancel());
    this.#silentMs = Math.min(sharing.idleMs, sharing.stallMs);
    socket.setTimeout(this.#silentMs);
  }

  get idleSinceMs(): number | null {
    return this.isIdle ? this.#answeredMs : null;
  }

  get heldBytes(): number {
    return this.#unreadBytes + this.#socket.writableLength + (this.#unserved?.length ?? 0);
  }

  get isIdle(): boolean {
    return this.#outstanding === 0 && this.#unserved === null;
  }

  get closesAfterThis(): boolean {
    return this.#isFinishing && this.#outstanding === 1 && !this.#readsOn;
  }

  /** Settles when every answer of our own is written. null = all are. Node's answers come after them. */
  get ownAnswers(): Promise<void> | null {
    return this.#queue.length === 0 ? null : new Promise((resolve) => this.#onQueueEmpty.push(resolve));
  }

  finish(): void {
    if (this.#isFinishing) return;
    this.#isFinishing = true;
    if (!this.isIdle) return;
    const { clock, limits } = this.#sharing.services;
    // It gets the next answer, and is told with it that the connection ends (RFC 9112 §9.6).
    const drainMs = this.#answeredMs + limits.drainMs - clock.now();
    if (drainMs <= 0) this.#close();
    else this.#closing = clock.setTimer(() => this.isIdle && this.#close(), drainMs);
  }

  /** Ends our side. The client's bytes are read on for a moment: else the system would drop the answers that the client has not taken yet. */
  #close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#closing?.cancel();
    this.#socket.end();
    this.#socket.resume();
    this.#closing = this.#sharing.services.clock.setTimer(() => this.#socket.destroy(), LINGER_MS);
  }

  /** Counts a request that Node's parser has read. The caller calls `complete` when its answer is out. */
  begin(): void {
    this.#outstanding++;
    // Node reads all pipelined requests of a chunk and resumes the socket after each one, so we pause after the whole chunk.
    if (this.#outstanding === this.#limit) process.nextTick(() => this.#pauseIfFull());
  }

  complete(unreadBytes: number): void {
    this.#unreadBytes -= unreadBytes;
    this.#outstanding--;
    this.#answeredMs = this.#sharing.services.clock.now();
    if (this.#outstanding === this.#limit - 1) this.#socket.resume();
    if (this.isIdle && this.#isFinishing && !this.#readsOn) this.#close();
  }

  /** Counts bytes of an answer until `complete`. Cuts the connection when too many bytes wait. */
  countUnread(bytes: number): void {
    this.#unreadBytes += bytes;
    if (this.#unreadBytes > this.#sharing.services.limits.writeBacklogBytes) this.#socket.destroy();
  }

  get #limit(): number {
    return this.#sharing.services.limits.outstandingPerConnection;
  }

  #pauseIfFull(): void {
    if (this.#outstanding >= this.#limit) this.#socket.pause();
  }

  readonly #read = (chunk: Buffer): void => {
    if (this.#isOver) return;
    this.#noteActivity();
    this.#turns.noteRead(chunk.length, this.#unserved?.length ?? 0, this.#sharing.services.clock.now());
    if (this.#unserved === null) this.#serve(chunk);
    else this.#postpone(Buffer.concat([this.#unserved, chunk]));
  };

  readonly #goOn = (): void => {
    const chunk = this.#unserved;
    this.#unserved = null;
    if (chunk === null || this.#isOver || this.#socket.destroyed) return;
    this.#socket.resume();
    this.#serve(chunk);
  };

  #postpone(rest: Buffer): void {
    this.#unserved = rest;
    this.#readsOn = true;
    if (!this.#turns.mayReadAhead(rest.length)) this.#socket.pause();
  }

  #serve(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#turns.mustWait()) {
        this.#postpone(chunk.subarray(at));
        break;
      }
      if (this.#outstanding >= this.#limit) {
        this.#readsOn = false;
        this.#socket.pause();
        this.#socket.unshift(chunk.subarray(at));
        break;
      }
      const request = readWholeRequest(chunk, at);
      if (request === null) {
        this.#flush();
        this.#giveUp(chunk.subarray(at));
        return;
      }
      at = request.end;
      this.#readsOn = at < chunk.length;
      this.#outstanding++;
      const arrivedMs = this.#turns.arrivedMs(chunk.length - at);
      const reply = this.#sharing.service.respond(request.head, request.body, { version: "1.1", peer: this.peer, arrivedMs });
      if (reply instanceof Promise) this.#await(reply);
      else this.#take(reply);
    }
    this.#flush();
  }

  #giveUp(rest: Buffer): void {
    this.#readsOn = false;
    const socket = this.#socket;
    if (socket.destroyed) return;
    socket.off("data", this.#read).off("end", this.#end).off("timeout", this.#expire);
    socket.pause();
    socket.unshift(rest);
    this.#handOver(socket);
  }

  /** Sends a response that is there at once, or lets it wait for its turn. */
  #take(reply: HttpResponse | null): void {
    const bytes = this.#render(reply);
    if (this.#queue.length === 0) {
      this.#write(bytes);
      this.complete(0);
      return;
    }
    this.#queue.push({ bytes });
    this.countUnread(bytes.length);
  }

  #await(reply: Promise<HttpResponse | null>): void {
    const pending: PendingAnswer = { bytes: null };
    this.#queue.push(pending);
    void reply.then((response) => {
      pending.bytes = this.#render(response);
      this.countUnread(pending.bytes.length);
      this.#sendInOrder();
    });
  }

  #sendInOrder(): void {
    this.#noteActivity();
    for (let first = this.#queue[0]; first !== undefined && first.bytes !== null; first = this.#queue[0]) {
      this.#queue.shift();
      this.#write(first.bytes);
      this.complete(first.bytes.length);
    }
    if (this.#queue.length === 0) {
      // Node may write the next answer within this turn.
      this.#flush();
      for (const resolve of this.#onQueueEmpty.splice(0)) resolve();
    }
    if (this.#hasEnded && this.isIdle) process.nextTick(() => this.#socket.end());
  }

  #render(reply: HttpResponse | null): Buffer {
    if (reply === null) throw new Error("a whole request broke off");
    return renderResponse(reply, this.#sharing.trailer.text(this.closesAfterThis));
  }

  #write(bytes: Buffer): void {
    // Before `complete` may end the socket, and at the latest at the end of the turn.
    if (this.#parts.length === 0) process.nextTick(this.#flush);
    this.#parts.push(bytes);
    if (this.closesAfterThis) this.#flush();
  }

  readonly #flush = (): void => {
    const parts = this.#parts;
    const [first] = parts;
    if (first === undefined) return;
    this.#parts = [];
    if (!this.#socket.writable) return;
    this.#socket.write(parts.length === 1 ? first : Buffer.concat(parts));
    if (this.#socket.writableLength > this.#sharing.services.limits.writeBacklogBytes) this.#socket.destroy();
  };

  readonly #end = (): void => {
    this.#hasEnded = true;
    if (this.isIdle) this.#socket.end();
  };

  #noteActivity(): void {
    const { idleMs, stallMs } = this.#sharing;
    const firstMs = Math.min(idleMs, stallMs);
    if (this.#silentMs === firstMs) return;
    this.#silentMs = firstMs;
    this.#socket.setTimeout(firstMs);
  }

  /** The socket was silent for `#silentMs`. */
  readonly #expire = (): void => {
    const isStalled = !this.isIdle || this.#socket.writableLength > 0;
    const limitMs = isStalled ? this.#sharing.stallMs : this.#sharing.idleMs;
    if (this.#silentMs >= limitMs) {
      this.#socket.destroy();
      return;
    }
    this.#socket.setTimeout(limitMs - this.#silentMs);
    this.#silentMs = limitMs;
  };
}

function renderResponse({ status, contentType, cacheControl, allow, body }: HttpResponse, trailer: string): Buffer {
  let head = `HTTP/1.1 ${status} ${http.STATUS_CODES[status]}\r\ncontent-type: ${contentType}\r\ncontent-length: ${body.length}\r\n`;
  if (cacheControl !== null) head += `cache-control: ${cacheControl}\r\n`;
  if (allow !== null) head += `allow: ${allow}\r\n`;
  head += trailer;
  const bytes = Buffer.allocUnsafe(head.length + body.length);
  bytes.write(head, 0, "latin1");
  bytes.set(body, head.length);
  return bytes;
}

/** The end of each head, as Node writes it: `Date` and `Connection`. Kept for a second. */
export class HeadTrailer {
  readonly #clock: Clock;
  readonly #keepAlive: string;
  #second = Number.NaN;
  #kept = "";
  #closing = "";

  constructor(clock: Clock, keepAliveSeconds: number) {
    this.#clock = clock;
    this.#keepAlive = `Connection: keep-alive\r\nKeep-Alive: timeout=${keepAliveSeconds}\r\n\r\n`;
  }

  text(closes: boolean): string {
    const second = Math.floor(this.#clock.wallMs() / 1000);
    if (second !== this.#second) {
      this.#second = second;
      const date = `Date: ${new Date(second * 1000).toUTCString()}\r\n`;
      this.#kept = date + this.#keepAlive;
      this.#closing = `connection: close\r\n${date}\r\n`;
    }
    return closes ? this.#closing : this.#kept;
  }
}
