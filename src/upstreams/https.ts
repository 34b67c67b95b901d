import { isIPv6, type Socket } from "node:net";
import { TLSSocket } from "node:tls";
import type { Answer } from "../dns/answer.ts";
import { askMessage, type Question } from "../dns/query.ts";
import { uint16 } from "../dns/wire.ts";
import type { Dialer } from "./dial.ts";
import { Http1Transport } from "./http1.ts";
import { Http2Transport } from "./http2.ts";
import type { HttpsExchange, HttpsTarget, HttpsTransport, TransportEvents } from "./https-request.ts";
import type { ServerOptions } from "./options.ts";
import { PendingRequests } from "./pending.ts";
import { type AttemptSubject, noteAttempt, readReply } from "./reply.ts";
import { type ExchangeOptions, type ServerContext, type Upstream, UpstreamError } from "./upstream.ts";

/** Questions at a time. */
const MAX_REQUESTS = 1_024;

const DEFAULT_PORT = 443;

/** RFC 9113 §3.1, RFC 7301 §6. */
const ALPN = { both: ["h2", "http/1.1"], http1: ["http/1.1"] } as const;

/** A server asked over HTTPS (RFC 8484): on one HTTP/2 session, or, where it does not choose that, on a few HTTP/1.1 connections. */
export class HttpsServer implements Upstream {
  readonly label: string;
  readonly encrypted = true;
  readonly #target: HttpsTarget;
  readonly #subject: AttemptSubject;
  readonly #dialer: Dialer;
  readonly #underway: PendingRequests;
  readonly #carriers = new Set<HttpsTransport>();
  /** Those that wait for a connection. */
  readonly #waiting = new Set<HttpsExchange>();
  readonly #closing = new AbortController();
  #opening: Promise<void> | null = null;

  constructor(server: ServerOptions, { clock }: ServerContext, dialer: Dialer) {
    const { label, host, port, path, method } = server;
    const authority = (isIPv6(host) ? `[${host}]` : host) + (port === DEFAULT_PORT ? "" : `:${port}`);
    this.label = label;
    this.#target = { label, authority, path, method };
    this.#subject = { server: label, transport: "https", clock };
    this.#dialer = dialer;
    this.#underway = new PendingRequests(label, MAX_REQUESTS);
  }

  exchange(question: Question, errand: ExchangeOptions): Promise<Answer> {
    // RFC 8484 §4.1: id 0, so that equal questions are equal requests.
    const message = askMessage(question, { id: 0, edns: true, padded: true });
    return noteAttempt(errand, this.#subject, async () => {
      const body = await this.#underway.run<Uint8Array>(errand.signal, (ends) => {
        const job: HttpsExchange = { message, ends, resent: false, cancel: () => undefined };
        this.#place(job);
        return () => job.cancel();
      });
      // The stream ties an answer to its question; servers that make up an id of their own do no harm.
      const reply = readReply(body, uint16(body, 0), question);
      if (reply.kind === "answer") return reply.answer;
      throw new UpstreamError("malformed", this.label, reply.kind === "foreign" ? "answers another question" : reply.kind);
    });
  }

  addresses(): readonly string[] {
    return this.#dialer.addresses;
  }

  async close(): Promise<void> {
    this.#underway.close();
    this.#closing.abort(new UpstreamError("closed", this.label, "closed"));
    await this.#opening;
    await Promise.all([...this.#carriers].map((carrier) => carrier.close()));
  }

  #place(job: HttpsExchange): void {
    const carrier = this.#carriers.values().find(({ hasRoom }) => hasRoom);
    if (carrier === undefined) {
      this.#waiting.add(job);
      job.cancel = () => this.#waiting.delete(job);
      this.#opening ??= this.#open();
    } else carrier.ask(job);
  }

  async #open(): Promise<void> {
    try {
      const carrier = this.#carrierOver(await this.#dialer.open(ALPN.both, this.#closing.signal));
      this.#carriers.add(carrier);
      for (const job of this.#takeWaiting()) carrier.ask(job);
    } catch (error) {
      const failure = error instanceof Error ? error : new Error(String(error));
      for (const job of this.#takeWaiting()) job.ends.reject(failure);
    }
  }

  #takeWaiting(): HttpsExchange[] {
    // From here on a question that is handed back begins another attempt.
    this.#opening = null;
    const jobs = [...this.#waiting];
    this.#waiting.clear();
    return jobs;
  }

  #carrierOver(socket: Socket): HttpsTransport {
    const { clock } = this.#subject;
    const events: TransportEvents = {
      resend: (job) => this.#place(job),
      ended: () => this.#carriers.delete(carrier),
    };
    const carrier: HttpsTransport =
      socket instanceof TLSSocket && socket.alpnProtocol === "h2"
        ? new Http2Transport(socket, this.#target, { clock, events })
        : new Http1Transport(socket, this.#target, { clock, events, dial: (signal) => this.#dialer.open(ALPN.http1, signal) });
    return carrier;
  }
}
