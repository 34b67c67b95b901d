import { randomInt } from "node:crypto";
import type { Socket } from "node:net";
import type { Answer } from "../dns/answer.ts";
import { askMessage, type Question } from "../dns/query.ts";
import { frame, MessageFramer, uint16 } from "../dns/wire.ts";
import type { Clock } from "../lib/clock.ts";
import { connectError, type Dialer, destroyed } from "./dial.ts";
import type { ServerOptions } from "./options.ts";
import { ConnectionWatch, PendingRequests, type Settle } from "./pending.ts";
import { type AttemptSubject, EdnsSupport, noteAttempt, readReply } from "./reply.ts";
import { type ExchangeOptions, type ServerContext, type Upstream, UpstreamError } from "./upstream.ts";

/** RFC 7766 §6.2.2 asks for one connection; more are opened only where that one is full or silent. */
const MAX_CONNECTIONS = 8;

/** RFC 7858 §3.2, with the protocol's name from the ALPN registry. */
const TLS_ALPN = ["dot"];

/** A server asked over TCP (RFC 7766) or TLS (RFC 7858), on connections that are kept open. */
export class StreamServer implements Upstream {
  readonly label: string;
  readonly encrypted: boolean;
  readonly #subject: AttemptSubject;
  readonly #dialer: Dialer;
  readonly #underway: PendingRequests;
  readonly #edns: EdnsSupport;
  readonly #connections = new Set<StreamConnection>();

  constructor(server: ServerOptions, { clock }: ServerContext, dialer: Dialer) {
    this.label = server.label;
    this.encrypted = server.protocol === "tls";
    this.#subject = { server: server.label, transport: this.encrypted ? "tls" : "tcp", clock };
    this.#dialer = dialer;
    this.#underway = new PendingRequests(server.label, MAX_CONNECTIONS * MAX_PIPELINED);
    this.#edns = new EdnsSupport(clock);
  }

  exchange(question: Question, errand: ExchangeOptions): Promise<Answer> {
    return this.#edns.ask((edns) =>
      noteAttempt(errand, this.#subject, () =>
        this.#underway.run<Answer>(errand.signal, (ends) => {
          const job: StreamJob = { question, edns, ends, moves: 0, cancel: () => undefined };
          this.#place(job);
          return () => job.cancel();
        }),
      ),
    );
  }

  addresses(): readonly string[] {
    return this.#dialer.addresses;
  }

  async close(): Promise<void> {
    this.#underway.close();
    await Promise.all([...this.#connections].map((connection) => connection.close()));
  }

  #place(job: StreamJob): void {
    const connection = this.#connections.values().find(({ hasRoom }) => hasRoom) ?? this.#connect();
    if (connection === null) job.ends.reject(new UpstreamError("barred", this.label, `${MAX_CONNECTIONS} connections are full`));
    else connection.ask(job);
  }

  #connect(): StreamConnection | null {
    if (this.#connections.size >= MAX_CONNECTIONS) return null;
    const connection = new StreamConnection({
      label: this.label,
      clock: this.#subject.clock,
      padded: this.encrypted,
      dial: (signal) => this.#dialer.open(this.encrypted ? TLS_ALPN : null, signal),
      resend: (job) => this.#place(job),
      ended: () => this.#connections.delete(connection),
    });
    this.#connections.add(connection);
    return connection;
  }
}

/** Questions that may wait on one connection; those given up count until they are answered. RFC 7766 §6.2.1.1 names no number. */
const MAX_PIPELINED = 128;

/** Ids are below this. */
const ID_LIMIT = 0x1_0000;

/**
 * How long a connection may be silent under unanswered questions before no more are put on it: a router that has forgotten the connection
 * drops everything without a word, and TCP itself takes minutes to notice.
 */
const STALLED_MS = 1_500;

/** A question on its way over a stream. */
interface StreamJob {
  readonly question: Question;
  readonly edns: boolean;
  readonly ends: Settle<Answer>;
  /** How often it has been moved to another connection. */
  moves: number;
  /** Takes it off the connection it is on. */
  cancel: () => void;
}

/**
 * How often a question is moved at most when connections end under it. Each of them had answered others before, as servers that close after a
 * number of answers do (RFC 7766 §6.2.3 lets them), so there is progress; a question that itself brings the server down must not go on for ever.
 */
const MAX_MOVES = 20;

interface StreamConnectionOptions {
  readonly label: string;
  readonly clock: Clock;
  /** Whether to pad queries: on encrypted connections. */
  readonly padded: boolean;
  readonly dial: (signal: AbortSignal) => Promise<Socket>;
  /** Takes a question that this connection has lost to another one. */
  readonly resend: (job: StreamJob) => void;
  /** Called once, when the connection takes no more questions and none is left on it. */
  readonly ended: () => void;
}

/**
 * One connection over which questions go out as they come and are answered in any order (RFC 7766 §6.2.1.1, §7). Ids are unpredictable and
 * unique on it; that of a question given up stays taken, so that its late answer meets nobody else. When the connection breaks, or
 * stalls, after it has carried at least one answer, the questions on it are handed to `resend`: most likely the server closed it while they
 * were on their way. On a connection that never worked they fail.
 */
class StreamConnection {
  readonly #options: StreamConnectionOptions;
  readonly #dialling = new AbortController();
  readonly #dialled: Promise<void>;
  readonly #reader = new MessageFramer();
  /** By id; null = given up. */
  readonly #waiting = new Map<number, StreamJob | null>();
  /** What goes out once there is a connection. */
  readonly #outbox = new Map<number, Uint8Array>();
  readonly #watch: ConnectionWatch;
  #socket: Socket | null = null;
  #unsettled = 0;
  #hasAnswered = false;
  /** Whether it takes no more questions, and ends with the last one. */
  #retired = false;
  #ended = false;

  constructor(options: StreamConnectionOptions) {
    this.#options = options;
    this.#watch = new ConnectionWatch(options.clock, {
      stalledMs: STALLED_MS,
      stalled: () => this.#stall(),
      idle: () => this.#end(new UpstreamError("closed", options.label, "idle")),
    });
    this.#dialled = options.dial(this.#dialling.signal).then(
      (socket) => this.#opened(socket),
      (error: unknown) => this.#end(error instanceof Error ? error : new Error(String(error))),
    );
  }

  get hasRoom(): boolean {
    return !this.#retired && this.#waiting.size < MAX_PIPELINED;
  }

  /** Takes a question over; to be called only where there is room. */
  ask(job: StreamJob): void {
    const id = this.#freeId();
    this.#waiting.set(id, job);
    this.#unsettled += 1;
    job.cancel = () => this.#abandon(id);
    const message = askMessage(job.question, { id, edns: job.edns, padded: this.#options.padded });
    if (this.#socket === null) this.#outbox.set(id, frame(message));
    else this.#send(frame(message));
  }

  /** The questions still on it fail, or are answered by whoever took them off before. */
  async close(): Promise<void> {
    this.#end(new UpstreamError("closed", this.#options.label, "closed"));
    await this.#dialled;
    if (this.#socket !== null) await destroyed(this.#socket);
  }

  #opened(socket: Socket): void {
    this.#socket = socket;
    if (this.#ended) return void socket.destroy();
    const { label } = this.#options;
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    socket.on("error", (error) => this.#end(connectError(error, label)));
    socket.on("end", () => this.#end(new UpstreamError("network", label, "the server closed the connection")));
    socket.on("close", () => this.#end(new UpstreamError("network", label, "the connection is closed")));
    for (const framed of this.#outbox.values()) this.#send(framed);
    this.#outbox.clear();
    this.#settled();
  }

  #send(framed: Uint8Array): void {
    this.#watch.sent();
    this.#socket?.write(framed);
  }

  #receive(chunk: Uint8Array): void {
    this.#watch.heard();
    this.#reader.push(chunk);
    while (!this.#ended && this.#reader.ready) {
      const message = this.#reader.next();
      if (message === "badLength")
        this.#end(new UpstreamError("malformed", this.#options.label, "a message of impossible length"));
      else if (message !== "incomplete") this.#answer(message);
    }
    if (!this.#ended) this.#settled();
  }

  #answer(message: Uint8Array): void {
    const id = uint16(message, 0);
    const job = this.#waiting.get(id);
    // An answer that nobody waits for is odd, but no reason to doubt those that are waited for.
    if (job === undefined) return;
    this.#hasAnswered = true;
    this.#waiting.delete(id);
    if (job === null) return;
    this.#unsettled -= 1;
    const reply = readReply(message, id, job.question);
    if (reply.kind === "answer") job.ends.resolve(reply.answer);
    else job.ends.reject(new UpstreamError("malformed", this.#options.label, REPLY_FAULTS[reply.kind]));
  }

  #abandon(id: number): void {
    if (this.#ended || !this.#waiting.get(id)) return;
    if (this.#outbox.delete(id)) this.#waiting.delete(id);
    else this.#waiting.set(id, null);
    this.#unsettled -= 1;
    this.#settled();
  }

  /** Decides what becomes of the connection when a question has gone from it. */
  #settled(): void {
    if (this.#unsettled > 0) return;
    if (this.#retired || !this.hasRoom) this.#end(new UpstreamError("closed", this.#options.label, "retired"));
    else this.#watch.rest();
  }

  // RFC 7766 §6.2.4 lets questions of a lost connection go out again; here they also leave one that seems lost.
  #stall(): void {
    this.#retired = true;
    if (this.#hasAnswered) {
      for (const [id, job] of this.#waiting) {
        if (job === null || job.moves > 0) continue;
        this.#waiting.set(id, null);
        this.#unsettled -= 1;
        this.#resend(job);
      }
    }
    this.#settled();
  }

  #resend(job: StreamJob): void {
    job.moves += 1;
    this.#options.resend(job);
  }

  #end(error: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#retired = true;
    this.#watch.stop();
    this.#dialling.abort(error);
    this.#socket?.destroy();
    const jobs = [...this.#waiting.values()].filter((job) => job !== null);
    this.#waiting.clear();
    this.#options.ended();
    const isLost = this.#hasAnswered && error instanceof UpstreamError && error.failure === "network";
    for (const job of jobs) {
      if (isLost && job.moves < MAX_MOVES) this.#resend(job);
      else job.ends.reject(error);
    }
  }

  #freeId(): number {
    for (;;) {
      const id = randomInt(ID_LIMIT);
      if (!this.#waiting.has(id)) return id;
    }
  }
}

const REPLY_FAULTS = {
  foreign: "the answer is to another question",
  truncated: "the answer is truncated, on a stream",
  malformed: "the answer is malformed",
} as const;
