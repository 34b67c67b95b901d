import { randomInt } from "node:crypto";
import type { Socket } from "node:net";
import type { Answer } from "../dns/answer.ts";
import { askMessage, type Question } from "../dns/query.ts";
import { frame, MessageFramer, uint16 } from "../dns/wire.ts";
import type { Clock } from "../lib/clock.ts";
import { connectError, type Dialer, destroyAndWait } from "./dial.ts";
import { MAX_MEMBER_IN_FLIGHT } from "./member.ts";
import type { ServerOptions } from "./options.ts";
import { type AttemptSubject, CarriedRequest, ConnectionWatch, PendingRequests, silenceLimitMs } from "./pending.ts";
import { EdnsSupport, ID_LIMIT, readReply } from "./reply.ts";
import { type ExchangeOptions, type ServerContext, type Upstream, UpstreamError } from "./upstream.ts";

/**
 * RFC 7766 §6.2.2 asks for one connection. More are opened only when that one is full or silent. All together carry what a member may have, else the
 * share that one client has of a group would be all that the server takes.
 */
const MAX_CONNECTIONS = 16;

/** Pending questions on one connection; an abandoned question counts until its answer comes. RFC 7766 §6.2.1.1 names no number. */
const MAX_PIPELINED = 128;

/** RFC 7858 §3.2; the protocol name is from the ALPN registry. */
const TLS_ALPN = ["dot"];

/**
 * How long a connection may be silent while questions wait before it takes no more: a router that has forgotten the connection drops packets
 * without a word, and TCP itself needs minutes to notice.
 */
const STALLED_MS = 1_500;

/**
 * How often one question may move to another connection. Servers may close after a number of answers (RFC 7766 §6.2.3), so each move makes
 * progress; but a question that itself brings the server down must not move for ever.
 */
const MAX_MOVES = 20;

/**
 * Connections that questions of a lost one are laid on, so that each waits alone as long as there are as few: what a server left unanswered among others it
 * would leave again, for as long as it keeps a silent connection. dnsdist 1.7 does so with what it reads from TLS at once.
 */
const MOVED_APART = 4;

/** One question on its way over a stream. */
interface StreamRequest {
  readonly question: Question;
  readonly edns: boolean;
  readonly carried: CarriedRequest<Answer>;
  /** How often the request has moved to another connection. */
  moves: number;
  /** Whether the request was sent again because a connection was silent. That happens once: else a slow server would get it again and again. */
  wasResent: boolean;
}

/** A server asked over TCP (RFC 7766) or TLS (RFC 7858), on connections that are kept open. */
export class StreamServer implements Upstream {
  readonly label: string;
  readonly encrypted: boolean;
  readonly #subject: AttemptSubject;
  readonly #dialer: Dialer;
  readonly #pending: PendingRequests;
  readonly #edns: EdnsSupport;
  readonly #connections = new Set<StreamConnection>();
  /** Whether the server has answered on any connection. */
  #hasAnswered = false;

  constructor(server: ServerOptions, { clock }: ServerContext, dialer: Dialer) {
    this.label = server.label;
    this.encrypted = server.protocol === "tls";
    this.#subject = { server: server.label, transport: this.encrypted ? "tls" : "tcp", clock };
    this.#dialer = dialer;
    this.#pending = new PendingRequests(this.#subject, MAX_MEMBER_IN_FLIGHT);
    this.#edns = new EdnsSupport(clock);
  }

  exchange(question: Question, options: ExchangeOptions): Promise<Answer> {
    return this.#edns.ask((edns) =>
      this.#pending.run<Answer>(options, (settle) => {
        const carried = new CarriedRequest(settle);
        this.#send({ question, edns, carried, moves: 0, wasResent: false });
        return () => carried.cancel();
      }),
    );
  }

  addresses(): readonly string[] {
    return this.#dialer.addresses.latest;
  }

  async close(): Promise<void> {
    this.#pending.close();
    await Promise.all([...this.#connections].map((connection) => connection.close()));
    this.#dialer.close();
  }

  #send(request: StreamRequest): void {
    const isLeft = request.moves > 0 && !request.wasResent;
    const connection = isLeft ? this.#emptiest() : (this.#connections.values().find(({ hasRoom }) => hasRoom) ?? this.#connect());
    if (connection === null)
      request.carried.fail(this, new UpstreamError("barred", this.label, `${MAX_CONNECTIONS} connections are full`));
    else connection.send(request);
  }

  /** The connection on which the fewest questions wait; another one, where that is any and there are few. */
  #emptiest(): StreamConnection | null {
    const [emptiest] = [...this.#connections]
      .filter(({ hasRoom }) => hasRoom)
      .sort((left, right) => left.waiting - right.waiting);
    if (emptiest !== undefined && (emptiest.waiting === 0 || this.#connections.size >= MOVED_APART)) return emptiest;
    return this.#connect() ?? emptiest ?? null;
  }

  #connect(): StreamConnection | null {
    if (this.#connections.size >= MAX_CONNECTIONS) return null;
    const connection = new StreamConnection({
      label: this.label,
      clock: this.#subject.clock,
      padded: this.encrypted,
      dial: (signal) => this.#dialer.open(this.encrypted ? TLS_ALPN : null, signal),
      isProven: () => this.#hasAnswered,
      onAnswer: () => {
        this.#hasAnswered = true;
      },
      resend: (request) => this.#send(request),
      onEnd: () => this.#connections.delete(connection),
    });
    this.#connections.add(connection);
    return connection;
  }
}

interface StreamConnectionOptions {
  readonly label: string;
  readonly clock: Clock;
  /** Whether to pad queries: on encrypted connections. */
  readonly padded: boolean;
  readonly dial: (signal: AbortSignal) => Promise<Socket>;
  /** Whether the server has answered before, be it on another connection. */
  readonly isProven: () => boolean;
  readonly onAnswer: () => void;
  /** Moves a request that this connection has lost to another connection. */
  readonly resend: (request: StreamRequest) => void;
  /** Called once, when the connection takes no more requests and has none left. */
  readonly onEnd: () => void;
}

/**
 * One connection. Queries are sent at once and answered in any order (RFC 7766 §6.2.1.1, §7). Ids are random and unique on the connection; the
 * id of an abandoned request stays taken, so its late answer cannot reach another request. When a connection that has carried an answer
 * breaks, its requests move to another one: most likely the server closed it while they were on their way. On a connection that never worked they
 * fail. When a connection stalls, they are sent again over another one if the server has answered before, on any connection.
 */
class StreamConnection {
  readonly #options: StreamConnectionOptions;
  readonly #dialAbort = new AbortController();
  readonly #dialed: Promise<void>;
  readonly #framer = new MessageFramer();
  /** By id; null = abandoned. */
  readonly #requests = new Map<number, StreamRequest | null>();
  /** Framed queries that wait for the connection to open, by id. */
  readonly #unsent = new Map<number, Uint8Array>();
  readonly #watch: ConnectionWatch;
  #socket: Socket | null = null;
  readonly #dialedMs: number;
  #stalledMs = STALLED_MS;
  #waiting = 0;
  #hasAnswered = false;
  /** No more requests are taken; the connection ends with its last one. */
  #isRetired = false;
  /** Likewise, until an answer comes after all. */
  #isStalled = false;
  #hasEnded = false;

  constructor(options: StreamConnectionOptions) {
    this.#options = options;
    this.#dialedMs = options.clock.now();
    this.#watch = new ConnectionWatch(options.clock, {
      onStalled: () => this.#stall(),
      onIdle: () => this.#end(new UpstreamError("closed", options.label, "idle")),
    });
    this.#dialed = options.dial(this.#dialAbort.signal).then(
      (socket) => this.#use(socket),
      (error: unknown) => this.#end(error instanceof Error ? error : new Error(String(error))),
    );
  }

  get hasRoom(): boolean {
    return !this.#isRetired && !this.#isStalled && this.#requests.size < MAX_PIPELINED;
  }

  /** Requests that are not abandoned. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Takes a request. The caller has checked `hasRoom`. */
  send(request: StreamRequest): void {
    const id = this.#pickId();
    this.#requests.set(id, request);
    this.#waiting += 1;
    request.carried.join(this, () => this.#abandon(id));
    const message = askMessage(request.question, { id, edns: request.edns, padded: this.#options.padded });
    if (this.#socket === null) this.#unsent.set(id, frame(message));
    else this.#write(frame(message));
  }

  /** Fails the requests that are still on the connection. */
  async close(): Promise<void> {
    this.#end(new UpstreamError("closed", this.#options.label, "closed"));
    await this.#dialed;
    if (this.#socket !== null) await destroyAndWait(this.#socket);
  }

  #use(socket: Socket): void {
    this.#socket = socket;
    this.#stalledMs = silenceLimitMs(STALLED_MS, this.#options.clock.now() - this.#dialedMs);
    if (this.#hasEnded) return void socket.destroy();
    const { label } = this.#options;
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    socket.on("error", (error) => this.#end(connectError(error, label)));
    socket.on("end", () => this.#end(new UpstreamError("network", label, "the server closed the connection")));
    socket.on("close", () => this.#end(new UpstreamError("network", label, "the connection is closed")));
    for (const framed of this.#unsent.values()) this.#write(framed);
    this.#unsent.clear();
    this.#settleIfIdle();
  }

  #write(framed: Uint8Array): void {
    this.#watch.noteSent(this.#stalledMs);
    this.#socket?.write(framed);
  }

  #receive(chunk: Uint8Array): void {
    this.#framer.push(chunk);
    while (!this.#hasEnded && this.#framer.ready) {
      const message = this.#framer.next();
      if (message === "badLength")
        this.#end(new UpstreamError("malformed", this.#options.label, "a message of impossible length"));
      else if (message !== "incomplete") this.#answer(message);
    }
    if (!this.#hasEnded) this.#settleIfIdle();
  }

  #answer(message: Uint8Array): void {
    const id = uint16(message, 0);
    const request = this.#requests.get(id);
    // An answer with an unknown id is odd, but no reason to distrust the other answers.
    if (request === undefined) return;
    // Bytes alone prove nothing: where the framing is lost they go on to come, and no answer is ever whole.
    this.#watch.noteReceived();
    if (this.#isStalled) this.#revive();
    this.#hasAnswered = true;
    this.#options.onAnswer();
    this.#requests.delete(id);
    if (request === null) return;
    this.#waiting -= 1;
    const reply = readReply(message, id, request.question);
    if (reply.kind === "answer") request.carried.resolve(reply.answer);
    else request.carried.fail(this, new UpstreamError("malformed", this.#options.label, REPLY_FAULTS[reply.kind]));
  }

  #abandon(id: number): void {
    if (this.#hasEnded || !this.#requests.get(id)) return;
    if (this.#unsent.delete(id)) this.#requests.delete(id);
    else this.#requests.set(id, null);
    this.#waiting -= 1;
    this.#settleIfIdle();
  }

  /** Decides what to do with a connection whose last request is gone. */
  #settleIfIdle(): void {
    if (this.#waiting > 0) return;
    if (this.hasRoom) this.#watch.noteIdle();
    else this.#end(new UpstreamError("closed", this.#options.label, "retired"));
  }

  // RFC 7766 §6.2.4 allows the requests of a lost connection to be sent again. Here those of a connection are that seems lost, or that a busy server
  // took and never reads. Their answers still count here.
  #stall(): void {
    this.#isStalled = true;
    if (this.#options.isProven()) {
      for (const request of this.#requests.values()) {
        if (request === null || request.wasResent) continue;
        request.wasResent = true;
        this.#move(request);
      }
    }
    this.#settleIfIdle();
  }

  /** The line is slow, not dead: a new connection over it would take longer than the answers do. */
  #revive(): void {
    this.#isStalled = false;
    this.#stalledMs *= 2;
  }

  #move(request: StreamRequest): void {
    request.moves += 1;
    this.#options.resend(request);
  }

  #end(error: Error): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#isRetired = true;
    this.#watch.stop();
    this.#dialAbort.abort(error);
    this.#socket?.destroy();
    const requests = [...this.#requests.values()].filter((request) => request !== null);
    this.#requests.clear();
    this.#options.onEnd();
    const isLost = this.#hasAnswered && error instanceof UpstreamError && error.failure === "network";
    for (const request of requests) {
      if (!request.carried.leave(this)) continue;
      if (isLost && request.moves < MAX_MOVES) this.#move(request);
      else request.carried.fail(this, error);
    }
  }

  #pickId(): number {
    for (;;) {
      const id = randomInt(ID_LIMIT);
      if (!this.#requests.has(id)) return id;
    }
  }
}

const REPLY_FAULTS = {
  foreign: "the answer is to another question",
  truncated: "the answer is truncated, on a stream",
  malformed: "the answer is malformed",
} as const;
