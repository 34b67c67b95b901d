import type { Socket } from "node:net";
import { ResettableTimer } from "../lib/deadline.ts";
import { type Body, NO_BODY } from "./body.ts";
import type { DohService, HttpPeer } from "./doh.ts";
import { ERROR } from "./http2/frames.ts";
import type { Http2Stream } from "./http2/request.ts";
import { Http2Session } from "./http2/session.ts";
import type { Connection, HttpResponse, ListenServices, RequestHead } from "./types.ts";

/** How long a client has to close the connection after we ended it. */
const LINGER_MS = 1000;

/** RFC 6585 §5. */
const TOO_LARGE_HEAD: HttpResponse = {
  status: 431,
  contentType: "text/plain; charset=utf-8",
  cacheControl: null,
  allow: null,
  body: Buffer.from("The head of the request is too large.\n"),
  unread: false,
};

/** DoH on one HTTP/2 connection: the deadlines and limits. `http2/session.ts` is the protocol, `doh.ts` answers the requests. */
export class Http2Connection implements Connection {
  readonly #socket: Socket;
  readonly #service: DohService;
  readonly #services: ListenServices;
  readonly #peer: HttpPeer;
  readonly #session: Http2Session;
  readonly #deadline: ResettableTimer;
  /** When a stream began or ended last. */
  #activeMs: number;
  /** Whether activity is noted at the end of this turn: once for all the requests of a chunk. */
  #willNoteActivity = false;

  /** @param socket its preface has been read. */
  constructor(socket: Socket, peer: HttpPeer, behind: { readonly service: DohService; readonly services: ListenServices }) {
    this.#socket = socket;
    this.#service = behind.service;
    this.#services = behind.services;
    this.#peer = peer;
    this.#activeMs = behind.services.clock.now();
    this.#deadline = new ResettableTimer(behind.services.clock, () => this.#expire());
    this.#session = new Http2Session(
      socket,
      { ...behind.services, client: peer.direct.address },
      {
        onRequest: (stream) => this.#answer(stream),
        onActivity: () => {
          if (this.#willNoteActivity) return;
          this.#willNoteActivity = true;
          process.nextTick(this.#noteActivity);
        },
      },
    );
    socket.on("close", () => this.#deadline.cancel());
    this.#setDeadline();
  }

  get idleSinceMs(): number | null {
    return this.#session.oldestBegunMs === null ? this.#activeMs : null;
  }

  get heldBytes(): number {
    return this.#session.heldBytes;
  }

  finish(): void {
    this.#session.finish();
  }

  #answer(stream: Http2Stream): void {
    const { head, body } = stream;
    if (head === null) this.#session.respond(stream, TOO_LARGE_HEAD);
    else if (body === null) this.#ask(stream, head, NO_BODY);
    else void body.done.then((whole) => this.#ask(stream, head, whole));
  }

  #ask(stream: Http2Stream, head: RequestHead, body: Body): void {
    if (stream.isClosed) return;
    const reply = this.#service.respond(head, body, { version: "2", peer: this.#peer, arrivedMs: stream.arrivedMs });
    if (reply instanceof Promise) void reply.then((response) => this.#respond(stream, head, response));
    else if (reply !== null) this.#respond(stream, head, reply);
  }

  #respond(stream: Http2Stream, head: RequestHead, response: HttpResponse): void {
    if (stream.isClosed) return;
    const isFull = this.#session.unreadBytes > this.#services.limits.writeBacklogBytes;
    if (isFull) this.#session.reset(stream, ERROR.REFUSED_STREAM);
    else this.#session.respond(stream, response, { withoutBody: head.method === "HEAD" });
  }

  readonly #noteActivity = (): void => {
    this.#willNoteActivity = false;
    this.#activeMs = this.#services.clock.now();
    this.#setDeadline();
  };

  /** Sets the deadline to the first thing that the client is late with, else to the end of the idle time, or of its time to close. */
  #setDeadline(): void {
    const { clock, limits } = this.#services;
    if (this.#socket.destroyed) return;
    const dueMs = Math.min(this.#streamDueMs, this.#writeDueMs, this.#blockDueMs);
    const restMs = this.#session.isOver ? LINGER_MS : limits.httpIdleMs;
    this.#deadline.set(dueMs === Number.POSITIVE_INFINITY ? restMs : dueMs - clock.now());
  }

  get #streamDueMs(): number {
    const { oldestBegunMs } = this.#session;
    return oldestBegunMs === null ? Number.POSITIVE_INFINITY : oldestBegunMs + this.#services.limits.httpRequestMs;
  }

  get #blockDueMs(): number {
    const { blockBegunMs } = this.#session;
    return blockBegunMs === null ? Number.POSITIVE_INFINITY : blockBegunMs + this.#services.limits.httpHeaderMs;
  }

  get #writeDueMs(): number {
    const { backlogSinceMs } = this.#session;
    return backlogSinceMs === null ? Number.POSITIVE_INFINITY : backlogSinceMs + this.#services.limits.writeMs;
  }

  #expire(): void {
    const { clock, limits } = this.#services;
    const nowMs = clock.now();
    if (this.#writeDueMs <= nowMs || this.#blockDueMs <= nowMs || this.#session.isOver) {
      this.#socket.destroy();
      return;
    }
    // An idle client gets a GOAWAY.
    if (this.#session.oldestBegunMs === null) this.#session.finish();
    for (const stream of this.#session.streams) {
      if (stream.begunMs + limits.httpRequestMs > nowMs) break;
      this.#session.reset(stream, ERROR.CANCEL);
    }
    this.#setDeadline();
  }
}
