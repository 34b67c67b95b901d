import type { Answer } from "../dns/answer.ts";
import type { Question } from "../dns/query.ts";
import { type AttemptSubject, noteAttempt } from "./attempt.ts";
import type { Dialer } from "./dialer.ts";
import { EdnsSupport } from "./edns-support.ts";
import type { ServerOptions } from "./options.ts";
import type { ServerContext } from "./server-context.ts";
import { MAX_PIPELINED, StreamConnection, type StreamJob } from "./stream-connection.ts";
import { Underway } from "./underway.ts";
import { type Errand, type Upstream, UpstreamError } from "./upstream.ts";

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
  readonly #underway: Underway;
  readonly #edns: EdnsSupport;
  readonly #connections = new Set<StreamConnection>();

  constructor(server: ServerOptions, { clock }: ServerContext, dialer: Dialer) {
    this.label = server.label;
    this.encrypted = server.protocol === "tls";
    this.#subject = { server: server.label, transport: this.encrypted ? "tls" : "tcp", clock };
    this.#dialer = dialer;
    this.#underway = new Underway(server.label, MAX_CONNECTIONS * MAX_PIPELINED);
    this.#edns = new EdnsSupport(clock);
  }

  exchange(question: Question, errand: Errand): Promise<Answer> {
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
